package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

type keyValue = *parquet.KeyValue

const magic = "PAR1"

// maxFooter is far above the size of the footers in the lake's files, which take some
// hundred bytes per column and row group.
const maxFooter = 64 << 20

// readFooter returns the file's footer and its offset.
func readFooter(ctx context.Context, file io.ReaderAt, size int64) (*parquet.FileMetaData, int64, error) {
	const tail = 4 + len(magic) // the footer's length is before the magic
	if size < int64(len(magic)+tail) {
		return nil, 0, unreadable("%d bytes are too few", size)
	}
	head, foot := make([]byte, len(magic)), make([]byte, tail)
	if err := readFull(file, head, 0); err != nil {
		return nil, 0, err
	}
	if err := readFull(file, foot, size-int64(tail)); err != nil {
		return nil, 0, err
	}
	if string(head) != magic || string(foot[4:]) != magic {
		return nil, 0, unreadable("it does not begin and end with %s", magic)
	}
	length := int64(binary.LittleEndian.Uint32(foot))
	end := size - int64(tail) - length
	if end < int64(len(magic)) || length > maxFooter {
		return nil, 0, unreadable("a footer of %d bytes does not fit in a file of %d", length, size)
	}
	raw := make([]byte, length)
	if err := readFull(file, raw, end); err != nil {
		return nil, 0, err
	}
	buffer := thrift.NewTMemoryBuffer()
	buffer.Write(raw)
	footer := parquet.NewFileMetaData()
	if err := footer.Read(ctx, compact(buffer, int32(length))); err != nil {
		return nil, 0, unreadable("its footer cannot be decoded: %v", err)
	}
	if buffer.Len() > 0 {
		return nil, 0, unreadable("%d bytes follow the footer", buffer.Len())
	}
	return footer, end, nil
}

// compact decodes structures of at most limit bytes. It refuses lists and texts with
// a greater length.
func compact(t thrift.TTransport, limit int32) thrift.TProtocol {
	return thrift.NewTCompactProtocolConf(t, &thrift.TConfiguration{MaxMessageSize: limit})
}

func readFull(r io.ReaderAt, p []byte, offset int64) error {
	if n, err := r.ReadAt(p, offset); n < len(p) {
		return unreadable("reading %d bytes at %d: %v", len(p), offset, err)
	}
	return nil
}

// layouts has the layout of each type in a file, as layoutOf returns it.
var layouts = map[schemas.Type]string{
	schemas.String:    "OPTIONAL BYTE_ARRAY UTF8 STRING",
	schemas.JSON:      "OPTIONAL BYTE_ARRAY UTF8 STRING",
	schemas.Int64:     "OPTIONAL INT64 INT_64 INT(64, signed)",
	schemas.Float64:   "OPTIONAL DOUBLE",
	schemas.Bool:      "OPTIONAL BOOLEAN",
	schemas.Timestamp: "OPTIONAL INT64 TIMESTAMP_MICROS TIMESTAMP(MICROS, UTC)",
	schemas.Date:      "OPTIONAL INT32 DATE DATE",
}

// widths are the sizes, in bytes, of values of the types that have a fixed size.
var widths = map[schemas.Type]int{schemas.Int64: 8, schemas.Float64: 8, schemas.Timestamp: 8, schemas.Date: 4}

// layoutOf describes a column's repetition, physical, converted and logical type.
func layoutOf(e *parquet.SchemaElement) string {
	if e.GetNumChildren() != 0 {
		return "a group"
	}
	if !e.IsSetType() || !e.IsSetRepetitionType() {
		return "no type"
	}
	layout := fmt.Sprintf("%v %v", e.GetRepetitionType(), e.GetType())
	if e.IsSetConvertedType() {
		layout += fmt.Sprintf(" %v", e.GetConvertedType())
	}
	switch l := e.LogicalType; {
	case l == nil:
	case l.STRING != nil:
		layout += " STRING"
	case l.INTEGER != nil && l.INTEGER.IsSigned:
		layout += fmt.Sprintf(" INT(%d, signed)", l.INTEGER.BitWidth)
	case l.DATE != nil:
		layout += " DATE"
	case l.TIMESTAMP != nil && l.TIMESTAMP.IsAdjustedToUTC && l.TIMESTAMP.Unit.MICROS != nil:
		layout += " TIMESTAMP(MICROS, UTC)"
	case l.TIMESTAMP != nil:
		layout += " TIMESTAMP(another unit or not UTC)"
	default:
		layout += " of another logical type"
	}
	return layout
}

