package transform

import (
	"errors"
	"iter"
	"slices"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

// What a page took to parse is used for the next one, unless that was more
// than this.
const (
	maxKeptBytes  = 4 << 20
	maxKeptTokens = 100_000
)

var errNotOneNode = errors.New("an edge without exactly one node")

// Envelope says where the events are in a page, which is a JSON object: its member
// Events is an array of objects, each of which has an event as its member Event.
type Envelope struct{ Events, Event string }

// Page flattens the events of the prospect's next page, which was requested with
// that cursor. The body must be a JSON object; an error says that it is not, and
// then none of its events was taken. An *Unexpected says that the table wants
// the run to fail because of an event.
func (f *Flattener) Page(body []byte, cursor string) error {
	defer f.letGo(body)
	if err := f.edges(body, cursor); err != nil {
		return err
	}
	if f.full(10) {
		if err := f.settle(); err != nil {
			return err
		}
		f.ids.leave(f.content)
		return f.Flush()
	}
	return nil
}

// letGo gives back what a large page took to parse.
func (f *Flattener) letGo(body []byte) {
	if len(body) > maxKeptBytes || cap(f.page.tokens) > maxKeptTokens || f.page.shapes.bytes > maxShapes {
		f.page, f.event.scratch, f.extra, f.text = document{}, nil, nil, nil
		for _, t := range f.trees {
			t.root.forget()
		}
	}
}

// edges takes the events of a page.
func (f *Flattener) edges(body []byte, cursor string) error {
	page, err := f.page.parse(body, maxValues)
	if err != nil {
		return f.edgeByEdge(body, cursor) // one event may be the reason
	}
	edges, lists := page.get(f.envelope.Events)
	switch lists {
	case 0:
		return nil
	case 1:
	default:
		return errTwoEdges
	}
	i := 0
	for edge := range edges.elements() {
		f.books.Events++
		reason := errNotOneNode
		node, nodes := edge.get(f.envelope.Event)
		if nodes == 1 {
			reason = f.add(node)
		} else {
			node = edge
		}
		if reason != nil {
			if err := f.refuse(Rejected{Prospect: f.prospect, Cursor: cursor, Index: i}, node.raw(), reason); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

var (
	errTwoEdges     = errors.New("a page has edges twice")
	errNotSeparable = errors.New("the edges of a page cannot be separated")
)

// edgeByEdge does the same for each event on its own, with little memory. One that
// is not valid JSON costs no other.
func (f *Flattener) edgeByEdge(body []byte, cursor string) error {
	edges, err := f.separateEdges(body)
	if err != nil {
		return err
	}
	i := 0
	for edge := range edges {
		f.books.Events++
		node, reason := f.separateNode(edge)
		if reason == nil {
			reason = f.addText(node)
		}
		if reason != nil {
			if err := f.refuse(Rejected{Prospect: f.prospect, Cursor: cursor, Index: i}, node, reason); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

// separateEdges returns the text of each edge of a page.
func (f *Flattener) separateEdges(page []byte) (edges iter.Seq[[]byte], err error) {
	list, lists, ok := jsontext.Member(page, f.envelope.Events)
	switch {
	case !ok:
		return nil, errNotSeparable
	case lists > 1:
		return nil, errTwoEdges
	case lists == 0 || jsontext.IsValid(list) && list[0] != '[':
		return func(func([]byte) bool) {}, nil
	}
	if edges, ok = jsontext.Elements(list); !ok {
		return nil, errNotSeparable
	}
	return edges, nil
}

// separateNode returns the text of an edge's node, or that of the edge if it has
// not exactly one.
func (f *Flattener) separateNode(edge []byte) ([]byte, error) {
	if node, nodes, ok := jsontext.Member(edge, f.envelope.Event); ok && nodes == 1 {
		return node, nil
	}
	return edge, errNotOneNode
}

// addText is add of a node that was not parsed yet.
func (f *Flattener) addText(text []byte) error {
	node, err := f.page.parse(text, maxValues)
	if err != nil {
		return err
	}
	return f.add(node)
}

// refuse hands out an event that is no row, or ends the run.
func (f *Flattener) refuse(r Rejected, node []byte, reason error) error {
	var unexpected *Unexpected
	if errors.As(reason, &unexpected) && unexpected.handling == schemas.Fail {
		return reason
	}
	f.books.Quarantined++
	r.Reason = reason.Error()
	if !f.table.Protects() {
		r.Raw = slices.Clone(node)
		return f.reject(r)
	}
	known := reason != errNotOneNode && reason != errTooMany // where its paths are; and what it takes to look
	if known {
		r.Raw, known = f.protectedNode(node)
	}
	if !known {
		r.Withheld = len(node)
	}
	return f.reject(r)
}

// add makes a row of a node. The error says why that cannot be.
func (f *Flattener) add(node value) error {
	row, err := f.flatten(node)
	switch {
	case err == nil:
	case err == errNoTime:
		f.event.countMisfits() // the survey then knows how its times are written
		return err
	case row.tree != nil:
		f.count(row)
		return err
	default:
		return err
	}
	if f.partial {
		if f.text, err = appendCanonical(f.text[:0], node); err != nil {
			return err // of a key that stands twice in what is dropped or protected as a whole
		}
		f.whole = append(f.whole, schemas.HashValuesOf("event").String(string(f.text)))
	}
	f.append([]byte(f.prospect), dayOf(row.happened))
	if !f.ids.add(f.ids.keyOf(f.prospect, row.eventType, row.recorded), row.happened, f.content) {
		f.books.Duplicates++
		f.cut()
		if f.partial {
			f.whole = f.whole[:len(f.whole)-1]
		}
		return nil
	}
	f.count(row)
	f.books.Rows++
	f.books.NaiveTimes += int64(f.event.naive)
	if len(f.extra) > 0 {
		f.books.Extra++
	}
	return nil
}
