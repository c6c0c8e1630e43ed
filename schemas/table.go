// Package schemas defines tables: their columns, the columns' types and roles, and
// where in an event each value comes from. Each built-in table is declared in an
// embedded HCL file, and a configuration can declare tables that extend one.
//
// The package also defines when two tables or two sets of rows are the same
// (Fingerprint and Digest), how tables differ (Diff), the file that locks accepted
// tables (Lock), and which columns could take fields without a column (Infer).
//
// It does not read events or write files, and does not depend on Arrow, Parquet or
// SQL. The stages translate a Table into their own terms; package records has its
// rows in memory.
package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Derivation is a source of values other than the fields of the event.
type Derivation string

// The derivations.
const (
	Identity Derivation = "identity" // the event's deterministic id
	Prospect Derivation = "prospect" // the prospect that was requested
	Day      Derivation = "date"     // the UTC day of the event
	Month    Derivation = "month"    // the first day of that month
	Year     Derivation = "year"     // the first day of that year
	Extra    Derivation = "extra"    // the fields without a column
)

// Handling is what to do with a field, an event type or a value that a table does not
// expect.
type Handling string

// The ways of handling it. The fields of Table list those that apply to each.
const (
	Keep       Handling = "keep"       // it goes into extra_json
	Fail       Handling = "fail"       // the run ends, and nothing is published
	Discard    Handling = "drop"       // it is dropped
	Quarantine Handling = "quarantine" // the event goes to the quarantine
)

// Column is one column of a table. All columns are optional.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	// From lists dot-separated paths in the event. The value is at the first path
	// that is present. From is empty if Value is set.
	From []string `json:"from,omitempty"`
	// Value is the derivation of the value, or "".
	Value Derivation `json:"value,omitempty"`
	// When lists the event types whose fields the column takes. A trailing "*"
	// matches any ending. An empty list means every type.
	When []string `json:"when,omitempty"`
	// Time is the format of the source's times in a timestamp or date column, for
	// ParseTimeFormat; "" means ISO 8601.
	Time string `json:"time,omitempty"`
	// Policy is the protection of the values, or "".
	Policy Policy `json:"policy,omitempty"`
	// PII marks columns that hold personal data.
	PII bool `json:"pii,omitempty"`
	// Description is for readers of the lake.
	Description string `json:"description,omitempty"`
}

// Applies reports whether the column takes fields of events of that type.
func (c Column) Applies(eventType string) bool {
	return len(c.When) == 0 || matches(c.When, eventType)
}

// matches reports whether any of the patterns matches the event type.
func matches(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return eventType == pattern || wild && strings.HasPrefix(eventType, prefix)
	})
}

// Table is the schema of a table in the lake. Columns are the columns of the files, in
// their order. The partition keys are in PartitionBy, and not in the files.
type Table struct {
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Columns     []Column `json:"columns"`
	PartitionBy []Column `json:"partition_by,omitempty"`
	// OwnRoles are the roles of the columns. They are zero for the built-in table
	// of events and tables that extend it; use Roles, which returns those too.
	OwnRoles Roles `json:"roles,omitzero"`

	// EventTypes are the expected types. A trailing "*" matches any ending. Other
	// types are new.
	EventTypes []string `json:"event_types,omitempty"`
	// UnknownField is Keep, Fail or Discard; UnknownType and Mismatch are Keep,
	// Fail or Quarantine. "" is Keep.
	UnknownField Handling `json:"unknown_field,omitempty"`
	UnknownType  Handling `json:"unknown_type,omitempty"`
	Mismatch     Handling `json:"mismatch,omitempty"`

	// HashKey is the key for values with the policy Hash. A table that was read
	// from a file has only the ID of the key.
	HashKey   Key    `json:"-"`
	HashKeyID string `json:"hash_key_id,omitempty"`
}

// Knows reports whether the table expects events of that type. A table without types
// expects all events.
func (t Table) Knows(eventType string) bool {
	return t.Roles().Type == "" || matches(t.EventTypes, eventType)
}

// All returns every column that readers of the lake see, partition keys last.
func (t Table) All() []Column { return slices.Concat(t.Columns, t.PartitionBy) }

// Column returns the column or partition key with that name.
func (t Table) Column(name string) (Column, bool) {
	all := t.All()
	i := IndexOf(all, name)
	if i < 0 {
		return Column{}, false
	}
	return all[i], true
}

