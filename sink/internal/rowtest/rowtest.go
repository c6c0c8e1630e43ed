// Package rowtest makes rows, batches and streams for the tests of the packages below
// sink, and computes the results that those packages must return from single rows. It
// makes rows of the table of events (schemas.KnockEvents), so it names the columns of
// that table.
package rowtest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
	"prospector/schemas/records"
)

// SecondsPerDay is the length of a day.
const SecondsPerDay = 24 * 60 * 60

// EveryType returns the table of events with further columns, so that it has every type
// and a protected column.
var EveryType = sync.OnceValue(func() schemas.Table {
	table, err := schemas.KnockEvents().Declare(
		schemas.Column{Name: "unread", Type: schemas.Int64, From: []string{"unread"}},
		schemas.Column{Name: "score", Type: schemas.Float64, From: []string{"score"}},
		schemas.Column{Name: "answered", Type: schemas.Bool, From: []string{"answered"}},
		schemas.Column{Name: "moves_on", Type: schemas.Date, From: []string{"movesOn"}},
		schemas.Column{Name: "tags", Type: schemas.JSON, From: []string{"tags"}},
		schemas.Column{Name: "nickname", Type: schemas.String, From: []string{"nickname"}, Policy: schemas.Mask},
	)
	if err != nil {
		panic(err)
	}
	return table
})

// Row has the values of a row by column: string (also JSON), int64 (also microseconds),
// float64, bool or int32 (days). It does not have the columns that are NULL.
type Row map[string]any

// Batch returns a batch of rows.
func Batch(columns []schemas.Column, rows []Row) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, records.Schema(columns))
	for _, r := range rows {
		for i, c := range columns {
			value := r[c.Name]
			if value == nil {
				b.Field(i).AppendNull()
				continue
			}
			switch f := b.Field(i).(type) {
			case *array.StringBuilder:
				f.Append(value.(string))
			case *array.Int64Builder:
				f.Append(value.(int64))
			case *array.Float64Builder:
				f.Append(value.(float64))
			case *array.BooleanBuilder:
				f.Append(value.(bool))
			case *array.TimestampBuilder:
				f.Append(arrow.Timestamp(value.(int64)))
			case *array.Date32Builder:
				f.Append(arrow.Date32(value.(int32)))
			}
		}
	}
	return b.NewRecord()
}

// RowsOf returns the rows of a batch.
func RowsOf(batch arrow.Record) []Row {
	rows := make([]Row, batch.NumRows())
	for i := range rows {
		rows[i] = make(Row)
	}
	for c, field := range batch.Schema().Fields() {
		for i := range rows {
			if batch.Column(c).IsNull(i) {
				continue
			}
			switch column := batch.Column(c).(type) {
			case *array.String:
				rows[i][field.Name] = strings.Clone(column.Value(i))
			case *array.Int64:
				rows[i][field.Name] = column.Value(i)
			case *array.Float64:
				rows[i][field.Name] = column.Value(i)
			case *array.Boolean:
				rows[i][field.Name] = column.Value(i)
			case *array.Timestamp:
				rows[i][field.Name] = int64(column.Value(i))
			case *array.Date32:
				rows[i][field.Name] = int32(column.Value(i))
			}
		}
	}
	return rows
}

// Collect returns the rows of a stream, which it reads to the end or the first error.
func Collect(rows records.Rows) (all []Row, err error) {
	for batch, err := range rows {
		if err != nil {
			return all, err
		}
		all = append(all, RowsOf(batch)...)
	}
	return all, nil
}

// MustCollect is Collect, but fails the test if there is an error.
func MustCollect(t testing.TB, rows records.Rows) []Row {
	t.Helper()
	all, err := Collect(rows)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Stream returns a stream of batches, followed by err unless it is nil.
func Stream(err error, batches ...arrow.Record) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// ErrStream is the error of a broken stream.
var ErrStream = errors.New("the stream broke")

// texts are unusual texts: empty, not ASCII, NUL, long, and often repeated.
var texts = []string{"", "a", "Grüße 😀", "\x00", "line\nbreak", strings.Repeat("long ", 100), "confirmed", "IN_PERSON"}

// someValue returns a random value of a type, often an extreme one.
func someValue(rng *rand.Rand, kind schemas.Type) any {
	switch kind {
	case schemas.Int64:
		return []int64{math.MinInt64, math.MaxInt64, -1, 0, 1, rng.Int64()}[rng.IntN(6)]
	case schemas.Float64:
		return []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.MaxFloat64, math.MaxFloat64, 0.1, 1e-310, rng.NormFloat64()}[rng.IntN(8)]
	case schemas.Bool:
		return rng.IntN(2) == 0
	case schemas.Date:
		return []int32{math.MinInt32, math.MaxInt32, 0, rng.Int32N(30000)}[rng.IntN(4)]
	case schemas.Timestamp:
		return rng.Int64N(2e15) - 1e15
	case schemas.JSON:
		return []string{"null", `[]`, `{"a":[1,-0.0,"é"]}`, `"` + strings.Repeat("long ", rng.IntN(1000)) + `"`}[rng.IntN(4)]
	}
	return texts[rng.IntN(len(texts))]
}

