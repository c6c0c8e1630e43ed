package verify

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// column reads one column from the first row to the last.
type column struct {
	name   string
	kind   schemas.Type
	hash   schemas.ValueHasher
	file   io.ReaderAt
	chunks []*parquet.ColumnMetaData // those not yet begun

	// The chunk that is being read: one column in one row group.
	chunk      *parquet.ColumnMetaData // nil before the first
	section    *io.SectionReader
	pages      *bufio.Reader // of section
	left       int64         // values in pages to come
	chunkNulls int64
	bounds     bounds
	dictionary *values

	page
	scratch *scratch

	// kept is the last chunk of rows, for the columns that are compared with
	// others. It is nil for the rest.
	kept *kept

	group int   // the number of the chunk's row group, from 1
	rows  int64 // that were read

	nulls int64
	sum   schemas.Digest
	// Where statistics mislead or miscount, and where text is not UTF-8, first.
	misleading, miscounted, notUTF8 place
}

// page is the data page that is being read. A copy can be read again.
type page struct {
	pageLeft int    // values
	levels   hybrid // 1 for a value, 0 for NULL
	indices  hybrid // into the dictionary, if the page uses it
	indexed  bool
	plain    []byte // what is left of the values, if not
	bits     hybrid // of a page of bools, instead of plain
}

// place is where in a column something is found: in a row group, at or after a
// row of the file, both from 1. The zero value is nowhere.
type place struct {
	group int
	row   int64
}

func (p place) String() string {
	return fmt.Sprintf("row group %d, at or after row %d", p.group, p.row)
}

// note sets a place to where the column is read, unless it is set.
func (c *column) note(p *place) {
	if p.group == 0 {
		*p = c.place()
	}
}

func (c *column) place() place { return place{c.group, c.rows + 1} }

// values are those of a column that are not NULL, and their digests.
type values struct {
	digests []schemas.Digest
	ints    []int64  // only of a column that is kept; the bits of floats
	texts   []string // only of a column that is kept; they alias the page
}

// scratch is where a piece of a page is decoded. Columns share it.
type scratch struct {
	levels, indices []uint32
	values
}

// kept are a column's values by row, those of NULLs left zero.
type kept struct {
	valid []bool
	ints  []int64
	texts []string
}

// keep makes the column keep the values of the rows last read.
func (c *column) keep() {
	c.kept = newKept(len(c.scratch.levels))
}

func newKept(rows int) *kept {
	return &kept{make([]bool, rows), make([]int64, rows), make([]string, rows)}
}

// read reads as many values as there are rows, as far as the scratch goes, and
// adds the digest of each to its row.
func (c *column) read(ctx context.Context, rows []schemas.Digest) error {
	return c.readFrom(ctx, rows, 0)
}

// readFrom is read for the rows from the one at that index.
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

// readPage reads values of the current page alone; at is the place of rows in
// the chunk of rows.
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

// decode reads the next n values of the current page that are not NULL.
func (c *column) decode(n int) (err error) {
	v := &c.scratch.values
	v.digests, v.ints, v.texts = v.digests[:0], v.ints[:0], v.texts[:0]
	switch {
	case c.kind == schemas.Bool:
		return c.decodeBools(v, n)
	case !c.indexed:
		c.plain, err = c.decodePlain(v, c.plain, n)
		return err
	}
	indices := c.scratch.indices[:n]
	if err := c.indices.read(indices); err != nil {
		return err
	}
	dictionary := c.dictionary
	for _, i := range indices {
		if int(i) >= len(dictionary.digests) {
			return unreadable("a value is number %d of a dictionary of %d", i, len(dictionary.digests))
		}
		v.digests = append(v.digests, dictionary.digests[i])
		switch {
		case c.kept == nil:
		case c.kind.IsText():
			v.texts = append(v.texts, dictionary.texts[i])
		default:
			v.ints = append(v.ints, dictionary.ints[i])
		}
	}
	return nil
}

// decodePlain appends n values, and gives what follows them in data. The texts
// alias data, which must not change any more.
func (c *column) decodePlain(v *values, data []byte, n int) ([]byte, error) {
	if c.kind.IsText() {
		return c.decodeTexts(v, data, n)
	}
	width := widths[c.kind]
	if len(data) < n*width {
		return nil, unreadable("a page ends within its values")
	}
	bounded := c.bounds.any()
	for i := range n {
		x := readInt(data[i*width:], width)
		if bounded && c.bounds.exclude(x) {
			c.note(&c.misleading)
		}
		v.digests = append(v.digests, c.hash.Int64(x))
		if c.kept != nil {
			v.ints = append(v.ints, x)
		}
	}
	return data[n*width:], nil
}

