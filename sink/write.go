package sink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"os"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"

	"prospector/schemas"
)

// The keys of a file's metadata. Nothing in it depends on the clock or the run.
const (
	MetadataJob     = "prospector.job"
	MetadataSchema  = "prospector.schema"  // schemas.Table.Fingerprint
	MetadataRows    = "prospector.rows"    // decimal
	MetadataContent = "prospector.content" // schemas.Digest of the rows
)

// A row group is closed when it has this many rows or bytes of encoded values.
const (
	rowGroupRows  = 128 << 10
	rowGroupBytes = 64 << 20
)

// WriteOptions say how files are written.
type WriteOptions struct {
	Job         string
	Compression string // "snappy", "zstd", "gzip" or "none"
}

// File is a Parquet file that was written.
type File struct {
	Path    string
	Size    int64  // bytes
	CRC32C  uint32 // of the whole file
	Summary Summary
	// FirstDay and LastDay are the range of its rows' schemas.IdentityDays.
	FirstDay, LastDay int32
}

// Write makes a Parquet file of a partition's rows, with the settings that the
// readers of the lake need (LAKE_CONTRACT.md). An error leaves no file behind.
func Write(ctx context.Context, path string, table schemas.Table, o WriteOptions, rows Rows) (File, error) {
	codec, ok := codecs[o.Compression]
	if !ok {
		return File{}, fmt.Errorf("writing %s: there is no compression %q", path, o.Compression)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return File{}, fmt.Errorf("staging a Parquet file: %w", err)
	}
	w := &writer{table: table, out: newOutput(file)}
	err = w.write(ctx, codec, o.Job, rows)
	// The Parquet library drops some errors of the file below it, and what it
	// then fails of says less than they do.
	if flushErr := w.out.flush(); flushErr != nil {
		err = flushErr
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return File{}, errors.Join(fmt.Errorf("staging a Parquet file at %s: %w", path, err), os.Remove(path))
	}
	return File{
		Path: path, Size: w.out.size, CRC32C: w.out.crc.Sum32(), Summary: w.summary,
		FirstDay: w.first, LastDay: w.last,
	}, nil
}

var codecs = map[string]compress.Compression{
	"snappy": compress.Codecs.Snappy,
	"zstd":   compress.Codecs.Zstd,
	"gzip":   compress.Codecs.Gzip,
	"none":   compress.Codecs.Uncompressed,
}

// properties steer around the faults of v15: row groups of 64 Mi rows and no
// compression by default. Columns whose values hardly repeat have no dictionary.
// Personal data, what is protected and JSON have no statistics, which would put
// values into the footer.
func properties(table schemas.Table, codec compress.Compression) *parquet.WriterProperties {
	p := []parquet.WriterProperty{
		parquet.WithCreatedBy("prospector"),
		parquet.WithVersion(parquet.V2_4),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(codec),
		parquet.WithMaxRowGroupLength(rowGroupRows),
		parquet.WithDictionaryDefault(true),
		parquet.WithStats(true),
	}
	for _, c := range table.Columns {
		if c.PII || c.Policy != "" || c.Type == schemas.JSON {
			p = append(p, parquet.WithStatsFor(c.Name, false))
		}
		if c.Value == schemas.Identity || c.Type == schemas.Timestamp || c.Type == schemas.Float64 {
			p = append(p, parquet.WithDictionaryFor(c.Name, false))
		}
	}
	return parquet.NewWriterProperties(p...)
}

type writer struct {
	table   schemas.Table
	out     *output
	summary Summary
	timed   bool // a time was seen
	// The range of identity days.
	first, last int32
}

func (w *writer) write(ctx context.Context, codec compress.Compression, job string, rows Rows) (err error) {
	defer func() { // v15 panics on pages over 2 GB
		if p := recover(); p != nil {
			err = fmt.Errorf("the Parquet library failed: %v", p)
		}
	}()
	for _, c := range w.table.Columns {
		w.summary.Columns = append(w.summary.Columns, ColumnSummary{Name: c.Name})
	}
	schema := schemas.Arrow(w.table.Columns)
	pq, err := pqarrow.NewFileWriter(schema, w.out, properties(w.table, codec), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	group := int64(0)
	for batch, err := range rows {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if group > 0 && (group+batch.NumRows() > rowGroupRows || pq.RowGroupTotalBytesWritten() > rowGroupBytes) {
			pq.NewBufferedRowGroup()
			group = 0
		}
		if err := pq.WriteBuffered(batch); err != nil {
			return err
		}
		group += batch.NumRows()
		w.summarise(batch)
		if w.out.err != nil {
			return w.out.err
		}
	}
	for _, entry := range [][2]string{ // in the same order in every file
		{MetadataJob, job},
		{MetadataSchema, w.table.Fingerprint()},
		{MetadataRows, strconv.FormatInt(w.summary.Rows, 10)},
		{MetadataContent, w.summary.Content.String()},
	} {
		if err := pq.AppendKeyValueMetadata(entry[0], entry[1]); err != nil {
			return err
		}
	}
	return pq.Close()
}

func (w *writer) summarise(batch arrow.Record) {
	digests := make([]schemas.Digest, batch.NumRows())
	for i := range w.summary.Columns {
		c := &w.summary.Columns[i]
		sum, nulls := schemas.SumValues(c.Name, batch.Column(i), digests)
		c.Values = c.Values.Add(sum)
		c.Nulls += nulls
	}
	for _, d := range digests {
		w.summary.Content = w.summary.Content.Add(d.Seal())
	}
	for i, day := range schemas.IdentityDays(w.table.Columns, batch) {
		if w.summary.Rows == 0 && i == 0 {
			w.first, w.last = day, day
		}
		w.first, w.last = min(w.first, day), max(w.last, day)
	}
	w.summary.Rows += batch.NumRows()
	times := keysOf(w.table, batch).time
	for i := range times.Len() {
		if times.IsValid(i) {
			w.see(int64(times.Value(i)))
		}
	}
}

func (w *writer) see(micros int64) {
	if !w.timed {
		w.timed, w.summary.MinTime, w.summary.MaxTime = true, micros, micros
	}
	w.summary.MinTime = min(w.summary.MinTime, micros)
	w.summary.MaxTime = max(w.summary.MaxTime, micros)
}

// output is the file below the Parquet writer: it counts, sums, and keeps the
// first error. It has no Close, lest the library finish a broken file.
type output struct {
	buf  *bufio.Writer
	crc  hash.Hash32
	size int64
	err  error
}

func newOutput(f *os.File) *output {
	return &output{buf: bufio.NewWriterSize(f, 256<<10), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.buf.Write(p)
	o.crc.Write(p[:n])
	o.size += int64(n)
	o.err = err
	return n, err
}

func (o *output) flush() error {
	if o.err == nil {
		o.err = o.buf.Flush()
	}
	return o.err
}
