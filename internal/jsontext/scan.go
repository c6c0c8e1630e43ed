// Package jsontext scans, separates and quotes JSON texts without building values, because
// the values of a text can need fifty times the memory of the text.
//
// A Scanner checks the grammar strictly. Members and Elements separate an
// object or an array, one level deep, even if a value in it is not valid JSON.
// IsPortable reports whether every JSON reader accepts a text.
//
// The package does not know pages, events, or the meaning of a value.
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is the maximum nesting of values for a Scanner. The outermost value counts as 1.
// Many readers of JSON have a similar limit.
const MaxDepth = 300

// Scanner checks that a JSON text follows the grammar (RFC 8259) strictly, except that
// strings may contain invalid UTF-8.
//
// Its methods expect the element of the grammar in their name at an index of the text, and
// return the index after it. If the element is not there, they return the index of the first
// invalid byte, and false. A Scanner does not store an index, because that would be slower.
type Scanner []byte

// peek returns the byte at an index, or 0 at the end. No JSON begins with 0.
func (s Scanner) peek(i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// Space returns the index of the first byte at or after i that is not white
// space.
func (s Scanner) Space(i int) int {
	for i < len(s) && s[i] <= ' ' && isSpace(s[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Value expects a value that is nested in depth other values. If it is an array, Value
// adds its length to *n, unless n is nil.
func (s Scanner) Value(i, depth int, n *int) (int, bool) {
	if depth >= MaxDepth {
		return i, false
	}
	switch s.peek(i) {
	case '"':
		end, _, ok := s.String(i)
		return end, ok
	case '{':
		return s.Object(i, depth, nil)
	case '[':
		return s.array(i, depth, n)
	case 't':
		return s.Word(i, "true")
	case 'f':
		return s.Word(i, "false")
	case 'n':
		return s.Word(i, "null")
	}
	return s.Number(i)
}

// Object expects an object that is nested in depth other values. It calls member, unless
// that is nil, with each key and the index of its value. The results of member are those
// of Value.
func (s Scanner) Object(i, depth int, member func(key string, i int) (int, bool)) (_ int, ok bool) {
	if s.peek(i) != '{' {
		return i, false
	}
	if i = s.Space(i + 1); s.peek(i) == '}' {
		return i + 1, true
	}
	for {
		start := i
		if i, _, ok = s.String(i); !ok {
			return i, false
		}
		end := i
		if i = s.Space(i); s.peek(i) != ':' {
			return i, false
		}
		i = s.Space(i + 1)
		if member == nil {
			i, ok = s.Value(i, depth+1, nil)
		} else {
			i, ok = member(Unquote(s[start:end]), i)
		}
		if !ok {
			return i, false
		}
		i = s.Space(i)
		switch s.peek(i) {
		case ',':
			i = s.Space(i + 1)
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// array expects an array. It adds the number of elements to *n, unless n is nil.
func (s Scanner) array(i, depth int, n *int) (_ int, ok bool) {
	if i = s.Space(i + 1); s.peek(i) == ']' {
		return i + 1, true
	}
	for {
		if i, ok = s.Value(i, depth+1, nil); !ok {
			return i, false
		}
		if n != nil {
			*n++
		}
		i = s.Space(i)
		switch s.peek(i) {
		case ',':
			i = s.Space(i + 1)
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// Form describes how a string is written. Most strings have neither flag.
type Form uint8

// The flags of a Form.
const (
	Escaped  Form = 1 << iota // it has a backslash
	NotASCII                  // it may have a byte above 0x7f
)

// IsUnicode reports whether a valid string of this form is Unicode, like the
// function IsUnicode.
func (f Form) IsUnicode(raw []byte) bool {
	return (f&NotASCII == 0 || utf8.Valid(raw)) && (f&Escaped == 0 || !hasLoneSurrogate(raw))
}

// String expects a string, and also returns its form.
func (s Scanner) String(i int) (_ int, form Form, ok bool) {
	if i >= len(s) || s[i] != '"' {
		return i, 0, false
	}
	i++
	n, isASCII := plain(s[i:])
	if i += n; !isASCII {
		form = NotASCII
	}
	if i < len(s) && s[i] == '"' {
		return i + 1, form, true
	}
	return s.restOfString(i, form)
}

// restOfString expects the rest of a string, from its first backslash.
func (s Scanner) restOfString(i int, form Form) (_ int, _ Form, ok bool) {
	for {
		switch s.peek(i) {
		case '"':
			return i + 1, form, true
		case '\\':
			if i, ok = s.escape(i + 1); !ok {
				return i, form, false
			}
			n, isASCII := plain(s[i:])
			if i, form = i+n, form|Escaped; !isASCII {
				form |= NotASCII
			}
		default: // a control character, or the end of the text
			return i, form, false
		}
	}
}

// plain counts the bytes before the first quote, backslash or control
// character. In a string, these bytes have no special meaning. If isASCII is
// false, they may still be ASCII. plain reads eight bytes at a time where
// possible.
func plain(s []byte) (n int, isASCII bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i, all := 0, uint64(0)
	for ; i <= len(s)-8; i += 8 { // the compiler omits bounds checks for this form
		w := binary.LittleEndian.Uint64(s[i : i+8])
		all |= w
		// With bit 1 flipped, a quote becomes a space, and bytes below a space
		// remain below it. The lowest remaining bit is the top bit of the first
		// byte that is one of these or a backslash, because borrows affect only
		// higher bytes.
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

// escape expects the part of an escape sequence after the backslash.
func (s Scanner) escape(i int) (int, bool) {
	switch s.peek(i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		i++
		for range 4 {
			c := s.peek(i)
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return i, false
			}
			i++
		}
		return i, true
	}
	return i, false
}

// Number expects a number.
func (s Scanner) Number(i int) (_ int, ok bool) {
	if s.peek(i) == '-' {
		i++
	}
	if s.peek(i) == '0' {
		i++
	} else if i, ok = s.digits(i); !ok {
		return i, false
	}
	if s.peek(i) == '.' {
		if i, ok = s.digits(i + 1); !ok {
			return i, false
		}
	}
	if c := s.peek(i); c != 'e' && c != 'E' {
		return i, true
	}
	i++
	if c := s.peek(i); c == '+' || c == '-' {
		i++
	}
	return s.digits(i)
}

// digits expects at least one digit.
func (s Scanner) digits(i int) (int, bool) {
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i, i > start
}

// Word expects a word, such as null.
func (s Scanner) Word(i int, w string) (int, bool) {
	end := i + len(w)
	if end > len(s) || string(s[i:end]) != w {
		return i, false
	}
	return end, true
}

// IsValid reports whether a text is one JSON value, nested at most MaxDepth deep.
func IsValid(text []byte) bool {
	s := Scanner(text)
	end, ok := s.Value(s.Space(0), 0, nil)
	return ok && s.Space(end) == len(text)
}
