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

// ErrSchema says that a file does not have the table's columns.
var ErrSchema = errors.New("the file does not have the columns of the table")

// ErrDamaged says that the rows of a file are not those that were written.
var ErrDamaged = errors.New("the file is damaged: its rows are not those that were written")

// Read gives the rows of a file that Write has made, in its order. The file must
// stay open until the stream has ended. What was read is compared at the end with
// the digest in the file's metadata: rows are to be believed only when the stream
// ends without an error.
//
// The caller has compared the file's checksum. Of most damage this tells by an
// error; but an index into a dictionary that is too large makes v15 allocate as
// much memory as it says.
func Read(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) records.Rows {
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

// reader reads a file's columns side by side. pqarrow.RecordReader does it too,
// but takes damaged pages for the end of the file, and opens the columns in
// goroutines, where a panic ends the process.
type reader struct {
	table   schemas.Table
	schema  *arrow.Schema
	columns []*pqarrow.ColumnReader
	left    int64          // rows to come
	groups  []groupLeft    // those that have rows to come
	batch   int64          // rows of the next batch
	content schemas.Digest // of the rows so far
	want    string         // what content is at the end
}

func open(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) (*reader, error) {
	properties := *parquet.NewReaderProperties(memory.DefaultAllocator)
	properties.BufferedStreamEnabled, properties.BufferSize = true, streamBuffer // else a column chunk is in memory twice
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
		return nil, fmt.Errorf("%w: there are %d, not %d", ErrSchema, len(got.Fields()), len(table.Columns))
	}
	for i, want := range f.schema.Fields() {
		if got := got.Field(i); got.Name != want.Name || !arrow.TypeEqual(got.Type, want.Type) {
			return nil, fmt.Errorf("%w: column %d is %s %s, not %s %s", ErrSchema, i+1, got.Name, got.Type, want.Name, want.Type)
		}
	}
	content := source.MetaData().KeyValueMetadata().FindValue(sink.MetadataContent)
	if content == nil {
		return nil, fmt.Errorf("%w: it does not name their digest", ErrDamaged)
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

// streamBuffer is how many bytes of a column chunk are read at once.
const streamBuffer = 256 << 10

// groupLeft is what a row group still has to give.
type groupLeft struct {
	rows int64
	most int64 // rows that have records.MaxBytes, if all are as large as the average
}

// next reads a batch, or gives nil at the end. Batches grow to records.MaxRows as long
// as they stay below records.MaxBytes: a dictionary can make little of very much, so
// what the metadata says of sizes is a bound, but no guide. A batch is of one row
// group, of which a huge row is the last.
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
		return nil, fmt.Errorf("%w: the row groups have %d rows less than the file", ErrDamaged, f.left)
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
