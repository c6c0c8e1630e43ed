package transform

import "github.com/valyala/fastjson"

// A source writes the objects at one place with the same keys in the same order,
// mostly. So a node remembers the shape of the last one, and looks neither for
// the places of an object of that shape, nor sorts its keys again: a fifth of the
// time that flattening takes.
type shape struct {
	slots []slot // in the order in which the fields came
	keys  []byte // of all slots
	seen  int    // fields of the object at hand
	alike bool   // all of them so far are those of the shape
}

// slot is where a field of a shape belongs.
type slot struct {
	end   int // of its key in keys, which begins where the one before ends
	at    int // among the sorted fields
	below *node
}

// maxSlots bounds what is remembered of an object with data as keys.
const maxSlots = 64

// look takes the fields of an object at n into n.entries, in the order of their
// keys.
func (n *node) look(o *fastjson.Object) error {
	if s := &n.shape; len(s.slots) > 0 && o.Len() == len(s.slots) {
		n.entries = n.entries[:len(s.slots)]
		s.seen, s.alike = 0, true
		if o.Visit(n.match); s.alike {
			return nil
		}
	}
	n.shape.slots = n.shape.slots[:0]
	n.entries = n.entries[:0]
	o.Visit(n.visit)
	if len(n.entries) > maxSlots {
		return sortEntries(n.entries)
	}
	came := &n.shape
	came.keys = came.keys[:0]
	for i := range n.entries {
		n.entries[i].came = i
		came.keys = append(came.keys, n.entries[i].key...)
		came.slots = append(came.slots, slot{end: len(came.keys), below: n.entries[i].node})
	}
	err := sortEntries(n.entries)
	for at := range n.entries {
		came.slots[n.entries[at].came].at = at
	}
	if err != nil { // the next object is looked at anew
		came.slots = came.slots[:0]
	}
	return err
}

// matchField puts the next field of an object where the shape has it.
func (n *node) matchField(key []byte, v *fastjson.Value) {
	s := &n.shape
	if !s.alike {
		return
	}
	start := 0
	if s.seen > 0 {
		start = s.slots[s.seen-1].end
	}
	slot := &s.slots[s.seen]
	if s.alike = string(s.keys[start:slot.end]) == string(key); s.alike {
		n.entries[slot.at] = entry{key: key, value: v, node: slot.below}
		s.seen++
	}
}

// forget lets go of all that an event had at n and below.
func (n *node) forget() {
	n.entries, n.shape, n.parser = nil, shape{}, fastjson.Parser{}
	for _, c := range n.children {
		c.forget()
	}
}
