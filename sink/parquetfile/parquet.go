package parquetfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// parquetWriter writes a Parquet file with the library's encoders and metadata, but
// writes the pages itself. The library's page writer creates a ZSTD encoder for
// every page, which costs several times as much as using it, writes the metadata of
// every column twice, and orders part of it randomly.
type parquetWriter struct {
	out        *output
	properties *parquet.WriterProperties
	schema     *schema.Schema
	metadata   *metadata.FileMetaDataBuilder
	codec      compress.Codec
	compressed []byte // the last page
	scratch    scratch
	groups     int16
	group      *rowGroup // the open one, or nil
}

// rowGroup is the open row group. Its compressed pages are in memory until it ends,
// because a file has them column by column.
type rowGroup struct {
	metadata *metadata.RowGroupMetaDataBuilder
	columns  []*columnChunk
	rows     int
}

const magic = "PAR1"

func newParquetWriter(out *output, columns *arrow.Schema, properties *parquet.WriterProperties, codec compress.Compression) (*parquetWriter, error) {
	s, err := pqarrow.ToParquet(columns, properties, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	w := &parquetWriter{
		out: out, properties: properties, schema: s,
		metadata: metadata.NewFileMetadataBuilder(s, properties, nil),
	}
	if codec != compress.Codecs.Uncompressed {
		if w.codec, err = compress.GetCodec(codec); err != nil {
			return nil, err
		}
	}
	_, err = out.Write([]byte(magic))
	return w, err
}

// write appends the rows of a batch to the open row group.
func (w *parquetWriter) write(batch arrow.Record) error {
	if w.group == nil {
		w.group = &rowGroup{metadata: w.metadata.AppendRowGroup()}
		for range w.schema.NumColumns() {
			m := w.group.metadata.NextColumnChunk()
			pages := &pages{writer: w, metadata: m}
			to := file.NewColumnChunkWriter(m, pages, w.properties)
			w.group.columns = append(w.group.columns, newColumnChunk(to, pages, w.properties.DictionaryEnabledFor(m.Descr().Path())))
		}
	}
	for i, values := range batch.Columns() {
		if err := w.group.columns[i].write(values, &w.scratch); err != nil {
			return err
		}
	}
	w.group.rows += int(batch.NumRows())
	return nil
}

// open returns the size of the open row group, in bytes: a lower bound before
// compression, and an estimate after compression.
func (w *parquetWriter) open() (encoded, compressed int64) {
	if w.group == nil {
		return 0, 0
	}
	for _, c := range w.group.columns {
		least, most := c.waiting()
		encoded, compressed = encoded+c.pages.encoded+least, compressed+c.pages.compressed+most
	}
	return encoded, compressed
}

// endGroup ends the open row group. The next rows start a new one.
func (w *parquetWriter) endGroup() error {
	if w.group == nil {
		return nil
	}
	group := w.group
	w.group = nil
	bytes := int64(0)
	for _, c := range group.columns {
		if err := c.Close(); err != nil {
			return err
		}
		bytes += c.TotalBytesWritten()
	}
	group.metadata.SetNumRows(group.rows)
	w.groups++
	return errors.Join(group.metadata.Finish(bytes, w.groups-1), w.out.err)
}

// finish writes the footer, with the metadata entries in their order.
func (w *parquetWriter) finish(entries [][2]string) error {
	if err := w.endGroup(); err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.metadata.AppendKeyValueMetadata(e[0], e[1]); err != nil {
			return err
		}
	}
	footer, err := w.metadata.Finish()
	if err != nil {
		return err
	}
	correct(footer)
	start := w.out.size
	if _, err := footer.WriteTo(w.out, nil); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(w.out.size-start))
	_, err = w.out.Write(append(end, magic...))
	return err
}

// correct fixes errors of the library in a footer.
func correct(footer *metadata.FileMetaData) {
	// The root is not a field, so it has no repetition. Some readers interpret a repeated
	// root as a list.
	footer.FileMetaData.Schema[0].RepetitionType = nil
	for _, group := range footer.RowGroups {
		group.TotalByteSize = 0 // the size before compression; the library sums compressed sizes
		for _, c := range group.Columns {
			group.TotalByteSize += c.MetaData.TotalUncompressedSize
			if s := c.MetaData.Statistics; s != nil {
				s.DistinctCount = nil // the library writes 0 without counting
			}
			// The library iterates over a map of encodings. The dictionary comes first.
			stats := c.MetaData.EncodingStats
			sort.Slice(stats, func(i, j int) bool {
				if stats[i].PageType != stats[j].PageType {
					return stats[i].PageType > stats[j].PageType
				}
				return stats[i].Encoding < stats[j].Encoding
			})
		}
	}
}

