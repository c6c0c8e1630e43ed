package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
	"prospector/schemas"
)

// schema is a declared table and the block that declares it.
type schema struct {
	jobs.Block
	table schemas.Table
}

var (
	schemaAttributes = []string{"extends", "description", "event_types", "unknown_field", "unknown_type", "mismatch", "hash_key"}
	columnAttributes = []string{"type", "from", "when", "time", "policy", "pii", "description"}
)

// schema decodes a table: the columns of the one that it extends, or else those
// that every table has, and its own.
func (l *loader) schema(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, schemaAttributes, hcl.BlockHeaderSchema{Type: "column", LabelNames: []string{"name"}})
	b.refuseSensitive(schemaAttributes)
	t := schemas.KnockEvents().Core()
	if b.written("extends") {
		base := schemas.Builtin
		b.choice("extends", schemas.Builtins(), &base)
		t = schemas.BuiltinTable(base)
	}
	t.Name, t.Description = hb.Labels[0], ""
	b.text("description", &t.Description)
	var types []string
	b.texts("event_types", `a list of event types, such as ["VOICE_*"]`, &types)
	t.EventTypes = slices.Concat(t.EventTypes, types)
	b.handling("unknown_field", &t.UnknownField, schemas.Keep, schemas.Fail, schemas.Discard)
	b.handling("unknown_type", &t.UnknownType, schemas.Keep, schemas.Fail, schemas.Quarantine)
	b.handling("mismatch", &t.Mismatch, schemas.Keep, schemas.Fail, schemas.Quarantine)
	b.hashKey(&t.HashKey)
	t = b.declared(t)
	if b.failed {
		return cty.DynamicVal
	}
	l.schemas[address] = schema{b.Block, t}
	return cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(address), "name": cty.StringVal(t.Name)})
}

// written reports whether the attribute is there and not null, whatever it is.
func (b *block) written(name string) bool {
	v, ok := b.values[name]
	return ok && !v.IsNull()
}

// refuseSensitive reports attributes that everybody is to see, and whose value
// nobody may.
func (b *block) refuseSensitive(names []string) {
	for _, name := range names {
		if len(b.marks[name]) > 0 && !isSecret(name) {
			b.fail(name, "A schema cannot be sensitive", fmt.Sprintf(
				"The value of %s comes from something sensitive. What a table is stands in plans, in the schema lock and in every file, so it cannot be kept secret. Use nonsensitive(…) if it is no secret.", name))
		}
	}
}

func (b *block) handling(name string, into *schemas.Handling, ways ...schemas.Handling) {
	b.choice(name, keywords(ways), (*string)(into))
}

func keywords[T ~string](kinds []T) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

// hashKey reads the key that values are hashed with.
func (b *block) hashKey(into *schemas.Key) {
	var key string
	if !b.text("hash_key", &key) {
		return
	}
	switch {
	case len(b.marks["hash_key"]) == 0:
		b.fail("hash_key", "A hash key must be sensitive",
			"With the key, anybody can try which address or number a hash is of. Take it from a variable that has sensitive = true.")
	case len(key) < schemas.MinKeyLength:
		b.fail("hash_key", "Hash key too short", fmt.Sprintf(
			"hash_key must have at least %d bytes, since a shorter key can be found by trying. A good one: openssl rand -base64 32", schemas.MinKeyLength))
	default:
		*into = schemas.NewKey(key)
	}
}

// declared gives the table with the columns of the block's column blocks.
func (b *block) declared(t schemas.Table) schemas.Table {
	var columns []schemas.Column
	blocks := map[string]*block{} // by column
	for _, hb := range b.blocks {
		c, inner := b.column(hb, t)
		blocks[c.Name] = inner
		b.failed = b.failed || inner.failed
		if !inner.failed {
			columns = append(columns, c)
		}
	}
	for {
		out, err := t.Declare(columns...)
		wrong, ok := errors.AsType[*schemas.DeclarationError](err)
		if !ok {
			return out
		}
		b.failed = true
		switch inner := blocks[wrong.Column]; {
		case inner != nil:
			inner.fail(wrong.Attribute, "Invalid column", capital(wrong.Problem)+".")
		case wrong.Attribute == "hash_key" && b.written("hash_key"): // what is wrong with it is told
		default:
			b.fail(wrong.Attribute, "Invalid schema", capital(wrong.Problem)+".")
		}
		// What is wrong with the others is told all the same.
		rest := slices.DeleteFunc(slices.Clone(columns), func(c schemas.Column) bool { return c.Name == wrong.Column })
		if len(rest) == len(columns) {
			return t
		}
		columns = rest
	}
}

// column reads a column. What the block does not say is that of the table's
// column with the same name.
func (b *block) column(hb *hcl.Block, of schemas.Table) (schemas.Column, *block) {
	inner := b.l.unopened(hb, b.Address, columnAttributes)
	rest := columnAttributes
	if attr := inner.attrs["type"]; attr != nil {
		if word := hcl.ExprAsKeyword(attr.Expr); word != "" { // as a variable's type is written
			inner.values["type"] = cty.StringVal(word)
			rest = columnAttributes[1:]
		}
	}
	inner.evaluate(nil, rest...)
	inner.refuseSensitive(columnAttributes)

	c, inherits := of.Column(hb.Labels[0])
	c.Name = hb.Labels[0]
	if !inherits && !of.Roles().IsCore(c.Name) {
		inner.requireOfNew(c.Name, of)
	}
	inner.choice("type", keywords(schemas.Types()), (*string)(&c.Type))
	inner.texts("from", `a list of paths in an event, such as ["data.sentiment"]`, &c.From)
	inner.texts("when", `a list of event types, such as ["SMS_MESSAGE", "EMAIL_*"]`, &c.When)
	inner.text("time", &c.Time)
	inner.choice("policy", keywords(schemas.Policies()), (*string)(&c.Policy))
	inner.bool("pii", &c.PII)
	inner.text("description", &c.Description)
	return c, inner
}

// requireOfNew reports what a column lacks that inherits nothing.
func (b *block) requireOfNew(name string, of schemas.Table) {
	var names []string
	for _, c := range of.Columns {
		if !of.Roles().IsCore(c.Name) {
			names = append(names, c.Name)
		}
	}
	for _, needed := range []struct{ attribute, what string }{
		{"type", "one of " + strings.Join(keywords(schemas.Types()), ", ")},
		{"from", `where in an event the value stands, such as ["data.sentiment"]`},
	} {
		if !b.written(needed.attribute) {
			b.fail(needed.attribute, "Missing required attribute", fmt.Sprintf("The column %q needs %s: %s. There is no column of that name to inherit it from.%s",
				name, needed.attribute, needed.what, didYouMean(nearest(name, names))))
		}
	}
}
