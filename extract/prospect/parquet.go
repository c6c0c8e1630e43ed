package prospect

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xitongsys/parquet-go/common"
	"github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/reader"
	"github.com/xitongsys/parquet-go/source"
)

// batch is the number of values of a Parquet column that are decoded at once.
const batch = 64 << 10

// parquet reads one column. The reader panics on some damaged files, and silently ends
// the column early on others.
func (c *collector) parquet(f io.ReaderAt, size int64, column string) (err error) {
	c.unit = "row"
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: it is damaged, or not Parquet", c.name, ErrFormat)
		}
	}()
	r, err := reader.NewParquetColumnReader(newParquetFile(f, size), 1)
	if err != nil {
		return fmt.Errorf("%s: %w: it is damaged, or not Parquet", c.name, ErrFormat)
	}
	path, err := c.parquetColumn(r, column)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if !fits(r.Footer.RowGroups, size) {
		return fmt.Errorf("%s: %w: it is damaged", c.name, ErrFormat)
	}
	row, rows := 0, int(r.GetNumRows())
	for row < rows {
		values, _, _, err := r.ReadColumnByPath(path, batch)
		if err != nil {
			return fmt.Errorf("%s: %w: the column cannot be read after row %d", c.name, ErrFormat, row)
		}
		if len(values) == 0 {
			break
		}
		for _, v := range values {
			row++
			if err := c.addValue(row, v); err != nil {
				return err
			}
		}
	}
	if row != rows {
		return fmt.Errorf("%s: %w: it is damaged: %d of %d rows could be read", c.name, ErrFormat, row, rows)
	}
	return nil
}

// fits reports whether the sizes of chunks in the footer are possible in a file of that
// size. The reader allocates as much as the footer says.
func fits(groups []*parquet.RowGroup, size int64) bool {
	for _, group := range groups {
		for _, chunk := range group.Columns {
			if n := chunk.MetaData.TotalCompressedSize; n < 0 || n > size {
				return false
			}
		}
	}
	return true
}

// addValue adds the ID of a row.
func (c *collector) addValue(row int, v any) error {
	switch v := v.(type) {
	case string:
		return c.add(row, v)
	case int64:
		return c.add(row, strconv.FormatInt(v, 10))
	case int32:
		return c.add(row, strconv.FormatInt(int64(v), 10))
	case nil:
		return c.fault(row, ErrID, "it is NULL")
	default:
		return c.fault(row, ErrFormat, fmt.Sprintf("it was read as a %T", v))
	}
}

// parquetColumn returns the reader's name of the column.
func (c *collector) parquetColumn(r *reader.ParquetReader, column string) (path string, err error) {
	// The reader derives Go names from the names in the file. It confuses columns that
	// have the same Go name.
	var names, paths []string
	var elements []*parquet.SchemaElement
	same := make(map[string]int)
	for i, e := range r.SchemaHandler.SchemaElements {
		in := r.SchemaHandler.IndexMap[int32(i)]
		depth := len(common.StrToPath(in)) - 1
		if depth != 1 || e.GetNumChildren() > 0 {
			continue
		}
		same[in]++
		names = append(names, r.SchemaHandler.Infos[i].ExName)
		paths = append(paths, in)
		elements = append(elements, e)
	}
	i, err := pick(column, names)
	if err != nil {
		return "", err
	}
	if same[paths[i]] > 1 {
		return "", fmt.Errorf("%w: %q cannot be distinguished from another column of almost the same name; rename one", ErrColumn, names[i])
	}
	if e := elements[i]; !holdsIDs(e) {
		return "", fmt.Errorf("%w: %q is %s, and IDs are STRING, INT64 or INT32", ErrColumn, names[i], describeType(e))
	}
	return paths[i], nil
}

func holdsIDs(e *parquet.SchemaElement) bool {
	if e.GetRepetitionType() == parquet.FieldRepetitionType_REPEATED {
		return false
	}
	switch e.GetType() {
	case parquet.Type_BYTE_ARRAY:
		return e.IsSetConvertedType() && e.GetConvertedType() == parquet.ConvertedType_UTF8 ||
			e.IsSetLogicalType() && e.LogicalType.IsSetSTRING()
	case parquet.Type_INT32, parquet.Type_INT64:
		if e.IsSetLogicalType() {
			return e.LogicalType.IsSetINTEGER() && e.LogicalType.INTEGER.IsSigned
		}
		return !e.IsSetConvertedType() || strings.HasPrefix(e.GetConvertedType().String(), "INT_")
	}
	return false
}

func describeType(e *parquet.SchemaElement) string {
	text := e.GetType().String()
	if e.IsSetConvertedType() {
		text += " (" + e.GetConvertedType().String() + ")"
	}
	if e.GetRepetitionType() == parquet.FieldRepetitionType_REPEATED {
		text = "repeated " + text
	}
	return text
}

// parquetFile is a file for the reader, which opens the file again for every column.
type parquetFile struct {
	*io.SectionReader
	file io.ReaderAt
}

func newParquetFile(file io.ReaderAt, size int64) parquetFile {
	return parquetFile{io.NewSectionReader(file, 0, size), file}
}

// Open returns the same file for the name "". Any other name is a part that the footer
// places in another file.
func (p parquetFile) Open(name string) (source.ParquetFile, error) {
	if name != "" {
		return nil, errors.New("the columns are in other files")
	}
	return newParquetFile(p.file, p.Size()), nil
}

func (parquetFile) Close() error { return nil }

func (parquetFile) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (parquetFile) Create(string) (source.ParquetFile, error) { return nil, errors.ErrUnsupported }