// widths say how many bytes a value takes, where all take the same.
var widths = map[schemas.Type]int{schemas.Int64: 8, schemas.Float64: 8, schemas.Timestamp: 8, schemas.Date: 4}

// readInt reads an integer, or the bits of a float.
func readInt(data []byte, width int) int64 {
	if width == 4 {
		return int64(int32(binary.LittleEndian.Uint32(data)))
	}
	return int64(binary.LittleEndian.Uint64(data))
}

// decodeBools appends n values of the current page.
func (c *column) decodeBools(v *values, n int) error {
	bits := c.scratch.indices[:n]
	if err := c.bits.read(bits); err != nil {
		return err
	}
	bounded := c.bounds.any()
	for _, bit := range bits {
		x := int64(bit)
		if bounded && c.bounds.exclude(x) {
			c.note(&c.misleading)
		}
		v.digests = append(v.digests, c.hash.Int64(x))
		if c.kept != nil {
			v.ints = append(v.ints, x)
		}
	}
	return nil
}

func (c *column) decodeTexts(v *values, data []byte, n int) ([]byte, error) {
	bounded := c.bounds.any()
	for range n {
		if len(data) < 4 {
			return nil, unreadable("a page ends within its values")
		}
		length := int(binary.LittleEndian.Uint32(data))
		data = data[4:]
		if length > len(data) {
			return nil, unreadable("a value is longer than its page")
		}
		text := unsafe.String(unsafe.SliceData(data), length)
		data = data[length:]
		if bounded && c.bounds.excludeText(text) {
			c.note(&c.misleading)
		}
		if !utf8.ValidString(text) {
			c.note(&c.notUTF8)
		}
		v.digests = append(v.digests, c.hash.String(text))
		if c.kept != nil {
			v.texts = append(v.texts, text)
		}
	}
	return data, nil
}

// nextPage begins the next page that has values, or the next chunk.
func (c *column) nextPage(ctx context.Context) error {
	if c.left == 0 {
		return c.nextChunk()
	}
	at := c.offset()
	header, err := c.readHeader(ctx)
	if err != nil {
		return err
	}
	// Some readers begin at the first data page, whatever they know of a dictionary.
	if first := c.left == c.chunk.NumValues; first && header.Type == parquet.PageType_DATA_PAGE && at != c.chunk.DataPageOffset {
		return unreadable("its first data page is not where the footer says")
	}
	data, err := c.readBody(header)
	if err != nil {
		return err
	}
	return c.begin(header, data)
}

func (c *column) readHeader(ctx context.Context) (*parquet.PageHeader, error) {
	header := parquet.NewPageHeader()
	// No list or text in a page's header is longer than two values.
	if err := header.Read(ctx, compact(thrift.NewStreamTransportR(c.pages), 16<<20)); err != nil {
		return nil, unreadable("a page's header: %v", err)
	}
	return header, nil
}

// begin begins to read a page, or reads the dictionary.
func (c *column) begin(header *parquet.PageHeader, data []byte) error {
	switch {
	case header.Type == parquet.PageType_DICTIONARY_PAGE && header.DictionaryPageHeader != nil && c.dictionary == nil:
		return c.beginDictionary(header.DictionaryPageHeader, data)
	case header.Type == parquet.PageType_DATA_PAGE && header.DataPageHeader != nil:
		return c.beginPage(header.DataPageHeader, data)
	}
	return unreadable("a page of type %v stands where none is allowed", header.Type)
}

// offset is where in the file the next page begins.
func (c *column) offset() int64 {
	read, _ := c.section.Seek(0, io.SeekCurrent) // never fails
	return chunkStart(c.chunk) + read - int64(c.pages.Buffered())
}

// readBody gives what follows a page's header, uncompressed, in memory of its
// own.
func (c *column) readBody(header *parquet.PageHeader) ([]byte, error) {
	size, raw := header.UncompressedPageSize, header.CompressedPageSize
	if raw < 0 || int64(raw) > c.chunk.TotalCompressedSize {
		return nil, unreadable("a page of %d bytes does not fit in its column chunk", raw)
	}
	body := make([]byte, raw)
	if _, err := io.ReadFull(c.pages, body); err != nil {
		return nil, unreadable("a page ends early: %v", err)
	}
	data, err := uncompress(c.chunk.Codec, body, int(size))
	if err != nil {
		return nil, unreadable("a page compressed with %v: %v", c.chunk.Codec, err)
	}
	return data, nil
}

