package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/thrift/lib/go/thrift"
	"github.com/google/go-cmp/cmp"
	format "github.com/xitongsys/parquet-go/parquet"

	"prospector/sink"
)

// isFinding reports whether err describes a fault of the file, and neither an error of
// the reader nor a recovered panic.
func isFinding(err error) bool {
	var mismatch *Mismatch
	var panicked runtime.Error
	return !errors.As(err, &panicked) && (errors.Is(err, ErrUnreadable) || errors.As(err, &mismatch))
}

// Check detects every flipped bit that changes what another reader returns. It may miss
// bits of hints that no reader needs, such as the name of the writer. It may also miss a
// bit that hides all of prospector's metadata, because Check accepts a file without it.
func TestFlippedBits(t *testing.T) {
	table := everyType()
	random := rand.New(rand.NewPCG(1, 2))
	stride := 60
	if testing.Short() {
		stride = 400
	}
	for _, codec := range []string{"none", "snappy", "gzip", "zstd"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain=%t", codec, plain), func(t *testing.T) {
				rows := events(table, 60, 3)
				want := summarise(table, rows)
				data := write(t, table, rows, written{codec: codec, plain: plain, group: 40, page: 1000, metadata: metadataOf(table, want)})
				if err := check(data, table, partition, want); err != nil {
					t.Fatal(err)
				}
				original := byArrow(data)
				metadata := original[strings.Index(original, "prospector."):]
				missed, tried := 0, 0
				for at := random.IntN(stride); at < len(data); at += 1 + random.IntN(stride) {
					tried++
					bit := byte(1) << random.IntN(8)
					data[at] ^= bit
					err := check(data, table, partition, want)
					if later := published(data, table, partition, want); (later == nil) != (err == nil) {
						t.Errorf("byte %d: Check returns %v, Published returns %v", at, err, later)
					}
					switch {
					case err == nil:
						missed++
						now := byArrow(data)
						if !strings.Contains(now, "prospector.") {
							now += metadata
						}
						if diff := cmp.Diff(original, now); diff != "" {
							t.Errorf("byte %d of %d, bit %08b: the change is not detected, but another reader returns other values:\n%.300s", at, len(data), bit, diff)
						}
					case !isFinding(err):
						t.Errorf("byte %d: %v", at, err)
					}
					data[at] ^= bit
				}
				t.Logf("%d of %d flipped bits are not detected", missed, tried)
			})
		}
	}
}

// byArrow returns what Arrow's low-level readers read, as text. The other readers of
// Arrow panic in their own goroutines.
func byArrow(data []byte) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var out strings.Builder
	for c := range f.MetaData().Schema.NumColumns() {
		fmt.Fprintln(&out, f.MetaData().Schema.Column(c))
	}
	for g := range f.NumRowGroups() {
		group := f.RowGroup(g)
		n := int(group.NumRows())
		for c := range group.NumColumns() {
			levels := make([]int16, n)
			texts, longs, ints := make([]parquet.ByteArray, n), make([]int64, n), make([]int32, n)
			floats, bools := make([]float64, n), make([]bool, n)
			column, err := group.Column(c)
			for at := 0; at < n && err == nil && column.HasNext(); {
				var rows int64
				switch r := column.(type) {
				case *file.ByteArrayColumnChunkReader:
					rows, _, err = r.ReadBatch(int64(n-at), texts[at:], levels[at:], nil)
				case *file.Int64ColumnChunkReader:
					rows, _, err = r.ReadBatch(int64(n-at), longs[at:], levels[at:], nil)
				case *file.Int32ColumnChunkReader:
					rows, _, err = r.ReadBatch(int64(n-at), ints[at:], levels[at:], nil)
				case *file.Float64ColumnChunkReader:
					rows, _, err = r.ReadBatch(int64(n-at), floats[at:], levels[at:], nil)
				case *file.BooleanColumnChunkReader:
					rows, _, err = r.ReadBatch(int64(n-at), bools[at:], levels[at:], nil)
				}
				at += int(rows)
			}
			fmt.Fprintln(&out, levels, texts, longs, ints, floats, bools, err)
		}
	}
	for _, pair := range f.MetaData().KeyValueMetadata() {
		if pair.Key != "prospector.job" { // Check does not check the name
			fmt.Fprintln(&out, pair.Key, pair.GetValue())
		}
	}
	return out.String()
}

