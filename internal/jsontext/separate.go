package jsontext

import "iter"

// Members and Elements need valid JSON only at the level that they separate. Below that
// level, they only find the end of each value: a string ends at its first quote that no
// backslash precedes, and brackets must match. So a value with a NaN, a broken escape, a
// raw line feed or a million brackets never hides the values next to it.
//
// Both check the complete text before they return, in linear time, and with one bit of
// memory for each level of nesting. They ignore a comma before the closing bracket, as
// JavaScript does.

// Members returns the raw keys and values of an object. The keys are valid JSON
// strings. A value may be any text, even an empty one. ok is false if the text
// is not an object, or if its members cannot be separated.
func Members(text []byte) (members iter.Seq2[[]byte, []byte], ok bool) {
	parts, ok := separate(text, '{')
	if !ok {
		return nil, false
	}
	for part := range parts {
		if _, _, ok := member(part); !ok {
			return nil, false
		}
	}
	return func(yield func(key, value []byte) bool) {
		for part := range parts {
			if key, value, _ := member(part); !yield(key, value) {
				return
			}
		}
	}, true
}

// member separates a key from its value.
func member(part []byte) (key, value []byte, ok bool) {
	s := Scanner(part)
	end, _, ok := s.String(0)
	colon := s.Space(end)
	if !ok || s.peek(colon) != ':' {
		return nil, nil, false
	}
	return part[:end], part[s.Space(colon+1):], true
}

// Member returns the last value of a key in an object, and how often the key
// occurs. ok has the same meaning as for Members.
func Member(object []byte, key string) (value []byte, times int, ok bool) {
	members, ok := Members(object)
	if !ok {
		return nil, 0, false
	}
	for k, v := range members {
		if Unquote(k) == key {
			value = v
			times++
		}
	}
	return value, times, true
}

// Elements returns the raw elements of an array. An element may be any text,
// even an empty one. ok is false if the text is not an array, or if its
// elements cannot be separated.
func Elements(text []byte) (elements iter.Seq[[]byte], ok bool) { return separate(text, '[') }

// separate returns the texts between the commas of an object or array, without
// surrounding white space.
func separate(text []byte, open byte) (iter.Seq[[]byte], bool) {
	text = trim(text)
	if len(text) == 0 || text[0] != open || skipBrackets(text) != len(text) {
		return nil, false
	}
	return func(yield func([]byte) bool) {
		for rest := text[1 : len(text)-1]; ; {
			end := skipPart(rest)
			part := trim(rest[:end])
			if end == len(rest) {
				if len(part) > 0 {
					yield(part)
				}
				return
			}
			if !yield(part) {
				return
			}
			rest = rest[end+1:]
		}
	}, true
}

// trim returns a text without surrounding white space.
func trim(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// skipPart returns the index of the first comma outside of brackets and strings, or the
// length of the text. The brackets of the text match.
func skipPart(text []byte) int {
	for i := 0; i < len(text); {
		switch text[i] {
		case ',':
			return i
		case '"':
			i = skipString(text, i)
		case '[', '{':
			i += skipBrackets(text[i:])
		default:
			i++
		}
	}
	return len(text)
}

// skipBrackets returns the index after the bracket that matches the first byte of a text,
// or -1 if there is none.
func skipBrackets(text []byte) int {
	var open brackets
	for i := 0; i < len(text); {
		c := text[i]
		switch c {
		case '"':
			if i = skipString(text, i); i < 0 {
				return -1
			}
			continue
		case '[', '{':
			open.push(c == '{')
		case ']', '}':
			if open.pop() != (c == '}') {
				return -1
			}
			if open.depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// skipString returns the index after the string that begins at i, or -1 if the string
// does not end.
func skipString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		n, _ := plain(text[i:])
		if i += n; i == len(text) {
			break
		}
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// brackets is a stack of open brackets, with one bit for each. The innermost 64 are in a
// separate word, because few values are nested deeper.
type brackets struct {
	depth int
	inner uint64 // a set bit is a curly bracket
	outer []uint64
}

func (b *brackets) push(curly bool) {
	if b.depth > 0 && b.depth%64 == 0 {
		b.outer = append(b.outer, b.inner)
	}
	if b.inner <<= 1; curly {
		b.inner |= 1
	}
	b.depth++
}

// pop reports whether the innermost bracket is curly. At least one is open.
func (b *brackets) pop() (curly bool) {
	curly = b.inner&1 == 1
	b.inner >>= 1
	if b.depth--; b.depth > 0 && b.depth%64 == 0 {
		last := len(b.outer) - 1
		b.inner, b.outer = b.outer[last], b.outer[:last]
	}
	return curly
}
