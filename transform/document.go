package transform

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"prospector/internal/jsontext"
)

// maxValues is the maximum number of values of an event. A page with more values is parsed
// edge by edge, so that tiny values do not need many times the memory of their page.
const maxValues = 250_000

// maxNesting is the maximum nesting of values. The outermost value counts as 1.
const maxNesting = 300

var (
	errNotJSON    = errors.New("a text that is not JSON")
	errNotUnicode = errors.New("text that is not Unicode: invalid UTF-8, or half of a surrogate pair") // of a key
	errTooMany    = fmt.Errorf("an event of more than %d values", maxValues)
	errTooDeep    = fmt.Errorf("an event that is nested more than %d deep", maxNesting)
)

// document is a parsed JSON text: the positions of its values, in the order in which they
// begin, and the shapes of its objects. Values are decoded when they are used. A text has
// less than 2 GiB.
type document struct {
	text      jsontext.Scanner
	tokens    []token
	shapes    shapes
	unescaped []byte // decoded texts of strings with escapes
	broken    bool   // some string, which may be a key, is not Unicode
	brokenKey bool   // some key is not Unicode
	room      int    // number of further values that are allowed
	err       error
}

// token is a value. It has no pointer, so that the garbage collector does not scan it.
type token struct {
	start, end int32 // in the text, quotes and brackets included
	next       int32 // the first token after it and the values inside
	shape      int32 // index of an object's shape in the document
	kind       kind  // aNumber for every number
	escaped    bool  // a string with a backslash
}

// value is a value of a document. It is valid until the next parse.
type value struct {
	in *document
	at int32
}

// parse parses a text, which must not change until the next parse. It checks the
// grammar strictly (RFC 8259). Every key must be Unicode. Other strings may be broken: see
// value.isBroken. The error is errNotJSON, errTooMany if there are more values than most,
// errTooDeep or errNotUnicode.
func (d *document) parse(text []byte, most int) (value, error) {
	d.text = text
	d.tokens, d.unescaped = d.tokens[:0], d.unescaped[:0]
	d.shapes.trim()
	d.broken, d.brokenKey, d.room, d.err = false, false, most, errNotJSON
	if end := d.value(d.text.Space(0), 1, d.shapes.outermost()); end < 0 || d.text.Space(end) < len(text) {
		return value{}, d.err
	}
	if d.brokenKey {
		return value{}, errNotUnicode
	}
	return value{d, 0}, nil
}

// The methods below expect the element of the grammar in their name at an index of the
// text. They return the index after it, or -1 if it is not there.

// value expects the value of the last key of a shape.
func (d *document) value(i, depth int, of *shape) int {
	switch d.room--; {
	case i >= len(d.text):
		return -1
	case d.room < 0:
		d.err = errTooMany
		return -1
	case depth > maxNesting:
		d.err = errTooDeep
		return -1
	}
	switch d.text[i] {
	case '"':
		end, form, ok := d.text.String(i)
		if !ok {
			return -1
		}
		if form != 0 && !form.IsUnicode(d.text[i:end]) {
			d.broken = true
		}
		return d.add(i, end, aString, form&jsontext.Escaped != 0)
	case '{':
		return d.inside(i, depth, anObject, '}', d.shapes.inside(of))
	case '[':
		return d.inside(i, depth, anArray, ']', of)
	case 't':
		return d.word(i, "true", aBool)
	case 'f':
		return d.word(i, "false", aBool)
	case 'n':
		return d.word(i, "null", noKind)
	}
	end, ok := d.text.Number(i)
	if !ok {
		return -1
	}
	return d.add(i, end, aNumber, false)
}

func (d *document) word(i int, word string, kind kind) int {
	end, ok := d.text.Word(i, word)
	if !ok {
		return -1
	}
	return d.add(i, end, kind, false)
}

// add adds a token and returns its end. If end is -1, it adds nothing. It writes the token
// field by field, because copying a token took a tenth of the time of flattening.
func (d *document) add(start, end int, kind kind, escaped bool) int {
	if end < 0 {
		return end
	}
	at := len(d.tokens)
	if at == cap(d.tokens) {
		d.tokens = slices.Grow(d.tokens, 1)
	}
	d.tokens = d.tokens[:at+1]
	t := &d.tokens[at]
	t.start, t.end, t.next = int32(start), int32(end), int32(at+1)
	t.kind, t.escaped = kind, escaped
	return end
}

