// Package transform turns raw pages of events into Arrow record batches with one row
// for each event.
//
// Its duties: every field of an event is in a column or in extra_json, so that the
// event can be rebuilt from its row. The same event has the same ID in every run. An
// event that occurs twice becomes one row. An event that cannot become a row is
// rejected with a reason and its bytes. Books and Survey count every event.
//
// Not its duties: I/O, partitions, files and HTTP.
package transform

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/internal/bug"
	"prospector/schemas"
)

// Rejected is an event that cannot become a row.
type Rejected struct {
	Prospect string
	Cursor   string // of its page; "" for the first page
	Index    int    // of its edge on the page
	Reason   string // without any content of the event
	// Raw is the event, or the edge if the edge does not have exactly one event. It is
	// unchanged, and not necessarily valid JSON or UTF-8. If the table protects
	// values, Raw is the canonical JSON of the event with the policies applied. If the
	// policies cannot be applied, Raw is nil, and Withheld is the number of bytes left
	// out.
	Raw      []byte
	Withheld int
}

// Books count the outcomes of events. Events = Rows + Duplicates + Quarantined.
type Books struct {
	Events      int64 `json:"events"` // edges
	Rows        int64 `json:"rows"`
	Duplicates  int64 `json:"duplicates"`  // repetitions of exactly the same event
	Quarantined int64 `json:"quarantined"` // Rejected

	// Facts about the rows.
	Extra      int64 `json:"extra"`       // rows with an extra_json
	Tied       int64 `json:"tied"`        // rows that share prospect, type and creation time with a different event
	NaiveTimes int64 `json:"naive_times"` // times without an offset, read as UTC
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

// A batch that has reached batchRows or batchBytes is emitted at the end of the current
// prospect. It is emitted earlier only at ten times that size, because IDs are easiest to
// assign when all events of a prospect are known.
const (
	batchRows  = 8 << 10
	batchBytes = 2 << 20
)

// Flattener makes record batches from the events of one prospect after another. For each
// prospect, call Begin, Page for each page in order, and End. Call Flush after the last
// prospect. A Flattener is for one goroutine.
//
// Batches have the columns of schemas.Table.RowColumns. Their memory is reused after emit
// returns.
type Flattener struct {
	*builder
	envelope Envelope
	emit     func(arrow.Record) error
	reject   func(Rejected) error

	page     document
	prospect string
	ids      identities
	partial  bool // a row may not have all values of its event
	// eventDigests are the digests of the events in the current batch if rows are
	// partial, because different events can then have the same row.
	eventDigests []schemas.Digest
	text         []byte // canonical JSON of the current event, for its digest
	books        Books
	further      int64 // events of types that the survey has no room for
}

// NewFlattener returns a Flattener that passes its batches to emit, and the events that
// cannot become rows to reject. The method that calls emit or reject returns their error.
func NewFlattener(table schemas.Table, envelope Envelope, emit func(arrow.Record) error, reject func(Rejected) error) *Flattener {
	return &Flattener{
		builder: newBuilder(table, protections(table)), envelope: envelope, emit: emit, reject: reject,
		partial: table.Protects() || table.UnknownField == schemas.Discard,
	}
}

// Books returns the counts so far.
func (f *Flattener) Books() Books { return f.books }

// Begin starts a prospect.
func (f *Flattener) Begin(prospect string) {
	f.prospect = prospect
	f.ids.begin(f.rows())
}

// End finishes the prospect.
func (f *Flattener) End() error {
	if err := f.assignIDs(); err != nil {
		return err
	}
	f.ids.begin(f.rows())
	if f.full(1) {
		return f.Flush()
	}
	return nil
}

// Flush emits the remaining rows. Call it only between prospects.
func (f *Flattener) Flush() error {
	if f.rows() == 0 {
		return nil
	}
	err := f.emit(f.record())
	f.eventDigests = f.eventDigests[:0]
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

// content returns a digest that distinguishes the events with the same key.
func (f *Flattener) content(row int) schemas.Digest {
	if f.partial {
		return f.eventDigests[row]
	}
	return f.digest(row)
}

// assignIDs assigns IDs to the prospect's rows that have none yet.
func (f *Flattener) assignIDs() error {
	ids := f.batch[f.idAt]
	tied := f.ids.assign(func(id []byte) { ids.appendString(id) })
	f.books.Tied += int64(tied)
	if ids.rows != f.rows() {
		return fmt.Errorf("%d IDs were assigned to %d rows: %w", ids.rows, f.rows(), bug.ErrInternal)
	}
	return nil
}
