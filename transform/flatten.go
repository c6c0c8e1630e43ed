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
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

// Rejected is an event that cannot become a row.
type Rejected struct {
	Prospect string
	Cursor   string // of the page it was on; "" for the first page
	Index    int    // of its edge on that page
	Reason   string // without any of its content
	// Raw is its node, or the whole edge where there is not one node, as it came:
	// not necessarily valid JSON or UTF-8. Of a table that protects values, it is
	// the node's canonical JSON with the policies applied, or nil where that
	// cannot be told; then Withheld is how many bytes were left out.
	Raw      []byte
	Withheld int
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
// Batches have the columns of schemas.Table.RowColumns. Their memory is used again
// once emit has returned. A row number is stable between batches of one prospect
// alone.
type Flattener struct {
	*builder
	envelope Envelope
	emit     func(arrow.Record) error
	reject   func(Rejected) error

	page     document
	prospect string
	ids      identities
	partial  bool // a row can tell less than its event
	// whole are digests of the events of the batch at hand, where rows are
	// partial: else different events could be taken for one.
	whole   []schemas.Digest
	text    []byte // of the event at hand, for that
	books   Books
	further int64 // events that the survey has no room for
}

// NewFlattener makes a Flattener that gives its batches to emit, and what cannot
// become a row to reject. Their errors end the flattening.
func NewFlattener(table schemas.Table, envelope Envelope, emit func(arrow.Record) error, reject func(Rejected) error) *Flattener {
	return &Flattener{
		builder: newBuilder(table, protections(table)), envelope: envelope, emit: emit, reject: reject,
		partial: table.Protects() || table.UnknownField == schemas.Discard,
	}
}

// Books are the counts so far.
func (f *Flattener) Books() Books { return f.books }

// Begin starts a prospect.
func (f *Flattener) Begin(prospect string) {
	f.prospect = prospect
	f.ids.begin(f.rows())
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
	if f.rows() == 0 {
		return nil
	}
	err := f.emit(f.record())
	f.whole = f.whole[:0]
	f.ids.restart(0)
	for _, c := range f.batch {
		c.restart()
	}
	return err
}

func (f *Flattener) full(times int) bool {
	bytes := 0
	for _, c := range f.batch {
		bytes += len(c.data) + 8*len(c.ints)
	}
	return f.rows() >= times*batchRows || bytes >= times*batchBytes
}

// content tells the event of a row from others that have the same key.
func (f *Flattener) content(row int) schemas.Digest {
	if f.partial {
		return f.whole[row]
	}
	return f.digest(row)
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
