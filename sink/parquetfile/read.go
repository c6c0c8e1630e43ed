package parquetfile

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
	"prospector/schemas/records"
	"prospector/sink"
)

// ErrSchema is the error for a file that does not have the table's columns.
var ErrSchema = errors.New("the file does not have the columns of the table")

// ErrDamaged is the error for a file whose rows differ from those that were written.
var ErrDamaged = errors.New("the file is damaged: its rows are not those that were written")

// Read returns the rows of a file from Write, in the order of the file. The file must
// stay open until the stream ends. At its end, the stream compares the rows with the
// digest in the file's metadata, so trust the rows only if the stream ends without
// an error.
//
// The caller must have checked the file's checksum. Read returns an error for most
// damage, but a damaged index into a dictionary can make version 15 of the library
// allocate any amount of memory.
func Read(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		// Version 15 of the library can panic on a malformed file. A panic of the
		// consumer propagates.
		consuming := false
		defer func() {
			if consuming {
				return
			}
			if p := recover(); p != nil {
				yield(nil, fmt.Errorf("reading a Parquet file: the library failed: %v", p))
			}
		}()
		f, err := open(ctx, r, size, table)
		if err != nil {
			yield(nil, fmt.Errorf("reading a Parquet file: %w", err))
			return
		}
		for {
			batch, err := f.next(ctx)
			if err == nil && batch == nil {
				return
			}
			if err != nil {
				err = fmt.Errorf("reading a Parquet file: %w", err)
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

// reader reads a batch of rows from all columns of a file at a time. It replaces
// pqarrow.RecordReader, which treats damaged pages as the end of the file, and opens the
// columns in goroutines, where a panic ends the process.
type reader struct {
	table   schemas.Table
	schema  *arrow.Schema
	columns []*pqarrow.ColumnReader
	left    int64          // rows to read
	groups  []groupLeft    // those with rows to read
	batch   int64          // rows of the next batch
	content schemas.Digest // of the rows so far
	want    string         // content after the last row
}

func open(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) (*reader, error) {
	properties := *parquet.NewReaderProperties(memory.DefaultAllocator)
	properties.BufferedStreamEnabled, properties.BufferSize = true, streamBuffer // otherwise a column chunk is in memory twice
	source, err := file.NewParquetReader(io.NewSectionReader(r, 0, size),
		file.WithReadProps(&properties))
	if err != nil {
		return nil, err
	}
	from, err := pqarrow.NewFileReader(source, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	got, err := from.Schema()
	if err != nil {
		return nil, err
	}
	f := &reader{table: table, schema: records.Schema(table.Columns), left: source.NumRows(), batch: 256}
	for _, g := range source.MetaData().RowGroups {
		if g.NumRows > 0 {
			f.groups = append(f.groups, groupLeft{g.NumRows, max(1, records.MaxBytes/max(1, g.TotalByteSize/g.NumRows))})
		}
	}
	if len(got.Fields()) != len(table.Columns) {
		return nil, fmt.Errorf("%w: there are %d columns, not %d", ErrSchema, len(got.Fields()), len(table.Columns))
	}
	for i, want := range f.schema.Fields() {
		if got := got.Field(i); got.Name != want.Name || !arrow.TypeEqual(got.Type, want.Type) {
			return nil, fmt.Errorf("%w: column %d is %s %s, not %s %s", ErrSchema, i+1, got.Name, got.Type, want.Name, want.Type)
		}
	}
	content := source.MetaData().KeyValueMetadata().FindValue(sink.MetadataContent)
	if content == nil {
		return nil, fmt.Errorf("%w: the metadata has no digest of the rows", ErrDamaged)
	}
	f.want = *content
	if f.left > 0 { // a file without rows has no pages
		for i := range table.Columns {
			column, err := from.GetColumn(ctx, i)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", table.Columns[i].Name, err)
			}
			f.columns = append(f.columns, column)
		}
	}
	return f, nil
}

// streamBuffer is the number of bytes of a column chunk that are read at a time.
const streamBuffer = 256 << 10

// groupLeft is the unread rest of a row group.
type groupLeft struct {
	rows int64
	most int64 // rows with records.MaxBytes together, if all have the average size
}

// next reads a batch, or returns nil at the end. Batches grow up to records.MaxRows
// as long as they stay below records.MaxBytes. The sizes in the metadata are only a
// bound, because a dictionary can make large values small. A batch is part of one row
// group. A huge row is always the last row of its row group.
func (f *reader) next(ctx context.Context) (arrow.Record, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if f.left == 0 {
		if f.content.String() != f.want {
			return nil, fmt.Errorf("%w: their digest is %s, not %s", ErrDamaged, f.content, f.want)
		}
		return nil, nil
	}
	if len(f.groups) == 0 {
		return nil, fmt.Errorf("%w: the row groups have %d fewer rows than the file", ErrDamaged, f.left)
	}
	group := &f.groups[0]
	rows := min(f.batch, f.left, group.rows, group.most)
	arrays := make([]arrow.Array, len(f.columns))
	for i, column := range f.columns {
		read, err := column.NextBatch(rows)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.table.Columns[i].Name, err)
		}
		if len(read.Chunks()) != 1 || int64(read.Len()) != rows {
			return nil, fmt.Errorf("%w: column %s ends early", ErrDamaged, f.table.Columns[i].Name)
		}
		arrays[i] = read.Chunk(0)
	}
	f.left -= rows
	if group.rows -= rows; group.rows == 0 {
		f.groups = f.groups[1:]
	}
	batch := array.NewRecord(f.schema, arrays, rows)
	for _, d := range records.Digests(f.table.Columns, batch) {
		f.content = f.content.Add(d)
	}
	f.batch = max(1, min(rows*records.MaxBytes/max(1, records.AllocatedBytes(batch)), 2*rows, records.MaxRows))
	return batch, nil
}
