package verify

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// openChunk is the column chunk that is being read: one column in one row group.
type openChunk struct {
	chunk      *parquet.ColumnMetaData // nil before the first
	section    *io.SectionReader
	pages      *bufio.Reader // of section
	left       int64         // values in the pages that follow
	chunkNulls int64
	bounds     bounds
	dictionary *values
}

// page is the data page that is being read. A copy of it can be read again.
type page struct {
	pageLeft int    // values
	levels   hybrid // 1 for a value, 0 for NULL
	indices  hybrid // into the dictionary, if the page uses it
	indexed  bool
	plain    []byte // the values that are left, if the page does not use it
	bits     hybrid // of a page of bools, instead of plain
}

// nextChunk begins the next column chunk.
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

// endChunk checks that nothing follows the pages of the chunk.
func (c *column) endChunk() error {
	if c.chunk == nil {
		return nil
	}
	if _, err := c.pages.ReadByte(); err != io.EOF {
		return unreadable("bytes follow the last page of a column chunk")
	}
	if s := c.chunk.Statistics; s != nil && s.NullCount != nil && *s.NullCount != c.chunkNulls {
		c.note(&c.miscounted)
	}
	return nil
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
	// Some readers begin at the first data page, even if there is a dictionary.
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
	// In a page header, no list or text is longer than two values.
	if err := header.Read(ctx, compact(thrift.NewStreamTransportR(c.pages), 16<<20)); err != nil {
		return nil, unreadable("a page header cannot be decoded: %v", err)
	}
	return header, nil
}

// begin starts a data page, or reads the dictionary page.
func (c *column) begin(header *parquet.PageHeader, data []byte) error {
	switch {
	case header.Type == parquet.PageType_DICTIONARY_PAGE && header.DictionaryPageHeader != nil && c.dictionary == nil:
		return c.beginDictionary(header.DictionaryPageHeader, data)
	case header.Type == parquet.PageType_DATA_PAGE && header.DataPageHeader != nil:
		return c.beginPage(header.DataPageHeader, data)
	}
	return unreadable("there is a page of type %v where none is allowed", header.Type)
}

// offset returns where in the file the next page begins.
func (c *column) offset() int64 {
	read, _ := c.section.Seek(0, io.SeekCurrent) // never fails
	return chunkStart(c.chunk) + read - int64(c.pages.Buffered())
}

// readBody reads the body of a page, and returns it uncompressed in new memory.
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
		return unreadable("a page has %d values, but %d are left", n, c.left)
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
		return unreadable("a page does not have the size of its indices")
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

// endPage checks that nothing follows the values of the page.
func (c *column) endPage() error {
	if !c.levels.ended() || !c.indices.ended() || !c.bits.ended() || len(c.plain) > 0 {
		return unreadable("bytes follow the last value of a page")
	}
	return nil
}
