package schemas

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
)

// Builtin is the name of the built-in table.
const Builtin = "knock_events"

// KnockEvents is the built-in table of Knock prospect events, partitioned by
// event_type and event_date.
func KnockEvents() Table { return partitioned(knockEvents()) }

// Core is the table that has nothing but what every table has, partitioned by
// event_type and event_date.
func Core() Table {
	t := knockEvents()
	core := Table{EventTypes: t.EventTypes}
	for _, c := range t.Columns {
		if IsCore(c.Name) {
			core.Columns = append(core.Columns, c)
		}
	}
	return partitioned(core)
}

// BuiltinOf gives the built-in table, partitioned in whatever way, that has that
// fingerprint.
func BuiltinOf(fingerprint string) (Table, bool) {
	var find func(keys []string) (Table, bool)
	find = func(keys []string) (Table, bool) {
		if len(keys) > 0 {
			if t, err := knockEvents().PartitionedBy(keys...); err == nil && t.Fingerprint() == fingerprint {
				return t, true
			}
		}
		for _, key := range PartitionKeys() {
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

func partitioned(t Table) Table {
	t, err := t.PartitionedBy("event_type", "event_date")
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

// block is a table in the schema language, as this package reads it. The
// configuration's, which may refer to variables, is read by jobs/config.
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

// table makes the unpartitioned table of a block, which declares all columns.
func (b block) table() (Table, error) {
	t := Table{Name: b.Name, Description: b.Description, EventTypes: b.EventTypes, UnknownField: Handling(b.UnknownField), HashKeyID: b.HashKeyID}
	for i, c := range b.Columns {
		column := Column{
			Name: c.Name, Type: Type(c.Type), From: c.From, Value: Derivation(c.Value),
			When: c.When, Time: c.Time, Policy: Policy(c.Policy), PII: c.PII, Description: c.Description,
		}
		if err := column.check(); err != nil {
			return Table{}, err
		}
		for _, o := range b.Columns[:i] {
			if sameName(o.Name, c.Name) {
				return Table{}, &DeclarationError{c.Name, "", fmt.Sprintf("%q is declared twice", c.Name)}
			}
		}
		t.Columns = append(t.Columns, column)
	}
	return t, t.checkPaths(t.Columns)
}

// parse reads the declaration of one table.
func parse(filename string, src []byte) (Table, error) {
	all, err := blocks(filename, src)
	if err != nil {
		return Table{}, err
	}
	if len(all) != 1 {
		return Table{}, fmt.Errorf("%s: there is not one schema block, but %d", filename, len(all))
	}
	t, err := all[0].table()
	if err != nil {
		return Table{}, fmt.Errorf("%s: %w", filename, err)
	}
	return t, nil
}
