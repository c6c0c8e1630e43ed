package transform

import (
	"bytes"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// A key that stands twice is an error: readers of JSON disagree on what it means,
// so no row would be right.
var errDuplicateKey = errors.New("an object has the same key twice")

// has reports whether the object at a place has a key.
func (n *node) has(key string) bool {
	for i := range n.view.entries {
		if f := &n.view.entries[i]; string(f.key) == key && !f.dropped() {
			return true
		}
	}
	return false
}

// appendCanonical writes a value in one way: keys sorted, no blanks, nothing
// escaped that need not be, numbers exactly as they are in the event, and broken
// strings with their bytes, which are not valid UTF-8.
func appendCanonical(dst []byte, v value) ([]byte, error) { return appendJSON(dst, v, plainForm) }

// appendJSON is appendCanonical, with broken strings in a form.
func appendJSON(dst []byte, v value, form form) (_ []byte, err error) {
	switch v.kind() {
	case anObject:
		shape := v.shape()
		if shape.twice {
			return dst, errDuplicateKey
		}
		if shape.reserved && form != plainForm {
			return appendReserved(dst, v, form)
		}
		var few [16]int32
		fields := few[:]
		if len(shape.fields) > len(few) {
			fields = make([]int32, len(shape.fields))
		}
		at := v.at + 1
		for _, place := range shape.places {
			fields[place] = at
			at = v.in.tokens[at].next
		}
		dst = append(dst, '{')
		for i, f := range shape.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(append(dst, f.label...), value{v.in, fields[i]}, form); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case anArray:
		dst = append(dst, '[')
		first := len(dst)
		for element := range v.elements() {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, element, form); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case aString:
		if form == extraForm && v.isBroken() {
			return appendBytes(dst, v.string()), nil
		}
		if v.token().escaped {
			return appendString(dst, v.string()), nil
		}
	}
	return appendShort(dst, v.raw()), nil
}

// appendString writes a JSON string, escaping what RFC 8259 demands.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for {
		n, _ := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"')
		}
		switch c := s[n]; c {
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
		s = s[n+1:]
	}
}

// appendUnescaped writes the text of a JSON string whose quotes are cut off; see
// value.string.
func appendUnescaped(dst, s []byte) []byte {
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:n]...)
		s = s[n+1:]
		c := s[0]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			unit := codeUnit(s)
			s = s[len("uXXXX"):]
			if !utf16.IsSurrogate(unit) {
				dst = utf8.AppendRune(dst, unit)
				continue
			}
			pair := rune(utf8.RuneError)
			if len(s) > 0 && s[0] == '\\' {
				pair = utf16.DecodeRune(unit, codeUnit(s[1:]))
			}
			if pair == utf8.RuneError {
				dst = append(dst, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F)
				continue
			}
			dst, s = utf8.AppendRune(dst, pair), s[len(`\uXXXX`):]
			continue
		}
		dst, s = append(dst, c), s[1:]
	}
}

// codeUnit reads uXXXX at the beginning of text, or gives -1.
func codeUnit(text []byte) (n rune) {
	if len(text) < 5 || text[0] != 'u' {
		return -1
	}
	for _, c := range text[1:5] {
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return n
}
