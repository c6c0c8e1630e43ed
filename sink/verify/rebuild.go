package verify

import (
	"context"
	"io"

	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// rebuilt derives a file's layout from its pages, if the footer is damaged or missing.
// It finds the row groups before the first damaged one.
//
// Pages do not name their column. But each column has as many values as its row group
// has rows, and must be readable as the table's column at that position.
func rebuilt(ctx context.Context, file io.ReaderAt, size int64, table schemas.Table) (layout, error) {
	pages := findPages(ctx, file, size)
	codec, ok := codecOf(file, pages)
	if !ok {
		return layout{}, unreadable("its first page cannot be decompressed")
	}
	l := layout{chunks: make([][]*parquet.ColumnMetaData, len(table.Columns))}
	for {
		group := firstGroup(ctx, file, table, codec, pages)
		if err := ctx.Err(); err != nil {
			return layout{}, err
		}
		if group.rows == 0 {
			break
		}
		l.rows += group.rows
		for i, c := range group.chunks {
			l.chunks[i] = append(l.chunks[i], c)
		}
		pages = pages[group.pages:]
	}
	if l.rows == 0 {
		return layout{}, unreadable("its footer and its first row group are damaged")
	}
	return l, nil
}

// foundPage is a page that was found without the footer.
type foundPage struct {
	offset, body, end int64
	uncompressed      int
	dictionary        bool
	values            int64 // of a data page
}

// findPages lists the pages that follow one another from the start of the file.
func findPages(ctx context.Context, file io.ReaderAt, size int64) (pages []foundPage) {
	for at := int64(len(magic)); at < size && ctx.Err() == nil; {
		header, length, ok := headerAt(ctx, file, at)
		if !ok {
			break
		}
		p := foundPage{offset: at, body: at + length, uncompressed: int(header.UncompressedPageSize), dictionary: header.DataPageHeader == nil}
		p.end = p.body + int64(header.CompressedPageSize)
		if p.end > size {
			break
		}
		if !p.dictionary {
			p.values = int64(header.DataPageHeader.NumValues)
		}
		if p.values > size { // the ID of a row takes more than a byte
			break
		}
		pages = append(pages, p)
		at = p.end
	}
	return pages
}

// codecOf finds the codec that decompresses the first page.
func codecOf(file io.ReaderAt, pages []foundPage) (parquet.CompressionCodec, bool) {
	if len(pages) == 0 {
		return 0, false
	}
	first := pages[0]
	body := make([]byte, first.end-first.body)
	if readFull(file, body, first.body) != nil {
		return 0, false
	}
	for _, codec := range []parquet.CompressionCodec{
		parquet.CompressionCodec_SNAPPY, parquet.CompressionCodec_ZSTD,
		parquet.CompressionCodec_GZIP, parquet.CompressionCodec_UNCOMPRESSED,
	} {
		if _, err := uncompress(codec, body, first.uncompressed); err == nil {
			return codec, true
		}
	}
	return 0, false
}

// foundGroup is a row group that was found without the footer.
type foundGroup struct {
	rows   int64
	pages  int
	chunks []*parquet.ColumnMetaData // one for each column
}

// firstGroup finds a row group that consists of the first pages and whose columns are
// all readable. The result has no rows if there is none.
func firstGroup(ctx context.Context, file io.ReaderAt, table schemas.Table, codec parquet.CompressionCodec, pages []foundPage) foundGroup {
	rows := int64(0)
	for i, p := range pages {
		if p.dictionary && i > 0 { // the second column begins here at the latest
			break
		}
		rows += p.values
		if p.values == 0 {
			continue
		}
		group, ok := groupOf(pages, rows, len(table.Columns), codec)
		if ok && group.readable(ctx, file, table) {
			return group
		}
	}
	return foundGroup{}
}

// groupOf combines the first pages into a row group with that many rows and columns, if
// the numbers of their values allow it.
func groupOf(pages []foundPage, rows int64, columns int, codec parquet.CompressionCodec) (group foundGroup, ok bool) {
	group.rows = rows
	for range columns {
		chunk := &parquet.ColumnMetaData{Codec: codec, NumValues: rows}
		values, start, data := int64(0), group.pages, group.pages
		for values < rows {
			if group.pages == len(pages) {
				return group, false
			}
			switch p := pages[group.pages]; {
			case !p.dictionary:
				values += p.values
			case group.pages > start:
				return group, false
			default:
				chunk.DictionaryPageOffset = &p.offset
				data++
			}
			group.pages++
		}
		if values > rows {
			return group, false
		}
		chunk.DataPageOffset = pages[data].offset
		chunk.TotalCompressedSize = pages[group.pages-1].end - pages[start].offset
		group.chunks = append(group.chunks, chunk)
	}
	return group, true
}

func (g foundGroup) readable(ctx context.Context, file io.ReaderAt, table schemas.Table) bool {
	for i, c := range newColumns(file, g.rows, table) {
		c.chunks = g.chunks[i : i+1]
		s := salvager{column: c}
		if s.beginChunk(ctx) != nil || s.head != g.rows {
			return false
		}
	}
	return true
}
