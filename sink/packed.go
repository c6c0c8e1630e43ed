package sink

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

// packed holds rows of one partition in memory, until they are sorted. A row
// stands in one piece, so that to put it there and to fetch it in another order
// touches one place of memory and not one for each of its columns. What it takes
// is known to the byte, and nothing is copied when it grows.
type packed struct {
	blocks [][]byte
	rows   []packedRow
	texts  []int // bytes of all texts, by column
	size   int64 // bytes of all that was allocated
}

// packedRow says where a row is, and by what it is ordered first.
type packedRow struct {
	micros    int64
	block, at uint32
}

// A row is a bitmap of its columns that are not NULL, and their values: 8 bytes,
// or the length of a text, as a varint, and its bytes.

// Blocks grow with the partition, so that thousands of small ones take little.
const (
	minBlock = 2 << 10
	maxBlock = 256 << 10
)

// add appends a row of a batch.
func (p *packed) add(micros int64, columns []source, row int) {
	bitmap := (len(columns) + 7) / 8
	most := bitmap + len(columns)*binary.MaxVarintLen64
	for i := range columns {
		if c := &columns[i]; c.ends != nil {
			most += int(c.ends[row+1] - c.ends[row])
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
	b = b[:at+bitmap]
	clear(b[at:])
	for i := range columns {
		c := &columns[i]
		if !c.isValid(row) {
			continue
		}
		b[at+i>>3] |= 1 << (i & 7)
		if c.ends == nil {
			b = binary.LittleEndian.AppendUint64(b, uint64(c.word(row)))
		} else {
			text := c.text(row)
			p.texts[i] += len(text)
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	p.blocks[last] = b
	had := cap(p.rows)
	p.rows = append(p.rows, packedRow{micros, uint32(last), uint32(at)})
	p.size += int64(cap(p.rows)-had) * 16
}

// unpacker reads rows of a table's files back.
type unpacker struct {
	columns []schemas.Column
	schema  *arrow.Schema
	order   order
}

func (u *unpacker) sort(p *packed) {
	slices.SortFunc(p.rows, func(a, b packedRow) int {
		if a.micros != b.micros {
			return cmp.Compare(a.micros, b.micros)
		}
		rowA, rowB := p.blocks[a.block][a.at:], p.blocks[b.block][b.at:]
		return cmp.Or(
			bytes.Compare(u.text(rowA, u.order.prospect), u.text(rowB, u.order.prospect)),
			bytes.Compare(u.text(rowA, u.order.id), u.text(rowB, u.order.id)))
	})
}

// text is a row's text in a column, empty of NULL.
func (u *unpacker) text(row []byte, column int) []byte {
	values := row[(len(u.columns)+7)/8:]
	for i := range column + 1 {
		var text []byte
		if row[i>>3]&(1<<(i&7)) != 0 {
			text, values = u.next(values, i)
		}
		if i == column {
			return text
		}
	}
	return nil
}

// next cuts a column's value off, which is a text or 8 bytes.
func (u *unpacker) next(values []byte, column int) (value, rest []byte) {
	if !u.columns[column].Type.IsText() {
		return values[:8], values[8:]
	}
	length, n := binary.Uvarint(values)
	values = values[n:]
	return values[:length], values[length:]
}

// batches gives sorted rows, in batches of about so many bytes and at most
// chunkRows.
func (u *unpacker) batches(p *packed, bytes int) Rows {
	return func(yield func(arrow.Record, error) bool) {
		for left := p.rows; len(left) > 0; {
			// As much room as that many average rows take.
			size := min(chunkRows, len(left), 1+int(int64(len(p.rows))*int64(bytes)/p.size))
			out := make([]*column, len(u.columns))
			for i, c := range u.columns {
				out[i] = newColumn(c, size, p.texts[i]*size/len(p.rows))
			}
			count := 0
			for taken := 0; count < min(chunkRows, len(left)) && taken < bytes; count++ {
				taken += u.unpack(p.blocks[left[count].block][left[count].at:], out)
			}
			left = left[count:]
			if !yield(recordOf(u.schema, out), nil) {
				return
			}
		}
	}
}

// unpack appends a row to the columns. It gives how many bytes the row takes.
func (u *unpacker) unpack(row []byte, to []*column) int {
	values := row[(len(to)+7)/8:]
	for i, c := range to {
		if row[i>>3]&(1<<(i&7)) == 0 {
			c.appendNull()
			continue
		}
		var value []byte
		if value, values = u.next(values, i); c.ends != nil {
			c.appendText(value)
		} else {
			c.appendWord(int64(binary.LittleEndian.Uint64(value)))
		}
	}
	return len(row) - len(values)
}
