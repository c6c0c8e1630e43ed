package transform

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"prospector/internal/jsontext"
)

// An event that has more values than this is no row, and a page that has more is
// taken apart edge by edge, so that tiny values do not take many times the size of
// their page.
const maxValues = 250_000

// maxNesting is how deep values may be nested, the outermost being the first.
const maxNesting = 300

var (
	errNotJSON    = errors.New("a text that is not JSON")
	errNotUnicode = errors.New("text that is not Unicode: invalid UTF-8, or half of a surrogate pair") // of a key
	errTooMany    = fmt.Errorf("an event of more than %d values", maxValues)
	errTooDeep    = fmt.Errorf("an event that is nested more than %d deep", maxNesting)
)

// document is a JSON text taken apart: where its values stand, in the order in
// which they begin, and of which shapes its objects are. Nothing is made of a value
// that nobody asks for. A text has less than 2 GiB.
type document struct {
	text      []byte
	tokens    []token
	shapes    shapes
	unescaped []byte // texts of strings that were asked for and have escapes
	broken    bool   // some string, be it a key, is not Unicode
	brokenKey bool   // some key is not
	room      int    // for so many values more
	err       error
}

// token is a value. It has no pointer, which spares the garbage collector the
// looking.
type token struct {
	start, end int32 // in the text, quotes and brackets included
	next       int32 // the first token behind it and all that is inside
	shape      int32 // of an object, among the document's
	kind       kind  // aNumber of every number
	escaped    bool  // a string with a backslash
}

// value is a value of a document; it lives until the next parse.
type value struct {
	in *document
	at int32
}

// parse takes a text apart, which must stay as it is until the next parse. The
// grammar is checked to the letter (RFC 8259), and every key must be Unicode; other
// strings need not be, see value.isBroken. The error is errNotJSON, errTooMany if
// there are more values than most, errTooDeep or errNotUnicode.
func (d *document) parse(text []byte, most int) (value, error) {
	d.text = text
	d.tokens, d.unescaped = d.tokens[:0], d.unescaped[:0]
	d.shapes.trim()
	d.broken, d.brokenKey, d.room, d.err = false, false, most, errNotJSON
	if end := d.value(d.space(0), 1, d.shapes.outermost()); end < 0 || d.space(end) < len(text) {
		return value{}, d.err
	}
	if d.brokenKey {
		return value{}, errNotUnicode
	}
	return value{d, 0}, nil
}

// The methods below expect what they are named after at a place of the text, and
// give the place behind it, or -1 when it is not there.

// value expects what belongs to the last key of a shape.
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
		end := d.plain(i + 1)
		if d.has(end, '"') {
			return d.add(i, end+1, aString, false)
		}
		return d.add(i, d.escapes(end), aString, true)
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
	return d.number(i)
}

