package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
)

func (l *loader) prospectList(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, append([]string{"file", "column", "delimiter", "header", "encoding"}, objectAttributes(l.storeKinds)...))
	b.require(map[string]string{"file": `a path such as "prospects.csv", the URI of an object such as "gs://bucket/prospects.csv", or "-" for standard input`})
	p := jobs.Prospects{Block: b.Block}
	listFile(b, l.storeKinds, &p)
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

// objectAttributes returns the names of the attributes that determine how to reach an
// object, of all kinds of store, some of them possibly twice.
func objectAttributes(kinds store.Kinds) (names []string) {
	for _, kind := range kinds {
		if kind.Objects != nil {
			names = append(names, kind.Objects.Attributes...)
		}
	}
	return names
}

// listFile reads the path or the URI of a list.
func listFile(b *block, kinds store.Kinds, p *jobs.Prospects) {
	var text string
	if !b.text("file", &text) {
		return
	}
	var of *store.Kind
	switch m := uri.FindStringSubmatch(text); {
	case text == "-":
		p.File = "-"
	case m == nil:
		b.path("file", &p.File)
	default:
		if of = kinds.FindScheme(m[1]); of == nil {
			unknownScheme(b, kinds, m[1])
			return
		}
		listObject(b, of, text, p)
	}
	for _, name := range objectAttributes(kinds) {
		if b.given(name) && (of == nil || !slices.Contains(of.Objects.Attributes, name)) {
			b.fail(name, "Attribute without effect", fmt.Sprintf(
				"%s determines how to reach an object in a bucket, but the file of %s is not the URI of one. Remove the attribute.", name, b.Address))
		}
	}
}

// uri matches a URI, and its scheme.
var uri = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)

// unknownScheme reports a URI that does not name an object of any kind.
func unknownScheme(b *block, kinds store.Kinds, scheme string) {
	var known []string
	for _, kind := range kinds {
		if kind.Objects != nil {
			known = append(known, kind.Objects.Scheme)
		}
	}
	suggestion := ""
	if lower := strings.ToLower(scheme); slices.Contains(known, lower) {
		suggestion = b.hint("file", lower+"://")
	}
	b.fail("file", "Unknown type of URI", fmt.Sprintf("The file is a URI that begins with %s, but only paths and URIs that begin with %s:// are supported.%s",
		b.quote("file", scheme+"://"), strings.Join(known, ":// or "), suggestion))
}

// listObject reads the object with a URI.
func listObject(b *block, kind *store.Kind, text string, p *jobs.Prospects) {
	settings := kind.New()
	key, err := kind.Objects.Locate(settings, text)
	if err != nil {
		b.fail("file", "Invalid URI of a list", fmt.Sprintf("The file %s %v.", b.quote("file", strconv.Quote(text)), err))
		return
	}
	b.decode(slices.DeleteFunc(settings.Attributes(), func(a attribute.Attribute) bool { return !slices.Contains(kind.Objects.Attributes, a.Name) }))
	p.Object = &jobs.Object{Location: store.Location{Kind: kind, Settings: settings}, Key: key}
	p.File = p.Object.URI(key)
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
