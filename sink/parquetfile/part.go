package parquetfile

import (
	"bufio"
	"errors"
	"hash"
	"hash/crc32"
	"os"
	"sort"
	"strconv"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
)

// part is the file that is being written.
type part struct {
	file    *os.File
	out     *output
	parquet *parquetWriter
	table   schemas.Table
	target  int64 // bytes
	// The rows of the open row group, and the bytes of their values before encoding.
	rows, bytes int64

	summary sink.Summary
	timed   bool // whether summary has times
	// The range of identity days.
	first, last int32
}

// room returns how many rows of a batch the row group can take before full must be
// called again: up to the row that may bring the file to its target size.
func (p *part) room(batch arrow.Record) int64 {
	const step = 16 << 10
	most := rowGroupRows - p.rows
	if most <= 0 {
		most = min(step, maxRowGroupRows-p.rows)
	}
	most = min(most, batch.NumRows())
	_, compressed := p.parquet.open()
	left := p.target - p.out.size - compressed
	n := 1 + sort.Search(int(most-1), func(n int) bool { return records.ValueBytes(batch, 0, n+1) >= left })
	if records.ValueBytes(batch, 0, n) < rowGroupEncoded {
		return int64(n)
	}
	for row := range n {
		if hugeRow(batch, row) {
			return int64(row + 1)
		}
	}
	return int64(n)
}

// hugeRow reports whether a single row has the size of a row group. Such a row ends its
// row group, so that neither the writer nor a reader has two of them in memory.
func hugeRow(batch arrow.Record, row int) bool {
	return records.ValueBytes(batch, row, row+1) >= rowGroupEncoded
}

// full reports whether the open row group must end.
func (p *part) full() bool {
	encoded, compressed := p.parquet.open()
	switch {
	case p.out.size+compressed >= p.target:
		return true // the file ends too
	case encoded < rowGroupEncoded:
		return p.rows >= maxRowGroupRows || p.bytes >= maxRowGroupBytes
	}
	return p.rows >= rowGroupRows || p.bytes >= rowGroupBytes
}

func (p *part) add(batch arrow.Record) error {
	if err := p.parquet.write(batch); err != nil {
		return err
	}
	p.summarise(batch)
	rows := int(batch.NumRows())
	p.rows, p.bytes = p.rows+int64(rows), p.bytes+records.ValueBytes(batch, 0, rows)
	if !p.full() && !hugeRow(batch, rows-1) {
		return nil
	}
	p.rows, p.bytes = 0, 0
	return p.parquet.endGroup()
}

// finish writes the footer, and describes the file.
func (p *part) finish(job string) (sink.File, error) {
	err := p.parquet.finish([][2]string{ // in the same order in every file
		{sink.MetadataJob, job},
		{sink.MetadataSchema, p.table.Fingerprint()},
		{sink.MetadataRows, strconv.FormatInt(p.summary.Rows, 10)},
		{sink.MetadataContent, p.summary.Content.String()},
	})
	if err := errors.Join(err, p.out.close(), p.file.Close()); err != nil {
		return sink.File{}, err
	}
	return sink.File{
		Path: p.file.Name(), Size: p.out.size, CRC32C: p.out.crc.Sum32(), Summary: p.summary,
		FirstDay: p.first, LastDay: p.last,
	}, nil
}

// abort removes the file.
func (p *part) abort() error {
	_ = p.file.Close() // it may already be closed, and its content does not matter
	return os.Remove(p.file.Name())
}

func (p *part) summarise(batch arrow.Record) {
	digests := make([]schemas.Digest, batch.NumRows())
	for i := range p.summary.Columns {
		c := &p.summary.Columns[i]
		sum, nulls := records.SumValues(c.Name, batch.Column(i), digests)
		c.Values = c.Values.Add(sum)
		c.Nulls += nulls
	}
	for _, d := range digests {
		p.summary.Content = p.summary.Content.Add(d.Seal())
	}
	for i, day := range records.IdentityDays(p.table, batch) {
		if p.summary.Rows == 0 && i == 0 {
			p.first, p.last = day, day
		}
		p.first, p.last = min(p.first, day), max(p.last, day)
	}
	p.summary.Rows += batch.NumRows()
	times := records.ColumnOf(batch.Column(schemas.IndexOf(p.table.Columns, p.table.Roles().Time)))
	for i := range int(batch.NumRows()) {
		if times.IsValid(i) {
			p.see(times.Word(i))
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

// output writes to the file. It counts bytes, computes their checksum, and keeps
// the first error.
type output struct {
	buf  *bufio.Writer
	crc  hash.Hash32
	size int64
	err  error
}

// outputBuffers are reused, because a file can be much smaller than a buffer.
var outputBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 256<<10) }}

func newOutput(f *os.File) *output {
	buf := outputBuffers.Get().(*bufio.Writer)
	buf.Reset(f)
	return &output{buf: buf, crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
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

// close flushes the buffer. The output must not be used afterwards.
func (o *output) close() error {
	if o.err == nil {
		o.err = o.buf.Flush()
	}
	outputBuffers.Put(o.buf)
	o.buf = nil
	return o.err
}
