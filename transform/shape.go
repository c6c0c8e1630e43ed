package transform

import (
	"cmp"
	"slices"
)

// A source writes the objects at one place with the same keys in the same order,
// mostly. So a node remembers the shape of the last one, and looks neither for
// the places of an object of that shape, nor sorts its keys again: a fifth of the
// time that flattening takes.
type shape struct {
	slots []slot // in the order in which the fields came
	keys  []byte // of all slots
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
func (n *node) look(object value) error {
	if n.recall(object) {
		return nil
	}
	n.shape.slots = n.shape.slots[:0]
	n.entries = n.entries[:0]
	for key, field := range object.fields() {
		key := key.string()
		n.entries = append(n.entries, entry{key: key, value: field, node: n.child(key)})
	}
	if err := sortEntries(n.entries); err != nil || len(n.entries) > maxSlots {
		return err
	}
	var indexes [maxSlots]int
	came := indexes[:len(n.entries)] // in this order
	for i := range came {
		came[i] = i
	}
	slices.SortFunc(came, func(a, b int) int { return cmp.Compare(n.entries[a].value.at, n.entries[b].value.at) })
	n.shape.keys = n.shape.keys[:0]
	for _, at := range came {
		n.shape.keys = append(n.shape.keys, n.entries[at].key...)
		n.shape.slots = append(n.shape.slots, slot{end: len(n.shape.keys), at: at, below: n.entries[at].node})
	}
	return nil
}

// recall is look at an object of the shape that n remembers; false of any other.
func (n *node) recall(object value) bool {
	s := &n.shape
	n.entries = n.entries[:len(s.slots)]
	seen, start := 0, 0
	for key, field := range object.fields() {
		if seen == len(s.slots) {
			return false
		}
		slot, key := &s.slots[seen], key.string()
		if string(s.keys[start:slot.end]) != string(key) {
			return false
		}
		e := &n.entries[slot.at]
		e.key, e.value, e.node = key, field, slot.below
		seen, start = seen+1, slot.end
	}
	return seen > 0 && seen == len(s.slots)
}

// forget lets go of all that an event had at n and below.
func (n *node) forget() {
	n.entries, n.shape, n.standIn = nil, shape{}, document{}
	for _, c := range n.children {
		c.forget()
	}
}
