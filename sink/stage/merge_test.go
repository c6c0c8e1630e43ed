package stage

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/schemas/records"
	"prospector/sink/internal/rowtest"
)

func TestMerge(t *testing.T) {
	table := rowtest.EveryType()
	// Rows are ordered by time, then prospect, then ID.
	at := func(times ...int64) arrow.Record {
		var rows []rowtest.Row
		for _, v := range times {
			rows = append(rows, rowtest.Row{"event_id": "i", "prospect_id": "p", "event_time": v})
		}
		return rowtest.Batch(table.Columns, rows)
	}
	key := func(time any, created any, prospect, id string) arrow.Record {
		return rowtest.Batch(table.Columns, []rowtest.Row{{"event_id": id, "prospect_id": prospect, "event_time": time, "created_at": created}})
	}
	for _, test := range []struct {
		name    string
		streams []records.Rows
		want    arrow.Record
	}{
		{"no stream", nil, at()},
		{"one", []records.Rows{rowtest.Stream(nil, at(1, 2), at(3))}, at(1, 2, 3)},
		{"two", []records.Rows{rowtest.Stream(nil, at(1, 4), at(5)), rowtest.Stream(nil, at(2), at(3, 6))}, at(1, 2, 3, 4, 5, 6)},
		{"one after the other", []records.Rows{rowtest.Stream(nil, at(3, 4)), rowtest.Stream(nil, at(1, 2))}, at(1, 2, 3, 4)},
		{"empty streams", []records.Rows{rowtest.Stream(nil), rowtest.Stream(nil, at(1)), rowtest.Stream(nil)}, at(1)},
		{"only empty streams", []records.Rows{rowtest.Stream(nil), rowtest.Stream(nil)}, at()},
		{"empty batches", []records.Rows{rowtest.Stream(nil, at(), at(), at(1), at(), at(3), at()), rowtest.Stream(nil, at(), at(2))}, at(1, 2, 3)},
		{"only empty batches", []records.Rows{rowtest.Stream(nil, at(), at()), rowtest.Stream(nil, at())}, at()},
		{"slices", []records.Rows{rowtest.Stream(nil, at(0, 1, 4, 9).NewSlice(1, 3)), rowtest.Stream(nil, at(0, 2, 3).NewSlice(1, 3))}, at(1, 2, 3, 4)},
		{"before 1970", []records.Rows{rowtest.Stream(nil, at(-1)), rowtest.Stream(nil, at(-2, 0))}, at(-2, -1, 0)},
		{"the time of creation replaces a missing time", []records.Rows{rowtest.Stream(nil, key(nil, int64(2), "p", "i")), rowtest.Stream(nil, key(int64(1), int64(9), "p", "i"))},
			rowtest.Batch(table.Columns, []rowtest.Row{
				{"event_id": "i", "prospect_id": "p", "event_time": int64(1), "created_at": int64(9)},
				{"event_id": "i", "prospect_id": "p", "created_at": int64(2)},
			})},
		{"prospect, then id", []records.Rows{rowtest.Stream(nil, key(int64(1), nil, "b", "1")), rowtest.Stream(nil, key(int64(1), nil, "a", "2")), rowtest.Stream(nil, key(int64(1), nil, "a", "1"))},
			rowtest.Batch(table.Columns, []rowtest.Row{
				{"event_id": "1", "prospect_id": "a", "event_time": int64(1)},
				{"event_id": "2", "prospect_id": "a", "event_time": int64(1)},
				{"event_id": "1", "prospect_id": "b", "event_time": int64(1)},
			})},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := rowtest.MustCollect(t, Merge(table, test.streams...))
			if diff := cmp.Diff(rowtest.RowsOf(test.want), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the rows differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Merge returns all rows of its streams, sorted, whatever the sizes of their batches.
func TestMergeIsSortedUnion(t *testing.T) {
	table := rowtest.EveryType()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		rows := rowtest.Only(table.Columns, rowtest.SomeRows(rng, rng.IntN(300)))
		parts := make([][]rowtest.Row, 1+rng.IntN(6))
		for _, r := range rows {
			i := rng.IntN(len(parts))
			parts[i] = append(parts[i], r)
		}
		var streams []records.Rows
		for _, part := range parts {
			rowtest.Sort(part)
			streams = append(streams, rowtest.Stream(nil, rowtest.Cut(rng, table.Columns, part)...))
		}
		got := rowtest.MustCollect(t, Merge(table, streams...))
		rowtest.Sort(rows)
		if diff := cmp.Diff(rows, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("merged from %d streams, the rows differ (-want +got):\n%s", len(parts), diff)
		}
	}
}

// Merge divides streams into batches of at most MaxRows.
func TestMergeMakesBatches(t *testing.T) {
	table := rowtest.EveryType()
	const n = 50_000
	long := func(first int64) records.Rows {
		return func(yield func(arrow.Record, error) bool) {
			for from := int64(0); from < n; from += 1000 {
				rows := make([]rowtest.Row, 1000)
				for i := range rows {
					rows[i] = rowtest.Row{"event_id": "i", "prospect_id": "p", "event_time": first + 2*(from+int64(i))}
				}
				if !yield(rowtest.Batch(table.Columns, rows), nil) {
					return
				}
			}
		}
	}
	next := int64(0)
	for batch, err := range Merge(table, long(0), long(1)) {
		if err != nil {
			t.Fatal(err)
		}
		if n := batch.NumRows(); n == 0 || n > records.MaxRows {
			t.Fatalf("a batch has %d rows", n)
		}
		for _, r := range rowtest.RowsOf(batch) {
			if r["event_time"] != next {
				t.Fatalf("the row after %d is %v", next-1, r["event_time"])
			}
			next++
		}
	}
	if next != 2*n {
		t.Errorf("%d rows were merged, not %d", next, 2*n)
	}
}

// watched records whether a stream was started and stopped.
type watched struct{ begun, ended bool }

func (w *watched) watch(rows records.Rows) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		w.begun = true
		defer func() { w.ended = true }()
		rows(yield)
	}
}

