package stage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"prospector/schemas"
	"prospector/schemas/records"
)

// packed holds rows of one partition in memory. Each row is contiguous, so that adding
// it and reading it in sorted order access one place in memory instead of one per
// column. The size is exact. Adding a row does not copy the others.
type packed struct {
	blocks [][]byte
	rows   []packedRow
	texts  []int // bytes of all texts, by column
	size   int64 // allocated bytes
}

// packedRow has the position of a row, and the time by which it is ordered first.
type packedRow struct {
	micros    int64
	block, at uint32
}

// A row has its length, a bitmap of the columns that are not NULL, and their
// values: 8 bytes, or a text with its length as a varint.

// lengthBytes is the size of a row's length.
const lengthBytes = 4

// Blocks grow with the partition, so that thousands of small partitions need little
// memory.
const (
	minBlock = 2 << 10
	maxBlock = 256 << 10
)

// add appends a row of a batch, and returns its size in bytes.
func (p *packed) add(micros int64, columns []records.Column, row int) int {
	bitmap := (len(columns) + 7) / 8
	most := lengthBytes + bitmap + len(columns)*binary.MaxVarintLen64
	for i := range columns {
		if c := &columns[i]; c.IsText() {
			most += c.TextLen(row)
		}
	}
	last := len(p.blocks) - 1
	if last < 0 || cap(p.blocks[last])-len(p.blocks[last]) < most {
		block := make([]byte, 0, max(most, minBlock, min(int(p.size)/4, maxBlock)))
		p.blocks = append(p.blocks, block)
		p.size += int64(cap(block))
		last++
	}
	if p.texts == nil {
		p.texts = make([]int, len(columns))
	}
	b := p.blocks[last]
	at := len(b)
	b = b[:at+lengthBytes+bitmap]
	valid := b[at+lengthBytes:]
	clear(valid)
	for i := range columns {
		c := &columns[i]
		if !c.IsValid(row) {
			continue
		}
		valid[i>>3] |= 1 << (i & 7)
		if !c.IsText() {
			b = binary.LittleEndian.AppendUint64(b, uint64(c.Word(row)))
		} else {
			text := c.Text(row)
			p.texts[i] += len(text)
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-lengthBytes))
	p.blocks[last] = b
	had := cap(p.rows)
	p.rows = append(p.rows, packedRow{micros, uint32(last), uint32(at)})
	p.size += int64(cap(p.rows)-had) * 16
	return len(b) - at
}

// extent estimates the extent of a batch of that many rows like these.
func (p *packed) extent(rows int64) (e extent) {
	n := int64(len(p.rows))
	if n == 0 {
		return e
	}
	e.rows = int(min(rows, records.MaxRows, 1+n*records.MaxBytes/p.size))
	for _, bytes := range p.texts {
		e.texts = append(e.texts, int(int64(bytes)*int64(e.rows)/n))
	}
	return e
}

// row returns the bitmap and the values of a row.
func (p *packed) row(r packedRow) []byte {
	b := p.blocks[r.block][r.at:]
	return b[lengthBytes : lengthBytes+binary.LittleEndian.Uint32(b)]
}

// sort sorts the rows.
func (p *packed) sort(l *layout) {
	slices.SortFunc(p.rows, func(a, b packedRow) int {
		if a.micros != b.micros {
			return cmp.Compare(a.micros, b.micros)
		}
		return l.compareTies(p.row(a), p.row(b))
	})
}

// each returns a function that returns the next row, or the zero value at the end.
func (p *packed) each() func() (stagedRow, error) {
	left := p.rows
	return func() (stagedRow, error) {
		if len(left) == 0 {
			return stagedRow{}, nil
		}
		r := left[0]
		left = left[1:]
		return stagedRow{micros: r.micros, row: p.row(r)}, nil
	}
}

// layout reads the values of packed rows.
type layout struct {
	columns []schemas.Column
	order   order
}

// compareTies orders rows with the same time.
func (l *layout) compareTies(a, b []byte) int {
	return cmp.Or(
		bytes.Compare(l.text(a, l.order.entity), l.text(b, l.order.entity)),
		bytes.Compare(l.text(a, l.order.id), l.text(b, l.order.id)))
}

// text returns a row's text in a column, or nil if it is NULL.
func (l *layout) text(row []byte, column int) []byte {
	values := row[(len(l.columns)+7)/8:]
	for i := range column + 1 {
		var text []byte
		if row[i>>3]&(1<<(i&7)) != 0 {
			text, values = l.next(values, i)
		}
		if i == column {
			return text
		}
	}
	return nil
}

// key returns a row with only the values that order rows with the same time.
func (l *layout) key(row []byte) []byte {
	key := make([]byte, (len(l.columns)+7)/8)
	for i := range l.columns {
		if (i == l.order.entity || i == l.order.id) && row[i>>3]&(1<<(i&7)) != 0 {
			key[i>>3] |= 1 << (i & 7)
			text := l.text(row, i)
			key = append(binary.AppendUvarint(key, uint64(len(text))), text...)
		}
	}
	return key
}

// next cuts off the value of a column: a text, or 8 bytes.
func (l *layout) next(values []byte, column int) (value, rest []byte) {
	if !l.columns[column].Type.IsText() {
		return values[:8], values[8:]
	}
	length, n := binary.Uvarint(values)
	values = values[n:]
	return values[:length], values[length:]
}

// unpack appends a row to columns, and returns the number of bytes of its texts.
func (l *layout) unpack(row []byte, to []*records.Builder) (texts int) {
	values := row[(len(to)+7)/8:]
	for i, c := range to {
		if row[i>>3]&(1<<(i&7)) == 0 {
			c.AppendNull()
			continue
		}
		var value []byte
		if value, values = l.next(values, i); c.IsText() {
			c.AppendText(value)
			texts += len(value)
		} else {
			c.AppendWord(int64(binary.LittleEndian.Uint64(value)))
		}
	}
	return texts
}
