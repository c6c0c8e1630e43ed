// Package schemas says what a table is: its columns, their types, and where in
// an event each value comes from. The built-in table of Knock events is declared
// in knock_events.hcl, beside this file.
//
// It also defines when two tables or two sets of rows are the same: by
// Fingerprint and Digest.
//
// It neither reads events nor writes files, and knows nothing of Parquet or SQL:
// the stages translate a Table into their own terms. Of Arrow it knows the schema
// of record batches, at which the stages meet, and the digests of their values.
package schemas

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsimple"
)

// Type is a column's type, in the words of the schema language.
type Type string

// The types, with what they are in Parquet and in BigQuery.
const (
	String    Type = "string"    // UTF-8 byte array; STRING
	Timestamp Type = "timestamp" // INT64, microseconds since 1970-01-01, adjusted to UTC; TIMESTAMP
	Date      Type = "date"      // INT32, days since 1970-01-01; DATE
)

// Derivation names a column's value that is not a field of the event.
type Derivation string

// What a column can be derived from.
const (
	Identity Derivation = "identity" // the event's deterministic id
	Prospect Derivation = "prospect" // the prospect that was asked for
	Day      Derivation = "date"     // the UTC day of the event
	Month    Derivation = "month"    // the first day of that month
	Year     Derivation = "year"     // the first day of that year
	Extra    Derivation = "extra"    // what no column took
)

// Column is one column of a table. All columns are optional.
type Column struct {
	Name string
	Type Type
	// From lists the paths, relative to the event and dot-separated, of which
	// the first that is present gives the value. Empty when Value is set.
	From []string
	// Value says what the column is derived from, or is "".
	Value Derivation
	// When lists the event types whose fields the column takes; a trailing "*"
	// stands for any ending. Empty means every type.
	When []string
	// PII marks columns that hold personal data.
	PII bool
	// Description is for readers of the lake.
	Description string
}

// Applies reports whether the column takes fields of events of that type.
func (c Column) Applies(eventType string) bool {
	return len(c.When) == 0 || slices.ContainsFunc(c.When, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return eventType == pattern || wild && strings.HasPrefix(eventType, prefix)
	})
}

// Table is what one lake table holds. Its Columns stand in the order of the
// files; those that partition the table are in PartitionBy and in no file.
type Table struct {
	Name        string
	Description string
	Columns     []Column
	PartitionBy []Column
}

// All is every column that a reader of the lake sees, partition keys last.
func (t Table) All() []Column { return slices.Concat(t.Columns, t.PartitionBy) }

// Column gives the column with that name, from the files or the partition keys.
func (t Table) Column(name string) (Column, bool) {
	all := t.All()
	i := slices.IndexFunc(all, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return all[i], true
}

// PartitionKeys names the columns that a table may be partitioned by.
func PartitionKeys() []string {
	return []string{"event_type", "event_date", "event_month", "event_year"}
}

// PartitionedBy gives the table partitioned by those keys instead. A former key
// returns to the files, where it stood in the declaration; event_month and
// event_year exist only as keys.
func (t Table) PartitionedBy(keys ...string) (Table, error) {
	if len(keys) == 0 {
		return Table{}, fmt.Errorf("a table is partitioned by at least one of %s", strings.Join(PartitionKeys(), ", "))
	}
	declared := knockEvents()
	out := Table{Name: t.Name, Description: t.Description}
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			return Table{}, fmt.Errorf("the partition key %q stands twice", key)
		}
		switch key {
		case "event_month":
			out.PartitionBy = append(out.PartitionBy, Column{Name: key, Type: Date, Value: Month,
				Description: "First day of the UTC month of the event."})
		case "event_year":
			out.PartitionBy = append(out.PartitionBy, Column{Name: key, Type: Date, Value: Year,
				Description: "First day of the UTC year of the event."})
		case "event_type", "event_date":
			c, _ := declared.Column(key)
			out.PartitionBy = append(out.PartitionBy, c)
		default:
			return Table{}, fmt.Errorf("there is no partition key %q: use %s", key, strings.Join(PartitionKeys(), ", "))
		}
	}
	for _, c := range declared.Columns {
		if !slices.Contains(keys, c.Name) {
			out.Columns = append(out.Columns, c)
		}
	}
	return out, nil
}

