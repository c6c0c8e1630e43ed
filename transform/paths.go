package transform

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"prospector/schemas"
)

// fromKey is the key of extra_json that says which path a column's value came
// from, where it was not the column's first: {"$from":{"message_body":"data.text"}}.
// Without it an event could not be rebuilt from its row.
const fromKey = "$from"

// node is a place in an event that columns take values from, or that has such
// places below it: the paths of a table as a tree.
type node struct {
	key      string
	children []*node
	column   int // index of the column that takes a value here, or -1
	rank     int // which of the column's paths this is
	path     string

	// What the event at hand has here.
	entries []entry
	open    bool // an object whose fields were looked at one by one
	visit   func(key []byte, v *fastjson.Value)
}

// compile makes the tree of the paths that hold for events of a type.
func compile(columns []schemas.Column, eventType string) *node {
	root := newNode("", "")
	for i, c := range columns {
		if !c.Applies(eventType) {
			continue
		}
		for rank, path := range c.From {
			at := root
			for key := range strings.SplitSeq(path, ".") {
				child := at.child([]byte(key))
				if child == nil {
					child = newNode(key, path)
					at.children = append(at.children, child)
				}
				at = child
			}
			at.column, at.rank, at.path = i, rank, path
		}
	}
	return root
}

func newNode(key, path string) *node {
	n := &node{key: key, column: -1, path: path}
	n.visit = func(key []byte, v *fastjson.Value) {
		n.entries = append(n.entries, entry{key, v, n.child(key)})
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
	from  *fastjson.Value // nil: no value
	node  *node
	str   []byte
	int   int64
	exact bool // the column tells all that the value told
}

// event is one event being flattened. It is reused from event to event.
type event struct {
	columns []schemas.Column
	cells   []cell // parallel to columns
	left    int    // values that no column took, or that say more than it
	moved   bool   // some value did not come from its column's first path
	naive   int    // times without an offset
	root    *node
}

func (e *event) reset(root *node) {
	e.root, e.left, e.moved, e.naive = root, 0, false, 0
	clear(e.cells)
}

// gather offers every field below n to the columns.
func (e *event) gather(n *node, o *fastjson.Object) error {
	n.entries = n.entries[:0]
	o.Visit(n.visit)
	if err := sortEntries(n.entries); err != nil {
		return err
	}
	for _, field := range n.entries {
		child := field.node
		if child == nil {
			e.left++
			continue
		}
		child.open = false
		if len(child.children) > 0 && field.value.Type() == fastjson.TypeObject {
			if o, _ := field.value.Object(); o.Len() > 0 {
				child.open = true
				if err := e.gather(child, o); err != nil {
					return err
				}
				continue
			}
		}
		if child.column < 0 || !e.offer(child, field.value) {
			e.left++
		}
	}
	return nil
}

// offer gives a value to the column of its place. It reports whether the column
// now tells all of it. What a column cannot hold without losing something is
// left for extra_json: a NULL is told from an absent field, a number from a
// string of digits, and a time with an offset from the same instant in UTC.
func (e *event) offer(at *node, v *fastjson.Value) bool {
	if v.Type() != fastjson.TypeString {
		return false
	}
	c := cell{from: v, node: at, exact: true}
	c.str, _ = v.StringBytes()
	if e.columns[at.column].Type == schemas.Timestamp {
		var naive, ok bool
		if c.int, c.exact, naive, ok = parseTime(c.str); !ok {
			return false
		}
		if naive {
			e.naive++
		}
	}
	old := &e.cells[at.column]
	if old.from != nil {
		if old.node.rank < at.rank {
			return false
		}
		if old.exact {
			e.left++ // it was told by the column until now
		}
	}
	*old = c
	return c.exact
}

var errReservedKey = errors.New(`the event has a field named "` + fromKey + `", which extra_json needs for itself`)

// appendExtra writes what no column told as one JSON object, or nothing.
func (e *event) appendExtra(dst []byte) ([]byte, error) {
	e.moved = slices.ContainsFunc(e.cells, func(c cell) bool { return c.from != nil && c.node.rank > 0 })
	if e.left == 0 && !e.moved {
		return dst, nil
	}
	return e.appendLeft(dst, e.root)
}

func (e *event) appendLeft(dst []byte, n *node) (_ []byte, err error) {
	start, empty := len(dst), true
	separate := func() {
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
	}
	dst = append(dst, '{')
	moved := n == e.root && e.moved
	for _, field := range n.entries {
		if n == e.root && string(field.key) == fromKey {
			return dst, errReservedKey
		}
		if moved && string(field.key) > fromKey {
			separate()
			dst = e.appendFrom(dst)
			moved = false
		}
		child := field.node
		if child != nil && child.column >= 0 && !child.open {
			if c := &e.cells[child.column]; c.from == field.value && c.exact {
				continue
			}
		}
		before, wasEmpty := len(dst), empty
		separate()
		dst = append(appendString(dst, field.key), ':')
		if child != nil && child.open {
			value := len(dst)
			if dst, err = e.appendLeft(dst, child); err != nil {
				return dst, err
			}
			if len(dst) == value { // all of it was told
				dst, empty = dst[:before], wasEmpty
			}
			continue
		}
		if dst, err = appendCanonical(dst, field.value); err != nil {
			return dst, err
		}
	}
	if moved {
		separate()
		dst = e.appendFrom(dst)
	}
	if empty {
		return dst[:start], nil
	}
	return append(dst, '}'), nil
}

func (e *event) appendFrom(dst []byte) []byte {
	dst = append(appendString(dst, []byte(fromKey)), ':')
	var moved []int
	for i, c := range e.cells {
		if c.from != nil && c.node.rank > 0 {
			moved = append(moved, i)
		}
	}
	slices.SortFunc(moved, func(a, b int) int {
		return bytes.Compare([]byte(e.columns[a].Name), []byte(e.columns[b].Name))
	})
	for i, column := range moved {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(appendString(dst, []byte(e.columns[column].Name)), ':')
		dst = appendString(dst, []byte(e.cells[column].node.path))
	}
	return append(dst, '}')
}