// IndexOf returns the index of the column with that name, or -1.
func IndexOf(columns []Column, name string) int {
	return slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
}

// Keys names the columns that the table is partitioned by.
func (t Table) Keys() []string {
	keys := make([]string, len(t.PartitionBy))
	for i, c := range t.PartitionBy {
		keys[i] = c.Name
	}
	return keys
}

// PartitionedBy returns the table with other partition keys, which must be among
// Roles.PartitionKeys. A former key becomes a column of the files again, in its
// declared position.
func (t Table) PartitionedBy(keys ...string) (Table, error) {
	if len(keys) == 0 {
		return Table{}, fmt.Errorf("a table must be partitioned by at least one of %s", strings.Join(t.Roles().PartitionKeys(), ", "))
	}
	out := t.Unpartitioned()
	declared := out.Columns
	out.Columns = nil
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			return Table{}, fmt.Errorf("the partition key %q is listed twice", key)
		}
		if !slices.Contains(t.Roles().PartitionKeys(), key) {
			return Table{}, fmt.Errorf("there is no partition key %q: use %s", key, strings.Join(t.Roles().PartitionKeys(), ", "))
		}
		c, derived := t.Roles().derivedKey(key)
		if !derived {
			c = declared[IndexOf(declared, key)]
		}
		out.PartitionBy = append(out.PartitionBy, c)
	}
	for _, c := range declared {
		if !slices.Contains(keys, c.Name) {
			out.Columns = append(out.Columns, c)
		}
	}
	return out, nil
}

// Unpartitioned returns the table as it is declared, with every column in Columns.
func (t Table) Unpartitioned() Table {
	out := t
	out.Columns, out.PartitionBy = nil, nil
	core := t.Roles().columns()
	for _, name := range core {
		if c, ok := t.Column(name); ok {
			out.Columns = append(out.Columns, c)
		}
	}
	for _, c := range t.Columns {
		if !slices.Contains(core, c.Name) {
			out.Columns = append(out.Columns, c)
		}
	}
	return out
}

// Fingerprint identifies what readers and rows depend on: the columns' names,
// types, order, sources and protection, the partition keys, and whether fields
// are dropped. Descriptions do not count. It is 32 hexadecimal digits.
func (t Table) Fingerprint() string {
	h := sha256.New()
	for _, c := range t.Columns {
		fmt.Fprintf(h, "column %s\n", c.signature())
	}
	for _, c := range t.PartitionBy {
		fmt.Fprintf(h, "partition %s\n", c.signature())
	}
	// Properties that most tables lack are left out, so that the tables of older
	// lakes keep their fingerprints.
	if t.UnknownField == Discard {
		fmt.Fprintf(h, "unknown_field %q\n", t.UnknownField)
	}
	for _, a := range t.OwnRoles.assignments() {
		if *a.column != "" {
			fmt.Fprintf(h, "role %s %q\n", a.role, *a.column)
		}
	}
	if t.hashes() {
		fmt.Fprintf(h, "hash_key %q\n", t.HashKeyID)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (c Column) signature() string {
	s := fmt.Sprintf("%q %q %q %q %q", c.Name, c.Type, c.Value, c.From, c.When)
	if c.Policy != "" {
		s += fmt.Sprintf(" %q", c.Policy)
	}
	if c.Time != "" {
		s += fmt.Sprintf(" time %q", c.Time)
	}
	return s
}

func (t Table) hashes() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Policy == Hash })
}

// Protects reports whether any column's values are protected.
func (t Table) Protects() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Policy != "" })
}

// Taking returns the column that takes the value at a path in events of that type.
func (t Table) Taking(path, eventType string) (Column, bool) {
	for _, c := range t.Columns {
		if slices.Contains(c.From, path) && c.Applies(eventType) {
			return c, true
		}
	}
	return Column{}, false
}

// RowColumns returns the columns of staged rows: those of the files, then the
// partition keys that determine the partition of a row. They always include the
// columns of the type and the day.
func (t Table) RowColumns() []Column {
	columns := append([]Column(nil), t.Columns...)
	for _, c := range t.PartitionBy {
		if c.Value != Month && c.Value != Year {
			columns = append(columns, c)
		}
	}
	return columns
}
