package sink

import (
	"cmp"
	"container/heap"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

// Merge makes one stream of several. It holds one batch of each.
func Merge(table schemas.Table, streams ...Rows) Rows {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(arrow.Record, error) bool) {
		m := merger{columns: table.Columns, schema: schemas.Arrow(table.Columns), order: orderOf(table)}
		defer m.stop()
		for _, s := range streams {
			if err := m.open(s); err != nil {
				yield(nil, err)
				return
			}
		}
		for len(m.heads) > 0 {
			batch, err := m.chunk()
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// merger is a heap of the streams' heads, the least row first.
type merger struct {
	columns []schemas.Column
	schema  *arrow.Schema
	order   order
	heads   []*head
	batches [][]source // those that the chunk being made takes rows from
	stops   []func()
}

// head is the next row of a stream.
type head struct {
	next   func() (arrow.Record, error, bool)
	batch  []source
	rows   int // of batch
	row    int
	micros int64 // of the row
	at     int32 // index of batch in merger.batches, or -1
}

func (m *merger) open(rows Rows) error {
	next, stop := iter.Pull2(rows)
	m.stops = append(m.stops, stop)
	h := &head{next: next}
	if more, err := m.load(h); err != nil || !more {
		return err
	}
	heap.Push(m, h)
	return nil
}

// load goes on to the stream's next batch that has rows.
func (m *merger) load(h *head) (bool, error) {
	for {
		batch, err, more := h.next()
		if !more || err != nil {
			return false, err
		}
		if batch.NumRows() > 0 {
			h.batch, h.rows, h.row, h.at = sourcesOf(m.columns, batch), int(batch.NumRows()), 0, -1
			h.micros = m.order.micros(h.batch, 0)
			return true, nil
		}
	}
}

// chunk merges the next rows into a batch.
func (m *merger) chunk() (arrow.Record, error) {
	m.batches = m.batches[:0]
	for _, h := range m.heads {
		h.at = -1
	}
	var rows []rowRef
	for size := 0; len(rows) < chunkRows && size < chunkBytes && len(m.heads) > 0; {
		h := m.heads[0]
		if h.at < 0 {
			h.at = int32(len(m.batches))
			m.batches = append(m.batches, h.batch)
		}
		rows = append(rows, rowRef{h.at, int32(h.row)})
		size += rowSize(h.batch, h.row)
		if h.row++; h.row < h.rows {
			h.micros = m.order.micros(h.batch, h.row)
			heap.Fix(m, 0)
			continue
		}
		switch more, err := m.load(h); {
		case err != nil:
			return nil, err
		case more:
			heap.Fix(m, 0)
		default:
			heap.Pop(m)
		}
	}
	return gather(m.columns, m.schema, m.batches, rows), nil
}

func (m *merger) stop() {
	for _, stop := range m.stops {
		stop()
	}
}

// The heap.

func (m *merger) Len() int { return len(m.heads) }
func (m *merger) Less(i, j int) bool {
	a, b := m.heads[i], m.heads[j]
	if a.micros != b.micros {
		return cmp.Less(a.micros, b.micros)
	}
	return m.order.compareTies(a.batch, a.row, b.batch, b.row) < 0
}
func (m *merger) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merger) Push(h any)    { m.heads = append(m.heads, h.(*head)) }
func (m *merger) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}
