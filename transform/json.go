package transform

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

var errDuplicateKey = errors.New("an object has the same key twice")

// entry is one key of a JSON object, and where the table looks for it.
type entry struct {
	key   []byte
	value *fastjson.Value
	node  *node // nil when no column has a path through the key
	came  int   // how many fields came before it
}

// sortEntries puts an object's keys in byte order. A key that stands twice is an
// error: readers of JSON disagree on what it means, so no row would be right.
func sortEntries(entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(entries); i++ {
		if bytes.Equal(entries[i-1].key, entries[i].key) {
			return errDuplicateKey
		}
	}
	return nil
}

// has reports whether the object at a place has a key.
func (n *node) has(key string) bool {
	for i := range n.entries {
		if string(n.entries[i].key) == key {
			return true
		}
	}
	return false
}

// appendCanonical writes a value in one way: keys sorted, no blanks, nothing
// escaped that need not be, numbers to the letter as they came.
func appendCanonical(dst []byte, v *fastjson.Value) ([]byte, error) {
	switch v.Type() {
	case fastjson.TypeObject:
		o, _ := v.Object()
		sorted := make([]entry, 0, o.Len())
		o.Visit(func(key []byte, v *fastjson.Value) { sorted = append(sorted, entry{key: key, value: v}) })
		err := sortEntries(sorted)
		if err != nil {
			return dst, err
		}
		dst = append(dst, '{')
		for i, e := range sorted {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, e.key), ':')
			if dst, err = appendCanonical(dst, e.value); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case fastjson.TypeArray:
		values, _ := v.Array()
		dst = append(dst, '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendCanonical(dst, v); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case fastjson.TypeString:
		s, _ := v.StringBytes()
		return appendString(dst, s), nil
	default: // a number, true, false or null: as it came
		return v.MarshalTo(dst), nil
	}
}

// appendString writes a JSON string, escaping what RFC 8259 demands.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// isUnicode reports whether every string of a JSON text is Unicode: valid UTF-8,
// and every escaped surrogate one of a pair. fastjson does not tell.
func isUnicode(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	if !bytes.Contains(text, []byte(`\ud`)) && !bytes.Contains(text, []byte(`\uD`)) {
		return true
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return true
		}
		text = text[i+1:] // from the escaped character on
		unit := codeUnit(text)
		if unit < 0 {
			if len(text) > 0 {
				text = text[1:]
			}
			continue
		}
		text = text[len("uXXXX"):]
		if unit < 0xd800 || unit > 0xdfff {
			continue
		}
		if unit >= 0xdc00 || len(text) == 0 || text[0] != '\\' {
			return false
		}
		if low := codeUnit(text[1:]); low < 0xdc00 || low > 0xdfff {
			return false
		}
		text = text[len(`\uXXXX`):]
	}
}

// codeUnit reads uXXXX at the beginning of text, or gives -1.
func codeUnit(text []byte) int {
	if len(text) < 5 || text[0] != 'u' {
		return -1
	}
	n := 0
	for _, c := range text[1:5] {
		switch {
		case isDigit(c):
			n = n<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return -1
		}
	}
	return n
}
