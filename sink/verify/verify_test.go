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

// published checks a file against the parts of a summary that the state has.
func published(data []byte, table schemas.Table, p sink.Partition, want sink.Summary) error {
	return Published(context.Background(), bytes.NewReader(data), int64(len(data)), table, p, want.Rows, want.Content)
}

func read(data []byte, table schemas.Table) (Contents, error) {
	return Read(context.Background(), bytes.NewReader(data), int64(len(data)), table)
}

// This reader and the library's own reader return what was written, for all options of
// the writer.
func TestRead(t *testing.T) {
	table := everyType()
	many := 200_000
	if testing.Short() {
		many = 60_000 // enough for dictionaries to overflow
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
		{"as many rows as are read at a time", chunkRows, written{}},
		{"one row more than are read at a time", chunkRows + 1, written{group: 1000}},
		{"dictionaries that overflow", many, written{group: 150_000}},
		{"Arrow's schema in the metadata", 10, written{store: true}},
		{"the footer of older files", 10, written{former: true}},
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

// This reader agrees with package parquetfile on every file.
func TestAgreesWithWriter(t *testing.T) {
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

// byLibrary returns the summary of what the library's own column reader reads.
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

// With other partition keys, files and paths have other columns.
func TestPartitionings(t *testing.T) {
	for _, test := range []struct {
		keys []string
		days []int64 // the days of the rows, relative to 2022-01-13
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

			last := test.days[len(test.days)-1] + 1 // outside the partition
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

// moved returns the rows moved by a number of days.
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

// Check finds faults of the rows, the columns and the metadata. Its findings do not quote
// rows.
func TestFindings(t *testing.T) {
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
		// change changes the rows that are written, but not the writer's summary.
		change func(schemas.Table, []row) []row
		// summarized means that the writer's summary is that of the changed rows.
		summarized bool
		how        written
		metadata   func(map[string]string)
		partition  string
		want       []string
	}{
		{name: "a row is lost", want: []string{"expected 300 rows, found 299 rows", "event_id: expected the values that were written, with the digest ", "expected the rows that were written"},
			change: func(_ schemas.Table, rows []row) []row { return slices.Delete(rows, 7, 8) }},
		{name: "a row is duplicated", want: []string{"found 301 rows", "rows 8 and 9 out of order or equal"},
			change: func(_ schemas.Table, rows []row) []row { return slices.Insert(rows, 7, rows[7]) }},
		{name: "rows are swapped", summarized: true, want: []string{"rows 8 and 9 out of order or equal"},
			change: func(_ schemas.Table, rows []row) []row { rows[7], rows[8] = rows[8], rows[7]; return rows }},
		{name: "a value differs", change: set("description", 9, "other"), want: []string{"description: expected the values that were written"}},
		{name: "a number differs", change: set("unread", 9, int64(math.MinInt64+1)), want: []string{"unread: expected the values that were written"}},
		{name: "a zero has another sign", change: set("score", 9, math.Copysign(0, -1)), want: []string{"score: expected the values that were written"}},
		{name: "a false is NULL", change: set("answered", 9, nil), want: []string{"answered: expected", "found other values"}},
		{name: "a false is true", change: set("answered", 9, true), want: []string{"answered: expected the values that were written"}},
		{name: "an empty string is NULL", change: set("message_subject", 9, nil), want: []string{"message_subject: expected"}},
		{name: "a NULL is an empty string", change: set("appointment_tour_type", 9, ""), want: []string{"appointment_tour_type: expected 300 NULLs, found 299 NULLs"}},
		{name: "two rows swap a value", want: []string{"expected the rows that were written, with the digest ", "found other rows, with "},
			change: func(table schemas.Table, rows []row) []row {
				c := indexOf(table, "message_body")
				rows[1][c], rows[2][c] = "first", "second"
				return rows
			}},
		{name: "the earliest time is later", change: set("event_time", 0, int64(day)*microsADay+1), want: []string{"event_time: expected the earliest time that was written, found a later one"}},
		{name: "the latest time is earlier", change: set("event_time", n-1, int64(day+1)*microsADay-1), want: []string{"event_time: expected the latest time that was written, found a later one"}},
		{name: "another partition's day", partition: "event_type=SMS_MESSAGE/event_date=2022-01-14", want: []string{"expected only rows of event_type=SMS_MESSAGE/event_date=2022-01-14, found 300 rows of other days"}},
		{name: "the day before 1970", summarized: true, change: set("event_time", 0, int64(-1)), partition: "event_type=SMS_MESSAGE/event_date=1970-01-01", want: []string{"found 300 rows of other days"}},
		{name: "one row of another day", summarized: true, change: set("event_time", n-1, int64(day+1)*microsADay), want: []string{"found 1 row of other days"}},
		{name: "no time", summarized: true, want: []string{"expected a time in every row, found 1 row without"},
			change: func(table schemas.Table, rows []row) []row {
				return set("created_at", 4, nil)(table, set("event_time", 4, nil)(table, rows))
			}},
		{name: "an event_date of another day", table: byDate, summarized: true, change: set("event_date", 4, int32(day+1)), want: []string{"expected the day of its time in every row, found 1 row with another"}},
		{name: "no event_date", table: byDate, summarized: true, change: set("event_date", 4, nil), want: []string{"found 1 row with another day"}},
		{name: "text is not UTF-8", summarized: true, change: set("message_body", 4, "caf\xe9"), want: []string{"message_body: expected text in UTF-8, found other bytes"}},
		{name: "text is not UTF-8, in a dictionary", summarized: true, change: set("description", 4, "\xff"), want: []string{"description: expected text in UTF-8"}},

		{name: "a column's name", how: written{column: "description", field: func(f *arrow.Field) { f.Name = "text" }}, want: []string{`description: expected this name for column 5, found "text"`}},
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
			for i, subject := range []string{"", "x"} { // the cases above change these values
				rows[9+i][indexOf(table, "message_subject")] = subject
			}
			rows[9][indexOf(table, "score")], rows[9][indexOf(table, "answered")] = 0.0, false
			rows[1][indexOf(table, "message_body")], rows[2][indexOf(table, "message_body")] = "second", "first"
			summary := summarise(table, rows)
			rows = clone(rows)
			if test.change != nil {
				rows = test.change(table, rows)
			}
			if test.summarized {
				summary = summarise(table, rows)
			}
			test.how.metadata = metadataOf(table, summary)
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
			if err := published(data, table, p, summary); !errors.As(err, &mismatch) {
				t.Errorf("as a published file: %v, want a *Mismatch", err)
			}
			err = check(data, table, p, summary)
			if !errors.As(err, &mismatch) {
				t.Fatalf("got %v, want a *Mismatch", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not have %q:\n%v", want, err)
				}
			}
			for _, r := range rows[:20] {
				for _, value := range r {
					if text, ok := value.(string); ok && len(text) > 6 && strings.Contains(err.Error(), text) {
						t.Errorf("the error has the value %q of a row:\n%v", text, err)
					}
				}
			}
		})
	}
}

// Check refuses a file of another table, or of a table with other partition keys.
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
		{"a partition key", byType, "event_date: expected this partition key only in the path, found a column"},
		{"one too many", more, `expected 22 columns, found another, "height"`},
		{"one too few", fewer, "extra_json: expected this name for column 22, found no such column"},
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

// The state's entry of a file distinguishes it from every other file.
func TestPublished(t *testing.T) {
	table := everyType()
	rows := events(table, 300, 1)
	summary := summarise(table, rows)
	data := write(t, table, rows, written{metadata: metadataOf(table, summary)})
	tomorrow := sink.PartitionOf(table, "SMS_MESSAGE", day+1)
	for _, test := range []struct {
		name      string
		rows      int64
		content   schemas.Digest
		partition sink.Partition
		want      []string // the findings
	}{
		{"as published", summary.Rows, summary.Content, partition, nil},
		{"other rows", summary.Rows, schemas.Digest{Lo: 1}, partition, []string{"expected the rows that were written, with the digest 00000000000000000000000000000001, found other rows, with " + summary.Content.String()}},
		{"fewer rows than published", 301, summary.Content, partition, []string{"expected 301 rows, found 300 rows"}},
		{"another file's row count and content", 1, schemas.Digest{}, partition,
			[]string{"expected 1 row, found 300 rows", "expected the rows that were written, with the digest 00000000000000000000000000000000, found other rows, with " + summary.Content.String()}},
		{"of another partition", summary.Rows, summary.Content, tomorrow,
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
	t.Run("truncated", func(t *testing.T) {
		if err := published(data[:len(data)-1], table, partition, summary); !errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
	})
	t.Run("cannot be read", func(t *testing.T) {
		err := Published(t.Context(), failing{}, int64(len(data)), table, partition, summary.Rows, summary.Content)
		if !errors.Is(err, errDisk) || errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want only the reader's error", err)
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
	prospect := rows[chunkRows+50][indexOf(table, "prospect_id")].(string)
	for name, how := range map[string]written{"plain": {plain: true}, "dictionary": {}, "row groups": {group: 700, page: 500}, "zstd": {codec: "zstd"}} {
		t.Run(name, func(t *testing.T) {
			data := write(t, table, rows, how)
			for _, test := range []struct {
				name, column, value string
				some                bool
			}{
				{"a prospect", "prospect_id", prospect, true},
				{"an unknown prospect", "prospect_id", "unknown", false},
				{"the beginning of a prospect's ID", "prospect_id", prospect[:5], false},
				{"an empty text, which is not NULL", "message_subject", "", true},
				{"a column of NULLs", "appointment_tour_type", "", false},
				{"JSON", "tags", `[""]`, true},
			} {
				want := times(test.column, test.value)
				if got, err := counted(data, table, test.column, test.value); err != nil || got != want {
					t.Errorf("%s: %d rows, %v; want %d", test.name, got, err, want)
				}
				if (want > 0) != test.some {
					t.Errorf("%s: the test is ineffective", test.name)
				}
			}
		})
	}
	t.Run("no rows", func(t *testing.T) {
		if n, err := counted(write(t, table, nil, written{}), table, "prospect_id", prospect); n != 0 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// Search counts matching texts in every text column, and does not count NULLs.
func TestSearch(t *testing.T) {
	table := everyType()
	rows := events(table, chunkRows+100, 1)
	prospect := rows[chunkRows+50][indexOf(table, "prospect_id")].(string)
	for name, match := range map[string]func(string) bool{
		"a prospect": func(text string) bool { return text == prospect },
		"empty text": func(text string) bool { return text == "" },
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
				t.Errorf("the rows differ (-want +got): %v\n%s", err, diff)
			}
		})
	}
}

// Count returns the errors of Read, except for faults in other columns, which it does not
// read.
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
		t.Errorf("truncated: %v, want ErrUnreadable", err)
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
