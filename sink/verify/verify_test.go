package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"
	"github.com/xitongsys/parquet-go/reader"

	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/parquetfile"
)

var partition = sink.PartitionOf(everyType(), "SMS_MESSAGE", day)

func check(data []byte, table schemas.Table, p sink.Partition, want sink.Summary) error {
	return Check(context.Background(), bytes.NewReader(data), int64(len(data)), table, p, want)
}

// published holds a file against what the state would keep of that summary.
func published(data []byte, table schemas.Table, p sink.Partition, want sink.Summary) error {
	return Published(context.Background(), bytes.NewReader(data), int64(len(data)), table, p, want.Rows, want.Content)
}

func read(data []byte, table schemas.Table) (Contents, error) {
	return Read(context.Background(), bytes.NewReader(data), int64(len(data)), table)
}

// Every way in which the writer may write must be read back as what was meant,
// by this reader and by the library's own.
func TestReadsWhatWasWritten(t *testing.T) {
	table := everyType()
	many := 200_000
	if testing.Short() {
		many = 60_000 // still overflows
	}
	var cases []struct {
		name string
		rows int
		how  written
	}
	for _, codec := range []string{"snappy", "zstd", "gzip", "none"} {
		for _, plain := range []bool{false, true} {
			for _, group := range []int64{0, 700} {
				cases = append(cases, struct {
					name string
					rows int
					how  written
				}{fmt.Sprintf("%s plain=%t group=%d", codec, plain, group), 5000, written{codec: codec, plain: plain, group: group, page: 3000}})
			}
		}
	}
	cases = append(cases, []struct {
		name string
		rows int
		how  written
	}{
		{"no rows", 0, written{}},
		{"one row", 1, written{}},
		{"chunk of rows exactly", chunkRows, written{}},
		{"chunk of rows and one", chunkRows + 1, written{group: 1000}},
		{"dictionaries that overflow", many, written{group: 150_000}},
		{"Arrow's schema in the metadata", 10, written{store: true}},
		{"the footer of former files", 10, written{former: true}},
	}...)
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			rows := events(table, test.rows, uint64(i))
			want := summarise(table, rows)
			test.how.metadata = metadataOf(table, want)
			data := write(t, table, rows, test.how)

			found, err := read(data, table)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, found.Summary); diff != "" {
				t.Errorf("summary (-written +read):\n%s", diff)
			}
			if len(found.Faults) > 0 {
				t.Errorf("faults: %v", found.Faults)
			}
			if found.Metadata["prospector.job"] != "prospect_events" {
				t.Errorf("metadata: %v", found.Metadata)
			}
			days := map[int32]int64{}
			if test.rows > 0 {
				days[day] = int64(test.rows)
			}
			if diff := cmp.Diff(days, found.Days); diff != "" {
				t.Errorf("days (-written +read):\n%s", diff)
			}
			if err := check(data, table, partition, want); err != nil {
				t.Error(err)
			}
			if err := published(data, table, partition, want); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, byLibrary(t, table, data)); diff != "" {
				t.Errorf("the library's own reader (-written +read):\n%s", diff)
			}
		})
	}
}

// The lake's own writer and this reader must agree on every file.
func TestAgreesWithTheWriter(t *testing.T) {
	table := everyType()
	schema := arrow.NewSchema(fieldsOf(table, written{}), nil)
	rows := events(table, 20_000, 9)
	for _, codec := range []string{"snappy", "zstd", "gzip", "none"} {
		t.Run(codec, func(t *testing.T) {
			files, err := parquetfile.Write(t.Context(), filepath.Join(t.TempDir(), "part"), table,
				parquetfile.Options{Job: "prospect_events", Compression: codec, CreatedBy: createdBy},
				func(yield func(arrow.Record, error) bool) {
					for batch := range slices.Chunk(rows, 3000) {
						if !yield(recordOf(t, schema, batch), nil) {
							return
						}
					}
				})
			if err != nil {
				t.Fatal(err)
			}
			written := files[0]
			data, err := os.ReadFile(written.Path)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(data, table, partition, written.Summary); err != nil {
				t.Error(err)
			}
			if left := salvaged(t, data[:len(data)-100], table); len(left) != len(rows) {
				t.Errorf("without the end of its footer, the file has %d rows, not %d", len(left), len(rows))
			}
			found, err := read(data, table)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range metadataOf(table, summarise(table, rows)) {
				if found.Metadata[key] != value {
					t.Errorf("%s is %q, want %q", key, found.Metadata[key], value)
				}
			}
		})
	}
}