func TestMergePassesErrors(t *testing.T) {
	table := rowtest.EveryType()
	batch := func(times ...int64) arrow.Record {
		var rows []rowtest.Row
		for _, at := range times {
			rows = append(rows, rowtest.Row{"event_id": "i", "prospect_id": "p", "event_time": at})
		}
		return rowtest.Batch(table.Columns, rows)
	}
	for _, test := range []struct {
		name    string
		streams []records.Rows
	}{
		{"one stream", []records.Rows{rowtest.Stream(rowtest.ErrStream, batch(1))}},
		{"at once", []records.Rows{rowtest.Stream(nil, batch(1)), rowtest.Stream(rowtest.ErrStream), rowtest.Stream(nil, batch(2))}},
		{"in the middle", []records.Rows{rowtest.Stream(nil, batch(1, 9)), rowtest.Stream(rowtest.ErrStream, batch(2, 3))}},
		{"after an empty batch", []records.Rows{rowtest.Stream(nil, batch(1, 9)), rowtest.Stream(rowtest.ErrStream, batch())}},
		{"at the end", []records.Rows{rowtest.Stream(nil, batch(1, 2)), rowtest.Stream(rowtest.ErrStream, batch(3))}},
		{"all", []records.Rows{rowtest.Stream(rowtest.ErrStream, batch(1)), rowtest.Stream(rowtest.ErrStream, batch(2))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			watches := make([]watched, len(test.streams))
			for i := range watches {
				test.streams[i] = watches[i].watch(test.streams[i])
			}
			errs := 0
			for batch, err := range Merge(table, test.streams...) {
				if err == nil {
					continue
				}
				errs++
				if !errors.Is(err, rowtest.ErrStream) || batch != nil {
					t.Errorf("got %v, %v", batch, err)
				}
			}
			if errs != 1 {
				t.Errorf("the error was returned %d times", errs)
			}
			for i, w := range watches {
				if w.begun && !w.ended {
					t.Errorf("stream %d is not stopped", i)
				}
			}
		})
	}
}

// A merge stops its streams when its consumer stops or never starts.
func TestMergeStopsEarly(t *testing.T) {
	table := rowtest.EveryType()
	endless := func(yield func(arrow.Record, error) bool) {
		for at := int64(0); yield(rowtest.Batch(table.Columns, []rowtest.Row{{"event_id": "i", "prospect_id": "p", "event_time": at}}), nil); at++ {
		}
	}
	for batches := range 3 {
		watches := make([]watched, 3)
		var streams []records.Rows
		for i := range watches {
			streams = append(streams, watches[i].watch(endless))
		}
		merged := Merge(table, streams...)
		next, stop := iter.Pull2(merged)
		for range batches {
			if _, err, more := next(); err != nil || !more {
				t.Fatalf("the endless streams end (%v)", err)
			}
		}
		stop()
		for i, w := range watches {
			if w.begun != w.ended || w.begun != (batches > 0) {
				t.Errorf("after %d batches, stream %d: %+v", batches, i, w)
			}
		}
	}
}

// A batch has about records.MaxBytes, even if its rows are much smaller when packed. The
// batch after a huge row does not reserve memory for another one.
func TestMergeBoundsBatches(t *testing.T) {
	table := rowtest.EveryType()
	var rows []rowtest.Row
	for i := range 50_000 {
		rows = append(rows, rowtest.Row{"event_id": "i", "prospect_id": "p", "event_time": int64(i)})
	}
	rows[100]["message_body"] = strings.Repeat("x", 8*records.MaxBytes)
	s := New(table, t.TempDir(), records.MaxBytes)
	defer s.Close()
	for part := range slices.Chunk(rowtest.Only(table.RowColumns(), rows), 1000) {
		if err := s.Add(rowtest.Batch(table.RowColumns(), part)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Spilled() == 0 {
		t.Error("nothing was spilled: the test is ineffective")
	}
	batches := 0
	for _, p := range s.Partitions() {
		huge := 0
		for batch, err := range s.Rows(p.Partition.Path) {
			if err != nil {
				t.Fatal(err)
			}
			batches++
			most := int64(records.MaxBytes + 1000)
			if huge++; huge == 1 {
				most += 8 * records.MaxBytes
			}
			if size := records.ValueBytes(batch, 0, int(batch.NumRows())); size > most {
				t.Errorf("batch %d has %d bytes of values", huge, size)
			}
			if size := records.AllocatedBytes(batch); huge > 1 && size > 4*records.MaxBytes {
				t.Errorf("batch %d takes %d bytes", huge, size)
			}
		}
	}
	if batches < 5 {
		t.Errorf("there are %d batches", batches)
	}
}
