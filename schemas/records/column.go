package records

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

// Column reads a column of a batch value by value. Arrow's accessors cost several
// times as much, and copying rows is the most frequent operation.
type Column struct {
	valid  []byte // bitmap; nil if no value is NULL
	offset int    // of the first row in the bitmaps
	// One of these has the values.
	words   []int64
	words32 []int32
	bits    []byte
	ends    []int32 // of texts; the first entry is the start of the first text
	texts   []byte
}

// ColumnOf returns the values of an array. The array must not be released while they
// are in use.
func ColumnOf(values arrow.Array) Column {
	data := values.Data()
	c := Column{offset: data.Offset()}
	if values.NullN() > 0 {
		c.valid = values.NullBitmapBytes()
	}
	if texts, ok := values.(*array.String); ok {
		c.ends = texts.ValueOffsets()
		// An empty text is not nil: the Parquet library takes nil for a missing value.
		if c.texts = []byte{}; data.Buffers()[2] != nil && data.Buffers()[2].Len() > 0 {
			c.texts = data.Buffers()[2].Bytes()
		}
		return c
	}
	if data.Buffers()[1] == nil {
		return c
	}
	from, to := data.Offset(), data.Offset()+data.Len()
	switch buffer := data.Buffers()[1].Bytes(); bitWidth(data.DataType()) {
	case 64:
		c.words = arrow.Int64Traits.CastFromBytes(buffer)[from:to]
	case 32:
		c.words32 = arrow.Int32Traits.CastFromBytes(buffer)[from:to]
	default:
		c.bits = buffer
	}
	return c
}

// ColumnsOf returns the first columns of a batch, one for each of columns.
func ColumnsOf(columns []schemas.Column, batch arrow.Record) []Column {
	read := make([]Column, len(columns))
	for i := range read {
		read[i] = ColumnOf(batch.Column(i))
	}
	return read
}

// IsValid reports whether the value of a row is not NULL.
func (c *Column) IsValid(row int) bool {
	row += c.offset
	return c.valid == nil || c.valid[row>>3]&(1<<(row&7)) != 0
}

// IsText reports whether the values are texts. All other values are words.
func (c *Column) IsText() bool { return c.ends != nil }

// Text returns the text of a row, which is a part of the batch's memory.
func (c *Column) Text(row int) []byte { return c.texts[c.ends[row]:c.ends[row+1]] }

// TextLen returns the length of the text of a row, in bytes.
func (c *Column) TextLen(row int) int { return int(c.ends[row+1] - c.ends[row]) }

// Word returns a value that is not a text: an integer, microseconds, days, the
// bits of a float, or 0 and 1.
func (c *Column) Word(row int) int64 {
	switch {
	case c.words != nil:
		return c.words[row]
	case c.words32 != nil:
		return int64(c.words32[row])
	}
	row += c.offset
	return int64(c.bits[row>>3] >> (row & 7) & 1)
}

// Builder builds one column of a batch.
type Builder struct {
	column schemas.Column
	values schemas.Values
}

// NewBuilder returns a Builder with room for that many rows and bytes of text.
func NewBuilder(column schemas.Column, rows, bytes int) *Builder {
	b := &Builder{column: column}
	v := &b.values
	v.Valid = make([]byte, 0, (rows+7)/8)
	if column.Type.IsText() {
		v.Ends = append(make([]int32, 0, rows+1), 0)
		v.Texts = make([]byte, 0, bytes)
	} else {
		v.Words = make([]int64, 0, rows)
	}
	return b
}

// Len returns the number of rows.
func (b *Builder) Len() int { return b.values.Rows }

// TextBytes returns the length of all texts together.
func (b *Builder) TextBytes() int { return len(b.values.Texts) }

// IsText reports whether the column's values are texts.
func (b *Builder) IsText() bool { return b.values.Ends != nil }

func (b *Builder) mark(valid byte) {
	if b.values.Rows&7 == 0 {
		b.values.Valid = append(b.values.Valid, valid)
	} else {
		b.values.Valid[b.values.Rows>>3] |= valid << (b.values.Rows & 7)
	}
	b.values.Rows++
}

// AppendNull appends a row without a value.
func (b *Builder) AppendNull() {
	b.values.Nulls++
	b.mark(0)
	if b.IsText() {
		b.values.Ends = append(b.values.Ends, int32(len(b.values.Texts)))
	} else {
		b.values.Words = append(b.values.Words, 0)
	}
}

// AppendText appends a copy of a text.
func (b *Builder) AppendText(s []byte) {
	b.mark(1)
	b.values.Texts = append(b.values.Texts, s...)
	b.values.Ends = append(b.values.Ends, int32(len(b.values.Texts)))
}

// AppendWord appends a value as Column.Word returns it.
func (b *Builder) AppendWord(v int64) {
	b.mark(1)
	b.values.Words = append(b.values.Words, v)
}

// AppendFrom appends the value of a row of another column of the same type.
func (b *Builder) AppendFrom(c *Column, row int) {
	switch {
	case !c.IsValid(row):
		b.AppendNull()
	case b.IsText():
		b.AppendText(c.Text(row))
	default:
		b.AppendWord(c.Word(row))
	}
}

// NewBatch makes a batch of columns that all have the same number of rows. The
// batch takes over the builders' memory, so they must not be used afterwards.
func NewBatch(schema *arrow.Schema, columns []*Builder) arrow.Record {
	arrays := make([]arrow.Array, len(columns))
	for i, b := range columns {
		arrays[i] = NewArray(b.column.Type, b.values)
	}
	return array.NewRecord(schema, arrays, int64(columns[0].Len()))
}
