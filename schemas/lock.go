package schemas

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// LockFile is the name of the file with the Lock, next to the configuration. Commit it
// with the configuration.
const LockFile = ".prospector.lock.hcl"

// Lock has the tables that the user has accepted: unpartitioned, by the address of
// their job. A run does not replace a locked column unless init -upgrade accepts it.
type Lock map[string]Table

// Addresses returns the addresses of the locked jobs, ascending.
func (l Lock) Addresses() []string { return slices.Sorted(maps.Keys(l)) }

const lockHeader = `# The schemas of the tables that have been accepted. "prospector init" maintains
# this file; commit it with the configuration, and do not edit it.

`

// ParseLock parses the result of Encode.
func ParseLock(filename string, src []byte) (Lock, error) {
	all, err := blocks(filename, src)
	if err != nil {
		return nil, fmt.Errorf("the schema lock cannot be read: %w", err)
	}
	lock := make(Lock)
	for _, b := range all {
		t, err := b.table()
		if err == nil && t.Fingerprint() != b.Fingerprint {
			err = errors.New("the fingerprint does not match the columns: the file was edited")
		}
		if _, twice := lock[b.Name]; err == nil && twice {
			err = errors.New("the job is listed twice")
		}
		if err != nil {
			return nil, fmt.Errorf("the schema lock %s, %s: %w", filename, b.Name, err)
		}
		lock[b.Name] = t
	}
	return lock, nil
}

// Encode writes the lock in the schema language. Equal locks have equal encodings.
func (l Lock) Encode() []byte {
	f := hclwrite.NewEmptyFile()
	f.Body().AppendUnstructuredTokens(hclwrite.Tokens{{Bytes: []byte(lockHeader)}})
	for i, address := range l.Addresses() {
		if i > 0 {
			f.Body().AppendNewline()
		}
		t := l[address].Unpartitioned()
		b := f.Body().AppendNewBlock("schema", []string{address}).Body()
		b.SetAttributeValue("fingerprint", cty.StringVal(t.Fingerprint()))
		if t.UnknownField == Discard {
			b.SetAttributeValue("unknown_field", cty.StringVal(string(t.UnknownField)))
		}
		if t.HashKeyID != "" {
			b.SetAttributeValue("hash_key_id", cty.StringVal(t.HashKeyID))
		}
		for _, c := range t.Columns {
			b.AppendNewline()
			c.write(b, t.OwnRoles.declared(c), false)
		}
	}
	return hclwrite.Format(f.Bytes())
}

// write appends the column's block to a body. described includes the description and
// the attribute pii.
func (c Column) write(to *hclwrite.Body, role string, described bool) {
	b := to.AppendNewBlock("column", []string{c.Name}).Body()
	b.SetAttributeRaw("type", hclwrite.TokensForIdentifier(string(c.Type)))
	if c.Value != "" {
		b.SetAttributeValue("value", cty.StringVal(string(c.Value)))
	}
	if role != "" {
		b.SetAttributeValue("role", cty.StringVal(role))
	}
	setTexts(b, "from", c.From)
	setTexts(b, "when", c.When)
	if c.Time != "" {
		b.SetAttributeValue("time", cty.StringVal(c.Time))
	}
	if c.Policy != "" {
		b.SetAttributeValue("policy", cty.StringVal(string(c.Policy)))
	}
	if !described {
		return
	}
	if c.PII {
		b.SetAttributeValue("pii", cty.True)
	}
	if c.Description != "" {
		b.SetAttributeValue("description", cty.StringVal(c.Description))
	}
}

// Source returns the table in the schema language, as a configuration would declare
// it. It omits the core columns, and omits extends if they are those of the table of
// events. It has var.hash_key instead of the key for hashed columns.
func (t Table) Source() []byte {
	f := hclwrite.NewEmptyFile()
	b := f.Body().AppendNewBlock("schema", []string{t.Name}).Body()
	if t.Description != "" {
		b.SetAttributeValue("description", cty.StringVal(t.Description))
	}
	base := baseOf(t)
	if base != Builtin {
		b.SetAttributeValue("extends", cty.StringVal(base))
	}
	expected := BuiltinTable(base).EventTypes
	setTexts(b, "event_types", slices.DeleteFunc(slices.Clone(t.EventTypes), func(pattern string) bool { return slices.Contains(expected, pattern) }))
	for _, set := range []struct {
		name string
		to   Handling
	}{{"unknown_field", t.UnknownField}, {"unknown_type", t.UnknownType}, {"mismatch", t.Mismatch}} {
		if set.to != "" && set.to != Keep {
			b.SetAttributeValue(set.name, cty.StringVal(string(set.to)))
		}
	}
	if t.hashes() {
		b.SetAttributeTraversal("hash_key", hcl.Traversal{hcl.TraverseRoot{Name: "var"}, hcl.TraverseAttr{Name: "hash_key"}})
	}
	for _, c := range t.Unpartitioned().Columns {
		switch {
		case !t.Roles().IsCore(c.Name):
			b.AppendNewline()
			c.write(b, "", true)
		case c.Time != "": // the only attribute that can be declared
			b.AppendNewline()
			b.AppendNewBlock("column", []string{c.Name}).Body().SetAttributeValue("time", cty.StringVal(c.Time))
		}
	}
	return hclwrite.Format(f.Bytes())
}

// Quote returns a text as a literal of the configuration language.
func Quote(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(strings.ToValidUTF8(text, "\ufffd"))).Bytes())
}

// setTexts sets an attribute to a list of texts, unless the list is empty.
func setTexts(b *hclwrite.Body, name string, values []string) {
	if len(values) == 0 {
		return
	}
	all := make([]cty.Value, len(values))
	for i, v := range values {
		all[i] = cty.StringVal(v)
	}
	b.SetAttributeValue(name, cty.ListVal(all))
}
