package transform

import (
	"bytes"
	"encoding/json"
	"iter"
)

// What is here takes valid JSON apart without building anything of it, for pages
// too large or too odd to be parsed at once.

// edgesOf gives the text of each edge of a page.
func edgesOf(page []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for key, value := range fieldsOf(page) {
			if isKey(key, "edges") {
				for edge := range elementsOf(value) {
					if !yield(edge) {
						return
					}
				}
				return
			}
		}
	}
}

// nodeOf gives the text of an edge's node, and of the whole edge where there is
// not one node.
func nodeOf(edge []byte) []byte {
	found, nodes := edge, 0
	for key, value := range fieldsOf(edge) {
		if isKey(key, "node") {
			found = value
			nodes++
		}
	}
	if nodes != 1 {
		return edge
	}
	return found
}

// isKey reports whether the text of a key, quotes and all, is that key.
func isKey(text []byte, key string) bool {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1:len(text)-1]) == key
	}
	var name string
	return json.Unmarshal(text, &name) == nil && name == key
}

// fieldsOf gives the texts of an object's keys and values; none of another value.
func fieldsOf(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var key []byte
		for text := range inside(object, '{') {
			if key == nil {
				key = text
				continue
			}
			if !yield(key, text) {
				return
			}
			key = nil
		}
	}
}

// elementsOf gives the texts of an array's elements; none of another value.
func elementsOf(array []byte) iter.Seq[[]byte] { return inside(array, '[') }

// inside gives the texts in an array, or an object's keys and values in turn.
func inside(text []byte, open byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		text = bytes.TrimLeft(text, " \t\r\n")
		if len(text) == 0 || text[0] != open {
			return
		}
		for i := 1; i < len(text); {
			switch text[i] {
			case ' ', '\t', '\r', '\n', ',', ':':
				i++
			case ']', '}':
				return
			default:
				end := i + lengthOf(text[i:])
				if !yield(text[i:end]) {
					return
				}
				i = end
			}
		}
	}
}

// lengthOf is how long the value is that a text begins with.
func lengthOf(text []byte) int {
	switch text[0] {
	case '"':
		return stringLength(text)
	case '[', '{':
		depth := 0
		for i := 0; i < len(text); i++ {
			switch text[i] {
			case '"':
				i += stringLength(text[i:]) - 1
			case '[', '{':
				depth++
			case ']', '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(text)
	}
	if end := bytes.IndexAny(text, ",]} \t\r\n"); end >= 0 {
		return end
	}
	return len(text)
}

func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
