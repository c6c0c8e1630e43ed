// Package transform turns raw pages of events into Arrow record batches, one row
// an event, and decides what becomes of published rows when new ones arrive.
//
// Its duties: every field of an event is in a column or in extra_json, so that
// the event can be rebuilt from its row; the same event has the same id in every
// run; an event that stands twice becomes one row; what cannot become a row is
// handed out with a reason and its bytes; all of it is counted.
//
// Not its duties: reading or writing anything, knowing partitions, files or
// HTTP.
package transform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/valyala/fastjson"

	"prospector/schemas"
)

// Rejected is an event that cannot become a row.
type Rejected struct {
	Prospect string
	Cursor   string // of the page it was on; "" for the first page
	Index    int    // of its edge on that page
	Reason   string // without any of its content
	Raw      []byte // its node as it came; not necessarily valid JSON or UTF-8
}

// Books count what became of events. Events = Rows + Duplicates + Quarantined.
type Books struct {
	Events      int64 `json:"events"` // edges read
	Rows        int64 `json:"rows"`
	Duplicates  int64 `json:"duplicates"`  // exactly the same event again
	Quarantined int64 `json:"quarantined"` // Rejected

	// What is worth telling of the rows.
	Extra      int64 `json:"extra"`       // rows with an extra_json
	Tied       int64 `json:"tied"`        // rows that share prospect, type and creation with a different event
	NaiveTimes int64 `json:"naive_times"` // times without an offset, taken for UTC
}

// Add adds other books to these.
func (b *Books) Add(o Books) {
	b.Events += o.Events
	b.Rows += o.Rows
	b.Duplicates += o.Duplicates
	b.Quarantined += o.Quarantined
	b.Extra += o.Extra
	b.Tied += o.Tied
	b.NaiveTimes += o.NaiveTimes
}

// A batch is handed out at the first prospect that ends after it has reached
// batchRows or batchBytes, and in the midst of a prospect only at ten times that:
// identity is simplest when all events of a prospect are at hand.
const (
	batchRows  = 8 << 10
	batchBytes = 2 << 20
)

// Flattener makes record batches of the events of one prospect after another:
// Begin, its Pages in order, End; Flush at last. It is for one goroutine.
//
// Batches have the columns of schemas.Table.RowColumns and belong to the
// receiver; their memory is Go's, so that releasing them is optional. A row
// number is stable between batches of one prospect alone.
type Flattener struct {
	columns []schemas.Column
	schema  *arrow.Schema
	emit    func(arrow.Record) error
	reject  func(Rejected) error

	parser fastjson.Parser
	trees  map[string]*node // by event type
	event  event
	extra  []byte

	batch    []*column
	prospect string
	ids      identities
	books    Books

	// Where the derived values go; -1 when the table has no such column.
	idAt, prospectAt, typeAt, dayAt, extraAt, timeAt, createdAt int
}

// NewFlattener makes a Flattener that gives its batches to emit, and what cannot
// become a row to reject. Their errors end the flattening.
func NewFlattener(table schemas.Table, emit func(arrow.Record) error, reject func(Rejected) error) *Flattener {
	columns := table.RowColumns()
	at := func(match func(schemas.Column) bool) int { return slices.IndexFunc(columns, match) }
	derived := func(d schemas.Derivation) int {
		return at(func(c schemas.Column) bool { return c.Value == d })
	}
	named := func(name string) int { return at(func(c schemas.Column) bool { return c.Name == name }) }
	f := &Flattener{
		columns: columns, schema: schemas.Arrow(columns), emit: emit, reject: reject,
		trees:      make(map[string]*node),
		event:      event{columns: columns, cells: make([]cell, len(columns))},
		idAt:       derived(schemas.Identity),
		prospectAt: derived(schemas.Prospect),
		dayAt:      derived(schemas.Day),
		extraAt:    derived(schemas.Extra),
		typeAt:     named("event_type"),
		timeAt:     named("event_time"),
		createdAt:  named("created_at"),
	}
	f.startBatch(nil)
	return f
}

func (f *Flattener) startBatch(like []*column) {
	f.batch = make([]*column, len(f.columns))
	for i, c := range f.columns {
		if like == nil {
			f.batch[i] = newColumn(c, nil)
		} else {
			f.batch[i] = newColumn(c, like[i])
		}
	}
}

// Books are the counts so far.
func (f *Flattener) Books() Books { return f.books }

// Begin starts a prospect.
func (f *Flattener) Begin(prospect string) {
	f.prospect = prospect
	f.ids.begin(f.rows())
}

// Page flattens the events of the prospect's next page, which was requested with
// that cursor. The body must be a JSON object; an error says that it is not, and
// then none of its events was taken.
func (f *Flattener) Page(body []byte, cursor string) error {
	root, err := f.parser.ParseBytes(body)
	if err != nil {
		// fastjson's own error quotes the text, which may be personal.
		return errors.New("a page is not valid JSON, or is nested more than 300 deep")
	}
	unicode := isUnicode(body)
	var raw [][]byte // made when first needed
	for i, edge := range root.GetArray("edges") {
		f.books.Events++
		if !unicode && raw == nil {
			if raw, err = rawNodes(body); err != nil {
				return err
			}
		}
		reason := "text that is not Unicode: invalid UTF-8, or half of a surrogate pair"
		if unicode || isUnicode(raw[i]) {
			reason = f.add(edge)
		}
		if reason == "" {
			continue
		}
		if raw == nil {
			if raw, err = rawNodes(body); err != nil {
				return err
			}
		}
		f.books.Quarantined++
		err := f.reject(Rejected{
			Prospect: f.prospect, Cursor: cursor, Index: i, Reason: reason, Raw: slices.Clone(raw[i]),
		})
		if err != nil {
			return err
		}
	}
	if f.full(10) {
		if err := f.settle(); err != nil {
			return err
		}
		f.ids.leave(f.digest)
		return f.Flush()
	}
	return nil
}