// A file that ends early is unreadable, wherever it ends.
func TestTruncated(t *testing.T) {
	table := everyType()
	rows := events(table, 60, 4)
	want := summarise(table, rows)
	data := write(t, table, rows, written{})
	for size := range len(data) {
		if err := check(data[:size], table, partition, want); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("the first %d of %d bytes: %v, want ErrUnreadable", size, len(data), err)
		}
		// A gap in the middle, with the footer in its place.
		short := append(bytes.Clone(data[:size]), data[min(size+7, len(data)):]...)
		if err := check(short, table, partition, want); !isFinding(err) {
			t.Fatalf("without the 7 bytes from %d on: %v", size, err)
		}
	}
	if err := Check(context.Background(), bytes.NewReader(data), int64(len(data))+9, table, partition, want); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a file that is shorter than its size: %v, want ErrUnreadable", err)
	}
}

// A file must begin and end with the magic bytes, and nothing may follow the footer.
func TestFraming(t *testing.T) {
	table := everyType()
	rows := events(table, 10, 8)
	want := summarise(table, rows)
	data := write(t, table, rows, written{})
	length := binary.LittleEndian.Uint32(data[len(data)-8:])
	for name, damaged := range map[string][]byte{
		"another beginning":      append([]byte("PARE"), data[4:]...),
		"another end":            append(bytes.Clone(data[:len(data)-4]), "PARE"...),
		"bytes after the footer": slices.Concat(data[:len(data)-8], []byte{0, 0}, binary.LittleEndian.AppendUint32(nil, length+2), []byte(magic)),
		"a footer of 4 GiB":      slices.Concat(data[:len(data)-8], []byte{0xff, 0xff, 0xff, 0xff}, []byte(magic)),
		"an empty footer":        slices.Concat(data[:len(data)-8], make([]byte, 4), []byte(magic)),
		"only magic bytes":       []byte(magic + "\x00\x00\x00\x00" + magic),
		"an empty file":          nil,
	} {
		if err := check(damaged, table, partition, want); !errors.Is(err, ErrUnreadable) || !isFinding(err) {
			t.Errorf("%s: got %v, want ErrUnreadable", name, err)
		}
	}
}

// Features that some readers of the lake do not support are refused.
func TestFeatures(t *testing.T) {
	table := everyType()
	rows := events(table, 100, 5)
	for name, how := range map[string]written{
		"v2 data pages": {version2: true},
		"brotli":        {codec: "brotli"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(write(t, table, rows, how), table, partition, summarise(table, rows)); !errors.Is(err, ErrUnreadable) {
				t.Errorf("got %v, want ErrUnreadable", err)
			}
		})
	}
}

