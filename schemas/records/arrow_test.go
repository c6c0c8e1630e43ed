package records

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

func TestSchema(t *testing.T) {
	schema := Schema(schemas.KnockEvents().RowColumns())
	for i, c := range schemas.KnockEvents().RowColumns() {
		f := schema.Field(i)
		want := map[schemas.Type]string{schemas.String: "utf8", schemas.Timestamp: "timestamp[us, tz=UTC]", schemas.Date: "date32"}[c.Type]
		if f.Name != c.Name || !f.Nullable || f.Type.String() != want {
			t.Errorf("column %d is %s, want %s %s", i, f, c.Name, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown type is accepted")
		}
	}()
	Schema([]schemas.Column{{Name: "a", Type: "int"}})
}

// values returns an array of n random values, a third of them NULL, and the same values
// as nil, string or int64.
func values(rng *rand.Rand, kind schemas.Type, n int) (arrow.Array, []any) {
	b := array.NewBuilder(memory.DefaultAllocator, Schema([]schemas.Column{{Name: "c", Type: kind}}).Field(0).Type)
	is := make([]any, n)
	for i := range is {
		if rng.IntN(3) == 0 {
			b.AppendNull()
			continue
		}
		number := rng.Int64N(1<<31) - 1<<30
		switch b := b.(type) {
		case *array.StringBuilder:
			text := fmt.Sprint(number)[:rng.IntN(3)] // "" is not NULL
			b.Append(text)
			is[i] = text
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(number * 1e6))
			is[i] = number * 1e6
		case *array.Date32Builder:
			b.Append(arrow.Date32(number))
			is[i] = number
		}
	}
	return b.NewArray(), is
}

func TestSumValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []schemas.Type{schemas.String, schemas.Timestamp, schemas.Date} {
		t.Run(string(kind), func(t *testing.T) {
			all, is := values(rng, kind, 1000)
			for range 50 {
				from := rng.IntN(len(is))
				to := from + rng.IntN(len(is)-from+1)
				part := array.NewSlice(all, int64(from), int64(to))

				before := make([]schemas.Digest, to-from)
				rows := make([]schemas.Digest, to-from)
				for i := range rows {
					rows[i] = schemas.Digest{Lo: rng.Uint64(), Hi: rng.Uint64()}
					before[i] = rows[i]
				}
				sum, nulls := SumValues("c", part, rows)

				h := schemas.HashValuesOf("c")
				var wantSum schemas.Digest
				wantNulls := int64(0)
				for i, v := range is[from:to] {
					var d schemas.Digest
					switch v := v.(type) {
					case nil:
						wantNulls++
					case string:
						d = h.String(v)
					case int64:
						d = h.Int64(v)
					}
					wantSum = wantSum.Add(d)
					if rows[i] != before[i].Add(d) {
						t.Fatalf("rows %d to %d: the digest of row %d is %s", from, to, i, rows[i])
					}
				}
				if sum != wantSum || nulls != wantNulls {
					t.Fatalf("rows %d to %d: got %s and %d NULLs, want %s and %d", from, to, sum, nulls, wantSum, wantNulls)
				}
			}
		})
	}
}

func TestDigests(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	columns := []schemas.Column{{Name: "a", Type: schemas.String}, {Name: "b", Type: schemas.Timestamp}, {Name: "c", Type: schemas.Date}}
	arrays := make([]arrow.Array, len(columns))
	is := make([][]any, len(columns))
	for i, c := range columns {
		arrays[i], is[i] = values(rng, c.Type, 100)
	}
	all := array.NewRecord(Schema(columns), arrays, 100)
	// A digest covers only the given columns. The batch may have more.
	for n := range len(columns) + 1 {
		for i, got := range Digests(columns[:n], all.NewSlice(10, 90)) {
			var sum schemas.Digest
			for c := range n {
				switch v := is[c][10+i].(type) {
				case string:
					sum = sum.Add(schemas.HashValuesOf(columns[c].Name).String(v))
				case int64:
					sum = sum.Add(schemas.HashValuesOf(columns[c].Name).Int64(v))
				}
			}
			if got != sum.Seal() {
				t.Fatalf("%d columns, row %d: the digest is %s", n, i, got)
			}
		}
	}
}

// The day of a row's identity is that of its creation, or of its time if the time of
// creation is NULL, even before 1970.
func TestIdentityDays(t *testing.T) {
	columns := []schemas.Column{{Name: "event_time", Type: schemas.Timestamp}, {Name: "created_at", Type: schemas.Timestamp}}
	const day = 24 * 60 * 60 * 1_000_000
	b := array.NewRecordBuilder(memory.DefaultAllocator, Schema(columns))
	add := func(column int, micros any) {
		if micros == nil {
			b.Field(column).AppendNull()
			return
		}
		b.Field(column).(*array.TimestampBuilder).Append(arrow.Timestamp(micros.(int)))
	}
	var want []int32
	for _, row := range []struct {
		happened, created any
		day               int32
	}{
		{nil, 0, 0}, {nil, day - 1, 0}, {nil, day, 1}, {nil, -1, -1}, {nil, -day, -1}, {nil, -day - 1, -2},
		{5 * day, 3 * day, 3}, {5 * day, nil, 5},
	} {
		add(0, row.happened)
		add(1, row.created)
		want = append(want, row.day)
	}
	batch := b.NewRecord()
	defer batch.Release()
	if got := IdentityDays(schemas.Table{Columns: columns}, batch); !slices.Equal(got, want) {
		t.Errorf("the days are %v, want %v", got, want)
	}
}
