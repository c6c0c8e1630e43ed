package verify

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	format "github.com/xitongsys/parquet-go/parquet"

	"prospector/sink/parquetfile"
)

// The files of package parquetfile pass Check for unusual values of one column, whatever
// the writer omits from the statistics.
func TestWriterStatistics(t *testing.T) {
	table := everyType()
	long := strings.Repeat("x", 4097) // one byte longer than the library writes to statistics
	for _, test := range []struct {
		name, column string
		values       []any
	}{
		{"a long text after a short one", "description", []any{"a", "z" + long}},
		{"a long text before a short one", "description", []any{long, "z"}},
		{"only long texts", "description", []any{"a" + long, "z" + long}},
		{"one long text", "description", []any{long}},
		{"a text as long as the limit", "description", []any{"a", long[1:]}},
		{"a long text and NULL", "description", []any{long, nil}},
		{"a long text beyond the dictionary", "description", slices.Repeat([]any{"a", long}, 300)},
		{"a long identity", "event_id", []any{"a", long}},
		{"empty texts", "description", []any{"", ""}},
		{"an empty text and a long one", "description", []any{"", long}},
		{"an empty text and NULL", "description", []any{"", nil}},
		{"texts of zero bytes", "description", []any{"\x00", "\x00\x00"}},
		{"texts with the same order by bytes and by characters", "description", []any{"\U0010FFFF", "\uFFFF", "\x7f"}},
		{"one text", "description", []any{"a"}},
		{"no text", "description", []any{nil, nil}},
		{"no numbers", "unread", []any{nil, nil}},
		{"one number", "unread", []any{int64(7)}},
		{"the extreme numbers", "unread", []any{int64(math.MinInt64), int64(math.MaxInt64)}},
		{"only the maximum number", "unread", []any{int64(math.MaxInt64), nil}},
		{"NaN", "score", []any{math.NaN(), math.NaN()}},
		{"NaN among floats", "score", []any{1.0, math.NaN(), -1.0}},
		{"NaN first", "score", []any{math.NaN(), 1.0}},
		{"infinities", "score", []any{math.Inf(1), math.Inf(-1)}},
		{"one infinity", "score", []any{math.Inf(1)}},
		{"the other infinity", "score", []any{math.Inf(-1), nil}},
		{"zeros of both signs", "score", []any{0.0, math.Copysign(0, -1)}},
		{"the extreme floats", "score", []any{math.MaxFloat64, -math.MaxFloat64}},
		{"no floats", "score", []any{nil, nil}},
		{"falses", "answered", []any{false, false}},
		{"trues and NULL", "answered", []any{true, nil}},
		{"no bools", "answered", []any{nil, nil}},
		{"the extreme dates", "moves_on", []any{int32(math.MinInt32), int32(math.MaxInt32)}},
		{"one date", "moves_on", []any{int32(-1)}},
		{"the extreme times", "appointment_start_time", []any{int64(math.MinInt64), int64(math.MaxInt64)}},
		{"no times", "appointment_start_time", []any{nil, nil}},
	} {
		for _, codec := range []string{"snappy", "none"} {
			t.Run(test.name+"/"+codec, func(t *testing.T) {
				rows := events(table, len(test.values), 1)
				for i, value := range test.values {
					rows[i][indexOf(table, test.column)] = value
				}
				batch := recordOf(t, arrow.NewSchema(fieldsOf(table, written{}), nil), rows)
				files, err := parquetfile.Write(t.Context(), filepath.Join(t.TempDir(), "part"), table,
					parquetfile.Options{Job: "prospect_events", Compression: codec, CreatedBy: createdBy},
					func(yield func(arrow.Record, error) bool) { yield(batch, nil) })
				if err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(files[0].Path)
				if err != nil {
					t.Fatal(err)
				}
				if err := check(data, table, partition, summarise(table, rows)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A missing bound excludes nothing. An existing bound must be right, whichever of the two
// pairs of fields has it.
func TestMissingBounds(t *testing.T) {
	table := everyType()
	number := func(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }
	float := func(v float64) []byte { return number(int64(math.Float64bits(v))) }
	date := func(v int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
	for _, of := range []struct {
		column           string
		values           []any
		below, low, high []byte // low and high are right; below is less than low
		beyond, above    []byte // beyond is less than high, so it excludes values; above is greater than high
		within           []byte // between low and high
	}{
		{"description", []any{"b", "d", "f"}, []byte(""), []byte("b"), []byte("f"), []byte("e"), []byte("g"), []byte("c")},
		{"unread", []any{int64(-5), int64(0), int64(5)}, number(-6), number(-5), number(5), number(4), number(6), number(1)},
		{"score", []any{-0.5, 0.0, 0.5}, float(-1), float(-0.5), float(0.5), float(0.4), float(1), float(0.1)},
		{"moves_on", []any{int32(-5), int32(0), int32(5)}, date(-6), date(-5), date(5), date(4), date(6), date(1)},
		{"answered", []any{false, true, true}, nil, []byte{0}, []byte{1}, []byte{0}, nil, []byte{1}},
		{"appointment_start_time", []any{int64(-5), int64(0), int64(5)}, number(-6), number(-5), number(5), number(4), number(6), number(1)},
	} {
		rows := events(table, len(of.values), 1)
		for i, value := range of.values {
			rows[i][indexOf(table, of.column)] = value
		}
		want := summarise(table, rows)
		for _, plain := range []bool{false, true} {
			data := write(t, table, rows, written{plain: plain, metadata: metadataOf(table, want)})
			for _, test := range []struct {
				name string
				is   format.Statistics
				ok   bool
			}{
				{"no bound", format.Statistics{}, true},
				{"only the lower one", format.Statistics{MinValue: of.low}, true},
				{"only the upper one", format.Statistics{MaxValue: of.high}, true},
				{"both", format.Statistics{MinValue: of.low, MaxValue: of.high}, true},
				{"both, in the older pair", format.Statistics{Min: of.low, Max: of.high}, true},
				{"both, in both pairs", format.Statistics{Min: of.low, Max: of.high, MinValue: of.low, MaxValue: of.high}, true},
				{"one in each pair", format.Statistics{Min: of.low, MaxValue: of.high}, true},
				{"only the lower one, in the older pair", format.Statistics{Min: of.low}, true},
				{"only the upper one, in the older pair", format.Statistics{Max: of.high}, true},
				{"wider than necessary", format.Statistics{MinValue: of.below, MaxValue: of.above}, true},
				{"only a wrong lower one", format.Statistics{MinValue: of.within}, false},
				{"only a wrong upper one", format.Statistics{MaxValue: of.beyond}, false},
				{"only a wrong lower one, in the older pair", format.Statistics{Min: of.within}, false},
				{"only a wrong upper one, in the older pair", format.Statistics{Max: of.beyond}, false},
				{"a wrong upper one", format.Statistics{MinValue: of.low, MaxValue: of.beyond}, false},
				{"a wrong one only in the older pair", format.Statistics{MinValue: of.low, MaxValue: of.high, Max: of.beyond}, false},
				{"a wrong one only in the newer pair", format.Statistics{MinValue: of.within, Min: of.low}, false},
				{"swapped", format.Statistics{MinValue: of.high, MaxValue: of.low}, false},
				{"an empty lower one", format.Statistics{MinValue: []byte{}}, of.column == "description"},
				{"an empty upper one", format.Statistics{MaxValue: []byte{}}, false},
			} {
				t.Run(fmt.Sprintf("%s/plain=%t/%s", of.column, plain, test.name), func(t *testing.T) {
					err := check(withFooter(t, data, func(f *format.FileMetaData) {
						f.RowGroups[0].Columns[indexOf(table, of.column)].MetaData.Statistics = &test.is
					}), table, partition, want)
					if (err == nil) != test.ok {
						t.Errorf("got %v, want no error: %t", err, test.ok)
					}
					if err != nil && !strings.Contains(err.Error(), of.column+": expected all values within the statistics") {
						t.Error(err)
					}
				})
			}
		}
	}
}

// A writer may omit the statistics or the number of NULLs. It may also shorten the bounds
// of long texts, if that does not exclude values.
func TestStatisticsOfTexts(t *testing.T) {
	table := everyType()
	long := strings.Repeat("m", 5000)
	null := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		name   string
		values []any
		is     *format.Statistics
		want   string // "" for no finding
	}{
		{"no statistics", []any{long, nil}, nil, ""},
		{"no NULLs are counted", []any{long, nil}, &format.Statistics{MinValue: []byte(long), MaxValue: []byte(long)}, ""},
		{"only NULLs are counted", []any{long, nil}, &format.Statistics{NullCount: null(1)}, ""},
		{"too many NULLs", []any{long, nil}, &format.Statistics{NullCount: null(2)}, "expected the number of NULLs in the statistics"},
		{"a negative number of NULLs", []any{long, nil}, &format.Statistics{NullCount: null(-1)}, "expected the number of NULLs in the statistics"},
		{"all are NULL", []any{nil, nil}, &format.Statistics{NullCount: null(2)}, ""},
		{"all are NULL, but there are bounds", []any{nil, nil}, &format.Statistics{MinValue: []byte{}, MaxValue: []byte{}}, ""},
		{"all are NULL, and the bounds are swapped", []any{nil, nil}, &format.Statistics{MinValue: []byte("b"), MaxValue: []byte("a")}, "expected all values within the statistics"},
		{"shortened", []any{long, "n"}, &format.Statistics{MinValue: []byte("mm"), MaxValue: []byte("n")}, ""},
		{"shortened and raised", []any{long, "a"}, &format.Statistics{MinValue: []byte("a"), MaxValue: []byte("mn")}, ""},
		{"shortened and not raised", []any{long, "a"}, &format.Statistics{MinValue: []byte("a"), MaxValue: []byte("mm")}, "expected all values within the statistics"},
		{"one empty text", []any{"", nil}, &format.Statistics{MinValue: []byte{}, MaxValue: []byte{}}, ""},
		{"a text above the empty one", []any{"", "a"}, &format.Statistics{MinValue: []byte{}, MaxValue: []byte{}}, "expected all values within the statistics"},
		{"one value", []any{"a"}, &format.Statistics{MinValue: []byte("a"), MaxValue: []byte("a")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := events(table, len(test.values), 1)
			for i, value := range test.values {
				rows[i][indexOf(table, "description")] = value
			}
			want := summarise(table, rows)
			err := check(withFooter(t, write(t, table, rows, written{}), func(f *format.FileMetaData) {
				f.RowGroups[0].Columns[indexOf(table, "description")].MetaData.Statistics = test.is
			}), table, partition, want)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), "description: "+test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