// checkSchema lists the differences between a file's columns and the table's.
func checkSchema(elements []*parquet.SchemaElement, table schemas.Table) (wrong []Finding) {
	if len(elements) == 0 || int(elements[0].GetNumChildren()) != len(elements)-1 {
		return []Finding{{Expected: "a flat list of columns", Found: "another structure"}}
	}
	leaves := elements[1:]
	for i := range max(len(leaves), len(table.Columns)) {
		switch {
		case i >= len(leaves):
			wrong = append(wrong, Finding{Column: table.Columns[i].Name, Expected: fmt.Sprintf("this name for column %d", i+1), Found: "no such column"})
		case slices.ContainsFunc(table.PartitionBy, func(key schemas.Column) bool { return key.Name == leaves[i].Name }):
			wrong = append(wrong, Finding{Column: leaves[i].Name, Expected: "this partition key only in the path", Found: "a column"})
		case i >= len(table.Columns):
			wrong = append(wrong, Finding{Expected: count(int64(len(table.Columns)), "column"), Found: fmt.Sprintf("another, %q", leaves[i].Name)})
		case leaves[i].Name != table.Columns[i].Name:
			wrong = append(wrong, Finding{Column: table.Columns[i].Name, Expected: fmt.Sprintf("this name for column %d", i+1), Found: fmt.Sprintf("%q", leaves[i].Name)})
		default:
			want, found := layouts[table.Columns[i].Type], layoutOf(leaves[i])
			if want != found {
				wrong = append(wrong, Finding{Column: table.Columns[i].Name, Expected: want, Found: found})
			}
		}
	}
	return wrong
}

// unversioned is the writer in the footer of files from before writers named their
// version. Other readers may misread such footers. This reader does not.
const unversioned = "prospector"

var versioned = regexp.MustCompile(`^prospector version \S+ \(build [^()]+\)$`)

// checkFooter lists what makes other readers misread a file (docs/lake-contract.md,
// "Footers").
func checkFooter(f *parquet.FileMetaData) (wrong []Finding) {
	createdBy := f.GetCreatedBy()
	if createdBy == unversioned {
		return nil
	}
	if !versioned.MatchString(createdBy) {
		wrong = append(wrong, Finding{Expected: "created_by in the footer to be prospector version X (build Y)", Found: fmt.Sprintf("%.60q", createdBy)})
	}
	if root := f.Schema[0]; root.IsSetRepetitionType() {
		wrong = append(wrong, Finding{Expected: "a root of the schema without a repetition", Found: root.GetRepetitionType().String()})
	}
	for g, group := range f.RowGroups {
		for _, c := range group.Columns {
			if s := c.MetaData.Statistics; s != nil && s.DistinctCount != nil {
				wrong = append(wrong, Finding{Column: c.MetaData.PathInSchema[0], Expected: "no count of distinct values", Found: fmt.Sprintf("%d in row group %d", *s.DistinctCount, g+1)})
			}
		}
	}
	return wrong
}

// openColumns returns a reader for each column. It checks that the parts of the footer
// agree on the number of rows, and that the column chunks are within the file's data,
// which ends at end. The caller must have checked the file's schema.
func openColumns(file io.ReaderAt, footer *parquet.FileMetaData, end int64, table schemas.Table) ([]*column, error) {
	columns := newColumns(file, footer.NumRows, table)
	var rows int64
	for g, group := range footer.RowGroups {
		if group.NumRows < 0 || group.NumRows > footer.NumRows-rows || len(group.Columns) != len(columns) {
			return nil, unreadable("row group %d has %d rows and %d columns", g+1, group.NumRows, len(group.Columns))
		}
		rows += group.NumRows
		for i, chunk := range group.Columns {
			c, meta := columns[i], chunk.MetaData
			if meta == nil || chunk.FilePath != nil || meta.NumValues != group.NumRows ||
				meta.Type != footer.Schema[i+1].GetType() || !slices.Equal(meta.PathInSchema, []string{c.name}) {
				return nil, unreadable("row group %d does not describe column %s as the schema does", g+1, c.name)
			}
			if start := chunkStart(meta); start < int64(len(magic)) || meta.TotalCompressedSize < 0 || meta.TotalCompressedSize > end-start {
				return nil, unreadable("row group %d has column %s outside the file", g+1, c.name)
			}
			c.chunks = append(c.chunks, meta)
		}
	}
	if rows != footer.NumRows {
		return nil, unreadable("its row groups have %d rows together, but its footer has %d", rows, footer.NumRows)
	}
	return columns, nil
}

// newColumns returns readers for the table's columns, without chunks.
func newColumns(file io.ReaderAt, rows int64, table schemas.Table) []*column {
	columns := make([]*column, len(table.Columns))
	rowsAtOnce := min(max(rows, 0), chunkRows)
	shared := &scratch{levels: make([]uint32, rowsAtOnce), indices: make([]uint32, rowsAtOnce)}
	for i, c := range table.Columns {
		columns[i] = &column{name: c.Name, kind: c.Type, hash: schemas.HashValuesOf(c.Name), file: file, scratch: shared}
	}
	return columns
}

// chunkStart returns the offset of a column chunk's first page, which is its
// dictionary if it has one.
func chunkStart(meta *parquet.ColumnMetaData) int64 {
	if meta.DictionaryPageOffset != nil {
		return *meta.DictionaryPageOffset
	}
	return meta.DataPageOffset
}
