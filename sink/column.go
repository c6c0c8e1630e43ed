package sink

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

// source is a column of a batch that is read value by value. Arrow's accessors
// cost several times as much, and rows are copied more often than anything else
// is done with them.
type source struct {
	valid  []byte // bitmap; nil when nothing is NULL
	offset int    // of the first row in the bitmaps
	// One of these has the values.
	words []int64
	days  []int32
	bits  []byte
	ends  []int32 // of texts, after where the first one begins
	texts []byte
}

func sourceOf(values arrow.Array) source {
	data := values.Data()
	s := source{offset: data.Offset()}
	if values.NullN() > 0 {
		s.valid = values.NullBitmapBytes()
	}
	switch values := values.(type) {
	case *array.String:
		s.ends = values.ValueOffsets()
		// An empty text is not nil, which the Parquet library takes for no value.
		if s.texts = []byte{}; data.Buffers()[2] != nil && data.Buffers()[2].Len() > 0 {
			s.texts = data.Buffers()[2].Bytes()
		}
	case *array.Int64:
		s.words = values.Int64Values()
	case *array.Timestamp:
		s.words = arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(values.TimestampValues()))
	case *array.Float64:
		s.words = arrow.Int64Traits.CastFromBytes(arrow.Float64Traits.CastToBytes(values.Float64Values()))
	case *array.Date32:
		s.days = arrow.Int32Traits.CastFromBytes(arrow.Date32Traits.CastToBytes(values.Date32Values()))
	case *array.Boolean:
		if data.Buffers()[1] != nil {
			s.bits = data.Buffers()[1].Bytes()
		}
	}
	return s
}

func (s *source) isValid(row int) bool {
	row += s.offset
	return s.valid == nil || s.valid[row>>3]&(1<<(row&7)) != 0
}

func (s *source) text(row int) []byte { return s.texts[s.ends[row]:s.ends[row+1]] }

// word is a value that is no text: an integer, microseconds, days, the bits of a
// float, or 0 and 1.
func (s *source) word(row int) int64 {
	switch {
	case s.words != nil:
		return s.words[row]
	case s.days != nil:
		return int64(s.days[row])
	}
	row += s.offset
	return int64(s.bits[row>>3] >> (row & 7) & 1)
}

// sourcesOf are a batch's first columns.
func sourcesOf(columns []schemas.Column, batch arrow.Record) []source {
	sources := make([]source, len(columns))
	for i := range sources {
		sources[i] = sourceOf(batch.Column(i))
	}
	return sources
}

// column is an Arrow column under construction.
type column struct {
	of    schemas.Column
	rows  int
	nulls int
	valid []byte // bitmap
	words []int64
	ends  []int32 // of texts, after a leading 0
	texts []byte
}

// newColumn makes room for so many rows, and so many bytes of text.
func newColumn(of schemas.Column, rows, bytes int) *column {
	c := &column{of: of, valid: make([]byte, 0, (rows+7)/8)}
	if of.Type.IsText() {
		c.ends = append(make([]int32, 0, rows+1), 0)
		c.texts = make([]byte, 0, bytes)
	} else {
		c.words = make([]int64, 0, rows)
	}
	return c
}

func (c *column) mark(valid byte) {
	if c.rows&7 == 0 {
		c.valid = append(c.valid, valid)
	} else {
		c.valid[c.rows>>3] |= valid << (c.rows & 7)
	}
	c.rows++
}

func (c *column) appendNull() {
	c.nulls++
	c.mark(0)
	if c.of.Type.IsText() {
		c.ends = append(c.ends, int32(len(c.texts)))
	} else {
		c.words = append(c.words, 0)
	}
}

func (c *column) appendText(s []byte) {
	c.mark(1)
	c.texts = append(c.texts, s...)
	c.ends = append(c.ends, int32(len(c.texts)))
}

func (c *column) appendWord(v int64) {
	c.mark(1)
	c.words = append(c.words, v)
}

// appendFrom copies a value.
func (c *column) appendFrom(s *source, row int) {
	switch {
	case !s.isValid(row):
		c.appendNull()
	case c.of.Type.IsText():
		c.appendText(s.text(row))
	default:
		c.appendWord(s.word(row))
	}
}

// array hands the column's memory over to Arrow.
func (c *column) array(dt arrow.DataType) arrow.Array {
	return schemas.NewArray(c.of.Type, dt, c.rows, c.nulls, c.valid, c.words, c.ends, c.texts)
}

// recordOf makes a batch of columns that have all their rows.
func recordOf(schema *arrow.Schema, columns []*column) arrow.Record {
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		arrays[i] = c.array(schema.Field(i).Type)
	}
	return array.NewRecord(schema, arrays, int64(columns[0].rows))
}
