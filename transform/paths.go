package transform

import (
	"slices"
	"strings"

	"prospector/schemas"
)

// node is a place in an event that columns take values from, or that has such
// places below it: the paths of a table as a tree.
type node struct {
	// What every event needs comes first, so that it is in one cache line.
	children []*node
	view     *view // of the object that the current event has here
	target
	whole  bool // an object is one value here, and is never opened
	open   bool // the fields of the current event's object here were looked at one by one
	guards bool // a policy holds for some place below

	key   string
	above *node // nil for the event itself
	path  string
	depth int                 // how many keys the path has
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
	// respelled says that no path leads here: the key is one of a protected path
	// in another case. Columns take nothing here.
	respelled bool
	policy    schemas.Policy // of values here, or ""
	standIn   document       // what replaces a protected value
}

// surveyed is what events had at a place: values that are not of the column's type,
// and fields that no column takes (nil until there are some).
type surveyed struct {
	mismatched tally
	unmapped   *place
}

// compile makes the tree of the paths that hold for events of a type: those of
// its columns, and those of every protected value.
func compile(columns []schemas.Column, protected []protection, eventType string) *node {
	root := &node{target: target{column: -1}}
	for i, c := range columns {
		if !c.Applies(eventType) {
			continue
		}
		for rank, path := range c.From {
			_, at := root.grow(path)
			at.column, at.rank = int32(i), int32(rank)
			at.to, at.whole = c.Type, c.Type == schemas.JSON
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
	n.whole = n.whole || g.policy != ""
	for _, c := range n.children {
		c.protectBy(g.at(c.key))
	}
}

// respell gives a new node for a key that no path has, but that is a protected
// key in another case; or nil. The view of an object keeps it: two such keys of
// one object have two nodes.
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

// grow gives the node at a path, which is made if there is none, and the one
// above it.
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

// child finds the node below n; there are so few that a map would be slower.
func (n *node) child(key []byte) *node {
	for _, c := range n.children {
		if c.key == string(key) {
			return c
		}
	}
	return nil
}

// event is one event being flattened. It is reused from event to event.
type event struct {
	columns []schemas.Column
	byName  []int     // the columns in the order of their names
	batch   []*column // that take its values, as the row of that number
	row     int
	discard bool // fields that no column takes are in no row
	key     schemas.Key

	number  int // of the event, from 1
	taken   []taken
	scratch []byte // of texts that were not in the event
	misfits []misfit
	unknown []unknown
	moved   int // values that did not come from their column's first path
	naive   int // times without an offset
	root    *node
}

// taken is what a column took of an event.
type taken struct {
	number int   // of that event
	int    int64 // as in cell
	rank   int32 // of the value's path
	exact  bool  // the column tells all that the value told
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

// takenBy gives what a column took of the event at hand, or nil.
func (e *event) takenBy(column int) *taken {
	if t := &e.taken[column]; t.number == e.number {
		return t
	}
	return nil
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
	n.view.told = true
	for i := range n.view.entries {
		field := &n.view.entries[i]
		told, err := e.take(n, field)
		if err != nil {
			return err
		}
		if field.told = told; !told {
			n.view.told = false
		}
	}
	return nil
}

// take offers a field of an object at n to the columns, and so all that is inside.
// It reports whether nothing of it is left for extra_json.
func (e *event) take(n *node, field *entry) (told bool, err error) {
	child := field.node
	if field.dropped() {
		return true, nil
	}
	if child != nil && (len(child.children) > 0 || child.guards) {
		if child.open = child.opens(field.value); child.open {
			if err := e.gather(child, field.value); err != nil {
				return false, err
			}
			return child.view.told, nil
		}
	}
	if field.unknown() {
		e.unknown = append(e.unknown, unknown{n, field})
		return e.discard, nil
	}
	return e.offer(child, field.value)
}

// opens reports whether a value at n, which has places below it, is an object that
// is looked into.
func (n *node) opens(v value) bool {
	return !n.whole && v.kind() == anObject && v.hasMore()
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
	case f.node.respelled:
		return true
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
	var c cell
	if v.kind() == aString && at.to == schemas.String && !v.in.broken { // as most are
		c.str = v.string()
		return e.give(at, &c, true), nil
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
	return e.give(at, &c, outcome == exact), nil
}

// give gives what was at a place to its column, unless that has something from an
// earlier path. It reports whether the column now tells all of it.
func (e *event) give(at *node, c *cell, exact bool) (told bool) {
	if c.naive {
		e.naive++
	}
	column, now := e.batch[at.column], &e.taken[at.column]
	if now.number == e.number {
		if now.rank < at.rank {
			return false
		}
		if now.exact {
			e.untell(e.columns[at.column].From[now.rank])
		}
		e.moved-- // of two paths, it had the later one
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

// untell notes that the field at a path, which was told, is left for extra_json.
func (e *event) untell(path string) {
	n := e.root
	for key := range strings.SplitSeq(path, ".") {
		i, _ := slices.BinarySearchFunc(n.view.entries, key, func(f entry, key string) int { return strings.Compare(string(f.key), key) })
		n.view.told, n.view.entries[i].told = false, false
		n = n.view.entries[i].node
	}
}

// undo takes back from the columns what they took of the event at hand.
func (e *event) undo() {
	for i := range e.taken {
		if e.takenBy(i) != nil {
			e.batch[i].cut(e.row)
		}
	}
}