func (d *document) inside(i, depth int, kind kind, closing byte, shape *shape) int {
	at := len(d.tokens)
	d.add(i, i, kind, false)
	i = d.text.Space(i + 1)
	for more := !d.has(i, closing); more; {
		if kind == anObject {
			if shape, i = d.key(shape, i); i < 0 {
				return -1
			}
		}
		if i = d.value(i, depth+1, shape); i < 0 {
			return -1
		}
		i = d.text.Space(i)
		if more = d.has(i, ','); more {
			i = d.text.Space(i + 1)
		} else if !d.has(i, closing) {
			return -1
		}
	}
	t := &d.tokens[at]
	t.end, t.next = int32(i+1), int32(len(d.tokens))
	if kind == anObject {
		t.shape = shape.id
		if !shape.closed {
			shape.close()
		}
	}
	return i + 1
}

// key expects the next key of an object, whose previous keys are the shape of. It returns
// the shape with that key, and the index of the key's value.
func (d *document) key(of *shape, i int) (*shape, int) {
	rest := d.text[i:]
	for _, s := range of.longer {
		if len(rest) >= len(s.text) && string(rest[:len(s.text)]) == string(s.text) {
			return s, d.text.Space(i + len(s.text))
		}
	}
	end, form, ok := d.text.String(i)
	if !ok {
		return nil, -1
	}
	colon := d.text.Space(end)
	if !d.has(colon, ':') {
		return nil, -1
	}
	text := slices.Clone(d.text[i:d.text.Space(colon+1)])
	raw := text[:end-i]
	key := raw[1 : len(raw)-1]
	if !form.IsUnicode(raw) { // parse refuses the document, and no other document may match this shape
		d.broken, d.brokenKey = true, true
		return d.shapes.add(of, key, text), i + len(text)
	}
	if form&jsontext.Escaped != 0 {
		key = jsontext.AppendUnquoted(nil, raw)
	}
	longer := d.shapes.add(of, key, text)
	of.remember(longer)
	return longer, i + len(text)
}

func (d *document) has(i int, c byte) bool { return i < len(d.text) && d.text[i] == c }

func (v value) token() *token { return &v.in.tokens[v.at] }

func (v value) kind() kind { return v.token().kind }

// shape returns the shape of an object.
func (v value) shape() *shape { return v.in.shapes.all[v.token().shape] }

// raw returns the text of the value in the document.
func (v value) raw() []byte {
	t := v.token()
	return v.in.text[t.start:t.end]
}

// isBroken reports whether v is a string that is not Unicode: with invalid UTF-8,
// or half of a surrogate pair.
func (v value) isBroken() bool {
	return v.in.broken && v.kind() == aString && !jsontext.IsUnicode(v.raw())
}

// string returns the text of a string. The text of a broken string is not valid UTF-8:
// see jsontext.AppendUnquoted.
func (v value) string() []byte {
	t := v.token()
	if t.escaped {
		return v.in.unescape(v.in.text[t.start:t.end])
	}
	return v.in.text[t.start+1 : t.end-1]
}

func (d *document) unescape(raw []byte) []byte {
	start := len(d.unescaped)
	d.unescaped = jsontext.AppendUnquoted(d.unescaped, raw)
	return d.unescaped[start:len(d.unescaped):len(d.unescaped)]
}

// hasMore reports whether the value has other values inside.
func (v value) hasMore() bool { return v.token().next > v.at+1 }

// fields returns the keys and values of an object in the order of the text. Other values
// have none.
func (v value) fields() iter.Seq2[[]byte, value] {
	return func(yield func(key []byte, field value) bool) {
		if v.kind() != anObject {
			return
		}
		shape, at := v.shape(), v.at+1
		for _, place := range shape.places {
			if !yield(shape.fields[place].key, value{v.in, at}) {
				return
			}
			at = v.in.tokens[at].next
		}
	}
}

// elements returns the values of an array. Other values have none.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if v.kind() != anArray {
			return
		}
		for at, end := v.at+1, v.token().next; at < end; at = v.in.tokens[at].next {
			if !yield(value{v.in, at}) {
				return
			}
		}
	}
}

// get returns the first value of a key of an object, and how often the object has the
// key.
func (v value) get(key string) (first value, times int) {
	if v.kind() != anObject {
		return value{}, 0
	}
	shape, at := v.shape(), v.at+1
	for _, place := range shape.places {
		if string(shape.fields[place].key) == key {
			if times++; times == 1 {
				first = value{v.in, at}
			}
			if !shape.twice {
				break
			}
		}
		at = v.in.tokens[at].next
	}
	return first, times
}

// first returns the value at the first of the paths that the object has. A path is a list
// of keys.
func (v value) first(paths [][]string) (found value, ok bool) {
	for _, path := range paths {
		at, times := v, 0
		for _, key := range path {
			if at, times = at.get(key); times == 0 {
				break
			}
		}
		if times > 0 {
			return at, true
		}
	}
	return value{}, false
}
