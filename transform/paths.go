package transform

import (
	"strings"

	"prospector/schemas"
)

// node is a place in an event that columns take values from, or that has such
// places below it: the paths of a table as a tree.
type node struct {
	key      string
	children []*node
	column   int  // index of the column that takes a value here, or -1
	rank     int  // which of the column's paths this is
	whole    bool // an object is one value here, and is never opened
	path     string
	depth    int            // how many keys the path has
	policy   schemas.Policy // of values here, or ""
	standIn  document       // what stands for a protected value
	guards   bool           // a policy holds for some place below

	// What events have had here: values that are not of the column's type, and
	// fields that no column takes (nil until there are some).
	mismatched tally
	unmapped   *place

	// What the event at hand has here.
	entries []entry
	open    bool // an object whose fields were looked at one by one
	view    *view
	views   []*view // of the shapes that objects had here
	left    []entry // where a policy holds below
}

// compile makes the tree of the paths that hold for events of a type: those of
// its columns, and those of every protected value.
func compile(columns []schemas.Column, protected []protection, eventType string) *node {
	root := newNode(nil)
	for i, c := range columns {
		if !c.Applies(eventType) {
			continue
		}
		for rank, path := range c.From {
			_, at := root.grow(path)
			at.column, at.rank, at.whole = i, rank, c.Type == schemas.JSON
		}
	}
	for _, p := range protected {
		_, at := root.grow(p.path)
		at.policy, at.whole = p.policy, true
		root.guard(p.path)
	}
	return root
}

// guard has the places above a protected one look after it.
func (n *node) guard(path string) {
	n.guards = true
	if key, rest, deeper := strings.Cut(path, "."); deeper {
		n.child([]byte(key)).guard(rest)
	}
}

// grow gives the node at a path, which is made if there is none, and the one
// above it.
func (n *node) grow(path string) (above, at *node) {
	at = n
	keys := strings.Split(path, ".")
	for depth, key := range keys {
		above = at
		if at = above.child([]byte(key)); at == nil {
			at = newNode(keys[:depth+1])
			above.children = append(above.children, at)
		}
	}
	return above, at
}

func newNode(path []string) *node {
	n := &node{column: -1, path: strings.Join(path, "."), depth: len(path)}
	if len(path) > 0 {
		n.key = path[len(path)-1]
	}
	return n
}

// child finds the node below n; there are so few that a map would be slower.
func (n *node) child(key []byte) *node {
	for _, c := range n.children {
		if c.key == string(key) {
			return c
		}
	}
	return nil
}

// cell is the value that a column takes from the event at hand.
type cell struct {
	node  *node // of which place; nil: of none, there is no value
	str   []byte
	int   int64 // an integer, microseconds, days, a float's bits, or 0 and 1
	naive bool  // a time without an offset
	exact bool  // the column tells all that the value told
}

// event is one event being flattened. It is reused from event to event.
type event struct {
	columns []schemas.Column
	discard bool // fields that no column takes are in no row
	key     schemas.Key
	cells   []cell // parallel to columns
	scratch []byte // of cells' texts
	misfits []misfit
	left    int // values that no column took, or that say more than it
	moved   int // values that did not come from their column's first path
	unknown int // fields that no column takes
	naive   int // times without an offset
	root    *node
}

func (e *event) reset(root *node) {
	e.root, e.left, e.unknown, e.moved, e.naive = root, 0, 0, 0, 0
	e.scratch, e.misfits = e.scratch[:0], e.misfits[:0]
	clear(e.cells)
}

// gather offers every field below n to the columns.
func (e *event) gather(n *node, object value) error {
	if err := n.look(object); err != nil {
		return err
	}
	if n.guards {
		if err := e.protect(n); err != nil {
			return err
		}
	}
	for i := range n.entries {
		field := &n.entries[i]
		if child := field.node; child != nil {
			if child.open = child.opens(field.value); child.open {
				if err := e.gather(child, field.value); err != nil {
					return err
				}
				continue
			}
		}
		if field.unknown() {
			e.unknown++
			if !e.discard {
				e.left++
			}
			continue
		}
		told, err := e.offer(field.node, field.value)
		if err != nil {
			return err
		}
		if !told {
			e.left++
		}
	}
	return nil
}

// opens reports whether a value at n is an object that is looked into: it has
// fields, and there are places below n.
func (n *node) opens(v value) bool {
	return len(n.children) > 0 && !n.whole && v.kind() == anObject && v.hasMore()
}

// unknown reports whether no column takes anything at the field's place or below
// it. At a place above a column's, null and {} are not unknown: the field is
// there, and has nothing.
func (f *entry) unknown() bool {
	switch {
	case f.node == nil:
		return true
	case f.node.column >= 0 || f.node.open:
		return false
	}
	return f.value.kind() != noKind && f.value.kind() != anObject
}

// offer gives a value to the column of its place, if it has one. It reports
// whether the column now tells all of it; what it does not is left for
// extra_json.
func (e *event) offer(at *node, v value) (told bool, err error) {
	if at.column < 0 || len(at.children) > 0 && !at.whole && v.kind() == anObject {
		return false, nil // it is empty, and columns take what is inside
	}
	c := cell{node: at}
	outcome, err := c.coerce(e.columns[at.column].Type, v, &e.scratch)
	if err != nil {
		return false, err
	}
	switch outcome {
	case mismatch:
		e.misfits = append(e.misfits, misfit{at, kindOf(v)})
		return false, nil
	case none:
		return false, nil
	}
	c.exact = outcome == exact
	if c.naive {
		e.naive++
	}
	old := &e.cells[at.column]
	if old.node != nil {
		if old.node.rank < at.rank {
			return false, nil
		}
		if old.exact {
			e.left++ // it was told by the column until now
		}
		e.moved-- // of two paths, it had the later one
	}
	if at.rank > 0 {
		e.moved++
	}
	old.node, old.str, old.int, old.exact = at, c.str, c.int, c.exact
	return c.exact, nil
}
