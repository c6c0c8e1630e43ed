// Package verify is the second opinion on a Parquet file that was just written:
// it re-reads the file and says what is in it, for comparison with what the
// writer says.
//
// It shares no code with the writer, so that a fault of one is not hidden by the
// other. Footers and page headers are read by github.com/xitongsys/parquet-go.
// Pages are decoded here, by the format's specification, for what the lake's
// files have (docs/lake-contract.md): flat optional columns, v1 pages, PLAIN and
// dictionary encoding. The library's own page decoder boxes every value, and
// allocates whatever a damaged length asks for, which no recover survives; the
// tests hold this one against it.
//
// It also finds the rows of a damaged file that can still be read.
//
// Its duties end with the answer: it neither opens nor writes objects, and does
// not decide what becomes of a file that is wrong. It is no defence against a
// file that somebody made up to deceive it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
	"prospector/sink"
)

// ErrUnreadable says that the bytes are not a Parquet file, that they are
// damaged, or that the file uses features that the lake's readers may not have.
var ErrUnreadable = errors.New("not a Parquet file that every reader of the lake can read")

// Contents is what a second reader finds in a file.
type Contents struct {
	sink.Summary
	// Days counts the rows of each UTC day, in days since 1970-01-01: the day
	// of event_time, else of created_at.
	Days map[int32]int64
	// Metadata is the footer's key-value metadata.
	Metadata map[string]string
	// Faults are what no file of the table has, whatever rows it is meant to
	// hold.
	Faults []Finding
}

// chunkRows is how many rows of all columns are combined at a time.
const chunkRows = 8 << 10

// Read gives what is in a file of size bytes, whose columns are the table's.
// It fails with ErrUnreadable when the file cannot be read, with a *Mismatch
// when its columns are not the table's, and with the error of r or ctx when
// that is what stopped it. Memory is bounded by a page and a dictionary per
// column, not by the size of the file.
func Read(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) (found Contents, err error) {
	file := &source{r: r}
	defer func() {
		if err != nil {
			found = Contents{}
		}
	}()
	defer file.settle(&err)

	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return found, err
	}
	digests := make([]schemas.Digest, min(footer.NumRows, chunkRows))
	order := newOrder(columns, table, len(digests))
	for left := footer.NumRows; left > 0; {
		if err := ctx.Err(); err != nil {
			return found, fmt.Errorf("reading a Parquet file back: %w", err)
		}
		rows := digests[:min(left, int64(len(digests)))]
		clear(rows)
		for _, c := range columns {
			if err := c.read(ctx, rows); err != nil {
				return found, fmt.Errorf("column %s, %s: %w", c.name, c.place(), err)
			}
		}
		for _, row := range rows {
			found.Content = found.Content.Add(row.Seal())
		}
		order.check(len(rows))
		left -= int64(len(rows))
	}

	found.Rows = footer.NumRows
	found.MinTime, found.MaxTime = order.minTime, order.maxTime
	found.Days = order.days
	for _, c := range columns {
		if err := c.endChunk(); err != nil {
			return found, fmt.Errorf("column %s: %w", c.name, err)
		}
		found.Columns = append(found.Columns, sink.ColumnSummary{Name: c.name, Nulls: c.nulls, Values: c.sum})
		found.Faults = append(found.Faults, c.faults()...)
	}
	found.Faults = append(found.Faults, order.faults()...)
	found.Faults = append(found.Faults, checkFooter(footer)...)
	var wrong []Finding
	found.Metadata, wrong = checkMetadata(footer.KeyValueMetadata, table, found.Summary)
	found.Faults = append(found.Faults, wrong...)
	return found, nil
}

// Count gives the number of rows of a file that have that text in that column,
// which is a string or json column of the table's files. It reads that column
// alone, so it does not notice what is wrong in others. It fails as Read does.
func Count(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, column, value string) (rows int64, err error) {
	at := slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Name == column && c.Type.IsText() })
	if at < 0 {
		return 0, fmt.Errorf("counting rows by %s: the files have no text column of that name", column)
	}
	file := &source{r: r}
	defer file.settle(&err)

	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return 0, err
	}
	return columns[at].count(ctx, footer.NumRows, func(text string) bool { return text == value })
}

