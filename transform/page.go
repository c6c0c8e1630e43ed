package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fastjson"

	"prospector/schemas"
)

// Parsing takes some 400 bytes a value, so a page of tiny values would take many
// times its size. A page that has more values than this is parsed edge by edge,
// and an event that has more is no row.
const maxValues = 250_000

// What a page took to parse is used for the next one, unless the page had more
// bytes or values than these.
const (
	maxKeptBytes  = 4 << 20
	maxKeptValues = 50_000
)

var (
	errNotUnicode = errors.New("text that is not Unicode: invalid UTF-8, or half of a surrogate pair")
	errNotOneNode = errors.New("an edge without exactly one node")
	errTooMany    = fmt.Errorf("an event of more than %d values", maxValues)
	errTooDeep    = errors.New("an event that is nested more than 300 deep")
)

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
	if len(body) > maxKeptBytes || mayHaveMoreValues(body, maxKeptValues) {
		f.parser, f.event.scratch, f.extra, f.text = fastjson.Parser{}, nil, nil, nil
		for _, t := range f.trees {
			t.root.forget()
		}
	}
}

// edges takes the events of a page.
func (f *Flattener) edges(body []byte, cursor string) error {
	if !isUnicode(body) || hasMoreValues(body, maxValues) {
		return f.edgeByEdge(body, cursor)
	}
	root, err := f.parser.ParseBytes(body)
	if err != nil {
		return f.edgeByEdge(body, cursor) // one event may be to blame
	}
	if twice(root.GetObject(), "edges") {
		return errTwoEdges
	}
	var raw [][]byte // made when first needed
	for i, edge := range root.GetArray("edges") {
		f.books.Events++
		reason := f.add(edge)
		if reason == nil {
			continue
		}
		if raw == nil {
			raw = slices.Collect(edgesOf(body))
		}
		if err := f.refuse(Rejected{Prospect: f.prospect, Cursor: cursor, Index: i}, raw[i], reason); err != nil {
			return err
		}
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
	switch {
	case !isUnicode(raw):
		return errNotUnicode
	case hasMoreValues(raw, maxValues):
		return errTooMany
	}
	edge, err := f.parser.ParseBytes(raw)
	if err != nil { // it is valid JSON
		return errTooDeep
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
func (f *Flattener) add(edge *fastjson.Value) error {
	node := edge.Get("node")
	if node == nil || edge.GetObject().Len() > 1 && twice(edge.GetObject(), "node") {
		return errNotOneNode
	}
	row, err := f.flatten(node)
	if err != nil {
		if row.tree != nil {
			f.count(row)
		}
		return err
	}
	if f.partial() {
		if f.text, err = appendCanonical(f.text[:0], node); err != nil {
			return err // of a key that stands twice in what is dropped or protected as a whole
		}
		f.whole = append(f.whole, schemas.HashValuesOf("event").String(string(f.text)))
	}
	f.append([]byte(f.prospect), dayOf(row.happened))
	if !f.ids.add(keyOf(f.prospect, row.eventType, row.recorded), row.happened, f.content) {
		f.books.Duplicates++
		f.cut()
		if f.partial() {
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

// twice reports whether a key of an object stands more than once.
func twice(object *fastjson.Object, key string) bool {
	n := 0
	object.Visit(func(k []byte, _ *fastjson.Value) {
		if string(k) == key {
			n++
		}
	})
	return n > 1
}
