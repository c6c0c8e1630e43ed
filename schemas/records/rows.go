package records

import (
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Rows is a stream of record batches whose rows are in the order of the table's
// files: by time, entity and ID (schemas.Roles). If the time is NULL, the time of
// creation replaces it. The first error ends the stream. Batches begin with the columns
// of the table's files.
type Rows = iter.Seq2[arrow.Record, error]

// A batch of a stream ends with the row that brings it to MaxRows rows or MaxBytes
// bytes. A merge holds one batch of each stream, so these limits bound its memory
// when texts are long. They also keep a column far from 2 GiB, the largest offset
// of a text.
const (
	MaxRows  = 16 << 10
	MaxBytes = 1 << 20
)

// ValueBytes estimates the size, in bytes, of the values in a batch's rows from start
// up to, but not including, end.
func ValueBytes(batch arrow.Record, start, end int) int64 {
	bytes := 8 * (end - start) * int(batch.NumCols())
	for _, column := range batch.Columns() {
		if texts, ok := column.(*array.String); ok {
			bytes += texts.ValueOffset(end) - texts.ValueOffset(start)
		}
	}
	return int64(bytes)
}

// AllocatedBytes returns the size of a batch's buffers, in bytes.
func AllocatedBytes(batch arrow.Record) (size int64) {
	for _, c := range batch.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				size += int64(b.Cap())
			}
		}
	}
	return size
}

// CatchPanic calls f and turns its panic into an error. Version 15 of the Arrow
// library panics on pages over 2 GB and on damaged input.
func CatchPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the Arrow library failed: %v", p)
		}
	}()
	return f()
}