// Search gives the number of rows of a file whose text matches, by string or json
// column; columns without such rows are left out. It fails as Read does.
func Search(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, match func(text string) bool) (rows map[string]int64, err error) {
	file := &source{r: r}
	defer file.settle(&err)

	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return nil, err
	}
	rows = make(map[string]int64)
	for _, c := range columns {
		if !c.kind.IsText() {
			continue
		}
		n, err := c.count(ctx, footer.NumRows, match)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			rows[c.name] = n
		}
	}
	return rows, nil
}

// count reads the text column to its end, and counts the rows that match.
func (c *column) count(ctx context.Context, of int64, match func(string) bool) (rows int64, err error) {
	c.keep()
	digests := make([]schemas.Digest, len(c.kept.valid))
	for left := of; left > 0; {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("reading a Parquet file back: %w", err)
		}
		n := min(left, int64(len(digests)))
		if err := c.read(ctx, digests[:n]); err != nil {
			return 0, fmt.Errorf("column %s: %w", c.name, err)
		}
		for i := range n {
			if c.kept.valid[i] && match(c.kept.texts[i]) {
				rows++
			}
		}
		left -= n
	}
	if err := c.endChunk(); err != nil {
		return 0, fmt.Errorf("column %s: %w", c.name, err)
	}
	return rows, nil
}

// open reads a file's footer, and makes a reader of each column if they are the
// table's.
func open(ctx context.Context, file io.ReaderAt, size int64, table schemas.Table) (*parquet.FileMetaData, []*column, error) {
	footer, end, err := readFooter(ctx, file, size)
	if err != nil {
		return nil, nil, err
	}
	if wrong := checkSchema(footer.Schema, table); len(wrong) > 0 {
		return nil, nil, &Mismatch{wrong}
	}
	columns, err := openColumns(file, footer, end, table)
	return footer, columns, err
}

// Check reads the file and holds it against what its writer says it wrote. It
// gives nil when the file is a faultless file of the table, holds exactly that,
// and every row belongs to the partition; a *Mismatch that lists what differs;
// or an error of Read.
func Check(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, want sink.Summary) error {
	return judge(ctx, r, size, table, partition, func(found sink.Summary) []Finding { return compare(table, want, found) })
}

// Published is Check for a file whose writer is long gone: what is left to hold
// it against are the number of rows and the content digest that the state has
// kept. The digest covers every value, so little is lost; but of other rows it
// cannot tell the column.
func Published(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, rows int64, content schemas.Digest) error {
	return judge(ctx, r, size, table, partition, func(found sink.Summary) []Finding { return compareRows(rows, content, found) })
}

// judge reads the file and lists what no file of that partition has, and what
// differs.
func judge(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, compare func(sink.Summary) []Finding) error {
	found, err := Read(ctx, r, size, table)
	if err != nil {
		return err
	}
	wrong := append(found.Faults, compare(found.Summary)...)
	var strangers int64
	for day, rows := range found.Days {
		if !partition.HoldsDay(day) {
			strangers += rows
		}
	}
	if strangers > 0 {
		wrong = append(wrong, Finding{Expected: "only rows of " + partition.Path, Found: count(strangers, "row") + " of other days"})
	}
	if len(wrong) > 0 {
		return &Mismatch{wrong}
	}
	return nil
}

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, fmt.Sprintf(format, args...))
}

// source remembers that the file could not be read, which says nothing about
// what is in it.
type source struct {
	r   io.ReaderAt
	err error
}

func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.r.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// settle is deferred by whoever reads the file: a panic says that the file is
// damaged, and an error of the file itself is the cause of any other.
func (s *source) settle(err *error) {
	if p := recover(); p != nil {
		*err = unreadable("its structure makes no sense")
		if cause, ok := p.(runtime.Error); ok {
			*err = fmt.Errorf("%w: %w", *err, cause)
		}
	}
	if s.err != nil {
		*err = fmt.Errorf("reading a Parquet file back: %w", s.err)
	}
}
