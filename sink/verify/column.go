package verify

import (
	"context"
	"fmt"
	"io"

	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// column reads one column from the first row to the last.
type column struct {
	name    string
	kind    schemas.Type
	hash    schemas.ValueHasher
	file    io.ReaderAt
	chunks  []*parquet.ColumnMetaData // the chunks that are not read yet
	scratch *scratch

	openChunk
	page
	// kept has the values of the rows read last, for a column whose values are
	// needed. It is nil for other columns.
	kept *kept

	group int   // the number of the chunk's row group, from 1
	rows  int64 // rows read so far
	nulls int64
	sum   schemas.Digest
	defects
}

// defects has the first place of each defect that no file may have: statistics that
// exclude a value, statistics with a wrong number of NULLs, and text that is not UTF-8.
type defects struct{ misleading, miscounted, notUTF8 place }

// place is a place in a column: in that row group, at or after that row of the file.
// Both are counted from 1. The zero value is no place.
type place struct {
	group int
	row   int64
}

func (p place) String() string {
	return fmt.Sprintf("row group %d, at or after row %d", p.group, p.row)
}

// note records the position of the reader in p, unless p has a place already.
func (c *column) note(p *place) {
	if p.group == 0 {
		*p = c.place()
	}
}

func (c *column) place() place { return place{c.group, c.rows + 1} }

// kept are a column's values by row. The values of NULLs are zero.
type kept struct {
	valid []bool
	ints  []int64
	texts []string
}

// keep makes the column keep the values of the rows read last.
func (c *column) keep() {
	c.kept = newKept(len(c.scratch.levels))
}

func newKept(rows int) *kept {
	return &kept{make([]bool, rows), make([]int64, rows), make([]string, rows)}
}

// read reads a value for each row, and adds its digest to the row's. It reads at most as
// many rows as scratch has room for.
func (c *column) read(ctx context.Context, rows []schemas.Digest) error {
	return c.readFrom(ctx, rows, 0)
}

// readFrom reads a value for each row from that index on.
func (c *column) readFrom(ctx context.Context, rows []schemas.Digest, at int) error {
	for at < len(rows) {
		for c.pageLeft == 0 {
			if err := c.nextPage(ctx); err != nil {
				return err
			}
		}
		n := min(c.pageLeft, len(rows)-at)
		if err := c.readPage(rows[at:at+n], at); err != nil {
			return err
		}
		at += n
		c.pageLeft -= n
		if c.pageLeft == 0 {
			if err := c.endPage(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPage reads values of the current page. at is the index of the first row in
// kept.
func (c *column) readPage(rows []schemas.Digest, at int) error {
	levels := c.scratch.levels[:len(rows)]
	if err := c.levels.read(levels); err != nil {
		return err
	}
	present := 0
	for _, level := range levels {
		present += int(level)
	}
	if err := c.decode(present); err != nil {
		return err
	}
	next := 0
	for i, level := range levels {
		if level == 1 {
			d := c.scratch.digests[next]
			rows[i] = rows[i].Add(d)
			c.sum = c.sum.Add(d)
			next++
		}
	}
	if c.kept != nil {
		c.keepValues(levels, at)
	}
	c.rows += int64(len(rows))
	c.nulls += int64(len(rows) - present)
	c.chunkNulls += int64(len(rows) - present)
	return nil
}

func (c *column) keepValues(levels []uint32, at int) {
	next := 0
	for i, level := range levels {
		i += at
		c.kept.valid[i], c.kept.ints[i], c.kept.texts[i] = level == 1, 0, ""
		if level == 0 {
			continue
		}
		if c.kind.IsText() {
			c.kept.texts[i] = c.scratch.texts[next]
		} else {
			c.kept.ints[i] = c.scratch.ints[next]
		}
		next++
	}
}

// faults lists the column's defects.
func (c *column) faults() (wrong []Finding) {
	add := func(at place, expected, found string) {
		if at.group > 0 {
			wrong = append(wrong, Finding{Column: c.name, Where: at.String(), Expected: expected, Found: found})
		}
	}
	add(c.misleading, "all values within the statistics, by which readers skip files", "a value outside of them")
	add(c.miscounted, "the number of NULLs in the statistics", "another number")
	add(c.notUTF8, "text in UTF-8", "other bytes")
	return wrong
}
