package transform

import (
	"maps"
	"slices"
	"strings"

	"prospector/internal/jsontext"
)

// rebuiltObject is an object that is being rebuilt: an event, or an object in it.
type rebuiltObject map[string]part

// part is a field of a rebuiltObject: canonical JSON, or another object.
type part struct {
	text   []byte
	object rebuiltObject // nil if the field is not an object
}

// partOf converts a value. It returns an error if a key occurs twice.
func partOf(v value) (part, error) {
	if v.kind() != anObject {
		text, err := appendCanonical(nil, v)
		return part{text: text}, err
	}
	if v.shape().twice {
		return part{}, errDuplicateKey
	}
	object := make(rebuiltObject)
	for key, field := range v.fields() {
		p, err := partOf(field)
		if err != nil {
			return part{}, err
		}
		object[string(key)] = p
	}
	return part{object: object}, nil
}

// set sets the value at a path, unless there is one already. It returns false if a value
// above the path is not an object.
func (o rebuiltObject) set(path string, p part) bool {
	key, rest, deeper := strings.Cut(path, ".")
	inner, there := o[key]
	switch {
	case !deeper && !there:
		o[key] = p
		return true
	case !deeper:
		return true
	case !there:
		inner.object = make(rebuiltObject)
		o[key] = inner
	case inner.object == nil:
		return false
	}
	return inner.object.set(rest, p)
}

// remove removes the fields at a path, regardless of the case of its keys, unless they
// are null. It also removes objects that become empty.
func (o rebuiltObject) remove(path string) {
	first, rest, deeper := strings.Cut(path, ".")
	for key, inner := range o {
		switch {
		case !strings.EqualFold(key, first) || string(inner.text) == "null":
		case !deeper:
			delete(o, key)
		case len(inner.object) > 0:
			if inner.object.remove(rest); len(inner.object) == 0 {
				delete(o, key)
			}
		}
	}
}

// appendTo appends canonical JSON, as appendCanonical does.
func (o rebuiltObject) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(o)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendQuoted(dst, []byte(key)), ':')
		if p := o[key]; p.object != nil {
			dst = p.object.appendTo(dst)
		} else {
			dst = append(dst, p.text...)
		}
	}
	return append(dst, '}')
}
