package transform

import (
	"maps"
	"slices"
	"strings"

	"prospector/internal/jsontext"
)

// draft is an event, or an object in an event, that is being rebuilt.
type draft map[string]part

// part is a field of a draft: canonical JSON, or another draft.
type part struct {
	text   []byte
	object draft // nil if the field is not an object
}

// partOf converts a value. The error says that a key occurs twice.
func partOf(v value) (part, error) {
	if v.kind() != anObject {
		text, err := appendCanonical(nil, v)
		return part{text: text}, err
	}
	if v.shape().twice {
		return part{}, errDuplicateKey
	}
	object := make(draft)
	for key, field := range v.fields() {
		p, err := partOf(field)
		if err != nil {
			return part{}, err
		}
		object[string(key)] = p
	}
	return part{object: object}, nil
}

// set sets the value at a path if there is none. It returns false if a value above the
// path is not an object.
func (d draft) set(path string, p part) bool {
	key, rest, deeper := strings.Cut(path, ".")
	inner, there := d[key]
	switch {
	case !deeper && !there:
		d[key] = p
		return true
	case !deeper:
		return true
	case !there:
		inner.object = make(draft)
		d[key] = inner
	case inner.object == nil:
		return false
	}
	return inner.object.set(rest, p)
}

// remove removes the fields at a path, regardless of the case of its keys, unless they
// are null. It also removes objects that become empty.
func (d draft) remove(path string) {
	first, rest, deeper := strings.Cut(path, ".")
	for key, inner := range d {
		switch {
		case !strings.EqualFold(key, first) || string(inner.text) == "null":
		case !deeper:
			delete(d, key)
		case len(inner.object) > 0:
			if inner.object.remove(rest); len(inner.object) == 0 {
				delete(d, key)
			}
		}
	}
}

// appendTo appends canonical JSON, as appendCanonical does.
func (d draft) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(d)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendQuoted(dst, []byte(key)), ':')
		if p := d[key]; p.object != nil {
			dst = p.object.appendTo(dst)
		} else {
			dst = append(dst, p.text...)
		}
	}
	return append(dst, '}')
}
