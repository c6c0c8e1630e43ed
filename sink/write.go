package sink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"math"
	"os"
	"sort"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
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
	// TargetSize is the size in bytes at which a file ends and the next one
	// begins; 0 is none. A file is larger by less than a row group, which has
	// no more than so many bytes of values.
	TargetSize int64
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

// Write makes the Parquet files of a partition's rows, one or more, with the
// settings that the readers of the lake need (LAKE_CONTRACT.md). Their paths are
// the stem with -00000.parquet and so on, and the rows go on from each to the
// next in their order. An error leaves no file behind.
func Write(ctx context.Context, stem string, table schemas.Table, o WriteOptions, rows Rows) (files []File, err error) {
	codec, ok := codecs[o.Compression]
	if !ok {
		return nil, fmt.Errorf("writing %s: there is no compression %q", stem, o.Compression)
	}
	w := &writer{
		stem: stem, table: table, job: o.Job, target: o.TargetSize,
		schema: schemas.Arrow(table.Columns), properties: properties(table, codec),
	}
	if w.target == 0 {
		w.target = math.MaxInt64
	}
	if err = w.write(ctx, rows); err == nil {
		return w.files, nil
	}
	// The Parquet library drops some errors of the file below it, and what it
	// then fails of says less than they do.
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

// writer makes the files of one partition.
type writer struct {
	stem, job  string
	table      schemas.Table
	target     int64
	schema     *arrow.Schema
	properties *parquet.WriterProperties
	files      []File // those that are finished
	part       *part  // the one that is being written, or nil
}

// path is that of the file that is being written.
func (w *writer) path() string { return fmt.Sprintf("%s-%05d.parquet", w.stem, len(w.files)) }

func (w *writer) write(ctx context.Context, rows Rows) (err error) {
	defer func() { // v15 panics on pages over 2 GB
		if p := recover(); p != nil {
			err = fmt.Errorf("the Parquet library failed: %v", p)
		}
	}()
	if err := w.begin(); err != nil {
		return err
	}
	for batch, err := range rows {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil && !batch.Schema().Equal(w.schema) {
			err = fmt.Errorf("the schema of the rows does not match the table's: %s", batch.Schema())
		}
		for err == nil && batch.NumRows() > 0 {
			batch, err = w.add(ctx, batch)
		}
		if err != nil {
			return err
		}
	}
	return w.end()
}

// add writes as many of a batch's rows as the open row group has room for, and
// gives the others. The next file begins only when there are rows for it.
func (w *writer) add(ctx context.Context, batch arrow.Record) (left arrow.Record, err error) {
	if w.part.out.size >= w.target && w.part.summary.Rows > 0 {
		if err := w.end(); err != nil {
			return nil, err
		}
		if err := w.begin(); err != nil {
			return nil, err
		}
	}
	n := w.part.room(batch)
	err = w.part.add(ctx, batch.NewSlice(0, n))
	return batch.NewSlice(n, batch.NumRows()), err
}

func (w *writer) begin() error {
	f, err := os.OpenFile(w.path(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w.part = &part{file: f, table: w.table, target: w.target, out: newOutput(f)}
	for _, c := range w.table.Columns {
		w.part.summary.Columns = append(w.part.summary.Columns, ColumnSummary{Name: c.Name})
	}
	schema, err := pqarrow.ToParquet(w.schema, w.properties, pqarrow.DefaultWriterProps())
	if err == nil {
		w.part.parquet = file.NewParquetWriter(w.part.out, schema.Root(), file.WithWriterProps(w.properties))
	}
	return err
}

func (w *writer) end() error {
	f, err := w.part.finish(w.job)
	if err == nil {
		w.files, w.part = append(w.files, f), nil
	}
	return err
}

// part is one file that is being written.
type part struct {
	file    *os.File
	out     *output
	parquet *file.Writer
	table   schemas.Table
	target  int64 // bytes
	// group is the open row group, or nil; it has so many rows, and bytes of
	// values before they are encoded.
	group       file.BufferedRowGroupWriter
	rows, bytes int64

	summary Summary
	timed   bool // a time was seen
	// The range of identity days.
	first, last int32
}

// room is how many rows of a batch the row group takes: it ends with the row that
// brings it to as many bytes as a file should have.
func (p *part) room(batch arrow.Record) int64 {
	most := min(rowGroupRows-p.rows, batch.NumRows())
	return int64(1 + sort.Search(int(most-1), func(n int) bool { return p.bytes+valueBytes(batch, n+1) >= p.target }))
}

// valueBytes is about how many bytes the first n rows of a batch take.
func valueBytes(batch arrow.Record, n int) int64 {
	bytes := 8 * n * int(batch.NumCols())
	for _, column := range batch.Columns() {
		if texts, ok := column.(*array.String); ok {
			bytes += texts.ValueOffset(n) - texts.ValueOffset(0)
		}
	}
	return int64(bytes)
}

func (p *part) add(ctx context.Context, batch arrow.Record) error {
	if p.group == nil {
		p.group, p.rows, p.bytes = p.parquet.AppendBufferedRowGroup(), 0, 0
	}
	levels := make([]int16, batch.NumRows()) // of definition: 0 is NULL
	for i, values := range batch.Columns() {
		nulls := values.NullN() > 0
		for row := range levels {
			levels[row] = 1
			if nulls && values.IsNull(row) {
				levels[row] = 0
			}
		}
		column, err := p.group.Column(i)
		if err == nil {
			err = pqarrow.WriteArrowToColumn(ctx, column, values, levels, nil, true)
		}
		if err != nil {
			return err
		}
	}
	p.summarise(batch)
	p.rows, p.bytes = p.rows+batch.NumRows(), p.bytes+valueBytes(batch, int(batch.NumRows()))
	if p.rows >= rowGroupRows || p.bytes >= p.target || p.group.TotalBytesWritten() > rowGroupBytes {
		return p.endGroup()
	}
	return nil
}

func (p *part) endGroup() error {
	if p.group == nil {
		return nil
	}
	group := p.group
	p.group = nil
	return errors.Join(group.Close(), p.out.err)
}

// finish writes the footer, and gives the file.
func (p *part) finish(job string) (File, error) {
	if err := p.endGroup(); err != nil {
		return File{}, err
	}
	for _, entry := range [][2]string{ // in the same order in every file
		{MetadataJob, job},
		{MetadataSchema, p.table.Fingerprint()},
		{MetadataRows, strconv.FormatInt(p.summary.Rows, 10)},
		{MetadataContent, p.summary.Content.String()},
	} {
		if err := p.parquet.AppendKeyValueMetadata(entry[0], entry[1]); err != nil {
			return File{}, err
		}
	}
	if err := errors.Join(p.parquet.Close(), p.out.flush(), p.file.Close()); err != nil {
		return File{}, err
	}
	return File{
		Path: p.file.Name(), Size: p.out.size, CRC32C: p.out.crc.Sum32(), Summary: p.summary,
		FirstDay: p.first, LastDay: p.last,
	}, nil
}

// abort removes the file.
func (p *part) abort() error {
	_ = p.file.Close() // it may be closed, and what is in it does not matter
	return os.Remove(p.file.Name())
}

func (p *part) summarise(batch arrow.Record) {
	digests := make([]schemas.Digest, batch.NumRows())
	for i := range p.summary.Columns {
		c := &p.summary.Columns[i]
		sum, nulls := schemas.SumValues(c.Name, batch.Column(i), digests)
		c.Values = c.Values.Add(sum)
		c.Nulls += nulls
	}
	for _, d := range digests {
		p.summary.Content = p.summary.Content.Add(d.Seal())
	}
	for i, day := range schemas.IdentityDays(p.table.Columns, batch) {
		if p.summary.Rows == 0 && i == 0 {
			p.first, p.last = day, day
		}
		p.first, p.last = min(p.first, day), max(p.last, day)
	}
	p.summary.Rows += batch.NumRows()
	times := sourceOf(batch.Column(orderOf(p.table).time))
	for i := range int(batch.NumRows()) {
		if times.isValid(i) {
			p.see(times.word(i))
		}
	}
}

func (p *part) see(micros int64) {
	if !p.timed {
		p.timed, p.summary.MinTime, p.summary.MaxTime = true, micros, micros
	}
	p.summary.MinTime = min(p.summary.MinTime, micros)
	p.summary.MaxTime = max(p.summary.MaxTime, micros)
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
