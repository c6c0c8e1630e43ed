package sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"

	"prospector/schemas"
)

// ErrSchema says that a file does not have the table's columns.
var ErrSchema = errors.New("the file does not have the columns of the table")

// Read gives the rows of a file that Write has made, in its order. The file must
// stay open until the stream has ended.
func Read(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) Rows {
	return func(yield func(arrow.Record, error) bool) {
		// v15 can panic on a malformed file. A panic of the consumer passes.
		consuming := false
		defer func() {
			if consuming {
				return
			}
			if p := recover(); p != nil {
				yield(nil, fmt.Errorf("reading a Parquet file: the library failed: %v", p))
			}
		}()
		schema := schemas.Arrow(table.Columns)
		batches, err := open(ctx, r, size, schema)
		if err != nil {
			yield(nil, err)
			return
		}
		defer batches.Release()
		for {
			batch, err := batches.Read()
			if errors.Is(err, io.EOF) || err == nil && batch == nil {
				return
			}
			if err != nil {
				err = fmt.Errorf("reading a Parquet file: %w", err)
			} else {
				// With the table's own schema, and without the reader's
				// memory of it: it lets go of batch at the next one.
				batch = array.NewRecord(schema, batch.Columns(), batch.NumRows())
			}
			consuming = true
			more := yield(batch, err)
			consuming = false
			if !more || err != nil {
				return
			}
		}
	}
}

func open(ctx context.Context, r io.ReaderAt, size int64, want *arrow.Schema) (pqarrow.RecordReader, error) {
	source, err := file.NewParquetReader(io.NewSectionReader(r, 0, size),
		file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		return nil, fmt.Errorf("reading a Parquet file: %w", err)
	}
	reader, err := pqarrow.NewFileReader(source, pqarrow.ArrowReadProperties{BatchSize: chunkRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, fmt.Errorf("reading a Parquet file: %w", err)
	}
	schema, err := reader.Schema()
	if err != nil {
		return nil, fmt.Errorf("reading a Parquet file: %w", err)
	}
	if len(schema.Fields()) != len(want.Fields()) {
		return nil, ErrSchema
	}
	for i, f := range want.Fields() {
		if got := schema.Field(i); got.Name != f.Name || !arrow.TypeEqual(got.Type, f.Type) {
			return nil, fmt.Errorf("%w: column %d is %s %s, not %s %s", ErrSchema, i+1, got.Name, got.Type, f.Name, f.Type)
		}
	}
	return reader.GetRecordReader(ctx, nil, nil)
}
