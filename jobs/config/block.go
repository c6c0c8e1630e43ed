package config

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"prospector/jobs"
)

// block decodes one block. Its methods read an attribute into a target that holds the
// default. If the attribute is wrong, they report it and leave the target unchanged.
type block struct {
	jobs.Block
	graph  *graph
	at     hcl.Range
	attrs  hcl.Attributes
	blocks hcl.Blocks
	values map[string]cty.Value // evaluated and unmarked
	marks  map[string]cty.ValueMarks
	failed bool
}

// open reads a block that may have the named attributes, and evaluates them.
func (g *graph) open(b *hcl.Block, address string, names []string, blocks ...hcl.BlockHeaderSchema) *block {
	out := g.unopened(b, address, names, blocks...)
	out.evaluate(nil, names...)
	return out
}

// unopened reads a block that may have the named attributes, but evaluates none.
func (g *graph) unopened(b *hcl.Block, address string, names []string, blocks ...hcl.BlockHeaderSchema) *block {
	schema := &hcl.BodySchema{Blocks: blocks}
	for _, name := range names {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, diags := b.Body.Content(schema)
	g.report(address, false, diags)
	out := &block{
		graph: g, at: b.DefRange, attrs: content.Attributes, blocks: content.Blocks,
		values: map[string]cty.Value{}, marks: map[string]cty.ValueMarks{}, failed: diags.HasErrors(),
	}
	out.Block = jobs.Block{Address: address, Origin: *g.origin(b.DefRange), Attributes: map[string]jobs.Origin{}}
	for name, attr := range content.Attributes {
		out.Attributes[name] = *g.origin(attr.Expr.Range())
	}
	return out
}

// evaluate evaluates the named attributes, as far as the block has them.
func (b *block) evaluate(local scope, names ...string) {
	for _, name := range names {
		attr := b.attrs[name]
		if attr == nil {
			continue
		}
		v, ok := b.graph.evaluate(attr.Expr, b.Address, isSecret(name), local)
		if !ok {
			b.failed = true
			v = cty.DynamicVal
		}
		b.values[name], b.marks[name] = v.UnmarkDeep()
	}
}

// single returns the only inner block, or nil. It reports a second one.
func (b *block) single() *hcl.Block {
	if len(b.blocks) == 0 {
		return nil
	}
	first := b.blocks[0]
	for _, hb := range b.blocks[1:] {
		b.failed = true
		b.graph.fail(hb.DefRange, b.Address, "Duplicate declaration", fmt.Sprintf("%s already has a %s block, at %s:%d. Merge the two blocks.",
			b.Address, first.Type, first.DefRange.Filename, first.DefRange.Start.Line))
	}
	return first
}

// fail reports an error about an attribute, or about the block if it does not have that
// attribute.
func (b *block) fail(attribute, summary, detail string) {
	b.failed = true
	b.graph.diags = append(b.graph.diags, b.Diagnose(attribute, summary, detail))
}

// require reports attributes that are missing or null. why has what each of them is.
func (b *block) require(why map[string]string) {
	for _, name := range sortedKeys(why) {
		if v, ok := b.values[name]; !ok || v.IsNull() {
			b.fail(name, "Missing required attribute", fmt.Sprintf("%s needs %s: %s.", b.Address, name, why[name]))
		}
	}
}

// given reports whether the attribute has a known value that is not null.
func (b *block) given(name string) bool {
	v, ok := b.values[name]
	return ok && v.IsKnown() && !v.IsNull()
}

// quote returns the text of an attribute's value, or a placeholder if it is hidden.
func (b *block) quote(name, text string) string {
	if b.hidden(name) {
		return "(sensitive value)"
	}
	return text
}

func (b *block) hidden(name string) bool { return isSecret(name) || len(b.marks[name]) > 0 }

// secretNames are the names of attributes whose values are never shown.
var secretNames = []string{"api_key", "credentials", "hash_key"}

func isSecret(name string) bool { return slices.Contains(secretNames, name) }

// hint is didYouMean for an attribute's value.
func (b *block) hint(name, suggestion string) string {
	if b.hidden(name) {
		return ""
	}
	return didYouMean(suggestion)
}

// found describes the value that an attribute has.
func (b *block) found(name string) string {
	v := b.values[name]
	for root := range b.graph.blockTypes {
		if address := b.graph.addressOf(v, root); address != "" {
			return address
		}
	}
	switch ty := v.Type(); {
	case ty == cty.String && v.IsWhollyKnown() && !v.IsNull():
		return b.quote(name, "the string "+strconv.Quote(v.AsString()))
	case ty == cty.Number && v.IsWhollyKnown() && !v.IsNull():
		return b.quote(name, v.AsBigFloat().Text('g', 20))
	case ty.IsTupleType(), ty.IsListType():
		return "a list"
	case ty == cty.Bool:
		return "a bool"
	case ty.IsMapType(), ty.IsObjectType():
		return "an object"
	default:
		return "a " + ty.FriendlyName()
	}
}

// wrong reports a value that is not what was expected.
func (b *block) wrong(name, expected, suggestion string) {
	b.fail(name, "Wrong value for "+name, fmt.Sprintf("%s must be %s; found %s.%s", name, expected, b.found(name), suggestion))
}

// converted returns an attribute's value as a type, and false if it has none.
func (b *block) converted(name string, ty cty.Type, expected string) (cty.Value, bool) {
	if !b.given(name) {
		return cty.NilVal, false
	}
	v, err := convert.Convert(b.values[name], ty)
	if err != nil {
		b.wrong(name, expected, "")
		return cty.NilVal, false
	}
	return v, true
}

// text reads a string, and reports whether there is one.
func (b *block) text(name string, into *string) bool {
	v, ok := b.converted(name, cty.String, "a string")
	if ok {
		*into = v.AsString()
	}
	return ok
}

// texts reads a list of strings.
func (b *block) texts(name, expected string, into *[]string) bool {
	v, ok := b.converted(name, cty.List(cty.String), expected)
	if !ok {
		return false
	}
	all := []string{}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() {
			b.wrong(name, expected, " It contains a null.")
			return false
		}
		all = append(all, e.AsString())
	}
	*into = all
	return true
}

