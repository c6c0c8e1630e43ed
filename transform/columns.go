package transform

import (
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/bitutil"

	"prospector/schemas"
	"prospector/schemas/records"
)

// column is an Arrow column under construction. Unlike Arrow's builders, it allows rows to
// be read and removed, for deduplication, and added late, for IDs. NULLs are appended
// together with the next value, because most events have no value for most columns.
type column struct {
	rows   int // fewer than the batch has if the last rows are NULL
	isText bool
	// For text: the bytes, and the end of each value, after a leading 0.
	data []byte
	ends []int32
	// For any other type: see cell.
	ints  []int64
	nulls []run // of NULLs among the rows
	schemas.Column
}

// run is a range of rows. Most columns have long runs of NULLs.
type run struct{ from, to int }

func newColumn(c schemas.Column) *column {
	out := &column{Column: c, isText: c.Type.IsText()}
	if out.isText {
		out.ends = append(out.ends, 0)
	}
	return out
}

// restart removes all rows. It keeps the memory for the next rows, unless the texts were
// very large.
func (c *column) restart() {
	if cap(c.data) > 2*batchBytes {
		c.data = nil
	}
	c.cut(0)
}

// pad appends NULLs up to a number of rows.
func (c *column) pad(rows int) {
	if c.rows >= rows {
		return
	}
	c.nulls = append(c.nulls, run{c.rows, rows})
	for ; c.rows < rows; c.rows++ {
		if c.isText {
			c.ends = append(c.ends, int32(len(c.data)))
		} else {
			c.ints = append(c.ints, 0)
		}
	}
}

func (c *column) isValid(row int) bool {
	_, null := slices.BinarySearchFunc(c.nulls, row, func(r run, row int) int {
		switch {
		case r.to <= row:
			return -1
		case r.from > row:
			return 1
		}
		return 0
	})
	return row < c.rows && !null
}

// validity returns Arrow's bitmap of the rows that are not NULL.
func (c *column) validity() []byte {
	bits := make([]byte, bitutil.BytesForBits(int64(c.rows)))
	bitutil.SetBitsTo(bits, 0, int64(c.rows), true)
	for _, r := range c.nulls {
		bitutil.SetBitsTo(bits, int64(r.from), int64(r.to-r.from), false)
	}
	return bits
}

func (c *column) appendString(s []byte) {
	c.data = append(c.data, s...)
	c.ends = append(c.ends, int32(len(c.data)))
	c.rows++
}

func (c *column) appendInt(v int64) {
	c.ints = append(c.ints, v)
	c.rows++
}

// cut removes all rows after a number of rows.
func (c *column) cut(rows int) {
	if c.rows <= rows {
		return
	}
	c.rows = rows
	for n := len(c.nulls); n > 0 && c.nulls[n-1].to > rows; n-- {
		if last := &c.nulls[n-1]; last.from < rows {
			last.to = rows
			break
		}
		c.nulls = c.nulls[:n-1]
	}
	if c.isText {
		c.ends = c.ends[:rows+1]
		c.data = c.data[:c.ends[rows]]
	} else {
		c.ints = c.ints[:rows]
	}
}

// digest returns the digest of one value, which is zero for NULL.
func (c *column) digest(row int) schemas.Digest {
	switch {
	case !c.isValid(row):
		return schemas.Digest{}
	case c.isText:
		return schemas.HashValuesOf(c.Name).String(string(c.data[c.ends[row]:c.ends[row+1]]))
	default:
		return schemas.HashValuesOf(c.Name).Int64(c.ints[row])
	}
}

// array returns an Arrow array that shares the memory of the column.
func (c *column) array() arrow.Array {
	return records.NewArray(c.Type, schemas.Values{
		Rows: c.rows, Nulls: schemas.UnknownNulls, Valid: c.validity(), Words: c.ints, Ends: c.ends, Texts: c.data,
	})
}
