package parquetfile

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"

	"prospector/schemas/records"
)

// columnChunk writes a column of a row group. It does what pqarrow does, but
// does not copy all values to arrays first. It also has its own table of the dictionary's
// values, because the library's table allocates memory on each lookup.
type columnChunk struct {
	file.ColumnChunkWriter
	pages *pages           // receives the pages from the library
	codes map[string]int32 // by value; nil if the column has no dictionary
}

func newColumnChunk(to file.ColumnChunkWriter, pages *pages, dictionary bool) *columnChunk {
	c := &columnChunk{ColumnChunkWriter: to, pages: pages}
	if _, texts := to.(*file.ByteArrayColumnChunkWriter); texts && dictionary {
		c.codes = make(map[string]int32)
	}
	return c
}

// scratch is memory that all columns reuse, one after the other.
type scratch struct {
	levels  []int16 // definition levels: 0 is NULL
	texts   []parquet.ByteArray
	words   []int64
	days    []int32
	bits    []bool
	doubles []float64
	codes   []int32
	spaced  []int32 // codes, with a gap for each NULL
	valid   []byte  // bitmap of spaced
}

// write appends the values of a batch.
func (c *columnChunk) write(values arrow.Array, with *scratch) error {
	from := records.ColumnOf(values)
	// The library ends pages only between steps.
	step := int(c.Properties().WriteBatchSize())
	for start := 0; start < values.Len(); start += step {
		end := min(start+step, values.Len())
		with.levels = with.levels[:0]
		for row := start; row < end; row++ {
			level := int16(0)
			if from.IsValid(row) {
				level = 1
			}
			with.levels = append(with.levels, level)
		}
		if err := c.writeRows(&from, start, with); err != nil {
			return err
		}
	}
	return nil
}

// writeRows appends the rows from start on. with.levels has their levels.
func (c *columnChunk) writeRows(from *records.Column, start int, with *scratch) (err error) {
	levels := with.levels
	switch to := c.ColumnChunkWriter.(type) {
	case *file.ByteArrayColumnChunkWriter:
		with.texts = with.texts[:0]
		defer func() { clear(with.texts) }() // the batch may be released
		for i, level := range levels {
			if level > 0 {
				with.texts = append(with.texts, from.Text(start+i))
			}
		}
		if c.codes != nil && c.known(with) {
			return c.writeCodes(with)
		}
		_, err = to.WriteBatch(with.texts, levels, nil)
	case *file.Int64ColumnChunkWriter:
		with.words = pick(with.words, levels, func(i int) int64 { return from.Word(start + i) })
		_, err = to.WriteBatch(with.words, levels, nil)
	case *file.Int32ColumnChunkWriter:
		with.days = pick(with.days, levels, func(i int) int32 { return int32(from.Word(start + i)) })
		_, err = to.WriteBatch(with.days, levels, nil)
	case *file.BooleanColumnChunkWriter:
		with.bits = pick(with.bits, levels, func(i int) bool { return from.Word(start+i) != 0 })
		_, err = to.WriteBatch(with.bits, levels, nil)
	case *file.Float64ColumnChunkWriter:
		with.doubles = pick(with.doubles, levels, func(i int) float64 { return math.Float64frombits(uint64(from.Word(start + i))) })
		_, err = to.WriteBatch(with.doubles, levels, nil)
	default:
		err = fmt.Errorf("column %s has the unsupported type %s", c.Descr().Name(), c.Type())
	}
	return err
}

// pick returns the values of the rows that are not NULL, in the memory of into.
func pick[T any](into []T, levels []int16, value func(i int) T) []T {
	into = into[:0]
	for i, level := range levels {
		if level > 0 {
			into = append(into, value(i))
		}
	}
	return into
}

// waiting returns bounds for the size, in bytes, of the values and the dictionary that
// are not in a page yet. Repeated codes take almost no space.
func (c *columnChunk) waiting() (least, most int64) {
	encoder := c.CurrentEncoder()
	values := encoder.EstimatedDataEncodedSize()
	if d, ok := encoder.(interface{ DictEncodedSize() int }); ok {
		dictionary := int64(d.DictEncodedSize())
		return dictionary, dictionary + values
	}
	return values, values
}

// maxDictionaryText is the minimum length of a text that ends the dictionary. The library
// abandons a dictionary of that size too, but copies the text twice first.
const maxDictionaryText = int(parquet.DefaultDictionaryPageSizeLimit)

// known looks up the codes of texts, and reports whether all texts are in the
// dictionary already. New texts get the next codes, which are those that the
// library will assign.
func (c *columnChunk) known(with *scratch) bool {
	if _, dictionary := c.CurrentEncoder().(interface{ PutIndices(arrow.Array) error }); !dictionary {
		c.codes = nil // it became too large
		return false
	}
	known := true
	with.codes = with.codes[:0]
	for _, text := range with.texts {
		if len(text) >= maxDictionaryText {
			c.FallbackToPlain()
			c.codes = nil
			return false
		}
		code, ok := c.codes[string(text)]
		if !ok {
			known, code = false, int32(len(c.codes))
			c.codes[string(text)] = code
		}
		with.codes = append(with.codes, code)
	}
	return known
}

// writeCodes appends rows whose texts are all in the dictionary.
func (c *columnChunk) writeCodes(with *scratch) error {
	if stats := c.PageStatistics(); stats != nil { // the library counts only new texts
		stats.IncNulls(int64(len(with.levels) - len(with.codes)))
		stats.IncNumValues(int64(len(with.codes)))
	}
	with.spaced, with.valid = with.spaced[:0], append(with.valid[:0], make([]byte, (len(with.levels)+7)/8)...)
	next := 0
	for i, level := range with.levels {
		code := int32(0)
		if level > 0 {
			with.valid[i>>3] |= 1 << (i & 7)
			code = with.codes[next]
			next++
		}
		with.spaced = append(with.spaced, code)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(with.spaced), []*memory.Buffer{
		memory.NewBufferBytes(with.valid), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(with.spaced)),
	}, nil, len(with.levels)-next, 0)
	defer data.Release()
	return c.WriteDictIndices(array.MakeFromData(data), with.levels, nil)
}
