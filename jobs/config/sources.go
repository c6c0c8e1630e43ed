package config

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/internal/attribute"
	"prospector/jobs"
)

// The attributes that every source has.
var requestAttributes = []string{"page_size", "concurrency", "requests_per_second", "timeout", "max_attempts"}

func (l *loader) source(hb *hcl.Block, address string) cty.Value {
	kind := l.sourceKinds.Find(hb.Labels[0])
	if kind == nil {
		l.unknownKind(hb, address, "source", l.sourceKinds.Names())
		return cty.DynamicVal
	}
	s := jobs.Source{Kind: kind.Name, PageSize: 100, Concurrency: 8, RequestsPerSecond: kind.RequestsPerSecond,
		Timeout: 30 * time.Second, MaxAttempts: 6, Settings: kind.New()}
	attributes := s.Settings.Attributes()
	b := l.open(hb, address, append(attribute.Names(attributes), requestAttributes...))
	b.decode(attributes)
	b.integer("page_size", 1, 10_000, &s.PageSize)
	b.integer("concurrency", 1, 256, &s.Concurrency)
	b.number("requests_per_second", "a number that is 0 (no limit) or greater, up to a million",
		func(n float64) bool { return n >= 0 && n <= 1e6 }, &s.RequestsPerSecond)
	b.duration("timeout", &s.Timeout)
	b.integer("max_attempts", 1, 100, &s.MaxAttempts)
	s.Block = b.Block
	if b.failed {
		return cty.DynamicVal
	}
	l.sources[address] = s
	endpoint := cty.NullVal(cty.String)
	for _, a := range attributes {
		if text, ok := a.Value.(*string); ok && a.Name == "endpoint" {
			endpoint = b.marked(cty.StringVal(*text), "endpoint")
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "type": cty.StringVal(kind.Name), "name": cty.StringVal(hb.Labels[1]), "endpoint": endpoint,
	})
}

func (l *loader) prospectList(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, []string{"file", "column", "delimiter", "header", "encoding"})
	b.require(map[string]string{"file": `a path such as "prospects.csv", or "-" for standard input`})
	p := jobs.Prospects{Block: b.Block}
	if v := b.values["file"]; b.given("file") && v.RawEquals(cty.StringVal("-")) {
		p.File = "-"
	} else {
		b.path("file", &p.File)
	}
	b.text("column", &p.Column)
	delimiter(b, &p.Delimiter)
	if b.given("header") {
		p.Header = new(bool)
		b.bool("header", p.Header)
	}
	b.choice("encoding", jobs.Encodings(), &p.Encoding)
	if b.failed {
		return cty.DynamicVal
	}
	l.prospects[address] = p
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "name": cty.StringVal(hb.Labels[0]),
		"file": b.marked(cty.StringVal(p.File), "file"), "column": b.marked(cty.StringVal(p.Column), "column"),
	})
}

// delimiter reads the character that separates the columns of a list.
func delimiter(b *block, into *string) {
	const expected = `one character that separates columns, such as ";" or "\t"`
	var text string
	if !b.text("delimiter", &text) {
		return
	}
	r, size := utf8.DecodeRuneInString(text)
	if size != len(text) || !separates(r) {
		b.wrong("delimiter", expected, "")
		return
	}
	*into = text
}

// separates reports whether a character can separate columns: no ID contains it, and it
// has no other meaning in CSV.
func separates(r rune) bool {
	return r == '\t' || unicode.IsGraphic(r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" \"-_", r) && r != utf8.RuneError
}
