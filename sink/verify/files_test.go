package verify

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	format "github.com/xitongsys/parquet-go/parquet"
	librarysource "github.com/xitongsys/parquet-go/source"

	"prospector/schemas"
	"prospector/sink"
)

// everyType returns the table of events with further columns, so that it has every type.
var everyType = sync.OnceValue(func() schemas.Table {
	table, err := schemas.KnockEvents().Declare(
		schemas.Column{Name: "unread", Type: schemas.Int64, From: []string{"unread"}},
		schemas.Column{Name: "score", Type: schemas.Float64, From: []string{"score"}},
		schemas.Column{Name: "answered", Type: schemas.Bool, From: []string{"answered"}},
		schemas.Column{Name: "moves_on", Type: schemas.Date, From: []string{"movesOn"}},
		schemas.Column{Name: "tags", Type: schemas.JSON, From: []string{"tags"}},
	)
	if err != nil {
		panic(err)
	}
	return table
})

// row has one value for each column of a table: string (also JSON), int64 (also
// timestamps), float64, bool, int32 (dates) or nil.
type row []any

// day is 2022-01-13.
const day = 19005

const microsADay = 24 * 60 * 60 * 1_000_000

// events returns n rows of the table of events, of one UTC day and in the order of the
// files. They have every kind of value that a column can have.
func events(table schemas.Table, n int, seed uint64) []row {
	random := rand.New(rand.NewPCG(seed, 0))
	rows := make([]row, n)
	for i := range rows {
		r := make(row, len(table.Columns))
		at := int64(day)*microsADay + int64(i)*microsADay/int64(n+1)
		for c, column := range table.Columns {
			switch {
			case column.Name == "event_id":
				r[c] = fmt.Sprintf("%08x-%012x", random.Uint32(), i)
			case column.Name == "prospect_id":
				r[c] = fmt.Sprint(47569000 + random.IntN(500))
			case column.Name == "event_time" && i%7 != 3:
				r[c] = at
			case column.Name == "event_time":
			case column.Name == "created_at":
				r[c] = at
				if i%7 != 3 {
					r[c] = at + 60_000_000
				}
			case column.Name == "appointment_tour_type": // all NULL
			case column.Name == "event_type":
				r[c] = "SMS_MESSAGE"
			case column.Name == "event_date":
				r[c] = int32(day)
			case random.IntN(4) == 0:
			case column.Type == schemas.Int64:
				r[c] = []int64{math.MinInt64, math.MaxInt64, -1, 0, random.Int64()}[random.IntN(5)]
			case column.Type == schemas.Float64:
				r[c] = []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.MaxFloat64, math.MaxFloat64, random.NormFloat64()}[random.IntN(6)]
			case column.Type == schemas.Bool:
				r[c] = random.IntN(2) == 0
			case column.Type == schemas.Date:
				r[c] = random.Int32N(100_000) - 50_000
			case column.Type == schemas.JSON:
				r[c] = `["` + strings.Repeat("東京 🏙", random.IntN(20)) + `"]`
			case column.Type == schemas.Timestamp:
				r[c] = at - random.Int64N(3*365*microsADay)
			case column.Name == "message_body":
				r[c] = strings.Repeat("Grüße aus 東京 🏙 — ", random.IntN(6))
			case column.Name == "message_subject":
				r[c] = []string{"", "Tour", "Ünïcode", "\x00"}[random.IntN(4)]
			default:
				r[c] = fmt.Sprintf("%s %d", column.Name, random.IntN(20))
			}
		}
		rows[i] = r
	}
	return rows
}

// written are the options of write. The zero value means one row group, Snappy, and
// dictionaries.
type written struct {
	codec    string
	plain    bool // no dictionaries
	group    int64
	page     int64
	metadata map[string]string
	field    func(*arrow.Field) // changes a field of the schema
	column   string             // the column of that field
	version2 bool               // v2 data pages
	store    bool               // Arrow's own schema in the metadata
	former   bool               // a footer from before writers named their version
}

// createdBy names a writer with its version.
const createdBy = "prospector version 0.1.0 (build unknown)"

var codecs = map[string]compress.Compression{
	"":       compress.Codecs.Snappy,
	"snappy": compress.Codecs.Snappy, "zstd": compress.Codecs.Zstd, "gzip": compress.Codecs.Gzip,
	"none": compress.Codecs.Uncompressed, "brotli": compress.Codecs.Brotli,
}

