package sink

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

// Rows is a stream of record batches in the order of the files: by time (the
// event_time, or where that is NULL the created_at), prospect_id and event_id.
// The first error ends it. Batches begin with the columns of the table's files.
type Rows = iter.Seq2[arrow.Record, error]

// A batch of a stream ends with the row that brings it to so many rows or bytes.
// Streams that are merged hold one such batch each, so these bound memory when
// texts are long, and keep a column far from the 2 GiB that its offsets reach.
const (
	chunkRows  = 16 << 10
	chunkBytes = 1 << 20
)

// sortKeys are the columns of a batch by which rows are ordered and sized.
type sortKeys struct {
	time, created *array.Timestamp
	prospect, id  *array.String
	texts         []*array.String // all that go to the files
	fixed         int             // bytes of a row beside its texts
}

func keysOf(table schemas.Table, batch arrow.Record) sortKeys {
	column := func(name string) arrow.Array {
		return batch.Column(slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Name == name }))
	}
	keys := sortKeys{
		time:     column("event_time").(*array.Timestamp),
		created:  column("created_at").(*array.Timestamp),
		prospect: column("prospect_id").(*array.String),
		id:       column("event_id").(*array.String),
		fixed:    8 * len(table.Columns),
	}
	for i := range table.Columns {
		if texts, ok := batch.Column(i).(*array.String); ok {
			keys.texts = append(keys.texts, texts)
		}
	}
	return keys
}

// size is about how many bytes a row takes.
func (k *sortKeys) size(row int) int {
	size := k.fixed
	for _, texts := range k.texts {
		size += texts.ValueLen(row)
	}
	return size
}

// micros is the time that orders a row.
func (k *sortKeys) micros(row int) int64 {
	if k.time.IsNull(row) {
		return int64(k.created.Value(row))
	}
	return int64(k.time.Value(row))
}

func compareRows(a *sortKeys, i int, b *sortKeys, j int) int {
	if c := cmp.Compare(a.micros(i), b.micros(j)); c != 0 {
		return c
	}
	if c := strings.Compare(a.prospect.Value(i), b.prospect.Value(j)); c != 0 {
		return c
	}
	return strings.Compare(a.id.Value(i), b.id.Value(j))
}

// rowRef is a row of one of several batches.
type rowRef struct{ batch, row int32 }

// gather copies rows of several batches into one batch of those columns, which
// are the batches' first ones.
func gather(columns []schemas.Column, batches []arrow.Record, rows []rowRef) arrow.Record {
	schema := schemas.Arrow(columns)
	arrays := make([]arrow.Array, len(columns))
	for c := range columns {
		sources := make([]arrow.Array, len(batches))
		for i, b := range batches {
			sources[i] = b.Column(c)
		}
		switch columns[c].Type {
		case schemas.String, schemas.JSON:
			arrays[c] = gatherStrings(sources, rows)
		case schemas.Int64:
			b := array.NewInt64Builder(memory.DefaultAllocator)
			arrays[c] = gatherFixed[int64, *array.Int64](b, sources, rows)
		case schemas.Float64:
			b := array.NewFloat64Builder(memory.DefaultAllocator)
			arrays[c] = gatherFixed[float64, *array.Float64](b, sources, rows)
		case schemas.Bool:
			b := array.NewBooleanBuilder(memory.DefaultAllocator)
			arrays[c] = gatherFixed[bool, *array.Boolean](b, sources, rows)
		case schemas.Timestamp:
			b := array.NewTimestampBuilder(memory.DefaultAllocator, schema.Field(c).Type.(*arrow.TimestampType))
			arrays[c] = gatherFixed[arrow.Timestamp, *array.Timestamp](b, sources, rows)
		case schemas.Date:
			b := array.NewDate32Builder(memory.DefaultAllocator)
			arrays[c] = gatherFixed[arrow.Date32, *array.Date32](b, sources, rows)
		}
	}
	return array.NewRecord(schema, arrays, int64(len(rows)))
}

func gatherStrings(sources []arrow.Array, rows []rowRef) arrow.Array {
	from := typed[*array.String](sources)
	size := 0
	for _, r := range rows {
		size += from[r.batch].ValueLen(int(r.row))
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.Reserve(len(rows))
	b.ReserveData(size)
	for _, r := range rows {
		if s := from[r.batch]; s.IsNull(int(r.row)) {
			b.AppendNull()
		} else {
			b.Append(s.Value(int(r.row)))
		}
	}
	return b.NewArray()
}

func gatherFixed[T any, A interface {
	arrow.Array
	Value(int) T
}, B interface {
	Reserve(int)
	AppendNull()
	UnsafeAppend(T)
	NewArray() arrow.Array
}](b B, sources []arrow.Array, rows []rowRef) arrow.Array {
	from := typed[A](sources)
	b.Reserve(len(rows))
	for _, r := range rows {
		if s := from[r.batch]; s.IsNull(int(r.row)) {
			b.AppendNull()
		} else {
			b.UnsafeAppend(s.Value(int(r.row)))
		}
	}
	return b.NewArray()
}

func typed[A arrow.Array](sources []arrow.Array) []A {
	out := make([]A, len(sources))
	for i, s := range sources {
		out[i] = s.(A)
	}
	return out
}
