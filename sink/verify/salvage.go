package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// Salvaged describes the readable rows of a damaged file.
type Salvaged struct {
	Rows    int64          // rows that are readable in all columns
	Content schemas.Digest // of these rows
	table   schemas.Table
	layout  layout
}

// layout has the positions of a file's column chunks.
type layout struct {
	rows   int64
	chunks [][]*parquet.ColumnMetaData // of each column
}

// finder finds the layout of a file.
type finder func(ctx context.Context, file io.ReaderAt, size int64, table schemas.Table) (layout, error)

var finders = []finder{recorded, rebuilt}

// Salvage finds the readable rows of a damaged file that was written with that many
// rows. A row is readable if each of its values is in a page that can be decoded. If the
// footer leads to fewer rows, Salvage also derives the layout of the file from its
// pages, and returns the better result.
//
// A decodable page can still have wrong values. If Rows and Content equal what the
// writer recorded, all rows are correct.
//
// A file without readable rows is not an error: the only errors are those of r and
// ctx. Memory is bounded as in Read.
func Salvage(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, rows int64) (best Salvaged, err error) {
	for _, find := range finders {
		found, err := salvage(ctx, r, size, table, find)
		if err := ctx.Err(); err != nil {
			return Salvaged{}, fmt.Errorf("reading a damaged Parquet file: %w", err)
		}
		var mismatch *Mismatch
		if err != nil && !errors.Is(err, ErrUnreadable) && !errors.As(err, &mismatch) {
			return Salvaged{}, err
		}
		if err == nil && found.Rows > best.Rows {
			best = found
		}
		if best.Rows >= rows {
			break
		}
	}
	return best, nil
}

func salvage(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, find finder) (found Salvaged, err error) {
	file := &source{r: r}
	defer file.recoverRead(&err)

	l, err := find(ctx, file, size, table)
	if err != nil {
		return found, err
	}
	found = Salvaged{table: table, layout: l}
	rows := found.open(file)
	for {
		n, err := rows.next(ctx)
		if n == 0 || err != nil {
			return found, err
		}
		for i, row := range rows.digests[:n] {
			if !rows.lost[i] {
				found.Rows++
				found.Content = found.Content.Add(row.Seal())
			}
		}
	}
}

// recorded returns the layout in the footer.
func recorded(ctx context.Context, file io.ReaderAt, size int64, table schemas.Table) (layout, error) {
	footer, columns, err := open(ctx, file, size, table)
	if err != nil {
		return layout{}, err
	}
	if footer.NumRows > size { // the ID of a row takes more than a byte
		return layout{}, unreadable("%d rows do not fit in %d bytes", footer.NumRows, size)
	}
	l := layout{rows: footer.NumRows}
	for _, c := range columns {
		l.chunks = append(l.chunks, c.chunks)
	}
	return l, nil
}

// Read returns the rows that Salvage found in r, in batches that have the values of each
// column of the table. The first error ends the stream.
func (s Salvaged) Read(ctx context.Context, r io.ReaderAt) iter.Seq2[[]schemas.Values, error] {
	return func(yield func([]schemas.Values, error) bool) {
		rows := s.open(&source{r: r})
		for _, c := range rows.columns {
			c.keep()
		}
		for {
			n, err := rows.next(ctx)
			if err != nil {
				yield(nil, fmt.Errorf("reading a damaged Parquet file: %w", err))
			}
			if n == 0 || err != nil {
				return
			}
			for at := 0; at < n; {
				var batch []schemas.Values
				batch, at = rows.batch(at, n)
				if batch[0].Rows > 0 && !yield(batch, nil) {
					return
				}
			}
		}
	}
}

func (s Salvaged) open(file *source) *salvagedRows {
	rows := &salvagedRows{file: file, left: s.layout.rows}
	for i, c := range newColumns(file, s.layout.rows, s.table) {
		c.chunks = s.layout.chunks[i]
		rows.columns = append(rows.columns, &salvager{column: c})
	}
	rows.digests = make([]schemas.Digest, min(s.layout.rows, chunkRows))
	rows.lost = make([]bool, len(rows.digests))
	return rows
}

// salvagedRows reads the columns of a damaged file side by side.
type salvagedRows struct {
	file    *source
	columns []*salvager
	left    int64
	// The last rows that were read.
	digests []schemas.Digest
	lost    []bool
}

// next reads the next rows and returns their number, which is 0 at the end.
func (s *salvagedRows) next(ctx context.Context) (n int, err error) {
	defer s.file.recoverRead(&err)
	n = int(min(s.left, int64(len(s.digests))))
	s.left -= int64(n)
	digests, lost := s.digests[:n], s.lost[:n]
	clear(digests)
	clear(lost)
	for _, c := range s.columns {
		if err := c.read(ctx, digests, lost); err != nil {
			return 0, fmt.Errorf("column %s, %s: %w", c.name, c.place(), err)
		}
	}
	return n, ctx.Err()
}

// batchBytes is the approximate limit of the text in a batch.
const batchBytes = 4 << 20

// batch copies the values of readable rows, from the row at that index on, and
// returns the index of the next row.
func (s *salvagedRows) batch(at, end int) ([]schemas.Values, int) {
	var rows []int
	for bytes := 0; at < end && bytes < batchBytes; at++ {
		if s.lost[at] {
			continue
		}
		rows = append(rows, at)
		for _, c := range s.columns {
			bytes += len(c.kept.texts[at])
		}
	}
	columns := make([]schemas.Values, len(s.columns))
	for i, c := range s.columns {
		columns[i] = c.kept.copy(rows)
	}
	return columns, at
}

// copy copies the values of rows.
func (k *kept) copy(rows []int) schemas.Values {
	v := schemas.Values{
		Rows: len(rows), Nulls: len(rows), Valid: make([]byte, (len(rows)+7)/8),
		Words: make([]int64, len(rows)), Ends: make([]int32, 1, len(rows)+1), Texts: []byte{},
	}
	for i, row := range rows {
		if k.valid[row] {
			v.Valid[i>>3] |= 1 << (i & 7)
			v.Nulls--
		}
		v.Words[i] = k.ints[row]
		v.Texts = append(v.Texts, k.texts[row]...)
		v.Ends = append(v.Ends, int32(len(v.Texts)))
	}
	return v
}
