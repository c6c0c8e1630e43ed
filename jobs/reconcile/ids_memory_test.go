package reconcile

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	arrowmemory "github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/internal/heaptest"
	"prospector/schemas"
	"prospector/schemas/records"
)

// manyRows returns batches of rows with the IDs from first to before end.
func manyRows(table schemas.Table, first, end int) records.Rows {
	const batchRows = 2000
	nulls := make([]arrow.Array, len(table.Columns))
	for i, f := range records.Schema(table.Columns).Fields() {
		nulls[i] = array.MakeArrayOfNull(arrowmemory.DefaultAllocator, f.Type, batchRows)
	}
	return func(yield func(arrow.Record, error) bool) {
		for first := first; first < end; first += batchRows {
			ids, prospects := array.NewStringBuilder(arrowmemory.DefaultAllocator), array.NewStringBuilder(arrowmemory.DefaultAllocator)
			for i := range batchRows {
				ids.Append(fmt.Sprint("event-", first+i))
				prospects.Append("p")
			}
			columns := append([]arrow.Array(nil), nulls...)
			columns[schemas.IndexOf(table.Columns, table.Roles().ID)] = ids.NewArray()
			columns[schemas.IndexOf(table.Columns, table.Roles().Entity)] = prospects.NewArray()
			if !yield(array.NewRecord(records.Schema(table.Columns), columns, batchRows), nil) {
				return
			}
		}
	}
}

// The IDs of a partition's rows, and of its missing rows, take little memory, however
// many there are.
func TestComparisonTakesLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it compares 400,000 rows")
	}
	const rows, limit = 200_000, 2 << 20 // the IDs of the new rows alone would take 16 MB
	table := schemas.KnockEvents()
	ids := newIDMemory(limit, t.TempDir())
	missing := newMissingRows(ids, 8<<20)
	defer missing.rows.Close()
	c := comparison{table: table, ids: ids, missing: func(ids []id, leaves []bool) error { return missing.add(0, ids, leaves) }}
	var found diff
	peak := heaptest.Peak(10, func() {
		var err error
		if found, err = c.run(t.Context(), rows, manyRows(table, 0, rows), manyRows(table, rows/2, rows+rows/2)); err != nil {
			t.Fatal(err)
		}
	})
	if found.added != rows/2 || found.unchanged != rows/2 || missing.count != rows/2 {
		t.Errorf("%d rows are missing, and the counts are %+v", missing.count, found)
	}
	t.Logf("%d KiB", peak>>10)
	if most := int64(10 << 20); peak > most {
		t.Errorf("%d KiB were in use at once, and at most %d are expected", peak>>10, most>>10)
	}
}

// The IDs of moved events take little memory, however many there are.
func TestMovedEventsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it finds 300,000 moves")
	}
	const moves, memory = 300_000, Memory(8 << 20) // the IDs alone would take 5 MB, and a set of them 14 MB
	random := rand.New(rand.NewPCG(1, 2))
	ids := newIDMemory(memory.partitionIDs(), t.TempDir())
	f := &moveFinder{memory: memory, dir: t.TempDir(), missing: newMissingRows(ids, memory)}
	for n := range 10 {
		f.partitions = append(f.partitions, &partitionDiff{number: n, path: fmt.Sprint("p", n)})
	}
	places, found := ids.newLimitedMap(memory.placeIDs()), ids.newLimitedMap(memory.placeIDs())
	defer f.close()
	peak := heaptest.Peak(10, func() {
		for range moves {
			i := id{Hi: random.Uint64(), Lo: random.Uint64()}
			from := random.IntN(9)
			if err := f.missing.add(from, []id{i}, []bool{false}); err != nil {
				t.Fatal(err)
			}
			if _, err := places.Put(i.numberedKey(from+1), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.join(places, found, false); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d KiB", peak>>10)
	if most := int64(memory); peak > most {
		t.Errorf("%d KiB were in use at once, and at most %d are expected", peak>>10, most>>10)
	}
	var out, in int64
	for _, p := range f.partitions {
		out, in = out+p.moves.out, in+p.moves.in
		if n := countIDs(t, f.leavingIDs(p).all); n != p.moves.out {
			t.Errorf("%d rows leave %s, and %d are listed", p.moves.out, p.path, n)
		}
	}
	if out != moves || in != moves || len(f.links) != 9 {
		t.Errorf("%d rows have moved to %d, over %d links", out, in, len(f.links))
	}
}

func countIDs(t *testing.T, all iter.Seq2[id, error]) (n int64) {
	for _, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
