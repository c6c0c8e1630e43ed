package sink

import (
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

// Rows is a stream of record batches in the order of the files: by time (the
// event_time, or where that is NULL the created_at), prospect_id and event_id.
// The first error ends it. Batches begin with the columns of the table's files.
type Rows = iter.Seq2[arrow.Record, error]

// A batch of a stream ends with the row that brings it to so many rows or bytes.
// Streams that are merged hold one batch each, so these bound memory when texts
// are long, and keep a column far from the 2 GiB that its offsets reach.
const (
	chunkRows  = 16 << 10
	chunkBytes = 1 << 20
)

// order says by which columns of a table's files rows are ordered.
type order struct{ time, created, prospect, id int }

func orderOf(table schemas.Table) order {
	named := func(name string) int {
		return slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Name == name })
	}
	return order{named("event_time"), named("created_at"), named("prospect_id"), named("event_id")}
}

// micros is the time that orders a row first.
func (o order) micros(row []source, i int) int64 {
	if row[o.time].isValid(i) {
		return row[o.time].word(i)
	}
	return row[o.created].word(i)
}
