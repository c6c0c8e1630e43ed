package verify

import (
	"bytes"
	"context"
	"io"
	"math"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// salvager reads one column of a damaged file. In each chunk it reads the pages before
// the first unreadable page, and those after the last unreadable page. It counts rows
// from the chunk's first row and from its last row. The pages in between are lost,
// because their position depends on a damaged page.
type salvager struct {
	*column
	// The rows of the chunk that are not read yet, in this order.
	head, gap, tail int64
	tailAt          int64 // the offset of the tail's first page
}

// read reads rows as column.read does, and marks those without a readable value.
func (s *salvager) read(ctx context.Context, rows []schemas.Digest, lost []bool) error {
	for at := 0; at < len(rows); {
		left := int64(len(rows) - at)
		switch {
		case s.head > 0:
			n := min(s.head, left)
			if err := s.readFrom(ctx, rows[:at+int(n)], at); err != nil {
				return err
			}
			s.head -= n
			at += int(n)
		case s.gap > 0:
			n := min(s.gap, left)
			for i := range int(n) {
				lost[at+i] = true
			}
			s.gap -= n
			s.rows += n
			at += int(n)
		case s.tail > 0:
			s.seek(s.tailAt)
			s.left = s.tail
			s.head, s.tail = s.tail, 0
		case len(s.chunks) == 0:
			s.gap = math.MaxInt64
		default:
			if err := s.beginChunk(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginChunk begins the next chunk, and finds its readable pages.
func (s *salvager) beginChunk(ctx context.Context) error {
	s.chunk = nil // so that nextChunk does not check the end of the last chunk
	if err := s.nextChunk(); err != nil {
		return err
	}
	found := survey{headAt: -1}
	for s.offset() < s.end() {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.surveyPage(ctx, &found)
	}
	all, first := s.chunk.NumValues, s.chunk.DataPageOffset
	head, tail := found.head, found.tail
	switch {
	case !found.torn && found.values != all, head+tail > all,
		head > 0 && found.headAt != first, tail == all && found.tailAt != first:
		// The pages contradict the footer, so no page has a certain position.
		head, tail = 0, 0
	}
	s.head, s.gap, s.tail, s.tailAt = head, all-head-tail, tail, found.tailAt
	s.page, s.left = page{}, all
	if head > 0 {
		s.seek(found.headAt)
	}
	return nil
}

// survey is the result of decoding the pages of a chunk.
type survey struct {
	head, tail     int64 // values, as in salvager
	headAt, tailAt int64 // offsets
	damaged        bool  // a page is unreadable
	torn           bool  // a header is unreadable
	values         int64 // by all headers
}

// surveyPage decodes the next page, and advances to the page after it.
func (s *salvager) surveyPage(ctx context.Context, found *survey) {
	at := s.offset()
	header, err := s.readHeader(ctx)
	next := s.offset()
	if err == nil && plausible(header) {
		next += int64(header.CompressedPageSize)
	} else {
		next = s.end() + 1
	}
	readable := next <= s.end() && s.decodes(header)
	if !readable {
		found.damaged, found.tail = true, 0
	}
	if next > s.end() {
		found.torn = true
		next = s.resume(ctx, at+1)
	} else if header.DataPageHeader != nil {
		n := int64(header.DataPageHeader.NumValues)
		found.values += n
		switch {
		case !readable:
		case !found.damaged:
			if found.headAt < 0 {
				found.headAt = at
			}
			found.head += n
		default:
			if found.tail == 0 {
				found.tailAt = at
			}
			found.tail += n
		}
	}
	s.seek(next)
}

// decodes reports whether the page after a header is readable.
func (s *salvager) decodes(header *parquet.PageHeader) bool {
	data, err := s.readBody(header)
	if err != nil {
		return false
	}
	s.left, s.pageLeft = s.chunk.NumValues, 0
	if s.begin(header, data) != nil {
		return false
	}
	for s.pageLeft > 0 {
		levels := s.scratch.levels[:min(s.pageLeft, len(s.scratch.levels))]
		if s.levels.read(levels) != nil {
			return false
		}
		present := 0
		for _, level := range levels {
			present += int(level)
		}
		if s.decode(present) != nil {
			return false
		}
		s.pageLeft -= len(levels)
	}
	return header.DataPageHeader == nil || s.endPage() == nil
}

// dataPage is the start of the header of a data page: its type, then a number.
var dataPage = []byte{0x15, 0x00, 0x15}

// resume returns the next offset from which consecutive pages reach the end of the
// chunk, or the end of the chunk if there is none.
func (s *salvager) resume(ctx context.Context, from int64) int64 {
	window := make([]byte, 4<<10)
	for from < s.end() && ctx.Err() == nil {
		n, _ := s.file.ReadAt(window[:min(int64(len(window)), s.end()-from)], from)
		switch i := bytes.Index(window[:n], dataPage); {
		case n < len(dataPage):
			return s.end()
		case i < 0:
			from += int64(n - len(dataPage) + 1)
		case s.reachesEnd(ctx, from+int64(i)):
			return from + int64(i)
		default:
			from += int64(i + 1)
		}
	}
	return s.end()
}

func (s *salvager) reachesEnd(ctx context.Context, at int64) bool {
	for at < s.end() {
		header, size, ok := headerAt(ctx, s.file, at)
		if !ok {
			return false
		}
		at += size + int64(header.CompressedPageSize)
	}
	return at == s.end()
}

func (s *salvager) end() int64 { return chunkStart(s.chunk) + s.chunk.TotalCompressedSize }

// seek sets the offset of the next page.
func (s *salvager) seek(offset int64) {
	_, _ = s.section.Seek(offset-chunkStart(s.chunk), io.SeekStart) // never fails
	s.pages.Reset(s.section)
}

// maxHeader is far above the size of a page header, even with statistics.
const maxHeader = 4 << 10

// headerAt reads the header of the page at an offset, and returns its size.
func headerAt(ctx context.Context, file io.ReaderAt, offset int64) (header *parquet.PageHeader, size int64, ok bool) {
	raw := make([]byte, maxHeader)
	n, _ := file.ReadAt(raw, offset)
	buffer := thrift.NewTMemoryBuffer()
	buffer.Write(raw[:n])
	header = parquet.NewPageHeader()
	if err := header.Read(ctx, compact(buffer, int32(n))); err != nil || !plausible(header) {
		return nil, 0, false
	}
	return header, int64(n - buffer.Len()), true
}

// plausible reports whether a page in a file of the lake can have this header.
func plausible(header *parquet.PageHeader) bool {
	if header.CompressedPageSize < 0 || header.UncompressedPageSize < 0 {
		return false
	}
	data, dictionary := header.DataPageHeader, header.DictionaryPageHeader
	switch header.Type {
	case parquet.PageType_DATA_PAGE:
		return data != nil && dictionary == nil && data.NumValues >= 0 && data.DefinitionLevelEncoding == parquet.Encoding_RLE
	case parquet.PageType_DICTIONARY_PAGE:
		return dictionary != nil && data == nil && dictionary.NumValues >= 0
	}
	return false
}
