package extract

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep the values of a page may be nested, the page being the
// first. Package transform takes no more of an event.
const maxDepth = 300

// scanner walks over its JSON text and checks the grammar (RFC 8259) to the
// letter, except that strings may hold invalid UTF-8. It builds nothing: a page
// is bounded in bytes, but its values in memory may need fifty times as much.
//
// Its methods expect what they are named after at a place of the text, and give the
// place behind it. Where that is not there, they give the place of the first byte
// that cannot be, and false. Places are handed on from one to the other and kept
// nowhere, since every page that is read goes through here byte by byte.
type scanner []byte

// peek is the byte at a place, or 0 at the end, which no JSON begins with.
func (s scanner) peek(i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func (s scanner) space(i int) int {
	for i < len(s) && s[i] <= ' ' && isSpace(s[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// value is inside of so many others. When it is an array, its length goes to n,
// unless that is nil.
func (s scanner) value(i, depth int, n *int) (int, bool) {
	if depth >= maxDepth {
		return i, false
	}
	switch s.peek(i) {
	case '"':
		return s.string(i)
	case '{':
		return s.object(i, depth, nil)
	case '[':
		return s.array(i, depth, n)
	case 't':
		return s.word(i, "true")
	case 'f':
		return s.word(i, "false")
	case 'n':
		return s.word(i, "null")
	}
	return s.number(i)
}

// object calls member, unless it is nil, with each key and the place of its value,
// over which it must move.
func (s scanner) object(i, depth int, member func(key string, i int) (int, bool)) (_ int, ok bool) {
	if s.peek(i) != '{' {
		return i, false
	}
	if i = s.space(i + 1); s.peek(i) == '}' {
		return i + 1, true
	}
	for {
		start := i
		if i, ok = s.string(i); !ok {
			return i, false
		}
		end := i
		if i = s.space(i); s.peek(i) != ':' {
			return i, false
		}
		i = s.space(i + 1)
		if member == nil {
			i, ok = s.value(i, depth+1, nil)
		} else {
			i, ok = member(unquote(s[start:end]), i)
		}
		if !ok {
			return i, false
		}
		i = s.space(i)
		switch s.peek(i) {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// array, whose bracket value has seen, counts the elements into n, unless it is nil.
func (s scanner) array(i, depth int, n *int) (_ int, ok bool) {
	if i = s.space(i + 1); s.peek(i) == ']' {
		return i + 1, true
	}
	for {
		if i, ok = s.value(i, depth+1, nil); !ok {
			return i, false
		}
		if n != nil {
			*n++
		}
		i = s.space(i)
		switch s.peek(i) {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func (s scanner) string(i int) (_ int, ok bool) {
	if s.peek(i) != '"' {
		return i, false
	}
	for i++; ; {
		i = s.plain(i)
		switch s.peek(i) {
		case '"':
			return i + 1, true
		case '\\':
			if i, ok = s.escape(i + 1); !ok {
				return i, false
			}
		default: // the end of the text included
			return i, false
		}
	}
}

// plain is what stands for itself in a string, which may be nothing. It is read
// eight bytes at a time, as long as there are eight.
func (s scanner) plain(i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	rest, n := s[i:], 0
	for ; n <= len(rest)-8; n += 8 { // written so, no bounds are checked
		w := binary.LittleEndian.Uint64(rest[n : n+8])
		// With bit 1 turned, a quote is a space, and what is below a space stays
		// there. The lowest bit that is left is the top of the first byte that is
		// one of them or a backslash: borrows reach only higher ones.
		low, escape := w^ones*2, w^ones*'\\'
		if stop := ((low - ones*'!') | (escape - ones)) &^ w & tops; stop != 0 {
			return i + n + bits.TrailingZeros64(stop)/8
		}
	}
	for n < len(rest) && rest[n] >= ' ' && rest[n] != '"' && rest[n] != '\\' {
		n++
	}
	return i + n
}

// escape is what follows a backslash.
func (s scanner) escape(i int) (int, bool) {
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

func (s scanner) number(i int) (_ int, ok bool) {
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

// digits are at least one.
func (s scanner) digits(i int) (int, bool) {
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i, i > start
}

func (s scanner) word(i int, w string) (int, bool) {
	end := i + len(w)
	if end > len(s) || string(s[i:end]) != w {
		return i, false
	}
	return end, true
}
