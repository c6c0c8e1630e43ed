package transform

import (
	"slices"
	"strings"

	"prospector/schemas"
)

// node is a place in an event from which columns take values, or a place above one. The
// nodes are the paths of a table as a tree.
type node struct {
	// The fields that every event needs come first, so that they are in one cache line.
	children []*node
	view     *view // of the object that the current event has here
	target
	isLeaf bool // an object is one value here, and is never opened
	open   bool // the fields of the current event's object here are offered one by one
	guards bool // a policy applies to some place below

	key   string
	above *node // nil for the event itself
	path  string
	depth int                 // number of keys in the path
	times *schemas.TimeFormat // of the column, if it declares one
	protected
	views []*view // of the shapes that objects had here
	surveyed
}

// target is the column that takes the values at a place.
type target struct {
	column int32        // its index, or -1 for none
	rank   int32        // which of the column's paths this is
	to     schemas.Type // of the column
}

// protected is what policies say about a place.
type protected struct {
	guard *guard // what is protected here and below, or nil
	// respelled says that the key differs only in case from the key of a protected
	// path. No path of a column leads here.
	respelled  bool
	policy     schemas.Policy // of values here, or ""
	substitute document       // replaces a protected value
}

// surveyed counts the values of events at a place that do not have the column's type, and
// the fields that no column takes (nil until there are some).
type surveyed struct {
	mismatched tally
	unmapped   *place
}

// compile returns the tree of the paths for events of a type: the paths of its columns,
// and those of every protected value.
func compile(columns []schemas.Column, protected []protection, eventType string) *node {
	root := &node{target: target{column: -1}}
	for i, c := range columns {
		if !c.Applies(eventType) {
			continue
		}
		for rank, path := range c.From {
			_, at := root.grow(path)
			at.column, at.rank = int32(i), int32(rank)
			at.to, at.isLeaf = c.Type, c.Type == schemas.JSON
			at.times = timeFormat(c)
		}
	}
	for _, p := range protected {
		root.grow(p.path)
	}
	root.protectBy(newGuard(protected))
	return root
}

// protectBy applies a guard to n and to the places below it.
func (n *node) protectBy(g *guard) {
	if g == nil {
		return
	}
	n.guard, n.policy, n.guards = g, g.policy, len(g.below) > 0
	n.isLeaf = n.isLeaf || g.policy != ""
	for _, c := range n.children {
		c.protectBy(g.at(c.key))
	}
}

// respell returns a new node for a key that differs only in case from a protected key, or
// nil. The view of an object keeps the node, so two such keys of one object have two nodes.
func (n *node) respell(key []byte) *node {
	if n.guard == nil {
		return nil
	}
	g := n.guard.at(string(key))
	if g == nil {
		return nil
	}
	made := newNode(n, string(key))
	made.respelled = true
	made.protectBy(g)
	return made
}

// grow returns the node at a path, and the node above it. It adds nodes if necessary.
func (n *node) grow(path string) (above, at *node) {
	at = n
	for key := range strings.SplitSeq(path, ".") {
		above = at
		if at = above.child([]byte(key)); at == nil {
			at = newNode(above, key)
			above.children = append(above.children, at)
		}
	}
	return above, at
}

func newNode(above *node, key string) *node {
	return &node{target: target{column: -1}, above: above, key: key, path: join(above.path, key), depth: above.depth + 1}
}

// child returns the node of a key below n, or nil. A node has so few children that a map
// would be slower.
func (n *node) child(key []byte) *node {
	for _, c := range n.children {
		if c.key == string(key) {
			return c
		}
	}
	return nil
}

// event is one event being flattened. It is reused for the next event.
type event struct {
	columns []schemas.Column
	byName  []int     // the columns in the order of their names
	batch   []*column // the columns that take its values
	row     int       // the row of the batch
	discard bool      // fields that no column takes are left out
	key     schemas.Key

	number  int // of the event, from 1
	taken   []taken
	scratch []byte // texts that are not part of the event
	misfits []misfit
	unknown []unknown
	moved   int // number of values that are not from the first path of their column
	naive   int // number of times without an offset
	root    *node
}

// taken is the value that a column took from an event.
type taken struct {
	number int   // of the event
	int    int64 // as in cell
	rank   int32 // of the value's path
	exact  bool  // the value can be rebuilt from the column alone
}

// unknown is a field that no column takes.
type unknown struct {
	in    *node
	field *entry
}

func (e *event) reset(row int) {
	e.number++
	e.row, e.moved, e.naive = row, 0, 0
	e.scratch, e.misfits, e.unknown = e.scratch[:0], e.misfits[:0], e.unknown[:0]
}

