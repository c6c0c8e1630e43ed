package transform

import (
	"encoding/json"
	"errors"
	"slices"

	"prospector/schemas"
)

// What a page took to parse is used for the next one, unless that was more
// than this.
const (
	maxKeptBytes  = 4 << 20
	maxKeptTokens = 100_000
)

var errNotOneNode = errors.New("an edge without exactly one node")

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
		return f.edgeByEdge(body, cursor) // one event may be to blame
	}
	edges, lists := page.get("edges")
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
		if reason := f.add(edge); reason != nil {
			if err := f.refuse(Rejected{Prospect: f.prospect, Cursor: cursor, Index: i}, edge.raw(), reason); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

var errTwoEdges = errors.New("a page has edges twice")

// edgeByEdge does the same with little memory, whatever the page holds.
func (f *Flattener) edgeByEdge(body []byte, cursor string) error {
	if !json.Valid(body) { // whose errors quote the text, which may be personal
		return errors.New("a page is not valid JSON")
	}
	lists := 0
	for key := range fieldsOf(body) {
		if isKey(key, "edges") {
			lists++
		}
	}
	if lists > 1 {
		return errTwoEdges
	}
	i := 0
	for raw := range edgesOf(body) {
		f.books.Events++
		if reason := f.addText(raw); reason != nil {
			if err := f.refuse(Rejected{Prospect: f.prospect, Cursor: cursor, Index: i}, raw, reason); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

// addText is add of an edge that was not parsed yet.
func (f *Flattener) addText(raw []byte) error {
	edge, err := f.page.parse(raw, maxValues)
	if err != nil {
		return err
	}
	return f.add(edge)
}

// refuse hands out the event of an edge that is no row, or ends the run.
func (f *Flattener) refuse(r Rejected, edge []byte, reason error) error {
	var unexpected *Unexpected
	if errors.As(reason, &unexpected) && unexpected.handling == schemas.Fail {
		return reason
	}
	f.books.Quarantined++
	node := nodeOf(edge)
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

// add makes a row of an edge. The error says why that cannot be.
func (f *Flattener) add(edge value) error {
	node, nodes := edge.get("node")
	if nodes != 1 {
		return errNotOneNode
	}
	row, err := f.flatten(node)
	if err != nil {
		if row.tree != nil {
			f.count(row)
		}
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
