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

// schema is a declared schema and its block.
type schema struct {
	jobs.Block
	table schemas.Table
}

var (
	schemaAttributes = []string{"extends", "description", "event_types", "unknown_field", "unknown_type", "mismatch", "hash_key"}
	columnAttributes = []string{"type", "from", "when", "time", "policy", "pii", "description"}
)

// schemaBlock reads the attributes of a schema or of a column.
type schemaBlock struct{ *block }

// schema decodes a schema. It has the columns of the schema that it extends, or
// otherwise those that every table has, and its own.
func (l *loader) schema(hb *hcl.Block, address string) cty.Value {
	b := &schemaBlock{l.open(hb, address, schemaAttributes, hcl.BlockHeaderSchema{Type: "column", LabelNames: []string{"name"}})}
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

// written reports whether the block has the attribute and it is not null.
func (b *schemaBlock) written(name string) bool {
	v, ok := b.values[name]
	return ok && !v.IsNull()
}

// refuseSensitive reports attributes with a sensitive value that is part of the schema.
func (b *schemaBlock) refuseSensitive(names []string) {
	for _, name := range names {
		if len(b.marks[name]) > 0 && !isSecret(name) {
			b.fail(name, "A schema cannot be sensitive", fmt.Sprintf(
				"The value of %s comes from a sensitive value. The schema appears in plans, in the schema lock and in every file, so it cannot be kept secret. If it is not secret, use nonsensitive(…).", name))
		}
	}
}

func (b *schemaBlock) handling(name string, into *schemas.Handling, ways ...schemas.Handling) {
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
func (b *schemaBlock) hashKey(into *schemas.Key) {
	var key string
	if !b.text("hash_key", &key) {
		return
	}
	switch {
	case len(b.marks["hash_key"]) == 0:
		b.fail("hash_key", "A hash key must be sensitive",
			"Anyone who has the key can find the address or number behind a hash by trying. Take the key from a variable that has sensitive = true.")
	case len(key) < schemas.MinKeyLength:
		b.fail("hash_key", "Hash key too short", fmt.Sprintf(
			"hash_key must have at least %d bytes, because a shorter key can be found by trying. To make a good one, run: openssl rand -base64 32", schemas.MinKeyLength))
	default:
		*into = schemas.NewKey(key)
	}
}

// declared returns the schema with the columns that the block declares.
func (b *schemaBlock) declared(t schemas.Table) schemas.Table {
	var columns []schemas.Column
	blocks := map[string]*schemaBlock{} // by column
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
		case wrong.Attribute == "hash_key" && b.written("hash_key"): // it is reported already
		default:
			b.fail(wrong.Attribute, "Invalid schema", capital(wrong.Problem)+".")
		}
		// Errors in the other columns are reported too.
		rest := slices.DeleteFunc(slices.Clone(columns), func(c schemas.Column) bool { return c.Name == wrong.Column })
		if len(rest) == len(columns) {
			return t
		}
		columns = rest
	}
}

// column reads a column. It inherits attributes that the block does not set from the
// column with the same name.
func (b *schemaBlock) column(hb *hcl.Block, of schemas.Table) (schemas.Column, *schemaBlock) {
	inner := &schemaBlock{b.graph.unopened(hb, b.Address, columnAttributes)}
	rest := columnAttributes
	if attr := inner.attrs["type"]; attr != nil {
		if word := hcl.ExprAsKeyword(attr.Expr); word != "" { // the form of a variable's type
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

// requireOfNew reports the missing attributes of a column that inherits nothing.
func (b *schemaBlock) requireOfNew(name string, of schemas.Table) {
	var names []string
	for _, c := range of.Columns {
		if !of.Roles().IsCore(c.Name) {
			names = append(names, c.Name)
		}
	}
	for _, needed := range []struct{ attribute, what string }{
		{"type", "one of " + strings.Join(keywords(schemas.Types()), ", ")},
		{"from", `where the value is in an event, such as ["data.sentiment"]`},
	} {
		if !b.written(needed.attribute) {
			b.fail(needed.attribute, "Missing required attribute", fmt.Sprintf("The column %q needs %s: %s. No column with that name exists to inherit it from.%s",
				name, needed.attribute, needed.what, didYouMean(nearest(name, names))))
		}
	}
}
