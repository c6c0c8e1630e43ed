package stage

import (
	"bytes"
	"cmp"
	"container/heap"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Merge merges sorted streams into one. It holds one batch of each.
func Merge(table schemas.Table, streams ...records.Rows) records.Rows {
	if len(streams) == 1 {
		return streams[0]
	}
	return merge(table, extent{}, func() (all []stream) {
		for _, rows := range streams {
			all = append(all, newBatchStream(table, rows))
		}
		return all
	})
}

// stream is a sequence of sorted rows. After a call of next, the other methods
// return the values of the current row.
type stream interface {
	// next advances to the next row, and reports whether there is one.
	next() (bool, error)
	// Rows are ordered by micros, then by entity and id.
	micros() int64
	entity() []byte
	id() []byte
	// copyTo appends the row to columns, and estimates how many bytes it takes
	// there.
	copyTo(columns []*records.Builder) (int, error)
	// stop releases the resources of the stream.
	stop()
}

// merge merges the streams that open returns into batches. first estimates the
// extent of the first batch.
func merge(table schemas.Table, first extent, open func() []stream) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		m := merger{columns: table.Columns, schema: records.Schema(table.Columns), extent: first}
		streams := open()
		defer func() {
			for _, s := range streams {
				s.stop()
			}
		}()
		for _, s := range streams {
			more, err := s.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if more {
				heap.Push(&m, head{s.micros(), s})
			}
		}
		for len(m.heads) > 0 {
			batch, err := m.nextBatch()
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// merger is a heap of the streams, ordered by their current rows.
type merger struct {
	columns []schemas.Column
	schema  *arrow.Schema
	heads   []head
	extent  extent // of the last batch, which estimates the next one
}

// extent is the size of a batch: the number of rows, and the bytes of texts by
// column. The zero value is an unknown extent.
type extent struct {
	rows  int
	texts []int
}

// head is a stream and the time of its current row.
type head struct {
	micros int64
	stream
}

// nextBatch merges the next rows into a batch.
func (m *merger) nextBatch() (arrow.Record, error) {
	if m.extent.texts == nil {
		m.extent.texts = make([]int, len(m.columns))
	}
	out := make([]*records.Builder, len(m.columns))
	for i, c := range m.columns {
		out[i] = records.NewBuilder(c, m.extent.rows, m.extent.texts[i]+m.extent.texts[i]/8)
	}
	for rows, size := 0, 0; rows < records.MaxRows && size < records.MaxBytes && len(m.heads) > 0; rows++ {
		h := &m.heads[0]
		copied, err := h.copyTo(out)
		if err != nil {
			return nil, err
		}
		size += copied
		more, err := h.next()
		switch {
		case err != nil:
			return nil, err
		case !more:
			heap.Pop(m)
		default:
			h.micros = h.stream.micros()
			heap.Fix(m, 0)
		}
	}
	m.extent.rows = out[0].Len()
	for i, c := range out {
		m.extent.texts[i] = min(c.TextBytes(), records.MaxBytes) // a single text may be far larger
	}
	return records.NewBatch(m.schema, out), nil
}

// The methods of heap.Interface.

func (m *merger) Len() int { return len(m.heads) }
func (m *merger) Less(i, j int) bool {
	a, b := m.heads[i], m.heads[j]
	if a.micros != b.micros {
		return a.micros < b.micros
	}
	return cmp.Or(bytes.Compare(a.entity(), b.entity()), bytes.Compare(a.id(), b.id())) < 0
}
func (m *merger) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merger) Push(h any)    { m.heads = append(m.heads, h.(head)) }
func (m *merger) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}

// batchStream reads a stream of batches row by row.
type batchStream struct {
	columns []schemas.Column
	order   order
	pull    func() (arrow.Record, error, bool)
	end     func()
	batch   []records.Column
	rows    int // of batch
	row     int
}

func newBatchStream(table schemas.Table, rows records.Rows) *batchStream {
	pull, end := iter.Pull2(rows)
	return &batchStream{columns: table.Columns, order: orderOf(table), pull: pull, end: end}
}

func (s *batchStream) next() (bool, error) {
	for s.row++; s.row >= s.rows; {
		batch, err, more := s.pull()
		if !more || err != nil {
			return false, err
		}
		s.batch, s.rows, s.row = records.ColumnsOf(s.columns, batch), int(batch.NumRows()), 0
	}
	return true, nil
}

func (s *batchStream) micros() int64  { return s.order.micros(s.batch, s.row) }
func (s *batchStream) entity() []byte { return s.batch[s.order.entity].Text(s.row) }
func (s *batchStream) id() []byte     { return s.batch[s.order.id].Text(s.row) }
func (s *batchStream) stop()          { s.end() }

func (s *batchStream) copyTo(columns []*records.Builder) (int, error) {
	size := 8 * len(columns)
	for i, c := range columns {
		from := &s.batch[i]
		c.AppendFrom(from, s.row)
		if from.IsText() {
			size += from.TextLen(s.row)
		}
	}
	return size, nil
}

// packedStream is a stream of packed rows. fetch returns the next row, or the zero value
// at the end.
type packedStream struct {
	layout *layout
	fetch  func() (stagedRow, error)
	at     stagedRow
}

// stagedRow is a packed row, or only its key if the row is read when it is copied.
type stagedRow struct {
	micros int64
	row    []byte
	read   func() ([]byte, error) // reads the row if row is its key; else nil
}

func (s *packedStream) next() (more bool, err error) {
	s.at, err = s.fetch()
	return s.at.row != nil, err
}

func (s *packedStream) micros() int64  { return s.at.micros }
func (s *packedStream) entity() []byte { return s.layout.text(s.at.row, s.layout.order.entity) }
func (s *packedStream) id() []byte     { return s.layout.text(s.at.row, s.layout.order.id) }
func (s *packedStream) stop()          {}

func (s *packedStream) copyTo(columns []*records.Builder) (size int, err error) {
	row := s.at.row
	if s.at.read != nil {
		if row, err = s.at.read(); err != nil {
			return 0, err
		}
	}
	return 8*len(columns) + s.layout.unpack(row, columns), nil
}