// add notes a value that has none inside, and gives its end; -1 is none. It is
// written field by field, since to make a token and copy it took a tenth of the
// time of flattening.
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
	i = d.space(i + 1)
	for more := !d.has(i, closing); more; {
		if kind == anObject {
			if shape, i = d.key(shape, i); i < 0 {
				return -1
			}
		}
		if i = d.value(i, depth+1, shape); i < 0 {
			return -1
		}
		i = d.space(i)
		if more = d.has(i, ','); more {
			i = d.space(i + 1)
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

// key takes the next key of an object that is of a shape until there, and gives
// the shape with that key and the place of the key's value.
func (d *document) key(of *shape, i int) (*shape, int) {
	rest := d.text[i:]
	for _, s := range of.longer {
		if len(rest) >= len(s.text) && string(rest[:len(s.text)]) == string(s.text) {
			return s, d.space(i + len(s.text))
		}
	}
	if !d.has(i, '"') {
		return nil, -1
	}
	before := d.broken
	d.broken = false
	end := d.plain(i + 1)
	escaped := !d.has(end, '"')
	if escaped {
		end = d.escapes(end)
	} else {
		end++
	}
	if end < 0 {
		return nil, -1
	}
	colon := d.space(end)
	if !d.has(colon, ':') {
		return nil, -1
	}
	text := slices.Clone(d.text[i:d.space(colon+1)])
	key := text[1 : end-i-1]
	if d.broken { // this document is refused, and no other one may pass with such a key
		d.brokenKey = true
		return d.shapes.add(of, key, text), i + len(text)
	}
	d.broken = before
	if escaped {
		key = appendUnescaped(nil, key)
	}
	longer := d.shapes.add(of, key, text)
	of.remember(longer)
	return longer, i + len(text)
}

func (d *document) has(i int, c byte) bool { return i < len(d.text) && d.text[i] == c }

func (d *document) space(i int) int {
	for i < len(d.text) && d.text[i] <= ' ' && isSpace(d.text[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// plain expects what stands for itself in a string, which may be nothing.
func (d *document) plain(i int) int {
	n, isASCII := plain(d.text[i:])
	if !isASCII && !utf8.Valid(d.text[i:i+n]) {
		d.broken = true
	}
	return i + n
}

// escapes expects the rest of a string, which begins with a backslash.
func (d *document) escapes(i int) int {
	for ; !d.has(i, '"'); i = d.plain(i) {
		if !d.has(i, '\\') || i+1 == len(d.text) {
			return -1
		}
		switch i++; d.text[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i++
		case 'u':
			unit := codeUnit(d.text[i:])
			if unit < 0 {
				return -1
			}
			i += len("uXXXX")
			if utf16.IsSurrogate(unit) {
				if !d.has(i, '\\') || utf16.DecodeRune(unit, codeUnit(d.text[i+1:])) == utf8.RuneError {
					d.broken = true
					continue
				}
				i += len(`\uXXXX`)
			}
		default:
			return -1
		}
	}
	return i + 1
}

// plain is how many bytes stand for themselves in a string before one that does
// not: a quote, a backslash, or one below a space. It is ASCII for sure, or not.
func plain(s []byte) (n int, isASCII bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i, all := 0, uint64(0)
	for ; i <= len(s)-8; i += 8 { // written so, no bounds are checked
		w := binary.LittleEndian.Uint64(s[i : i+8])
		all |= w
		// With bit 1 turned, a quote is a space, and what is below a space stays
		// there. The lowest bit that is left is the top of the first such byte:
		// borrows reach only higher ones.
		low, escape := w^ones*2, w^ones*'\\'
		if stop := ((low - ones*'!') | (escape - ones)) &^ w & tops; stop != 0 {
			return i + bits.TrailingZeros64(stop)/8, all&tops == 0
		}
	}
	for ; i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\'; i++ {
		all |= uint64(s[i])
	}
	return i, all&tops == 0
}

func (d *document) word(i int, word string, kind kind) int {
	end := i + len(word)
	if end > len(d.text) || string(d.text[i:end]) != word {
		return -1
	}
	return d.add(i, end, kind, false)
}

func (d *document) number(i int) int {
	start := i
	if d.has(i, '-') {
		i++
	}
	if d.has(i, '0') {
		i++
	} else if i = d.digits(i); i < 0 {
		return -1
	}
	if d.has(i, '.') {
		if i = d.digits(i + 1); i < 0 {
			return -1
		}
	}
	if d.has(i, 'e') || d.has(i, 'E') {
		i++
		if d.has(i, '+') || d.has(i, '-') {
			i++
		}
		if i = d.digits(i); i < 0 {
			return -1
		}
	}
	return d.add(start, i, aNumber, false)
}

func (d *document) digits(i int) int {
	digits, _ := cutDigits(d.text[i:])
	if len(digits) == 0 {
		return -1
	}
	return i + len(digits)
}

func (v value) token() *token { return &v.in.tokens[v.at] }

func (v value) kind() kind { return v.token().kind }

// shape is that of an object.
func (v value) shape() *shape { return v.in.shapes.all[v.token().shape] }

// raw is the value as it stands in its text.
func (v value) raw() []byte {
	t := v.token()
	return v.in.text[t.start:t.end]
}

// isBroken reports whether v is a string that is not Unicode: with invalid UTF-8,
// or half of a surrogate pair.
func (v value) isBroken() bool {
	return v.in.broken && v.kind() == aString && !jsontext.IsUnicode(v.raw())
}

// string is the text of a string. If that is broken, it is not valid UTF-8: half of
// a surrogate pair has the three bytes that UTF-8 would have for it (WTF-8).
func (v value) string() []byte {
	t := v.token()
	s := v.in.text[t.start+1 : t.end-1]
	if t.escaped {
		return v.in.unescape(s)
	}
	return s
}

func (d *document) unescape(s []byte) []byte {
	start := len(d.unescaped)
	d.unescaped = appendUnescaped(d.unescaped, s)
	return d.unescaped[start:len(d.unescaped):len(d.unescaped)]
}

// hasMore reports whether there is any value inside.
func (v value) hasMore() bool { return v.token().next > v.at+1 }

// fields gives the keys and values of an object, as they came; none of another
// value.
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

// elements gives the values of an array; none of another value.
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

// get gives the first value of a key of an object, and how often the object has
// the key.
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
