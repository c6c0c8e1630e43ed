// Package parquetfile writes the rows of a partition to Parquet files, and reads
// them back. A file carries a digest of its rows, and Write returns a summary
// that a second reader can check (package sink/verify).
//
// The package does not publish files: package sink/store holds objects.
package parquetfile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
)

// A row group ends when it has rowGroupRows rows, or rowGroupBytes of values before
// encoding, but not before it has rowGroupEncoded bytes of encoded columns, the size
// that readers prefer (docs/lake-contract.md). If the encoded rows are tiny, it ends
// at maxRowGroupRows or maxRowGroupBytes, which bounds a reader's memory.
const (
	rowGroupRows    = 128 << 10
	rowGroupBytes   = 64 << 20
	rowGroupEncoded = 16 << 20

	maxRowGroupRows  = 8 * rowGroupRows
	maxRowGroupBytes = 4 * rowGroupBytes
)

// Options configure how files are written.
type Options struct {
	Job         string
	Compression string // "snappy", "zstd", "gzip" or "none"
	// CreatedBy names the writer in the footer: "application version X (build Y)".
	// Readers use it to work around faults of old versions.
	CreatedBy string
	// TargetSize is the size, in bytes, at which a file ends and the next one
	// begins; 0 means no limit. A file exceeds it by less than a row group.
	TargetSize int64
}

// Write writes the rows of a partition to one or more Parquet files, with the
// settings that the readers of the lake need (docs/lake-contract.md). The paths of
// the files are stem followed by -00000.parquet and so on, and the rows continue
// from each file to the next. If Write returns an error, it leaves no file behind.
func Write(ctx context.Context, stem string, table schemas.Table, o Options, rows records.Rows) (files []sink.File, err error) {
	codec, ok := codecs[o.Compression]
	if !ok {
		return nil, fmt.Errorf("writing %s: unknown compression %q", stem, o.Compression)
	}
	w := &writer{
		stem: stem, table: table, job: o.Job, createdBy: o.CreatedBy, target: o.TargetSize,
		codec: codec, schema: records.Schema(table.Columns),
	}
	if w.target == 0 {
		w.target = math.MaxInt64
	}
	if err = w.write(ctx, rows); err == nil {
		return w.files, nil
	}
	// The Parquet library drops some errors of the file, and later fails with a less
	// precise error.
	if w.part != nil && w.part.out.err != nil {
		err = w.part.out.err
	}
	err = fmt.Errorf("staging a Parquet file at %s: %w", w.path(), err)
	if w.part != nil {
		err = errors.Join(err, w.part.abort())
	}
	for _, f := range w.files {
		err = errors.Join(err, os.Remove(f.Path))
	}
	return nil, err
}

var codecs = map[string]compress.Compression{
	"snappy": compress.Codecs.Snappy,
	"zstd":   compress.Codecs.Zstd,
	"gzip":   compress.Codecs.Gzip,
	"none":   compress.Codecs.Uncompressed,
}

// properties returns the settings of a file. Version 15 does not compress by default.
// Columns whose values rarely repeat have no dictionary, which would save little and
// costs more than all other work on a value. Columns with personal data, protected
// values or JSON have no statistics, because statistics put values into the footer.
func (w *writer) properties(first arrow.Record) *parquet.WriterProperties {
	p := []parquet.WriterProperty{
		parquet.WithCreatedBy(w.createdBy),
		parquet.WithVersion(parquet.V2_4),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(w.codec),
		parquet.WithDictionaryDefault(true),
		parquet.WithStats(true),
	}
	id := w.table.Roles().ID
	for i, c := range w.table.Columns {
		if c.PII || c.Policy != "" || c.Type == schemas.JSON {
			p = append(p, parquet.WithStatsFor(c.Name, false))
		}
		if c.Name == id || c.Type == schemas.Timestamp || c.Type == schemas.Float64 ||
			c.Type.IsText() && !repeats(first.Column(i).(*array.String)) {
			p = append(p, parquet.WithDictionaryFor(c.Name, false))
		}
	}
	return parquet.NewWriterProperties(p...)
}

// repeats reports whether at most half of a column's first values are distinct, and
// none is too large for a dictionary. It returns true for a column of NULLs.
func repeats(values *array.String) bool {
	const enough = 512
	seen, distinct := 0, make(map[string]struct{}, min(enough, values.Len()-values.NullN()))
	for i := 0; i < values.Len() && seen < enough; i++ {
		if values.IsValid(i) {
			if values.ValueLen(i) >= maxDictionaryText {
				return false
			}
			seen++
			distinct[values.Value(i)] = struct{}{}
		}
	}
	return len(distinct) <= (seen+1)/2
}

// writer writes the files of one partition.
type writer struct {
	stem, job, createdBy string
	table                schemas.Table
	target               int64
	codec                compress.Compression
	schema               *arrow.Schema
	files                []sink.File // the finished files
	part                 *part       // the file that is being written, or nil
}

// path returns the path of the file that is being written.
func (w *writer) path() string { return fmt.Sprintf("%s-%05d.parquet", w.stem, len(w.files)) }

func (w *writer) write(ctx context.Context, rows records.Rows) error {
	for batch, err := range rows {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil && !batch.Schema().Equal(w.schema) {
			err = fmt.Errorf("the rows do not have the schema of the table: %s", batch.Schema())
		}
		if err == nil {
			err = records.CatchPanic(func() error { return w.addAll(batch) })
		}
		if err != nil {
			return err
		}
	}
	return records.CatchPanic(func() error {
		if w.part == nil { // no rows
			if err := w.begin(array.NewRecordBuilder(memory.DefaultAllocator, w.schema).NewRecord()); err != nil {
				return err
			}
		}
		return w.end()
	})
}

// addAll writes a batch, to several files if necessary.
func (w *writer) addAll(batch arrow.Record) (err error) {
	if w.part == nil {
		err = w.begin(batch)
	}
	for err == nil && batch.NumRows() > 0 {
		batch, err = w.add(batch)
	}
	return err
}

// add writes the rows of a batch that fit in the open row group, and returns the
// rest. It starts a new file only for rows.
func (w *writer) add(batch arrow.Record) (left arrow.Record, err error) {
	if w.part.out.size >= w.target && w.part.summary.Rows > 0 {
		if err := w.end(); err != nil {
			return nil, err
		}
		if err := w.begin(batch); err != nil {
			return nil, err
		}
	}
	n := w.part.room(batch)
	err = w.part.add(batch.NewSlice(0, n))
	return batch.NewSlice(n, batch.NumRows()), err
}

// begin starts a file. The batch has its first rows, which determine its settings.
func (w *writer) begin(batch arrow.Record) error {
	f, err := os.OpenFile(w.path(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w.part = &part{file: f, table: w.table, target: w.target, out: newOutput(f)}
	for _, c := range w.table.Columns {
		w.part.summary.Columns = append(w.part.summary.Columns, sink.ColumnSummary{Name: c.Name})
	}
	w.part.parquet, err = newParquetWriter(w.part.out, w.schema, w.properties(batch), w.codec)
	return err
}

func (w *writer) end() error {
	f, err := w.part.finish(w.job)
	if err == nil {
		w.files, w.part = append(w.files, f), nil
	}
	return err
}