func (c *column) beginDictionary(header *parquet.DictionaryPageHeader, data []byte) error {
	if !oneOf(header.Encoding, parquet.Encoding_PLAIN, parquet.Encoding_PLAIN_DICTIONARY) || header.NumValues < 0 || c.kind == schemas.Bool {
		return unreadable("a dictionary of %d values of the type %s is encoded as %v", header.NumValues, c.kind, header.Encoding)
	}
	dictionary := new(values)
	rest, err := c.decodePlain(dictionary, data, int(header.NumValues))
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	if len(rest) > 0 {
		return unreadable("%d bytes follow the dictionary's values", len(rest))
	}
	c.dictionary = dictionary
	return nil
}

func (c *column) beginPage(header *parquet.DataPageHeader, data []byte) error {
	n := header.NumValues
	if n < 0 || int64(n) > c.left {
		return unreadable("a page of %d values stands where %d are left", n, c.left)
	}
	if header.DefinitionLevelEncoding != parquet.Encoding_RLE || len(data) < 4 {
		return unreadable("a page of %d bytes has levels encoded as %v", len(data), header.DefinitionLevelEncoding)
	}
	length := binary.LittleEndian.Uint32(data)
	data = data[4:]
	if uint64(length) > uint64(len(data)) {
		return unreadable("a page ends within its levels")
	}
	c.levels = hybrid{data: data[:length], width: 1}
	data = data[length:]
	c.indices, c.plain, c.bits = hybrid{}, nil, hybrid{}
	c.indexed = header.Encoding != parquet.Encoding_PLAIN
	switch {
	case !c.indexed && c.kind == schemas.Bool:
		c.bits = hybrid{width: 1, packed: data, left: 8 * len(data)} // one run, which has no header
	case !c.indexed:
		c.plain = data
	case !oneOf(header.Encoding, parquet.Encoding_PLAIN_DICTIONARY, parquet.Encoding_RLE_DICTIONARY) || c.dictionary == nil:
		return unreadable("a page is encoded as %v", header.Encoding)
	case len(data) == 0 || data[0] > 32:
		return unreadable("a page does not say how long its indices are")
	default:
		c.indices = hybrid{data: data[1:], width: uint(data[0])}
	}
	c.pageLeft = int(n)
	c.left -= int64(n)
	if n == 0 {
		return c.endPage()
	}
	return nil
}

// endPage checks that the page held nothing beyond its values.
func (c *column) endPage() error {
	if !c.levels.ended() || !c.indices.ended() || !c.bits.ended() || len(c.plain) > 0 {
		return unreadable("a page holds more than its values")
	}
	return nil
}

func (c *column) nextChunk() error {
	if err := c.endChunk(); err != nil {
		return err
	}
	if len(c.chunks) == 0 {
		return unreadable("it ends before its last row")
	}
	c.chunk, c.chunks = c.chunks[0], c.chunks[1:]
	c.group++
	c.left, c.chunkNulls, c.dictionary = c.chunk.NumValues, 0, nil
	c.section = io.NewSectionReader(c.file, chunkStart(c.chunk), c.chunk.TotalCompressedSize)
	c.pages = bufio.NewReaderSize(c.section, int(min(max(c.chunk.TotalCompressedSize, 4<<10), 32<<10)))
	var ok bool
	if c.bounds, ok = boundsOf(c.chunk.Statistics, c.kind); !ok {
		c.note(&c.misleading)
	}
	return nil
}

// endChunk checks that the chunk held nothing beyond its pages.
func (c *column) endChunk() error {
	if c.chunk == nil {
		return nil
	}
	if _, err := c.pages.ReadByte(); err != io.EOF {
		return unreadable("a column chunk holds more than its values")
	}
	if s := c.chunk.Statistics; s != nil && s.NullCount != nil && *s.NullCount != c.chunkNulls {
		c.note(&c.miscounted)
	}
	return nil
}

// faults are what is wrong with the column, whatever it should hold.
func (c *column) faults() (wrong []Finding) {
	add := func(at place, expected, found string) {
		if at.group > 0 {
			wrong = append(wrong, Finding{Column: c.name, Where: at.String(), Expected: expected, Found: found})
		}
	}
	add(c.misleading, "statistics between which all values lie, as readers skip files by them", "values beyond")
	add(c.miscounted, "statistics that count its NULLs", "another count")
	add(c.notUTF8, "text in UTF-8", "other bytes")
	return wrong
}