// takenBy returns what a column took from the current event, or nil. A table without the
// column has -1 for it.
func (e *event) takenBy(column int) *taken {
	if column < 0 {
		return nil
	}
	if t := &e.taken[column]; t.number == e.number {
		return t
	}
	return nil
}

// gather offers every field below n to the columns.
func (e *event) gather(n *node, object value) error {
	if err := n.updateView(object); err != nil {
		return err
	}
	if n.guards {
		if err := e.protect(n); err != nil {
			return err
		}
	}
	n.view.represented = true
	for i := range n.view.entries {
		field := &n.view.entries[i]
		represented, err := e.take(n, field)
		if err != nil {
			return err
		}
		if field.represented = represented; !represented {
			n.view.represented = false
		}
	}
	return nil
}

// take offers a field of an object at n, and everything inside, to the columns. It
// reports whether the columns represent all of it, so that extra_json does not need it.
func (e *event) take(n *node, field *entry) (represented bool, err error) {
	child := field.node
	if field.dropped() {
		return true, nil
	}
	if child != nil && (len(child.children) > 0 || child.guards) {
		if child.open = child.opens(field.value); child.open {
			if err := e.gather(child, field.value); err != nil {
				return false, err
			}
			return child.view.represented, nil
		}
	}
	if field.unknown() {
		e.unknown = append(e.unknown, unknown{n, field})
		return e.discard, nil
	}
	return e.offer(child, field.value)
}

// opens reports whether the fields of a value at n, which has places below it, are
// offered one by one.
func (n *node) opens(v value) bool {
	return !n.isLeaf && v.kind() == anObject && v.hasMore()
}

// unknown reports whether no column takes anything at the field's place or below. Above
// the place of a column, null and {} are not unknown: the field is known, but empty.
func (f *entry) unknown() bool {
	switch {
	case f.node == nil:
		return true
	case f.node.column >= 0 || f.node.open:
		return false
	case f.node.respelled:
		return true
	}
	return f.value.kind() != noKind && f.value.kind() != anObject
}

// offer offers a value to the column of its place, if there is one. It reports whether the
// column represents all of it. If not, extra_json needs the value.
func (e *event) offer(at *node, v value) (represented bool, err error) {
	if at.column < 0 || len(at.children) > 0 && !at.isLeaf && v.kind() == anObject {
		return false, nil // it is empty, and columns take only the values inside
	}
	var c cell
	if v.kind() == aString && at.to == schemas.String && !v.in.broken { // the usual case
		c.str = v.string()
		return e.store(at, &c, true), nil
	}
	var outcome outcome
	if at.times != nil {
		outcome = c.coerceTime(at.to, *at.times, v)
	} else if outcome, err = c.coerce(at.to, v, &e.scratch); err != nil {
		return false, err
	}
	switch outcome {
	case mismatch:
		e.misfits = append(e.misfits, misfit{at, kindOf(v), timeFormsOf(v)})
		return false, nil
	case none:
		return false, nil
	case repaired:
		e.misfits = append(e.misfits, misfit{at: at, kind: notUnicode})
	}
	return e.store(at, &c, outcome == exact), nil
}

// store stores the value at a place in its column, unless the column has a value from an
// earlier path. It reports whether the column represents all of it.
func (e *event) store(at *node, c *cell, exact bool) (represented bool) {
	if c.naive {
		e.naive++
	}
	column, now := e.batch[at.column], &e.taken[at.column]
	if now.number == e.number {
		if now.rank < at.rank {
			return false
		}
		if now.exact {
			e.markUnrepresented(e.columns[at.column].From[now.rank])
		}
		e.moved-- // the previous value is from a later path
		column.cut(e.row)
	}
	if at.rank > 0 {
		e.moved++
	}
	now.number, now.rank, now.int, now.exact = e.number, at.rank, c.int, exact
	column.pad(e.row)
	if column.isText {
		column.appendString(c.str)
	} else {
		column.appendInt(c.int)
	}
	return exact
}

// markUnrepresented records that extra_json needs the field at a path after all.
func (e *event) markUnrepresented(path string) {
	n := e.root
	for key := range strings.SplitSeq(path, ".") {
		i, _ := slices.BinarySearchFunc(n.view.entries, key, func(f entry, key string) int { return strings.Compare(string(f.key), key) })
		n.view.represented, n.view.entries[i].represented = false, false
		n = n.view.entries[i].node
	}
}

// undo removes the values of the current event from the columns.
func (e *event) undo() {
	for i := range e.taken {
		if e.takenBy(i) != nil {
			e.batch[i].cut(e.row)
		}
	}
}
