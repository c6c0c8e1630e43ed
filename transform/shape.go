package transform

import (
	"bytes"
	"slices"

	"prospector/internal/jsontext"
)

// A source usually writes the objects at one place with the same keys in the same order.
// So everything that depends only on the keys is computed once, and cached in the shape
// of the object: their sorted order, whether a key occurs twice, and which places of a
// table are below them. A known key is recognized by its bytes.

// shape is the sequence of keys of an object: the keys of a shorter shape, and one more.
type shape struct {
	// The fields that parsing needs come first, so that they are in one cache line.
	text   []byte   // the last key as in the document, and everything up to its value
	longer []*shape // shapes with one more key, which the next object may have
	inside *shape   // the empty shape of objects in the value of the last key
	id     int32    // index among the shapes of a document

	// Set when there is an object of this shape:
	closed   bool
	twice    bool    // a key occurs twice
	reserved bool    // the only key is one of isReserved
	places   []int32 // index in fields of each key, in the order of the text
	fields   []field // in the order of their keys

	before *shape // nil if there are no keys
	field         // the last key
	keys   int
	bytes  int // of all texts
}

// field is a key of a shape, and its canonical JSON with the colon.
type field struct{ key, label []byte }

// shapes are the shapes of a document. Two of them may be equal, which only costs time. The
// limits are low, so that keys that are data do not fill the memory.
type shapes struct {
	all   []*shape // by id
	bytes int      // their approximate size
}

const (
	maxShapes = 1 << 20 // bytes of the shapes that are kept for the next document
	maxShape  = 1 << 11 // bytes of the keys of a shape that is remembered
	maxLonger = 8       // shapes that are remembered after another one
	maxViews  = 4       // views that a node remembers
)

// outermost returns the shape for the document itself, which has no key.
func (s *shapes) outermost() *shape {
	if len(s.all) == 0 {
		s.all = append(s.all, &shape{})
	}
	return s.all[0]
}

// inside returns the empty shape of the objects in the value of the last key of a shape.
func (s *shapes) inside(of *shape) *shape {
	if of.inside == nil {
		of.inside = s.keep(&shape{})
	}
	return of.inside
}

func (s *shapes) keep(made *shape) *shape {
	made.id = int32(len(s.all))
	s.all = append(s.all, made)
	s.bytes += 256 + len(made.text)
	return made
}

// trim is called between documents.
func (s *shapes) trim() {
	if s.bytes > maxShapes {
		*s = shapes{}
	}
}

// add returns a new shape: the keys of before, and one more key. text begins with that key.
func (s *shapes) add(before *shape, key, text []byte) *shape {
	longer := s.keep(&shape{
		before: before, field: field{key: key}, text: text,
		keys: before.keys + 1, bytes: before.bytes + len(text),
	})
	if plain := len(key) + len(`"":`); len(text) >= plain && text[plain-1] == ':' && bytes.IndexByte(text[:plain], '\\') < 0 {
		longer.label = text[:plain]
	} else {
		longer.label = append(jsontext.AppendQuoted(nil, key), ':')
	}
	return longer
}

// remember makes document.key try a longer shape when an object begins like this one.
func (s *shape) remember(longer *shape) {
	switch {
	case longer.bytes > maxShape:
	case len(s.longer) < maxLonger:
		s.longer = append(s.longer, longer)
	default:
		s.longer[longer.id%maxLonger] = longer
	}
}

// close computes everything that depends on all keys.
func (s *shape) close() {
	written := make([]field, s.keys)
	order := make([]int32, s.keys)
	for k := s; k.keys > 0; k = k.before {
		written[k.keys-1], order[k.keys-1] = k.field, int32(k.keys-1)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return bytes.Compare(written[a].key, written[b].key) })
	s.fields, s.places = make([]field, s.keys), make([]int32, s.keys)
	for place, i := range order {
		s.fields[place], s.places[i] = written[i], int32(place)
		s.twice = s.twice || place > 0 && bytes.Equal(written[i].key, s.fields[place-1].key)
	}
	s.reserved = s.keys == 1 && isReserved(s.key)
	s.closed = true
}

// view is a shape at a node, with the fields of the current object.
type view struct {
	of          *shape
	entries     []entry // in the order of their keys
	represented bool    // extra_json needs none of them
}

// entry is a field of an object, and its place in the table.
type entry struct {
	value       value // the zero value if a policy dropped the field
	node        *node // nil if no column has a path through the key
	represented bool  // extra_json does not need it
	*field
	place *place // in the survey; nil if it is not known yet
}

func (f *entry) dropped() bool { return f.value.in == nil }

// updateView sets n.view to the fields of an object at n.
func (n *node) updateView(object value) error {
	shape := object.shape()
	if shape.twice {
		return errDuplicateKey
	}
	if n.view == nil || n.view.of != shape {
		n.view = n.viewOf(shape)
	}
	entries, tokens := n.view.entries, object.in.tokens
	at := object.at + 1
	for _, place := range shape.places {
		v := &entries[place].value
		if v.in != object.in { // writing a pointer has a cost for the garbage collector
			v.in = object.in
		}
		v.at = at
		at = tokens[at].next
	}
	return nil
}

func (n *node) viewOf(shape *shape) *view {
	for _, w := range n.views {
		if w.of == shape {
			return w
		}
	}
	w := &view{of: shape, entries: make([]entry, len(shape.fields))}
	for i := range shape.fields {
		f := &shape.fields[i]
		at := n.child(f.key)
		if at == nil {
			at = n.respell(f.key)
		}
		w.entries[i] = entry{field: f, node: at}
	}
	switch {
	case shape.bytes > maxShape:
	case len(n.views) < maxViews:
		n.views = append(n.views, w)
	default:
		n.views[shape.id%maxViews] = w
	}
	return w
}

// forget releases the memory for the objects at n and below.
func (n *node) forget() {
	n.view, n.views, n.substitute = nil, nil, document{}
	for _, c := range n.children {
		c.forget()
	}
}