// Fingerprint identifies what readers and rows depend on: the columns' names,
// types, order and sources, and the partition keys. Descriptions do not count.
// It is 32 hexadecimal digits.
func (t Table) Fingerprint() string {
	h := sha256.New()
	for _, c := range t.Columns {
		fmt.Fprintf(h, "column %q %q %q %q %q\n", c.Name, c.Type, c.Value, c.From, c.When)
	}
	for _, c := range t.PartitionBy {
		fmt.Fprintf(h, "partition %q %q %q %q %q\n", c.Name, c.Type, c.Value, c.From, c.When)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// KnockEvents is the built-in table of Knock prospect events, partitioned by
// event_type and event_date.
func KnockEvents() Table {
	t, err := knockEvents().PartitionedBy("event_type", "event_date")
	if err != nil {
		panic(err) // the embedded declaration is part of the program
	}
	return t
}

//go:embed knock_events.hcl
var knockEventsHCL []byte

// knockEvents is the declaration as it stands, every column in Columns.
var knockEvents = sync.OnceValue(func() Table {
	t, err := parse("knock_events.hcl", knockEventsHCL)
	if err != nil {
		panic(err) // the embedded declaration is part of the program
	}
	return t
})

// parse reads a declaration in the schema language.
func parse(filename string, src []byte) (Table, error) {
	var file struct {
		Table struct {
			Name        string `hcl:"name,label"`
			Description string `hcl:"description,optional"`
			Columns     []struct {
				Name        string   `hcl:"name,label"`
				Type        string   `hcl:"type"`
				From        []string `hcl:"from,optional"`
				Value       string   `hcl:"value,optional"`
				When        []string `hcl:"when,optional"`
				PII         bool     `hcl:"pii,optional"`
				Description string   `hcl:"description,optional"`
			} `hcl:"column,block"`
		} `hcl:"table,block"`
	}
	if err := hclsimple.Decode(filename, src, (*hcl.EvalContext)(nil), &file); err != nil {
		return Table{}, err
	}
	t := Table{Name: file.Table.Name, Description: file.Table.Description}
	for _, c := range file.Table.Columns {
		column := Column{
			Name: c.Name, Type: Type(c.Type), From: c.From, Value: Derivation(c.Value),
			When: c.When, PII: c.PII, Description: c.Description,
		}
		if err := column.check(); err != nil {
			return Table{}, fmt.Errorf("%s: column %q: %w", filename, c.Name, err)
		}
		if slices.ContainsFunc(t.Columns, func(o Column) bool { return strings.EqualFold(o.Name, c.Name) }) {
			return Table{}, fmt.Errorf("%s: column %q is declared twice", filename, c.Name)
		}
		t.Columns = append(t.Columns, column)
	}
	return t, nil
}

// What BigQuery takes as a column's name: LAKE_CONTRACT.md, "BigQuery external
// tables over Parquet on GCS".
var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,299}$`)

var reservedPrefixes = []string{
	"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER",
	"_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
}

func (c Column) check() error {
	if !columnName.MatchString(c.Name) {
		return fmt.Errorf("a column's name has only letters, digits and underscores, at most 300, and does not begin with a digit")
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(strings.ToUpper(c.Name), prefix) {
			return fmt.Errorf("BigQuery reserves names that begin with %s", prefix)
		}
	}
	if !slices.Contains([]Type{String, Timestamp, Date}, c.Type) {
		return fmt.Errorf("there is no type %q", c.Type)
	}
	if !slices.Contains([]Derivation{"", Identity, Prospect, Day, Month, Year, Extra}, c.Value) {
		return fmt.Errorf("there is no derived value %q", c.Value)
	}
	if (c.Value == "") == (len(c.From) == 0) {
		return fmt.Errorf("a column has either a path in from, or a value")
	}
	return nil
}
