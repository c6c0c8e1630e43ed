package transform

import (
	"slices"

	"prospector/internal/jsontext"
)

// fromKey is the key in extra_json for the paths of values that are not from the first path
// of their column: {"$from":{"message_body":"data.text"}}. Without them, an event could not
// be rebuilt from its row.
const fromKey = "$from"

// appendExtra appends everything that the columns do not represent as one JSON object. It
// appends nothing if the columns represent the complete event.
func (e *event) appendExtra(dst []byte) ([]byte, error) {
	if e.root.view.represented && e.moved == 0 {
		return dst, nil
	}
	return e.appendRemaining(dst, e.root)
}

func (e *event) appendRemaining(dst []byte, n *node) (_ []byte, err error) {
	start, fields := len(dst), 0
	separate := func() {
		if fields > 0 {
			dst = append(dst, ',')
		}
		fields++
	}
	var last *entry
	dst = append(dst, '{')
	moved := n == e.root && e.moved > 0
	for i := range n.view.entries {
		field := &n.view.entries[i]
		if moved && string(field.key) > fromKey {
			separate()
			dst = e.appendFrom(dst)
			moved = false
		}
		if field.represented {
			continue
		}
		separate()
		last = field
		dst = append(dst, field.label...)
		if child := field.node; child != nil && child.open {
			if dst, err = e.appendRemaining(dst, child); err != nil {
				return dst, err
			}
			continue
		}
		if dst, err = appendJSON(dst, field.value, extraForm); err != nil {
			return dst, err
		}
	}
	if moved {
		separate()
		dst = e.appendFrom(dst)
	}
	switch {
	case fields == 0:
		return dst[:start], nil
	case fields == 1 && last != nil && isReserved(last.key) && isBytes(last.value):
		dst = slices.Insert(dst, start+len(`{"`), '$') // as appendReserved does
	}
	return append(dst, '}'), nil
}

func (e *event) appendFrom(dst []byte) []byte {
	dst = append(jsontext.AppendQuoted(dst, []byte(fromKey)), ':')
	separator := byte('{')
	for _, i := range e.byName {
		if t := e.takenBy(i); t != nil && t.rank > 0 {
			dst = append(jsontext.AppendQuoted(append(dst, separator), []byte(e.columns[i].Name)), ':')
			dst = jsontext.AppendQuoted(dst, []byte(e.columns[i].From[t.rank]))
			separator = ','
		}
	}
	return append(dst, '}')
}