// write returns a file that Arrow has written.
func write(tb testing.TB, table schemas.Table, rows []row, how written) []byte {
	tb.Helper()
	meta := arrow.MetadataFrom(how.metadata)
	schema := arrow.NewSchema(fieldsOf(table, how), nil)
	options := []parquet.WriterProperty{
		parquet.WithCompression(codecs[how.codec]),
		parquet.WithDictionaryDefault(!how.plain),
		parquet.WithBatchSize(1024),
	}
	if how.page > 0 {
		options = append(options, parquet.WithDataPageSize(how.page))
	}
	if how.version2 {
		options = append(options, parquet.WithDataPageVersion(parquet.DataPageV2))
	}
	var out bytes.Buffer
	arrowOptions := pqarrow.DefaultWriterProps()
	if how.store {
		arrowOptions = pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema())
	}
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(options...), arrowOptions)
	if err != nil {
		tb.Fatal(err)
	}
	group := int(how.group)
	if group == 0 {
		group = max(len(rows), 1)
	}
	for batch := range slices.Chunk(rows, group) {
		record := recordOf(tb, schema, batch)
		if err := w.Write(record); err != nil {
			tb.Fatal(err)
		}
		record.Release()
	}
	for i, key := range meta.Keys() {
		if err := w.AppendKeyValueMetadata(key, meta.Values()[i]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return withFooter(tb, out.Bytes(), func(f *format.FileMetaData) {
		if name := unversioned; how.former {
			f.CreatedBy = &name
			return
		}
		name := createdBy
		f.CreatedBy, f.Schema[0].RepetitionType = &name, nil
		for _, group := range f.RowGroups {
			for _, c := range group.Columns {
				if c.MetaData.Statistics != nil {
					c.MetaData.Statistics.DistinctCount = nil
				}
			}
		}
	})
}

func fieldsOf(table schemas.Table, how written) []arrow.Field {
	fields := make([]arrow.Field, len(table.Columns))
	for i, c := range table.Columns {
		fields[i] = arrow.Field{Name: c.Name, Nullable: true, Type: map[schemas.Type]arrow.DataType{
			schemas.String:    arrow.BinaryTypes.String,
			schemas.Int64:     arrow.PrimitiveTypes.Int64,
			schemas.Float64:   arrow.PrimitiveTypes.Float64,
			schemas.Bool:      arrow.FixedWidthTypes.Boolean,
			schemas.JSON:      arrow.BinaryTypes.String,
			schemas.Timestamp: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
			schemas.Date:      arrow.FixedWidthTypes.Date32,
		}[c.Type]}
		if how.field != nil && c.Name == how.column {
			how.field(&fields[i])
		}
	}
	return fields
}

func recordOf(tb testing.TB, schema *arrow.Schema, rows []row) arrow.Record {
	tb.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		for c, value := range r {
			if value == nil {
				b.Field(c).AppendNull()
				continue
			}
			switch field := b.Field(c).(type) {
			case *array.StringBuilder:
				field.Append(value.(string))
			case *array.BinaryBuilder:
				field.AppendString(value.(string))
			case *array.TimestampBuilder:
				field.Append(arrow.Timestamp(value.(int64)))
			case *array.Date32Builder:
				field.Append(arrow.Date32(value.(int32)))
			case *array.Int64Builder:
				field.Append(value.(int64))
			case *array.Float64Builder:
				field.Append(value.(float64))
			case *array.BooleanBuilder:
				field.Append(value.(bool))
			default: // the test has changed the type of the column
				field.AppendEmptyValue()
			}
		}
	}
	return b.NewRecord()
}

// summarise returns the summary of a file with these rows.
func summarise(table schemas.Table, rows []row) sink.Summary {
	s := sink.Summary{Rows: int64(len(rows)), Columns: make([]sink.ColumnSummary, len(table.Columns))}
	var times []int64
	for c, column := range table.Columns {
		s.Columns[c].Name = column.Name
	}
	for _, r := range rows {
		var sum schemas.Digest
		for c, column := range table.Columns {
			hash := schemas.HashValuesOf(column.Name)
			var d schemas.Digest
			switch value := r[c].(type) {
			case nil:
				s.Columns[c].Nulls++
			case string:
				d = hash.String(value)
			case int64:
				d = hash.Int64(value)
				if column.Name == "event_time" {
					times = append(times, value)
				}
			case int32:
				d = hash.Int64(int64(value))
			case float64:
				d = hash.Float64(value)
			case bool:
				d = hash.Bool(value)
			}
			sum = sum.Add(d)
			s.Columns[c].Values = s.Columns[c].Values.Add(d)
		}
		s.Content = s.Content.Add(sum.Seal())
	}
	if len(times) > 0 {
		s.MinTime, s.MaxTime = slices.Min(times), slices.Max(times)
	}
	return s
}

// metadataOf returns the footer's metadata that package parquetfile writes.
func metadataOf(table schemas.Table, s sink.Summary) map[string]string {
	return map[string]string{
		"prospector.job":     "prospect_events",
		"prospector.schema":  table.Fingerprint(),
		"prospector.rows":    fmt.Sprint(s.Rows),
		"prospector.content": s.Content.String(),
	}
}

// clone returns a copy of rows whose values can be changed.
func clone(rows []row) []row {
	out := make([]row, len(rows))
	for i, r := range rows {
		out[i] = slices.Clone(r)
	}
	return out
}

func indexOf(table schemas.Table, column string) int {
	return schemas.IndexOf(table.Columns, column)
}

// memoryFile is a file in memory for the library's own reader.
type memoryFile struct {
	*bytes.Reader
	data []byte
}

func newMemoryFile(data []byte) memoryFile { return memoryFile{bytes.NewReader(data), data} }

func (f memoryFile) Open(string) (librarysource.ParquetFile, error) {
	return newMemoryFile(f.data), nil
}
func (f memoryFile) Create(string) (librarysource.ParquetFile, error) { return nil, io.ErrClosedPipe }
func (f memoryFile) Write([]byte) (int, error)                        { return 0, io.ErrClosedPipe }
func (f memoryFile) Close() error                                     { return nil }