// SomeRows returns n rows of EveryType in random order. They have distinct IDs, few
// partitions, NULLs in every column that can have them, and times before and after 1970.
// Times and prospects repeat, so that many rows differ only in their ID.
func SomeRows(rng *rand.Rand, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		micros := rng.Int64N(40*SecondsPerDay)*1e6 - 20*SecondsPerDay*1e6
		if rng.IntN(2) == 0 {
			micros = micros / (SecondsPerDay * 1e6) * SecondsPerDay * 1e6
		}
		day := micros / (SecondsPerDay * 1e6)
		if micros%(SecondsPerDay*1e6) < 0 {
			day--
		}
		r := Row{
			"event_id": fmt.Sprintf("id-%06d", i), "prospect_id": fmt.Sprint(rng.IntN(10)),
			"event_type": []string{"SMS_MESSAGE", "EMAIL MESSAGE", "APPOINTMENT_CREATED"}[rng.IntN(3)], "event_date": int32(day),
		}
		switch rng.IntN(3) {
		case 0: // only the time of creation
			r["created_at"] = micros
		case 1:
			r["event_time"] = micros
		case 2:
			r["event_time"], r["created_at"] = micros, rng.Int64N(1e15)
		}
		for _, c := range EveryType().Columns {
			if _, ok := r[c.Name]; ok || c.Name == "event_time" || c.Name == "created_at" || rng.IntN(2) == 0 {
				continue
			}
			r[c.Name] = someValue(rng, c.Type)
		}
		rows[i] = r
	}
	rng.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// Only returns the rows with only these columns.
func Only(columns []schemas.Column, rows []Row) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		out[i] = make(Row)
		for _, c := range columns {
			if v, ok := r[c.Name]; ok {
				out[i][c.Name] = v
			}
		}
	}
	return out
}

// Sort sorts rows in the order of the files, which records.Rows documents.
func Sort(rows []Row) {
	at := func(r Row) int64 {
		if v, ok := r["event_time"]; ok {
			return v.(int64)
		}
		return r["created_at"].(int64)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(at(a), at(b)),
			cmp.Compare(a["prospect_id"].(string), b["prospect_id"].(string)),
			cmp.Compare(a["event_id"].(string), b["event_id"].(string)))
	})
}

// Digest computes the digest of rows from single values.
func Digest(columns []schemas.Column, rows []Row) (content schemas.Digest) {
	for _, r := range rows {
		var sum schemas.Digest
		for _, c := range columns {
			sum = sum.Add(DigestValue(c.Name, r[c.Name]))
		}
		content = content.Add(sum.Seal())
	}
	return content
}

// DigestValue computes the digest of one value; NULL is nil.
func DigestValue(column string, v any) schemas.Digest {
	switch h := schemas.HashValuesOf(column); v := v.(type) {
	case string:
		return h.String(v)
	case int64:
		return h.Int64(v)
	case float64:
		return h.Float64(v)
	case bool:
		return h.Bool(v)
	case int32:
		return h.Int64(int64(v))
	}
	return schemas.Digest{}
}

// Cut divides rows into batches of random sizes. Some are empty, and some are slices of
// larger ones.
func Cut(rng *rand.Rand, columns []schemas.Column, rows []Row) (batches []arrow.Record) {
	for len(rows) > 0 {
		n := min(1+rng.IntN(40), len(rows))
		switch rng.IntN(4) {
		case 0:
			batches = append(batches, Batch(columns, nil))
		case 1:
			larger := slices.Concat(SomeRows(rng, 3), rows[:n], SomeRows(rng, 2))
			batches = append(batches, Batch(columns, larger).NewSlice(3, int64(3+n)))
			rows = rows[n:]
		default:
			batches = append(batches, Batch(columns, rows[:n]))
			rows = rows[n:]
		}
	}
	return batches
}

// Partitioned returns EveryType with other partition keys.
func Partitioned(t testing.TB, keys ...string) schemas.Table {
	t.Helper()
	table, err := EveryType().PartitionedBy(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// EventCount is the number of rows of Events.
const EventCount = 1_000_000

// Events returns EventCount rows of the table of events, in batches like those of package
// transform: prospect by prospect, each with events over that many days, most of them
// messages. It also returns the size of the batches, in bytes.
func Events(table schemas.Table, days int32) (batches []arrow.Record, size int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("hello I am looking for two bedrooms with a view from March on is it still free thanks Ada")
	rows := make([]Row, 0, 8<<10)
	for i := range EventCount {
		d := 19000 + rng.Int32N(days)
		micros := (int64(d)*SecondsPerDay + rng.Int64N(SecondsPerDay)) * 1e6
		r := Row{
			"event_id": fmt.Sprintf("%020x", rng.Uint64()), "prospect_id": fmt.Sprint(47_000_000 + i/20), "event_date": d,
			"event_time": micros, "created_at": micros + 1, "source_title": "Property Website",
			"agent_username": fmt.Sprintf("e5e42ae3-a3fa-48ae-a5c5-92ca704d%04x", rng.IntN(200)),
		}
		if kind := rng.IntN(6); kind == 0 {
			r["event_type"], r["description"] = "APPOINTMENT_CREATED", "A tour appointment was scheduled via knock"
			r["appointment_start_time"], r["appointment_end_time"] = micros+3600e6, micros+5400e6
			r["appointment_status"], r["appointment_tour_type"] = "confirmed", "IN_PERSON"
		} else {
			r["event_type"], r["description"] = fmt.Sprint("KIND_", kind, "_MESSAGE"), "A message was sent"
			r["message_direction"], r["message_from"], r["message_to"] = "inbound", fmt.Sprintf("+1555%07d", i), "+15550000000"
			body := make([]string, 5+rng.IntN(40))
			for j := range body {
				body[j] = words[rng.IntN(len(words))]
			}
			r["message_body"] = strings.Join(body, " ")
		}
		if rows = append(rows, r); len(rows) == cap(rows) || i == EventCount-1 {
			b := Batch(table.RowColumns(), rows)
			batches, size, rows = append(batches, b), size+records.AllocatedBytes(b), rows[:0]
		}
	}
	return batches, size
}

// FilesIn lists the names in a directory, which need not exist.
func FilesIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
