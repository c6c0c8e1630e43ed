package transform

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

// column is an Arrow column under construction. Unlike Arrow's builders it can
// be read and cut back, which deduplication needs, and filled late, which
// identity needs.
type column struct {
	schemas.Column
	rows  int
	valid []byte // bitmap
	// Text: the bytes, and where each value ends, after a leading 0.
	data []byte
	ends []int32
	// Any other type: see cell.
	ints []int64
}

func newColumn(c schemas.Column, like *column) *column {
	out := &column{Column: c}
	if like != nil { // batches are alike: as much room as the last one took
		out.valid = make([]byte, 0, cap(like.valid))
		out.data = make([]byte, 0, min(len(like.data)+len(like.data)/8, batchBytes))
		out.ends = make([]int32, 0, cap(like.ends))
		out.ints = make([]int64, 0, cap(like.ints))
	}
	if c.Type.IsText() {
		out.ends = append(out.ends, 0)
	}
	return out
}

func (c *column) mark(valid bool) {
	if c.rows&7 == 0 {
		c.valid = append(c.valid, 0)
	}
	if valid {
		c.valid[c.rows>>3] |= 1 << (c.rows & 7)
	}
	c.rows++
}

func (c *column) isValid(row int) bool { return c.valid[row>>3]&(1<<(row&7)) != 0 }

func (c *column) appendString(s []byte) {
	c.data = append(c.data, s...)
	c.ends = append(c.ends, int32(len(c.data)))
	c.mark(true)
}

func (c *column) appendInt(v int64) {
	c.ints = append(c.ints, v)
	c.mark(true)
}

func (c *column) appendNull() {
	if c.Type.IsText() {
		c.ends = append(c.ends, int32(len(c.data)))
	} else {
		c.ints = append(c.ints, 0)
	}
	c.mark(false)
}

// cut takes the last row back.
func (c *column) cut() {
	c.rows--
	c.valid[c.rows>>3] &^= 1 << (c.rows & 7)
	if c.rows&7 == 0 {
		c.valid = c.valid[:len(c.valid)-1]
	}
	if c.Type.IsText() {
		c.ends = c.ends[:len(c.ends)-1]
		c.data = c.data[:c.ends[len(c.ends)-1]]
	} else {
		c.ints = c.ints[:len(c.ints)-1]
	}
}

// digest is that of one value, zero for NULL.
func (c *column) digest(row int) schemas.Digest {
	switch {
	case !c.isValid(row):
		return schemas.Digest{}
	case c.Type.IsText():
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