// A well-formed footer that contradicts the file is detected.
func TestWrongFooter(t *testing.T) {
	table := everyType()
	rows := events(table, 100, 7)
	want := summarise(table, rows)
	data := write(t, table, rows, written{group: 60, metadata: metadataOf(table, want)})
	number := func(n int64) *int64 { return &n }
	chunk := func(f *format.FileMetaData, column string) *format.ColumnMetaData {
		return f.RowGroups[1].Columns[indexOf(table, column)].MetaData
	}
	for _, test := range []struct {
		name   string
		change func(*format.FileMetaData)
		want   string // "" for ErrUnreadable
	}{
		{"no change", func(*format.FileMetaData) {}, "no error"},
		{"statistics: minimum text", func(f *format.FileMetaData) { chunk(f, "event_id").Statistics.MinValue[0] += 2 }, "event_id: expected all values within the statistics"},
		{"statistics: maximum text", func(f *format.FileMetaData) { chunk(f, "event_id").Statistics.MaxValue[0]-- }, "event_id: expected all values within the statistics"},
		{"statistics: minimum time", func(f *format.FileMetaData) {
			s := chunk(f, "created_at").Statistics
			s.MinValue[6]++
			s.Min = s.MinValue
		}, "created_at: expected all values within the statistics"},
		{"statistics: maximum time", func(f *format.FileMetaData) {
			s := chunk(f, "created_at").Statistics
			s.MaxValue[4]--
			s.Max = s.MaxValue
		}, "created_at: expected all values within the statistics"},
		{"statistics: maximum time, in the older pair", func(f *format.FileMetaData) { chunk(f, "created_at").Statistics.Max[6]-- }, "created_at: expected all values within the statistics"},
		{"statistics: too short", func(f *format.FileMetaData) {
			s := chunk(f, "created_at").Statistics
			s.MinValue, s.Min = s.MinValue[:4], nil
		}, "created_at: expected all values within the statistics"},
		{"statistics: minimum number", func(f *format.FileMetaData) {
			s := chunk(f, "unread").Statistics
			s.MinValue[0]++
			s.Min = s.MinValue
		}, "unread: expected all values within the statistics"},
		{"statistics: minimum float", func(f *format.FileMetaData) {
			s := chunk(f, "score").Statistics
			s.MinValue[0]--
			s.Min = s.MinValue
		}, "score: expected all values within the statistics"},
		{"statistics: maximum float", func(f *format.FileMetaData) {
			s := chunk(f, "score").Statistics
			s.MaxValue = binary.LittleEndian.AppendUint64(nil, 1)
			s.Max = s.MaxValue
		}, "score: expected all values within the statistics"},
		{"statistics: the maximum float is NaN", func(f *format.FileMetaData) {
			s := chunk(f, "score").Statistics
			s.MaxValue = binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN()))
			s.Max = s.MaxValue
		}, "score: expected all values within the statistics"},
		{"statistics: maximum bool", func(f *format.FileMetaData) {
			s := chunk(f, "answered").Statistics
			s.MaxValue = []byte{0}
			s.Max = s.MaxValue
		}, "answered: expected all values within the statistics"},
		{"statistics: minimum bool", func(f *format.FileMetaData) {
			s := chunk(f, "answered").Statistics
			s.MinValue = []byte{1}
			s.Min = s.MinValue
		}, "answered: expected all values within the statistics"},
		{"statistics: the maximum bool is not a bool", func(f *format.FileMetaData) {
			s := chunk(f, "answered").Statistics
			s.MaxValue = []byte{3}
			s.Max = s.MaxValue
		}, "answered: expected all values within the statistics"},
		{"statistics: NULLs", func(f *format.FileMetaData) { chunk(f, "event_time").Statistics.NullCount = number(0) }, "event_time: expected the number of NULLs in the statistics, found another number"},
		{"no writer", func(f *format.FileMetaData) { f.CreatedBy = nil }, "expected created_by in the footer to be prospector version X (build Y)"},
		{"another writer", func(f *format.FileMetaData) { name := "parquet-go version 15.0.2"; f.CreatedBy = &name }, `found "parquet-go version 15.0.2"`},
		{"a repeated root", func(f *format.FileMetaData) {
			f.Schema[0].RepetitionType = format.FieldRepetitionTypePtr(format.FieldRepetitionType_REPEATED)
		}, "expected a root of the schema without a repetition, found REPEATED"},
		{"a required root", func(f *format.FileMetaData) {
			f.Schema[0].RepetitionType = format.FieldRepetitionTypePtr(format.FieldRepetitionType_REQUIRED)
		}, "found REQUIRED"},
		{"statistics: no distinct values", func(f *format.FileMetaData) { chunk(f, "description").Statistics.DistinctCount = number(0) }, "description: expected no count of distinct values, found 0 in row group 2"},
		{"metadata: a key twice", func(f *format.FileMetaData) {
			f.KeyValueMetadata = append(f.KeyValueMetadata, f.KeyValueMetadata[0])
		}, "twice"},
		{"rows: one more", func(f *format.FileMetaData) { f.NumRows++ }, ""},
		{"rows: negative", func(f *format.FileMetaData) { f.NumRows = -1 }, ""},
		{"rows: very many", func(f *format.FileMetaData) {
			f.NumRows += 1 << 60
			f.RowGroups[1].NumRows += 1 << 60
			for _, c := range f.RowGroups[1].Columns {
				c.MetaData.NumValues += 1 << 60
			}
		}, ""},
		{"rows: fewer", func(f *format.FileMetaData) {
			f.NumRows--
			f.RowGroups[1].NumRows--
			for _, c := range f.RowGroups[1].Columns {
				c.MetaData.NumValues--
			}
		}, ""},
		{"no row groups", func(f *format.FileMetaData) { f.RowGroups = []*format.RowGroup{} }, ""},
		{"row groups swapped", func(f *format.FileMetaData) { f.RowGroups[0], f.RowGroups[1] = f.RowGroups[1], f.RowGroups[0] }, "out of order"},
		{"a column fewer", func(f *format.FileMetaData) { f.RowGroups[0].Columns = f.RowGroups[0].Columns[1:] }, ""},
		{"columns swapped", func(f *format.FileMetaData) {
			c := f.RowGroups[0].Columns
			c[0], c[1] = c[1], c[0]
		}, ""},
		{"another column's pages", func(f *format.FileMetaData) {
			c := chunk(f, "description")
			path := c.PathInSchema
			*c = *chunk(f, "source_title")
			c.PathInSchema = path
		}, "description: expected the values that were written"},
		{"no column metadata", func(f *format.FileMetaData) { f.RowGroups[0].Columns[0].MetaData = nil }, ""},
		{"another file", func(f *format.FileMetaData) { f.RowGroups[0].Columns[0].FilePath = &f.Schema[1].Name }, ""},
		{"outside the file", func(f *format.FileMetaData) { *chunk(f, "event_id").DictionaryPageOffset = 1 << 62 }, ""},
		{"before the file", func(f *format.FileMetaData) { *chunk(f, "event_id").DictionaryPageOffset = -1 << 63 }, ""},
		{"into the footer", func(f *format.FileMetaData) { chunk(f, "extra_json").TotalCompressedSize += 1000 }, ""},
		{"a longer chunk", func(f *format.FileMetaData) { chunk(f, "event_id").TotalCompressedSize++ }, ""},
		{"another offset of the first data page", func(f *format.FileMetaData) { chunk(f, "event_id").DataPageOffset++ }, ""},
		{"another codec", func(f *format.FileMetaData) { chunk(f, "event_id").Codec = format.CompressionCodec_ZSTD }, ""},
		{"a nested column", func(f *format.FileMetaData) {
			children := int32(1)
			f.Schema[1].NumChildren = &children
		}, "event_id: expected OPTIONAL BYTE_ARRAY UTF8 STRING, found a group"},
		{"no schema", func(f *format.FileMetaData) { f.Schema = []*format.SchemaElement{} }, "expected a flat list of columns"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check(withFooter(t, data, test.change), table, partition, want)
			switch {
			case test.want == "no error":
				if err != nil {
					t.Error(err)
				}
			case test.want == "":
				if !errors.Is(err, ErrUnreadable) {
					t.Errorf("got %v, want ErrUnreadable", err)
				}
			case err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// withFooter returns the file with a changed footer.
func withFooter(t testing.TB, data []byte, change func(*format.FileMetaData)) []byte {
	t.Helper()
	footer, end, err := readFooter(context.Background(), bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	change(footer)
	s := thrift.NewTSerializer()
	s.Protocol = thrift.NewTCompactProtocolFactoryConf(nil).GetProtocol(s.Transport)
	text, err := s.Write(context.Background(), footer)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(data[:end]), text...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	return append(out, magic...)
}

// For any bytes, Read and Count return a result or a finding, and do not panic.
func FuzzRead(f *testing.F) {
	table := everyType()
	for _, how := range []written{{codec: "none"}, {codec: "none", plain: true}, {codec: "snappy"}, {codec: "gzip"}, {codec: "zstd", group: 2}} {
		f.Add(write(f, table, events(table, 5, 1), how))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := read(data, table)
		switch {
		case err != nil && !isFinding(err):
			t.Error(err)
		case err == nil && (found.Rows < 0 || len(found.Columns) != len(table.Columns)):
			t.Errorf("%d rows, %d columns", found.Rows, len(found.Columns))
		}
		rows, counting := counted(data, table, "prospect_id", "47569000")
		switch {
		case counting != nil && !isFinding(counting):
			t.Error(counting)
		case err == nil && (counting != nil || rows < 0 || rows > found.Rows):
			t.Errorf("%d of %d rows are counted, %v", rows, found.Rows, counting)
		}
	})
}

// failing is a reader that always fails.
type failing struct{}

var errDisk = errors.New("disk on fire")

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// An error of the reader or the context is not a fault of the file.
func TestReaderErrors(t *testing.T) {
	table := everyType()
	rows := events(table, 100, 6)
	data := write(t, table, rows, written{})
	if err := Check(context.Background(), failing{}, int64(len(data)), table, partition, sink.Summary{}); !errors.Is(err, errDisk) || isFinding(err) {
		t.Errorf("got %v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Check(ctx, bytes.NewReader(data), int64(len(data)), table, partition, summarise(table, rows)); !errors.Is(err, context.Canceled) || isFinding(err) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
