package schemas

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
)

// Builtin is the name of the built-in table that tables extend by default.
const Builtin = "knock_events"

// KnockEvents is the built-in table of Knock prospect events, partitioned by
// event_type and event_date.
func KnockEvents() Table {
	t, _ := knockEvents()
	return partitioned(t)
}

// Builtins names the built-in tables.
func Builtins() []string {
	files, err := declarations.ReadDir(".")
	if err != nil {
		panic(err) // the embedded declarations are part of the program
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".hcl")
	}
	return names
}

// BuiltinTable returns one of the Builtins, partitioned by the default keys.
func BuiltinTable(name string) Table {
	if name == Builtin {
		return KnockEvents()
	}
	return partitioned(builtin(name))
}

// baseOf names the built-in table whose core columns the table has.
func baseOf(t Table) string {
	for _, name := range Builtins() {
		if BuiltinTable(name).Roles() == t.Roles() {
			return name
		}
	}
	return Builtin
}

// BuiltinOf returns the built-in table of events with the partition keys that give it
// that fingerprint, and reports whether there are such keys.
func BuiltinOf(fingerprint string) (Table, bool) {
	t, _ := knockEvents()
	var find func(keys []string) (Table, bool)
	find = func(keys []string) (Table, bool) {
		if len(keys) > 0 {
			if t, err := t.PartitionedBy(keys...); err == nil && t.Fingerprint() == fingerprint {
				return t, true
			}
		}
		for _, key := range t.Roles().PartitionKeys() {
			if !slices.Contains(keys, key) {
				if t, ok := find(append(slices.Clone(keys), key)); ok {
					return t, true
				}
			}
		}
		return Table{}, false
	}
	return find(nil)
}

// The built-in tables, one per file.
//
//go:embed *.hcl
var declarations embed.FS

// builtin returns a built-in table as its file declares it, with every column in
// Columns.
func builtin(name string) Table {
	src, err := declarations.ReadFile(name + ".hcl")
	if err == nil {
		var t Table
		if t, err = Parse(name+".hcl", src); err == nil {
			return t
		}
	}
	panic(err) // the embedded declarations are part of the program
}

var events struct {
	once  sync.Once
	table Table
	roles Roles
}

// knockEvents returns the declared table of events, and its roles, which the tables
// that extend it do not repeat.
func knockEvents() (Table, Roles) {
	events.once.Do(func() {
		events.table = builtin(Builtin)
		events.roles, events.table.OwnRoles = events.table.OwnRoles, Roles{}
	})
	return events.table, events.roles
}

// block is a schema block without references, as the built-in declarations and lock
// files have it. Package jobs/config decodes the blocks of a configuration, which can
// refer to variables.
type block struct {
	Name         string   `hcl:"name,label"`
	Description  string   `hcl:"description,optional"`
	EventTypes   []string `hcl:"event_types,optional"`
	UnknownField string   `hcl:"unknown_field,optional"`
	HashKeyID    string   `hcl:"hash_key_id,optional"`
	Fingerprint  string   `hcl:"fingerprint,optional"`
	Columns      []struct {
		Name        string   `hcl:"name,label"`
		Type        string   `hcl:"type"`
		From        []string `hcl:"from,optional"`
		Value       string   `hcl:"value,optional"`
		When        []string `hcl:"when,optional"`
		Time        string   `hcl:"time,optional"`
		Role        string   `hcl:"role,optional"`
		Policy      string   `hcl:"policy,optional"`
		PII         bool     `hcl:"pii,optional"`
		Description string   `hcl:"description,optional"`
	} `hcl:"column,block"`
}

// blocks reads the schema blocks of a file.
func blocks(filename string, src []byte) ([]block, error) {
	f, diags := hclparse.NewParser().ParseHCL(src, filename)
	if diags.HasErrors() {
		return nil, diags
	}
	keywords := make(map[string]cty.Value)
	for _, t := range Types() { // type = string, as in a configuration
		keywords[string(t)] = cty.StringVal(string(t))
	}
	var file struct {
		Schemas []block `hcl:"schema,block"`
	}
	if diags := gohcl.DecodeBody(f.Body, &hcl.EvalContext{Variables: keywords}, &file); diags.HasErrors() {
		return nil, diags
	}
	return file.Schemas, nil
}

// table returns the unpartitioned table of a block. The block declares all columns.
func (b block) table() (Table, error) {
	t := Table{Name: b.Name, Description: b.Description, EventTypes: b.EventTypes, UnknownField: Handling(b.UnknownField), HashKeyID: b.HashKeyID}
	var err error
	if t.OwnRoles, err = b.roles(); err != nil {
		return Table{}, err
	}
	for i, c := range b.Columns {
		column := Column{
			Name: c.Name, Type: Type(c.Type), From: c.From, Value: Derivation(c.Value),
			When: c.When, Time: c.Time, Policy: Policy(c.Policy), PII: c.PII, Description: c.Description,
		}
		if err := t.Roles().checkColumn(column); err != nil {
			return Table{}, err
		}
		for _, o := range b.Columns[:i] {
			if sameName(o.Name, c.Name) {
				return Table{}, &DeclarationError{c.Name, "", "it is declared twice"}
			}
		}
		t.Columns = append(t.Columns, column)
	}
	return t, t.checkPaths(t.Columns)
}

// roles returns the roles that the block declares. They are zero if no column has
// the attribute role: then the table extends the built-in table of events.
func (b block) roles() (r Roles, err error) {
	extends := true
	for _, c := range b.Columns {
		extends = extends && c.Role == ""
	}
	if extends {
		return Roles{}, nil
	}
	for _, c := range b.Columns {
		for _, role := range []string{implied[Derivation(c.Value)], c.Role} {
			if role == "" {
				continue
			}
			if err := r.assign(c.Name, Type(c.Type), role); err != nil {
				return r, err
			}
		}
	}
	if err := r.check(); err != nil {
		return r, err
	}
	first := r.columns()
	for i, name := range first {
		if b.Columns[i].Name != name {
			return r, &DeclarationError{name, "", fmt.Sprintf("the columns %s must come first, in this order", strings.Join(first, ", "))}
		}
	}
	return r, nil
}

// Parse parses the declaration of one table, including the roles of its columns. The
// table has every column in Columns.
func Parse(filename string, src []byte) (Table, error) {
	all, err := blocks(filename, src)
	if err != nil {
		return Table{}, err
	}
	if len(all) != 1 {
		return Table{}, fmt.Errorf("%s must have one schema block, but has %d", filename, len(all))
	}
	t, err := all[0].table()
	if err != nil {
		return Table{}, fmt.Errorf("%s: %w", filename, err)
	}
	return t, nil
}
