// Package verify is a second reader of Parquet files. It re-reads a file and compares
// its content with the writer's summary.
//
// It shares no code with the writer, so that neither hides a fault of the other. The
// library github.com/xitongsys/parquet-go reads footers and page headers. This
// package decodes pages itself, following the format's specification, and supports
// what the lake's files use (docs/lake-contract.md): flat optional columns, v1 pages,
// PLAIN and dictionary encoding. The library's own page decoder boxes every value,
// and a damaged length can make it allocate any amount of memory. Tests compare the
// two decoders.
//
// The package also finds the rows of a damaged file that are still readable.
//
// It does not open or write objects, and does not decide what happens to a damaged
// file. It does not protect against a file that was forged to deceive it.
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

// ErrUnreadable is the error for bytes that are not a Parquet file, for a damaged
// file, and for a file with features that some readers of the lake do not support.
var ErrUnreadable = errors.New("not a Parquet file that every reader of the lake can read")

// Contents describes what Read finds in a file.
type Contents struct {
	sink.Summary
	// Days counts the rows of each UTC day, in days since 1970-01-01: the day of
	// the row's time, or of its creation if the time is NULL.
	Days map[int32]int64
	// Metadata is the footer's key-value metadata.
	Metadata map[string]string
	// Faults are findings that no file of the table may have, whatever its rows.
	Faults []Finding
}

// chunkRows is the number of rows that are read at a time.
const chunkRows = 8 << 10

// Read reads a file of size bytes whose columns must be the table's. The error is
// ErrUnreadable if the file is not readable, a *Mismatch if its columns are not the
// table's, or the error of r or ctx. Memory is bounded by a page and a dictionary
// per column, whatever the size of the file.
func Read(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table) (found Contents, err error) {
	file := &source{r: r}
	defer func() {
		if err != nil {
			found = Contents{}
		}
	}()
	defer file.recoverRead(&err)

	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return found, err
	}
	digests := make([]schemas.Digest, min(footer.NumRows, chunkRows))
	order := newOrder(columns, table, len(digests))
	for left := footer.NumRows; left > 0; {
		if err := ctx.Err(); err != nil {
			return found, fmt.Errorf("re-reading a Parquet file: %w", err)
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

// Count returns the number of rows of a file that have the text value in a column,
// which must be a string or json column of the table's files. It reads only that
// column, and does not detect faults in other columns. Its errors are those of Read.
func Count(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, column, value string) (rows int64, err error) {
	at := slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Name == column && c.Type.IsText() })
	if at < 0 {
		return 0, fmt.Errorf("counting rows by %s: the files have no text column with that name", column)
	}
	file := &source{r: r}
	defer file.recoverRead(&err)

	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return 0, err
	}
	return columns[at].count(ctx, footer.NumRows, func(text string) bool { return text == value })
}

// Search returns, by string or json column, the number of rows of a file whose text
// matches. It omits columns without such rows. Its errors are those of Read.
func Search(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, match func(text string) bool) (rows map[string]int64, err error) {
	file := &source{r: r}
	defer file.recoverRead(&err)

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

// count reads a text column to its end, and counts the rows that match.
func (c *column) count(ctx context.Context, of int64, match func(string) bool) (rows int64, err error) {
	c.keep()
	digests := make([]schemas.Digest, len(c.kept.valid))
	for left := of; left > 0; {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("re-reading a Parquet file: %w", err)
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

// open reads a file's footer, checks that the columns are the table's, and returns a
// reader for each column.
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

// Check reads a file and compares it with the summary of its writer. It returns nil if
// the file has no faults, its rows are those of the summary, and every row belongs to
// the partition; a *Mismatch that lists the differences; or an error of Read.
func Check(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, want sink.Summary) error {
	return judge(ctx, r, size, table, partition, func(found sink.Summary) []Finding { return compare(table, want, found) })
}

// Published is Check for a published file when only the number of rows and the content
// digest are known. The digest covers every value, but does not show which column
// differs.
func Published(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, rows int64, content schemas.Digest) error {
	return judge(ctx, r, size, table, partition, func(found sink.Summary) []Finding { return compareRows(rows, content, found) })
}

// judge reads a file, and returns a *Mismatch with its faults, the findings of
// compare, and the rows that do not belong to the partition.
func judge(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, partition sink.Partition, compare func(sink.Summary) []Finding) error {
	found, err := Read(ctx, r, size, table)
	if err != nil {
		return err
	}
	wrong := append(found.Faults, compare(found.Summary)...)
	var others int64
	for day, rows := range found.Days {
		if !partition.HoldsDay(day) {
			others += rows
		}
	}
	if others > 0 {
		wrong = append(wrong, Finding{Expected: "only rows of " + partition.Path, Found: count(others, "row") + " of other days"})
	}
	if len(wrong) > 0 {
		return &Mismatch{wrong}
	}
	return nil
}

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, fmt.Sprintf(format, args...))
}

// source remembers an error of its reader, to distinguish it from a fault of the file.
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

// recoverRead is deferred by the functions that read the file. It turns a panic into
// ErrUnreadable, because the file is damaged. An error of the source replaces any
// other error.
func (s *source) recoverRead(err *error) {
	if p := recover(); p != nil {
		*err = unreadable("its structure is inconsistent")
		if cause, ok := p.(runtime.Error); ok {
			*err = fmt.Errorf("%w: %w", *err, cause)
		}
	}
	if s.err != nil {
		*err = fmt.Errorf("re-reading a Parquet file: %w", s.err)
	}
}
