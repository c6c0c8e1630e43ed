package stage

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
)

// Reshape returns the rows of a file with the columns of another table's rows
// (Table.RowColumns), so that they can be staged there. The tables have the same columns,
// but can differ in their partition keys. Values that are not in the file come from the
// keys of its partition. The tables may be the same.
func Reshape(rows records.Rows, from schemas.Table, partition sink.Partition, to schemas.Table) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err == nil {
				batch, err = ReshapeBatch(batch, from, partition, to)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// ReshapeBatch is Reshape for one batch.
func ReshapeBatch(batch arrow.Record, from schemas.Table, partition sink.Partition, to schemas.Table) (arrow.Record, error) {
	columns := to.RowColumns()
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		if at := schemas.IndexOf(from.Columns, c.Name); at >= 0 {
			arrays[i] = batch.Column(at)
			continue
		}
		var err error
		if arrays[i], err = constant(partition, c, int(batch.NumRows())); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(records.Schema(columns), arrays, batch.NumRows()), nil
}

// constant returns a column of n rows, each with the value of a partition key.
func constant(p sink.Partition, c schemas.Column, n int) (arrow.Array, error) {
	i := slices.IndexFunc(p.Keys, func(k sink.PartitionKey) bool { return k.Column.Name == c.Name })
	if i < 0 {
		return nil, fmt.Errorf("neither partition %s nor its files have the column %s", p.Path, c.Name)
	}
	if c.Type == schemas.Date {
		b := array.NewDate32Builder(memory.DefaultAllocator)
		defer b.Release()
		for range n {
			b.Append(arrow.Date32(p.Keys[i].Day))
		}
		return b.NewArray(), nil
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for range n {
		b.Append(p.Keys[i].Text)
	}
	return b.NewArray(), nil
}
