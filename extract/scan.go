package extract

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep the values of a page may be nested, the page being the
// first. Package transform takes no more of an event.
const maxDepth = 300

// scanner walks over one JSON text and checks its grammar (RFC 8259) to the
// letter, except that strings may hold invalid UTF-8. It builds nothing: a page
// is bounded in bytes, but its values in memory may need fifty times as much.
//
// Its methods expect what they are named after at the scanner's place, and move
// beyond it. They report false at the first byte that cannot be.
type scanner struct {
	text  []byte
	at    int
	depth int
}

// peek is the byte at the scanner's place, or 0 at the end, which no JSON begins
// with.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) accept(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) value() bool { return s.valueCounting(nil) }

// valueCounting is value; when that is an array, its length goes to n.
func (s *scanner) valueCounting(n *int) bool {
	if s.depth+1 > maxDepth {
		return false
	}
	switch s.peek() {
	case '{':
		return s.object(nil)
	case '[':
		return s.array(n)
	case '"':
		return s.string()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

// object calls member, unless it is nil, with each key; member must move over the
// value.
func (s *scanner) object(member func(key string) bool) bool {
	if !s.accept('{') {
		return false
	}
	s.depth++
	defer func() { s.depth-- }()
	if s.space(); s.accept('}') {
		return true
	}
	for {
		start := s.at
		if !s.string() {
			return false
		}
		key := s.text[start:s.at]
		if s.space(); !s.accept(':') {
			return false
		}
		s.space()
		if member == nil {
			if !s.value() {
				return false
			}
		} else if !member(unquote(key)) {
			return false
		}
		s.space()
		if s.accept('}') {
			return true
		}
		if !s.accept(',') {
			return false
		}
		s.space()
	}
}

// array counts the elements into n, unless it is nil.
func (s *scanner) array(n *int) bool {
	if !s.accept('[') {
		return false
	}
	s.depth++
	defer func() { s.depth-- }()
	if s.space(); s.accept(']') {
		return true
	}
	for {
		if !s.value() {
			return false
		}
		if n != nil {
			*n++
		}
		s.space()
		if s.accept(']') {
			return true
		}
		if !s.accept(',') {
			return false
		}
		s.space()
	}
}

func (s *scanner) string() bool {
	if !s.accept('"') {
		return false
	}
	for {
		s.plain()
		switch c := s.peek(); {
		case c == '"':
			s.at++
			return true
		case c == '\\':
			s.at++
			if !s.escape() {
				return false
			}
		case c < ' ': // the end of the text included
			return false
		default:
			s.at++
		}
	}
}

// plain moves over what stands for itself in a string, eight bytes at a time and
// as long as there are eight.
func (s *scanner) plain() {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for s.at+8 <= len(s.text) {
		w := binary.LittleEndian.Uint64(s.text[s.at:])
		quote, escape := w^ones*'"', w^ones*'\\'
		// The lowest bit that stays is the top of the first byte that is a
		// quote, a backslash or below a space. Borrows reach only higher ones.
		if stop := ((w-ones*' ')&^w | (quote-ones)&^quote | (escape-ones)&^escape) & tops; stop != 0 {
			s.at += bits.TrailingZeros64(stop) / 8
			return
		}
		s.at += 8
	}
}

func (s *scanner) escape() bool {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
		s.at++
		for range 4 {
			c := s.peek()
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func (s *scanner) number() bool {
	s.accept('-')
	if !s.accept('0') && !s.digits() {
		return false
	}
	if s.accept('.') && !s.digits() {
		return false
	}
	if s.accept('e') || s.accept('E') {
		if !s.accept('+') {
			s.accept('-')
		}
		return s.digits()
	}
	return true
}

// digits moves over at least one digit.
func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}

func (s *scanner) word(w string) bool {
	end := s.at + len(w)
	if end > len(s.text) || string(s.text[s.at:end]) != w {
		return false
	}
	s.at = end
	return true
}