// End finishes the prospect.
func (f *Flattener) End() error {
	if err := f.settle(); err != nil {
		return err
	}
	f.ids.begin(f.rows())
	if f.full(1) {
		return f.Flush()
	}
	return nil
}

// Flush hands out what is left. It is called between prospects.
func (f *Flattener) Flush() error {
	rows := f.rows()
	if rows == 0 {
		return nil
	}
	arrays := make([]arrow.Array, len(f.batch))
	for i, c := range f.batch {
		arrays[i] = c.array(f.schema.Field(i).Type)
	}
	f.startBatch(f.batch)
	f.ids.restart(0)
	return f.emit(array.NewRecord(f.schema, arrays, int64(rows)))
}

// rows counts the rows of the batch at hand; the ids may not be there yet.
func (f *Flattener) rows() int { return f.batch[f.prospectAt].rows }

func (f *Flattener) full(times int) bool {
	bytes := 0
	for _, c := range f.batch {
		bytes += len(c.data) + 8*len(c.ints)
	}
	return f.rows() >= times*batchRows || bytes >= times*batchBytes
}

// add makes a row of an edge. It gives the reason why that cannot be, or "".
func (f *Flattener) add(edge *fastjson.Value) (reason string) {
	node := edge.Get("node")
	if node == nil || edge.GetObject().Len() > 1 && hasTwoNodes(edge.GetObject()) {
		return "an edge without exactly one node"
	}
	object, err := node.Object()
	if err != nil {
		return "a node that is not an object"
	}
	kind := object.Get("type")
	if kind == nil || kind.Type() != fastjson.TypeString {
		return "an event without a type"
	}
	name, _ := kind.StringBytes()
	if len(name) == 0 || len(name) > MaxTypeLength {
		return fmt.Sprintf("a type of %d bytes; it is in a directory's name, so it has 1 to %d", len(name), MaxTypeLength)
	}
	e := &f.event
	e.reset(f.tree(name))
	if err := e.gather(e.root, object); err != nil {
		return err.Error()
	}
	eventTime, created := e.cells[f.timeAt], e.cells[f.createdAt]
	happened, recorded := eventTime, created
	if happened.from == nil {
		happened = created
	}
	if recorded.from == nil {
		recorded = eventTime
	}
	if happened.from == nil {
		return "no usable time: neither eventTime nor createdAt is a time"
	}
	if f.extra, err = e.appendExtra(f.extra[:0]); err != nil {
		return err.Error()
	}

	for i, c := range f.batch {
		switch cell := &e.cells[i]; {
		case i == f.idAt: // settle writes it
		case i == f.prospectAt:
			c.appendString([]byte(f.prospect))
		case i == f.dayAt:
			c.appendInt(int64(dayOf(happened.int)))
		case i == f.extraAt && len(f.extra) > 0:
			c.appendString(f.extra)
		case cell.from == nil:
			c.appendNull()
		case c.Type == schemas.String:
			c.appendString(cell.str)
		default:
			c.appendInt(cell.int)
		}
	}
	if !f.ids.add(keyOf(f.prospect, name, recorded.int), happened.int, f.digest) {
		f.books.Duplicates++
		for i, c := range f.batch {
			if i != f.idAt {
				c.cut()
			}
		}
		return ""
	}
	f.books.Rows++
	f.books.NaiveTimes += int64(e.naive)
	if len(f.extra) > 0 {
		f.books.Extra++
	}
	return ""
}

// MaxTypeLength is the longest event type, in bytes. It becomes part of a
// directory's name, where any of its bytes may take five.
const MaxTypeLength = 48

// hasTwoNodes reports whether an edge's key "node" stands more than once.
func hasTwoNodes(edge *fastjson.Object) bool {
	n := 0
	edge.Visit(func(key []byte, _ *fastjson.Value) {
		if string(key) == "node" {
			n++
		}
	})
	return n > 1
}

func (f *Flattener) tree(eventType []byte) *node {
	if t, ok := f.trees[string(eventType)]; ok {
		return t
	}
	if len(f.trees) > 1000 { // a source that makes up types does not fill the memory
		clear(f.trees)
	}
	t := compile(f.columns, string(eventType))
	f.trees[string(eventType)] = t
	return t
}

// digest tells a row's content, all but its id.
func (f *Flattener) digest(row int) (sum schemas.Digest) {
	for i, c := range f.batch {
		if i != f.idAt {
			sum = sum.Add(c.digest(row))
		}
	}
	return sum.Seal()
}

// settle gives ids to the prospect's rows that have none yet.
func (f *Flattener) settle() error {
	ids := f.batch[f.idAt]
	tied := f.ids.settle(func(id []byte) { ids.appendString(id) })
	f.books.Tied += int64(tied)
	if ids.rows != f.rows() {
		return fmt.Errorf("%d ids were made for %d rows of prospect %s: this is a bug of prospector", ids.rows, f.rows(), f.prospect)
	}
	return nil
}
