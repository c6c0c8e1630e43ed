package transform

import (
	"errors"

	"prospector/internal/jsontext"
)

// A key that occurs twice is an error. Readers of JSON disagree on its value, so no row
// would be right.
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

// appendCanonical appends the canonical JSON of a value: sorted keys, no blanks, no
// unnecessary escapes, and numbers exactly as they are in the event. Broken strings keep
// their bytes, which are not valid UTF-8.
func appendCanonical(dst []byte, v value) ([]byte, error) { return appendJSON(dst, v, plainForm) }

// appendJSON is appendCanonical with broken strings in the given form.
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
			return jsontext.AppendQuoted(dst, v.string()), nil
		}
	}
	return append(dst, v.raw()...), nil
}
