package transform

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

// column is an Arrow column under construction. Unlike Arrow's builders it can
// be read and cut back, which deduplication needs, and filled late, which
// identity needs. NULLs are appended when the next value comes: most columns take
// nothing of most events.
type column struct {
	schemas.Column
	isText bool
	rows   int    // the last ones may be missing; they are NULL
	valid  []byte // bitmap
	// Text: the bytes, and where each value ends, after a leading 0.
	data []byte
	ends []int32
	// Any other type: see cell.
	ints []int64
}

func newColumn(c schemas.Column, like *column) *column {
	out := &column{Column: c, isText: c.Type.IsText()}
	if like != nil { // batches are alike: as much room as the last one took
		out.valid = make([]byte, 0, cap(like.valid))
		out.data = make([]byte, 0, min(len(like.data)+len(like.data)/8, batchBytes))
		out.ends = make([]int32, 0, cap(like.ends))
		out.ints = make([]int64, 0, cap(like.ints))
	}
	if out.isText {
		out.ends = append(out.ends, 0)
	}
	return out
}

// pad appends NULLs up to so many rows.
func (c *column) pad(rows int) {
	for c.rows < rows {
		if c.isText {
			c.ends = append(c.ends, int32(len(c.data)))
		} else {
			c.ints = append(c.ints, 0)
		}
		c.mark(0)
	}
}

// mark counts a row; valid is 1, or 0 of a NULL.
func (c *column) mark(valid byte) {
	if c.rows&7 == 0 {
		c.valid = append(c.valid, valid)
	} else {
		c.valid[len(c.valid)-1] |= valid << (c.rows & 7)
	}
	c.rows++
}

func (c *column) isValid(row int) bool {
	return row < c.rows && c.valid[row>>3]&(1<<(row&7)) != 0
}

func (c *column) appendString(s []byte) {
	c.data = append(c.data, s...)
	c.ends = append(c.ends, int32(len(c.data)))
	c.mark(1)
}

func (c *column) appendInt(v int64) {
	c.ints = append(c.ints, v)
	c.mark(1)
}

// cut leaves so many rows.
func (c *column) cut(rows int) {
	if c.rows <= rows {
		return
	}
	c.rows = rows
	c.valid = c.valid[:(rows+7)/8]
	if rows&7 > 0 {
		c.valid[rows>>3] &= 1<<(rows&7) - 1
	}
	if c.isText {
		c.ends = c.ends[:rows+1]
		c.data = c.data[:c.ends[rows]]
	} else {
		c.ints = c.ints[:rows]
	}
}

// digest is that of one value, zero for NULL.
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

// array hands the column's memory over to Arrow.
func (c *column) array(dt arrow.DataType) arrow.Array {
	validity := memory.NewBufferBytes(c.valid)
	var buffers []*memory.Buffer
	switch c.Type {
	case schemas.String, schemas.JSON:
		buffers = []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.ends)), memory.NewBufferBytes(c.data)}
	case schemas.Date:
		days := make([]int32, len(c.ints))
		for i, v := range c.ints {
			days[i] = int32(v)
		}
		buffers = []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(days))}
	case schemas.Bool:
		bits := make([]byte, len(c.valid))
		for i, v := range c.ints {
			bits[i>>3] |= byte(v) << (i & 7)
		}
		buffers = []*memory.Buffer{validity, memory.NewBufferBytes(bits)}
	default: // 64 bits
		buffers = []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.ints))}
	}
	data := array.NewData(dt, c.rows, buffers, nil, array.UnknownNullCount, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