// byLibrary summarises what the library's own column reader finds.
func byLibrary(t *testing.T, table schemas.Table, data []byte) sink.Summary {
	t.Helper()
	r, err := reader.NewParquetColumnReader(newMemoryFile(data), 1)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]row, r.GetNumRows())
	for i := range rows {
		rows[i] = make(row, len(table.Columns))
	}
	for c := range table.Columns {
		for at := 0; at < len(rows); {
			values, _, _, err := r.ReadColumnByIndex(int64(c), int64(len(rows)-at))
			if err != nil || len(values) == 0 {
				t.Fatalf("column %d: %d of %d rows, %v", c, at, len(rows), err)
			}
			for i, value := range values {
				rows[at+i][c] = value
			}
			at += len(values)
		}
	}
	return summarise(table, rows)
}

// The other partitionings put other columns into the files and the path.
func TestPartitionings(t *testing.T) {
	for _, test := range []struct {
		keys []string
		days []int64 // days after the 13th that the rows are spread over
	}{
		{[]string{"event_type", "event_date"}, []int64{0}},
		{[]string{"event_date"}, []int64{0}},
		{[]string{"event_month"}, []int64{-12, 0, 18}},
		{[]string{"event_year", "event_type"}, []int64{-12, 0, 352}},
		{[]string{"event_type"}, []int64{-20000, -19005, 0, 9999}},
	} {
		t.Run(strings.Join(test.keys, ","), func(t *testing.T) {
			table, err := everyType().PartitionedBy(test.keys...)
			if err != nil {
				t.Fatal(err)
			}
			var rows []row
			for _, offset := range test.days {
				rows = append(rows, moved(table, events(table, 50, 1), offset)...)
			}
			p := sink.PartitionOf(table, "SMS_MESSAGE", day)
			data := write(t, table, rows, written{})
			if err := check(data, table, p, summarise(table, rows)); err != nil {
				t.Error(err)
			}

			last := test.days[len(test.days)-1] + 1 // no longer of the partition
			rows = append(rows, moved(table, events(table, 1, 2), last)...)
			err = check(write(t, table, rows, written{}), table, p, summarise(table, rows))
			if slices.Equal(test.keys, []string{"event_type"}) {
				if err != nil {
					t.Error(err)
				}
			} else if want := "1 row of other days"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// moved shifts rows by days.
func moved(table schemas.Table, rows []row, days int64) []row {
	for _, r := range rows {
		for c, column := range table.Columns {
			switch value := r[c].(type) {
			case int64:
				if column.Type == schemas.Timestamp {
					r[c] = value + days*microsADay
				}
			case int32:
				if column.Value == schemas.Day {
					r[c] = value + int32(days)
				}
			}
		}
	}
	return rows
}

func TestDayOf(t *testing.T) {
	for micros, want := range map[int64]int32{
		0: 0, 1: 0, -1: -1, microsADay - 1: 0, microsADay: 1, -microsADay: -1, -microsADay - 1: -2,
		-1 << 63: -106751992, 1<<63 - 1: 106751991,
	} {
		if got := dayOf(micros); got != want {
			t.Errorf("%d µs: day %d, want %d", micros, got, want)
		}
	}
}

// Whatever is wrong with the rows, the columns or the metadata is found, and
// named without quoting a row.
func TestFindsWhatIsWrong(t *testing.T) {
	table := everyType()
	byDate, err := table.PartitionedBy("event_type")
	if err != nil {
		t.Fatal(err)
	}
	const n = 300
	set := func(column string, at int, value any) func(schemas.Table, []row) []row {
		return func(table schemas.Table, rows []row) []row {
			rows[at][indexOf(table, column)] = value
			return rows
		}
	}
	for _, test := range []struct {
		name  string
		table schemas.Table // everyType, unless set
		// spoil changes the rows that are written, but not what the writer says
		spoil func(schemas.Table, []row) []row
		// honest makes the writer tell of the spoilt rows
		honest    bool
		how       written
		metadata  func(map[string]string)
		partition string
		want      []string
	}{
		{name: "a row is lost", want: []string{"expected 300 rows, found 299 rows", "event_id: expected the values that were written, with the digest ", "expected the rows that were written"},
			spoil: func(_ schemas.Table, rows []row) []row { return slices.Delete(rows, 7, 8) }},
		{name: "a row is doubled", want: []string{"found 301 rows", "rows 8 and 9 out of order or the same"},
			spoil: func(_ schemas.Table, rows []row) []row { return slices.Insert(rows, 7, rows[7]) }},
		{name: "rows are swapped", honest: true, want: []string{"rows 8 and 9 out of order or the same"},
			spoil: func(_ schemas.Table, rows []row) []row { rows[7], rows[8] = rows[8], rows[7]; return rows }},
		{name: "a value is another", spoil: set("description", 9, "other"), want: []string{"description: expected the values that were written"}},
		{name: "a number is another", spoil: set("unread", 9, int64(math.MinInt64+1)), want: []string{"unread: expected the values that were written"}},
		{name: "a zero has another sign", spoil: set("score", 9, math.Copysign(0, -1)), want: []string{"score: expected the values that were written"}},
		{name: "a false is NULL", spoil: set("answered", 9, nil), want: []string{"answered: expected", "found other values"}},
		{name: "a false is true", spoil: set("answered", 9, true), want: []string{"answered: expected the values that were written"}},
		{name: "an empty string is NULL", spoil: set("message_subject", 9, nil), want: []string{"message_subject: expected"}},
		{name: "a NULL is an empty string", spoil: set("appointment_tour_type", 9, ""), want: []string{"appointment_tour_type: expected 300 NULLs, found 299 NULLs"}},
		{name: "two rows swap a value", want: []string{"expected the rows that were written, with the digest ", "found other rows, with "},
			spoil: func(table schemas.Table, rows []row) []row {
				c := indexOf(table, "message_body")
				rows[1][c], rows[2][c] = "first", "second"
				return rows
			}},
		{name: "the earliest time is later", spoil: set("event_time", 0, int64(day)*microsADay+1), want: []string{"event_time: expected the earliest time that was written, found a later one"}},
		{name: "the latest time is earlier", spoil: set("event_time", n-1, int64(day+1)*microsADay-1), want: []string{"event_time: expected the latest time that was written, found a later one"}},
		{name: "another partition's day", partition: "event_type=SMS_MESSAGE/event_date=2022-01-14", want: []string{"expected only rows of event_type=SMS_MESSAGE/event_date=2022-01-14, found 300 rows of other days"}},
		{name: "the day before 1970", honest: true, spoil: set("event_time", 0, int64(-1)), partition: "event_type=SMS_MESSAGE/event_date=1970-01-01", want: []string{"found 300 rows of other days"}},
		{name: "one row of another day", honest: true, spoil: set("event_time", n-1, int64(day+1)*microsADay), want: []string{"found 1 row of other days"}},
		{name: "no time", honest: true, want: []string{"expected a time in every row, found 1 row without"},
			spoil: func(table schemas.Table, rows []row) []row {
				return set("created_at", 4, nil)(table, set("event_time", 4, nil)(table, rows))
			}},
		{name: "an event_date of another day", table: byDate, honest: true, spoil: set("event_date", 4, int32(day+1)), want: []string{"expected the day of its time in every row, found 1 row with another"}},
		{name: "no event_date", table: byDate, honest: true, spoil: set("event_date", 4, nil), want: []string{"found 1 row with another"}},
		{name: "text is not UTF-8", honest: true, spoil: set("message_body", 4, "caf\xe9"), want: []string{"message_body: expected text in UTF-8, found other bytes"}},
		{name: "text is not UTF-8, in a dictionary", honest: true, spoil: set("description", 4, "\xff"), want: []string{"description: expected text in UTF-8"}},

		{name: "a column's name", how: written{column: "description", field: func(f *arrow.Field) { f.Name = "text" }}, want: []string{`description: expected it as column 5, found "text" there`}},
		{name: "a column's type", how: written{column: "created_at", field: func(f *arrow.Field) { f.Type = arrow.PrimitiveTypes.Int64 }}, want: []string{"created_at: expected OPTIONAL INT64 TIMESTAMP_MICROS TIMESTAMP(MICROS, UTC), found OPTIONAL INT64"}},
		{name: "a local time", how: written{column: "created_at", field: func(f *arrow.Field) {
			f.Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "America/New_York"}
		}}, want: []string{"created_at: expected OPTIONAL INT64 TIMESTAMP_MICROS TIMESTAMP(MICROS, UTC), found OPTIONAL INT64 TIMESTAMP_MICROS TIMESTAMP(another unit or not UTC)"}},
		{name: "milliseconds", how: written{column: "created_at", field: func(f *arrow.Field) {
			f.Type = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
		}}, want: []string{"created_at: expected"}},
		{name: "bytes for text", how: written{column: "event_id", field: func(f *arrow.Field) { f.Type = arrow.BinaryTypes.Binary }}, want: []string{"event_id: expected OPTIONAL BYTE_ARRAY UTF8 STRING, found OPTIONAL BYTE_ARRAY"}},
		{name: "an unsigned number", how: written{column: "unread", field: func(f *arrow.Field) { f.Type = arrow.PrimitiveTypes.Uint64 }}, want: []string{"unread: expected OPTIONAL INT64 INT_64 INT(64, signed), found OPTIONAL INT64 UINT_64"}},
		{name: "a short float", how: written{column: "score", field: func(f *arrow.Field) { f.Type = arrow.PrimitiveTypes.Float32 }}, want: []string{"score: expected OPTIONAL DOUBLE, found OPTIONAL FLOAT"}},
		{name: "a number for a bool", how: written{column: "answered", field: func(f *arrow.Field) { f.Type = arrow.PrimitiveTypes.Int8 }}, want: []string{"answered: expected OPTIONAL BOOLEAN, found OPTIONAL INT32"}},
		{name: "a required column", how: written{column: "event_id", field: func(f *arrow.Field) { f.Nullable = false }}, want: []string{"event_id: expected OPTIONAL BYTE_ARRAY UTF8 STRING, found REQUIRED BYTE_ARRAY UTF8 STRING"}},

		{name: "metadata: rows", metadata: func(m map[string]string) { m["prospector.rows"] = "299" }, want: []string{`expected prospector.rows in the footer's metadata to be 300, found "299"`}},
		{name: "metadata: content", metadata: func(m map[string]string) { m["prospector.content"] = schemas.Digest{}.String() }, want: []string{"expected prospector.content"}},
		{name: "metadata: schema", metadata: func(m map[string]string) { m["prospector.schema"] = byDate.Fingerprint() }, want: []string{"expected prospector.schema"}},
		{name: "metadata: a key is missing", metadata: func(m map[string]string) { delete(m, "prospector.job") }, want: []string{"expected prospector.job in the footer's metadata, found none"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := table
			if test.table.Name != "" {
				table = test.table
			}
			rows := events(table, n, 1)
			for i, subject := range []string{"", "x"} { // known to the cases above
				rows[9+i][indexOf(table, "message_subject")] = subject
			}
			rows[9][indexOf(table, "score")], rows[9][indexOf(table, "answered")] = 0.0, false
			rows[1][indexOf(table, "message_body")], rows[2][indexOf(table, "message_body")] = "second", "first"
			told := summarise(table, rows)
			rows = clone(rows)
			if test.spoil != nil {
				rows = test.spoil(table, rows)
			}
			if test.honest {
				told = summarise(table, rows)
			}
			test.how.metadata = metadataOf(table, told)
			if test.metadata != nil {
				test.metadata(test.how.metadata)
			}
			if test.partition == "" {
				test.partition = sink.PartitionOf(table, "SMS_MESSAGE", day).Path
			}
			p, err := sink.ParsePartition(table, test.partition)
			if err != nil {
				t.Fatal(err)
			}

			data := write(t, table, rows, test.how)
			var mismatch *Mismatch
			if err := published(data, table, p, told); !errors.As(err, &mismatch) {
				t.Errorf("as a published file: %v, want a *Mismatch", err)
			}
			err = check(data, table, p, told)
			if !errors.As(err, &mismatch) {
				t.Fatalf("got %v, want a *Mismatch", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
			for _, r := range rows[:20] {
				for _, value := range r {
					if text, ok := value.(string); ok && len(text) > 6 && strings.Contains(err.Error(), text) {
						t.Errorf("a value of a row, %q, is in:\n%v", text, err)
					}
				}
			}
		})
	}
}

// A file of another table, or of another partitioning, is none of this one.
func TestFindsOtherColumns(t *testing.T) {
	table := everyType()
	byType, err := table.PartitionedBy("event_type")
	if err != nil {
		t.Fatal(err)
	}
	more := byType
	more.Columns = append(slices.Clone(table.Columns), schemas.Column{Name: "height", Type: schemas.String})
	fewer := table
	fewer.Columns = table.Columns[:len(table.Columns)-1]
	for _, test := range []struct {
		name    string
		written schemas.Table
		want    string
	}{
		{"a partition key", byType, "event_date: expected this partition key in the path alone, found a column"},
		{"one too many", more, `expected 22 columns, found another, "height"`},
		{"one too few", fewer, "extra_json: expected it as column 22, found none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := events(test.written, 10, 1)
			err := check(write(t, test.written, rows, written{}), table, partition, summarise(table, events(table, 10, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// What the state keeps of a file is enough to tell it from every other.
func TestPublished(t *testing.T) {
	table := everyType()
	rows := events(table, 300, 1)
	told := summarise(table, rows)
	data := write(t, table, rows, written{metadata: metadataOf(table, told)})
	tomorrow := sink.PartitionOf(table, "SMS_MESSAGE", day+1)
	for _, test := range []struct {
		name      string
		rows      int64
		content   schemas.Digest
		partition sink.Partition
		want      []string // the findings
	}{
		{"as published", told.Rows, told.Content, partition, nil},
		{"other rows", told.Rows, schemas.Digest{Lo: 1}, partition, []string{"expected the rows that were written, with the digest 00000000000000000000000000000001, found other rows, with " + told.Content.String()}},
		{"fewer rows than published", 301, told.Content, partition, []string{"expected 301 rows, found 300 rows"}},
		{"another file's row count and content", 1, schemas.Digest{}, partition,
			[]string{"expected 1 row, found 300 rows", "expected the rows that were written, with the digest 00000000000000000000000000000000, found other rows, with " + told.Content.String()}},
		{"of another partition", told.Rows, told.Content, tomorrow,
			[]string{"expected only rows of event_type=SMS_MESSAGE/event_date=2022-01-14, found 300 rows of other days"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Published(t.Context(), bytes.NewReader(data), int64(len(data)), table, test.partition, test.rows, test.content)
			var findings []string
			var mismatch *Mismatch
			if errors.As(err, &mismatch) {
				for _, f := range mismatch.Findings {
					findings = append(findings, f.String())
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("cut short", func(t *testing.T) {
		if err := published(data[:len(data)-1], table, partition, told); !errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
	})
	t.Run("cannot be read", func(t *testing.T) {
		err := Published(t.Context(), failing{}, int64(len(data)), table, partition, told.Rows, told.Content)
		if !errors.Is(err, errDisk) || errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want the disk's error alone", err)
		}
	})
}

func counted(data []byte, table schemas.Table, column, value string) (int64, error) {
	return Count(context.Background(), bytes.NewReader(data), int64(len(data)), table, column, value)
}

func TestCount(t *testing.T) {
	table := everyType()
	rows := events(table, chunkRows+100, 1)
	times := func(column, value string) (n int64) {
		for _, r := range rows {
			if r[indexOf(table, column)] == value {
				n++
			}
		}
		return n
	}
	somebody := rows[chunkRows+50][indexOf(table, "prospect_id")].(string)
	for name, how := range map[string]written{"plain": {plain: true}, "dictionary": {}, "row groups": {group: 700, page: 500}, "zstd": {codec: "zstd"}} {
		t.Run(name, func(t *testing.T) {
			data := write(t, table, rows, how)
			for _, test := range []struct {
				name, column, value string
				some                bool
			}{
				{"somebody", "prospect_id", somebody, true},
				{"nobody", "prospect_id", "nobody", false},
				{"the beginning of somebody", "prospect_id", somebody[:5], false},
				{"an empty text, which no NULL is", "message_subject", "", true},
				{"NULL throughout", "appointment_tour_type", "", false},
				{"JSON", "tags", `[""]`, true},
			} {
				want := times(test.column, test.value)
				if got, err := counted(data, table, test.column, test.value); err != nil || got != want {
					t.Errorf("%s: %d rows, %v; want %d", test.name, got, err, want)
				}
				if (want > 0) != test.some {
					t.Errorf("%s: the test does not test", test.name)
				}
			}
		})
	}
	t.Run("no rows", func(t *testing.T) {
		if n, err := counted(write(t, table, nil, written{}), table, "prospect_id", somebody); n != 0 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// Search finds what matches in every text column, and no NULL.
func TestSearch(t *testing.T) {
	table := everyType()
	rows := events(table, chunkRows+100, 1)
	somebody := rows[chunkRows+50][indexOf(table, "prospect_id")].(string)
	for name, match := range map[string]func(string) bool{
		"a prospect": func(text string) bool { return text == somebody },
		"the empty":  func(text string) bool { return text == "" },
		"everything": func(string) bool { return true },
		"nothing":    func(string) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			want := make(map[string]int64)
			for i, c := range table.Columns {
				for _, r := range rows {
					if text, ok := r[i].(string); ok && c.Type.IsText() && match(text) {
						want[c.Name]++
					}
				}
			}
			data := write(t, table, rows, written{group: 700, page: 500})
			got, err := Search(t.Context(), bytes.NewReader(data), int64(len(data)), table, match)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("other rows are found (-want +got): %v\n%s", err, diff)
			}
		})
	}
}

// Count fails as Read does, but for what is wrong in other columns, which it does
// not read.
func TestCountErrors(t *testing.T) {
	table := everyType()
	rows := events(table, 100, 1)
	data := write(t, table, rows, written{})
	footer, _, err := readFooter(t.Context(), bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	withoutPagesOf := func(column string) []byte {
		damaged := bytes.Clone(data)
		chunk := footer.RowGroups[0].Columns[indexOf(table, column)].MetaData
		clear(damaged[chunkStart(chunk):][:chunk.TotalCompressedSize])
		return damaged
	}
	if n, err := counted(withoutPagesOf("message_body"), table, "event_id", rows[0][0].(string)); n != 1 || err != nil {
		t.Errorf("another column is damaged: %d rows, %v", n, err)
	}
	if _, err := counted(withoutPagesOf("event_id"), table, "event_id", ""); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the column is damaged: %v, want ErrUnreadable", err)
	}
	if _, err := counted(data[:len(data)-1], table, "event_id", ""); !errors.Is(err, ErrUnreadable) {
		t.Errorf("cut short: %v, want ErrUnreadable", err)
	}
	var mismatch *Mismatch
	if _, err := counted(data, schemas.KnockEvents(), "event_id", ""); !errors.As(err, &mismatch) {
		t.Errorf("another table's columns: %v, want a *Mismatch", err)
	}
	for _, column := range []string{"event_type", "event_time", "none"} {
		if _, err := counted(data, table, column, ""); err == nil || isFinding(err) || !strings.Contains(err.Error(), column) {
			t.Errorf("counting by %s: %v", column, err)
		}
	}
	if _, err := Count(t.Context(), failing{}, int64(len(data)), table, "event_id", ""); !errors.Is(err, errDisk) || isFinding(err) {
		t.Errorf("the file cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Count(ctx, bytes.NewReader(data), int64(len(data)), table, "event_id", ""); !errors.Is(err, context.Canceled) || isFinding(err) {
		t.Errorf("cancelled: %v", err)
	}
}