// pages collects the pages of one column of a row group from the library.
type pages struct {
	file.PageWriter // nil; only for Reset, which has an unexported parameter type and is never called
	writer          *parquetWriter
	metadata        *metadata.ColumnChunkMetaDataBuilder
	pages           [][]byte               // headers and pages
	size            int64                  // of pages, in bytes
	info            metadata.ChunkMetaInfo // offsets are in pages
	dictionaries    map[parquet.Encoding]int32
	data            map[parquet.Encoding]int32
	// The bytes of all pages so far, before and after compression. They include
	// pages that the library still keeps.
	encoded, compressed int64
}

// HasCompressor returns true, so that the library passes every page to Compress.
func (p *pages) HasCompressor() bool { return true }

// Compress compresses a page if the file is compressed. The result is valid until
// the next call.
func (p *pages) Compress(_ *bytes.Buffer, page []byte) []byte {
	p.encoded += int64(len(page))
	if p.writer.codec != nil {
		page = p.compress(page)
	}
	p.compressed += int64(len(page))
	return page
}

func (p *pages) compress(page []byte) []byte {
	w := p.writer
	if most := int(w.codec.CompressBound(int64(len(page)))); cap(w.compressed) < most {
		w.compressed = make([]byte, most)
	}
	return w.codec.Encode(w.compressed[:cap(w.compressed)], page)
}

// maxCompressed is the largest buffer for compressed pages that is reused.
const maxCompressed = 4 << 20

// keep returns a page in memory that is not reused. A huge page stays in the buffer
// that it was compressed into, unless most of the buffer is empty.
func (w *parquetWriter) keep(page []byte) []byte {
	buffer := w.compressed
	if cap(buffer) <= maxCompressed {
		return bytes.Clone(page)
	}
	w.compressed = nil
	if len(page) > cap(buffer)/2 && unsafe.SliceData(page) == unsafe.SliceData(buffer) {
		return page
	}
	return bytes.Clone(page)
}

// WriteDataPage keeps a page, which is compressed already.
func (p *pages) WriteDataPage(page file.DataPage) (int64, error) {
	if p.data == nil {
		p.info.DataPageOffset, p.data = p.size, make(map[parquet.Encoding]int32)
	}
	p.data[parquet.Encoding(page.Encoding())]++
	p.info.NumValues += int64(page.NumValues())
	return p.add(dataPage, page, int(page.UncompressedSize()), page.Data())
}

// WriteDictionaryPage compresses and keeps the column's dictionary.
func (p *pages) WriteDictionaryPage(page *file.DictionaryPage) (int64, error) {
	p.info.DictPageOffset = p.size
	p.dictionaries = map[parquet.Encoding]int32{parquet.Encoding(page.Encoding()): 1}
	return p.add(dictionaryPage, page, len(page.Data()), p.Compress(nil, page.Data()))
}

func (p *pages) add(kind pageKind, page file.Page, uncompressed int, data []byte) (int64, error) {
	header := pageHeader(kind, uncompressed, len(data), int(page.NumValues()), int(page.Encoding()))
	written := int64(len(header) + len(data))
	p.pages = append(p.pages, header, p.writer.keep(data))
	p.size += written
	p.info.UncompressedSize += int64(len(header) + uncompressed)
	p.info.CompressedSize += written
	return written, nil
}

// Close writes the pages to the file.
func (p *pages) Close(hasDictionary, fellBack bool) error {
	p.info.DataPageOffset += p.writer.out.size
	if p.dictionaries != nil {
		p.info.DictPageOffset += p.writer.out.size
	}
	p.info.IndexPageOffset = -1 // there is none
	err := p.metadata.Finish(p.info, hasDictionary, fellBack,
		metadata.EncodingStats{DictEncodingStats: p.dictionaries, DataEncodingStats: p.data}, nil)
	for _, page := range p.pages {
		if _, writeErr := p.writer.out.Write(page); writeErr != nil {
			return errors.Join(err, writeErr)
		}
	}
	p.pages = nil
	return err
}

type pageKind byte

// The numbers of PageType and of the fields of PageHeader in the format's
// parquet.thrift.
const (
	dataPage       pageKind = 0
	dictionaryPage pageKind = 2
)

// pageHeader encodes a PageHeader in Thrift's compact protocol. The library does not
// export its own encoder.
func pageHeader(kind pageKind, uncompressed, compressed, values, encoding int) []byte {
	const (
		next   = 1 << 4 // the number of a field is relative to that of the previous field
		i32    = 5
		object = 12
		stop   = 0
		rle    = 3 // Encoding of levels
	)
	var b []byte
	field := func(v int) { b = binary.AppendVarint(append(b, next|i32), int64(v)) } // zigzag, as varints are in Go
	field(int(kind))
	field(uncompressed)
	field(compressed)
	if kind == dataPage {
		b = append(b, 2*next|object) // 5: data_page_header
		field(values)
		field(encoding)
		field(rle)
		field(rle)
	} else {
		b = append(b, 4*next|object) // 7: dictionary_page_header
		field(values)
		field(encoding)
	}
	return append(b, stop, stop)
}
