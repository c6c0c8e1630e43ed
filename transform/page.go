package transform

import (
	"errors"
	"iter"
	"slices"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

// The memory for parsing a page is reused for the next page, unless it exceeds these
// limits.
const (
	maxKeptBytes  = 4 << 20
	maxKeptTokens = 100_000
)

var errNotOneNode = errors.New("an edge without exactly one node")

// Envelope has the names of two members that locate the events of a page. A page is a JSON
// object. Its member Events is an array of objects, and the member Event of each is an
// event.
type Envelope struct{ Events, Event string }

// Page flattens the events of the prospect's next page, which was requested with cursor.
// If body is not a JSON object, Page returns an error and flattens no event. An *Unexpected
// error is about an event for which the schema says that the run must fail.
func (f *Flattener) Page(body []byte, cursor string) error {
	defer f.releaseLargest(body)
	if err := f.edges(body, cursor); err != nil {
		return err
	}
	if f.full(10) {
		if err := f.assignIDs(); err != nil {
			return err
		}
		f.ids.batchEmitted(f.content)
		return f.Flush()
	}
	return nil
}

// releaseLargest releases the memory for parsing a large page.
func (f *Flattener) releaseLargest(body []byte) {
	if len(body) > maxKeptBytes || cap(f.page.tokens) > maxKeptTokens || f.page.shapes.bytes > maxShapes {
		f.page, f.event.scratch, f.extra, f.text = document{}, nil, nil, nil
		for _, t := range f.trees {
			t.root.forget()
		}
	}
}

// edges flattens the events of a page.
func (f *Flattener) edges(body []byte, cursor string) error {
	page, err := f.page.parse(body, maxValues)
	if err != nil {
		return f.edgeByEdge(body, cursor) // a single event may have caused the error
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
	errTwoEdges     = errors.New("a page has its events twice")
	errNotSeparable = errors.New("the events of a page cannot be separated")
)

// edgeByEdge flattens the events of a page one by one, with little memory. An event that
// is not valid JSON does not affect the others.
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

// separateNode returns the text of an edge's event, or the text of the edge if it does
// not have exactly one event.
func (f *Flattener) separateNode(edge []byte) ([]byte, error) {
	if node, nodes, ok := jsontext.Member(edge, f.envelope.Event); ok && nodes == 1 {
		return node, nil
	}
	return edge, errNotOneNode
}

// addText is like add, for an event that is not parsed yet.
func (f *Flattener) addText(text []byte) error {
	node, err := f.page.parse(text, maxValues)
	if err != nil {
		return err
	}
	return f.add(node)
}

// refuse rejects an event that cannot become a row, or returns the reason if the run
// must fail.
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
	known := reason != errNotOneNode && reason != errTooMany // otherwise the paths are unknown, or need too much memory
	if known {
		r.Raw, known = f.protectedNode(node)
	}
	if !known {
		r.Withheld = len(node)
	}
	return f.reject(r)
}

// add makes a row from an event, or returns why this is not possible.
func (f *Flattener) add(node value) error {
	row, err := f.flatten(node)
	_, isNoTime := errors.AsType[noTime](err)
	switch {
	case err == nil:
	case isNoTime:
		f.event.countMisfits() // so that the survey shows the format of the times
		return err
	case row.tree != nil:
		f.count(row)
		return err
	default:
		return err
	}
	if f.partial {
		if f.text, err = appendCanonical(f.text[:0], node); err != nil {
			return err // a dropped or protected value has the same key twice
		}
		f.eventDigests = append(f.eventDigests, schemas.HashValuesOf("event").String(string(f.text)))
	}
	f.append([]byte(f.prospect), dayOf(row.happened))
	if !f.ids.add(f.ids.keyOf(f.prospect, row.eventType, row.recorded), row.happened, f.content) {
		f.books.Duplicates++
		f.cut()
		if f.partial {
			f.eventDigests = f.eventDigests[:len(f.eventDigests)-1]
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