// textMap reads a map of strings, and reports whether there is one.
func (b *block) textMap(name string, into *map[string]string) bool {
	const expected = `a map of strings, such as { team = "leasing" }`
	v, ok := b.converted(name, cty.Map(cty.String), expected)
	if !ok {
		return false
	}
	all := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		if e.IsNull() {
			b.wrong(name, expected, " It contains a null.")
			return false
		}
		all[key.AsString()] = e.AsString()
	}
	*into = all
	return true
}

func (b *block) bool(name string, into *bool) {
	if v, ok := b.converted(name, cty.Bool, "true or false"); ok {
		*into = v.True()
	}
}

func (b *block) integer(name string, least, most int, into *int) {
	expected := fmt.Sprintf("a whole number from %d to %d", least, most)
	v, ok := b.converted(name, cty.Number, expected)
	if !ok {
		return
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < int64(least) || n > int64(most) {
		b.wrong(name, expected, "")
		return
	}
	*into = int(n)
}

func (b *block) unsigned(name string, into *uint64) {
	expected := fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64))
	v, ok := b.converted(name, cty.Number, expected)
	if !ok {
		return
	}
	n, accuracy := v.AsBigFloat().Uint64()
	if accuracy != big.Exact {
		b.wrong(name, expected, "")
		return
	}
	*into = n
}

func (b *block) number(name, expected string, valid func(float64) bool, into *float64) {
	v, ok := b.converted(name, cty.Number, expected)
	if !ok {
		return
	}
	n, _ := v.AsBigFloat().Float64()
	if !valid(n) {
		b.wrong(name, expected, "")
		return
	}
	*into = n
}

// duration reads a duration from least to an hour.
func (b *block) duration(name string, least time.Duration, into *time.Duration) {
	var text string
	if !b.text(name, &text) {
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > time.Hour {
		suggestion := ""
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			suggestion = b.hint(name, text+"s")
		}
		b.wrong(name, fmt.Sprintf("a duration with its unit, from %q to \"1h\"", least.String()), suggestion)
		return
	}
	*into = d
}

// units of sizes, in bytes.
var units = map[string]int64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// size reads a number of bytes.
func (b *block) size(name string, least, most int64, into *int64) {
	var text string
	if !b.text(name, &text) {
		return
	}
	digits := strings.TrimRight(text, "kKMGiB ")
	n, err := strconv.ParseFloat(digits, 64)
	written := strings.TrimSpace(text[len(digits):])
	unit, ok := units[written]
	if bytes := n * float64(unit); err == nil && ok && bytes >= float64(least) && bytes <= float64(most) {
		*into = int64(bytes)
		return
	}
	suggestion := ""
	switch _, short := units[written+"B"]; {
	case err != nil:
	case written == "" && n < float64(least):
		suggestion = b.hint(name, digits+"MiB")
	case short:
		suggestion = b.hint(name, digits+written+"B")
	}
	b.wrong(name, fmt.Sprintf(`a size with its unit, such as "256MiB" or "64MB", from "%dMiB" to "%dGiB"`, least>>20, most>>30), suggestion)
}

// choice reads one of some words.
func (b *block) choice(name string, words []string, into *string) {
	var text string
	if !b.text(name, &text) {
		return
	}
	if !slices.Contains(words, text) {
		b.wrong(name, "one of "+strings.Join(words, ", "), b.hint(name, nearest(text, words)))
		return
	}
	*into = text
}

func (b *block) time(name string, into *time.Time) {
	var text string
	if !b.text(name, &text) {
		return
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		suggestion := ""
		if _, err := time.Parse(time.DateOnly, text); err == nil {
			suggestion = b.hint(name, text+"T00:00:00Z")
		}
		b.wrong(name, `a time such as "2022-02-01T00:00:00Z"`, suggestion)
		return
	}
	*into = t.UTC()
}

// path reads a path that is relative to the directory of the configuration.
func (b *block) path(name string, into *string) {
	var text string
	if !b.text(name, &text) {
		return
	}
	if text == "" || strings.ContainsRune(text, 0) {
		b.wrong(name, "the path of a file or directory", "")
		return
	}
	*into = b.graph.absolute(text)
}

// marked returns a value that is as sensitive as the attributes.
func (b *block) marked(v cty.Value, attributes ...string) cty.Value {
	for _, name := range attributes {
		v = v.WithMarks(b.marks[name])
	}
	return v
}
