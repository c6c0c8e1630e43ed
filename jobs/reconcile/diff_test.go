package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/schemas"
	"prospector/schemas/records"
)

// A version is a row as these tests see it: one letter of id, and the rest is its
// description. "a1" is version 1 of event a; the description of "a" is NULL.
type version string

func (v version) id() string { return string(v[:1]) }

// streamOf makes a stream of rows, one batch a text: "a1 b1" is a batch of two.
// A batch "!" is an error.
func streamOf(batches ...string) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, b := range batches {
			if b == "!" {
				yield(nil, errStream)
				return
			}
			if !yield(batchOf(strings.Split(b, " ")), nil) {
				return
			}
		}
	}
}

var errStream = errors.New("the stream broke")

func batchOf(versions []string) arrow.Record {
	columns := schemas.KnockEvents().Columns
	b := array.NewRecordBuilder(memory.DefaultAllocator, records.Schema(columns))
	for _, v := range versions {
		if v == "" {
			continue
		}
		for i, c := range columns {
			switch {
			case c.Name == "event_id":
				b.Field(i).(*array.StringBuilder).Append(v[:1])
			case c.Name == "prospect_id": // a to e are of one prospect, the others of another
				b.Field(i).(*array.StringBuilder).Append(prospectOf(v))
			case c.Name == "description" && len(v) > 1:
				b.Field(i).(*array.StringBuilder).Append(v[1:])
			case c.Name == "event_time":
				b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(v[0]) * 24 * 60 * 60 * 1e6) // a day an event
			default:
				b.Field(i).AppendNull()
			}
		}
	}
	return b.NewRecord()
}

func prospectOf(v string) string {
	if v[0] <= 'e' {
		return "early"
	}
	return "late"
}

// versionsOf reads a stream back.
func versionsOf(rows records.Rows) (versions []string, err error) {
	for batch, err := range rows {
		if err != nil {
			return versions, err
		}
		ids, descriptions := textsOf(batch, "event_id"), textsOf(batch, "description")
		for i, id := range ids {
			versions = append(versions, id+descriptions[i])
		}
	}
	return versions, nil
}

// textsOf returns the texts of a column; those that are NULL are "".
func textsOf(batch arrow.Record, name string) (texts []string) {
	column := batch.Column(batch.Schema().FieldIndices(name)[0]).(*array.String)
	for i := range column.Len() {
		texts = append(texts, strings.Clone(column.Value(i)))
	}
	return texts
}

func idsOf(t testing.TB, ids string) IDs {
	t.Helper()
	set, err := CollectIDs(schemas.KnockEvents(), streamOf(ids))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// idsOfBatches are the ids of rows: "a b".
func idsOfBatches(batches []arrow.Record) string {
	var ids []string
	for _, b := range batches {
		ids = append(ids, textsOf(b, "event_id")...)
	}
	return strings.Join(ids, " ")
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name                      string
		incoming, published       []string
		added, changed, unchanged int64
		missing                   string
		days                      string // of what was added
	}{
		{"nothing", nil, nil, 0, 0, 0, "", ""},
		{"nothing was published", []string{"a1 b1"}, nil, 2, 0, 0, "", "ab"},
		{"nothing is new", nil, []string{"a1", "b1"}, 0, 0, 0, "a b", ""},
		{"all the same", []string{"a1 b1 c1"}, []string{"a1 b1", "c1"}, 0, 0, 3, "", ""},
		{"in another order", []string{"b1", "a1"}, []string{"a1 b1"}, 0, 0, 2, "", ""},
		{"one changed", []string{"a1 b2"}, []string{"a1 b1"}, 0, 1, 1, "", ""},
		{"NULL became a value", []string{"a1"}, []string{"a"}, 0, 1, 0, "", ""},
		{"all of it", []string{"a1 b2", "d1"}, []string{"a1 b1 c1"}, 1, 1, 1, "c", "d"},
		{"empty batches", []string{"", "a1", ""}, []string{"", "a1"}, 0, 0, 1, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var kept []arrow.Record
			d, err := Compare(schemas.KnockEvents(), streamOf(test.incoming...), streamOf(test.published...), nil, func(rows arrow.Record) error {
				kept = append(kept, rows)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.missing, idsOfBatches(kept)); diff != "" {
				t.Errorf("other rows are to be kept (-want +got):\n%s", diff)
			}
			want := Diff{
				Added: test.added, Changed: test.changed, Unchanged: test.unchanged,
				Missing: idsOf(t, test.missing), Gone: make(IDs), AddedDays: make(Days),
			}
			for _, day := range test.days {
				want.AddedDays[day] = struct{}{}
			}
			if diff := cmp.Diff(want, d, cmpopts.IgnoreFields(Diff{}, "Types")); diff != "" {
				t.Errorf("the difference is another one (-want +got):\n%s", diff)
			}
		})
	}
	// Of what is missing, that is gone whose prospect was read whole.
	d, err := Compare(schemas.KnockEvents(), streamOf("a1"), streamOf("a1 b1 c1 x1"), func(prospect string) Absence {
		return Absence{Complete: true, Leaves: prospect == "early"}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]IDs{idsOf(t, "b c x"), idsOf(t, "b c")}, []IDs{d.Missing, d.Gone}); diff != "" {
		t.Errorf("missing and gone are others (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		name                string
		incoming, published []string
		want                string
	}{
		{"the new rows break", []string{"a1", "!"}, []string{"a1"}, errStream.Error()},
		{"the published rows break", []string{"a1"}, []string{"a1", "!"}, errStream.Error()},
		{"an id twice", []string{"a1 b1", "a2"}, nil, "the same event_id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compare(schemas.KnockEvents(), streamOf(test.incoming...), streamOf(test.published...), nil, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	table := schemas.KnockEvents()
	ids, err := CollectIDs(table, streamOf("a1 b1", "", "c1 a2"))
	if err != nil || !cmp.Equal(ids, idsOf(t, "c b a")) || len(ids) != 3 {
		t.Errorf("got %d ids, %v", len(ids), err)
	}
	if _, err := CollectIDs(table, streamOf("a1", "!")); !errors.Is(err, errStream) {
		t.Errorf("the error is %v", err)
	}

	for _, test := range []struct{ set, rows, want string }{
		{"", "a1 b1", ""},
		{"a b", "", ""},
		{"a b c", "c9 d1 a1", "a c"},
		{"a", "b1", ""},
		{"a", "a1 a1", "a"},
	} {
		got, err := idsOf(t, test.set).Intersect(table, streamOf(test.rows, ""))
		if err != nil || !cmp.Equal(got, idsOf(t, test.want)) {
			t.Errorf("%q among %q: %d ids, %v", test.set, test.rows, len(got), err)
		}
	}
	if _, err := idsOf(t, "a").Intersect(table, streamOf("a1", "!")); !errors.Is(err, errStream) {
		t.Errorf("the error is %v", err)
	}
}

func TestWithout(t *testing.T) {
	for _, test := range []struct {
		name string
		rows []string
		sets []string
		want string
	}{
		{"no set", []string{"a1 b1", "c1"}, nil, "a1 b1 c1"},
		{"an empty set", []string{"a1"}, []string{""}, "a1"},
		{"the first", []string{"a1 b1 c1"}, []string{"a"}, "b1 c1"},
		{"the last", []string{"a1 b1 c1"}, []string{"c"}, "a1 b1"},
		{"one in the middle", []string{"a1 b1 c1"}, []string{"b"}, "a1 c1"},
		{"every other", []string{"a1 b1 c1 d1 e1"}, []string{"b d"}, "a1 c1 e1"},
		{"all of a batch", []string{"a1 b1", "c1"}, []string{"a b"}, "c1"},
		{"all", []string{"a1 b1", "c1"}, []string{"a b c"}, ""},
		{"of several sets", []string{"a1 b1 c1 d1"}, []string{"b", "", "d b"}, "a1 c1"},
		{"others", []string{"a1"}, []string{"x y"}, "a1"},
		{"empty batches", []string{"", "a1", ""}, []string{"b"}, "a1"},
		{"no rows", nil, []string{"a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sets []IDs
			for _, s := range test.sets {
				sets = append(sets, idsOf(t, s))
			}
			rows := Without(schemas.KnockEvents(), streamOf(test.rows...), sets...)
			for range 2 { // a stream can be read again
				got, err := versionsOf(rows)
				if err != nil || strings.Join(got, " ") != test.want {
					t.Errorf("left are %q, %v", got, err)
				}
			}
		})
	}
	t.Run("an error comes after the rows before it", func(t *testing.T) {
		got, err := versionsOf(Without(schemas.KnockEvents(), streamOf("a1 b1", "!"), idsOf(t, "a")))
		if !errors.Is(err, errStream) || !slices.Equal(got, []string{"b1"}) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a consumer may stop", func(t *testing.T) {
		for range Without(schemas.KnockEvents(), streamOf("a1 b1 c1", "d1", "!"), idsOf(t, "b")) {
			break
		}
	})
}

// The rule of merging, on the lake as a map by id: a new row replaces the
// published one, wherever that stands, and nothing else leaves.
func TestMergingIsReplacingByID(t *testing.T) {
	table := schemas.KnockEvents()
	rng := rand.New(rand.NewPCG(1, 2))
	// some makes rows of a lake of three partitions; every id is once in it.
	some := func() map[string][]string {
		lake := make(map[string][]string)
		for id := 'a'; id <= 'z'; id++ {
			if rng.IntN(3) > 0 {
				p := fmt.Sprint("p", rng.IntN(3))
				lake[p] = append(lake[p], fmt.Sprintf("%c%d", id, rng.IntN(2)))
			}
		}
		return lake
	}
	batches := func(rows []string) records.Rows {
		var cut []string
		for len(rows) > 0 {
			n := rng.IntN(len(rows) + 1)
			cut = append(cut, strings.Join(rows[:n], " "))
			rows = rows[n:]
		}
		return streamOf(cut...)
	}
	for range 300 {
		published, incoming := some(), some()
		want := make(map[string]string) // id: partition and version
		for _, lake := range []map[string][]string{published, incoming} {
			for p, rows := range lake {
				for _, r := range rows {
					want[version(r).id()] = p + r
				}
			}
		}

		missing, diffs := make(IDs), make(map[string]Diff)
		unreplaced := make(map[string][]arrow.Record)
		for _, p := range []string{"p0", "p1", "p2"} {
			d, err := Compare(table, batches(incoming[p]), batches(published[p]), nil, func(rows arrow.Record) error {
				unreplaced[p] = append(unreplaced[p], rows)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := d.Added + d.Changed + d.Unchanged; int(n) != len(incoming[p]) {
				t.Fatalf("the books of %d new rows: %+v", len(incoming[p]), d)
			}
			if n := d.Changed + d.Unchanged + int64(len(d.Missing)); int(n) != len(published[p]) {
				t.Fatalf("the books of %d published rows: %+v", len(published[p]), d)
			}
			maps.Copy(missing, d.Missing)
			diffs[p] = d
		}
		moved := make(IDs)
		for _, rows := range incoming {
			found, err := missing.Intersect(table, batches(rows))
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(moved, found)
		}
		got := make(map[string]string)
		for _, p := range []string{"p0", "p1", "p2"} {
			replaced, err := CollectIDs(table, batches(incoming[p]))
			if err != nil {
				t.Fatal(err)
			}
			kept, err := versionsOf(Without(table, batches(published[p]), replaced, moved))
			if err != nil {
				t.Fatal(err)
			}
			// Compare has given the same, read once.
			again, err := versionsOf(Without(table, func(yield func(arrow.Record, error) bool) {
				for _, b := range unreplaced[p] {
					if !yield(b, nil) {
						return
					}
				}
			}, moved))
			if err != nil || !slices.Equal(kept, again) {
				t.Fatalf("to be kept are %q (%v), and not %q", again, err, kept)
			}
			if !slices.IsSorted(kept) {
				t.Fatalf("the kept rows are in another order: %q", kept)
			}
			rows := slices.Concat(kept, incoming[p])
			for _, r := range rows {
				if _, twice := got[version(r).id()]; twice {
					t.Fatalf("%s is in the lake twice", r)
				}
				got[version(r).id()] = p + r
			}
			removed := 0
			for id := range diffs[p].Missing {
				if _, ok := moved[id]; ok {
					removed++
				}
			}
			if after := len(published[p]) + int(diffs[p].Added) - removed; after != len(rows) {
				t.Fatalf("%s is to have %d rows, and has %d", p, after, len(rows))
			}
		}
		if !maps.Equal(want, got) {
			t.Fatalf("the lake is another one (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

func TestWithoutProspect(t *testing.T) {
	for prospect, want := range map[string]string{"early": "x1 y1", "late": "a1 b1", "nobody": "a1 x1 b1 y1"} {
		got, err := versionsOf(WithoutProspect(schemas.KnockEvents(), streamOf("a1 x1", "", "b1 y1"), prospect))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("without %s, left are %q, %v", prospect, got, err)
		}
	}
}

// Compare counts by event type what was published, and what each side has in its
// columns.
func TestCompareCountsTypes(t *testing.T) {
	absent := func(prospect string) Absence { return Absence{Complete: prospect == "early"} }
	byDay, err := schemas.KnockEvents().PartitionedBy("event_date")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		table schemas.Table
		key   string
	}{
		"the path has the type":     {schemas.KnockEvents(), ""},
		"the columns have the type": {byDay, "SMS_MESSAGE"},
	} {
		t.Run(name, func(t *testing.T) {
			shaped := func(texts ...string) records.Rows { return ofType("SMS_MESSAGE", test.table, streamOf(texts...)) }
			d, err := Compare(test.table, shaped("a1 d"), shaped("a1 b1", "c1 x1"), absent, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := d.Types[test.key]
			if len(d.Types) != 1 || got == nil {
				t.Fatalf("the types are %v", d.Types)
			}
			if got.Returned.Rows != 1 || got.Absent != 2 || got.Incoming.Rows != 2 {
				t.Errorf("the counts are %+v", got)
			}
			filled, err := Fill(test.table, shaped("a1 d"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got.Incoming, filled[test.key]); diff != "" {
				t.Error(diff)
			}
			at := slices.IndexFunc(test.table.Columns, func(c schemas.Column) bool { return c.Name == "description" })
			if got.Incoming.Values[at] != 1 || got.Returned.Values[at] != 1 || got.Incoming.Values[0] != 2 {
				t.Errorf("the values are %v and %v", got.Incoming.Values, got.Returned.Values)
			}
		})
	}
}

// ofType gives rows of the built-in table the columns of another one, in which every
// event has that type.
func ofType(eventType string, table schemas.Table, rows records.Rows) records.Rows {
	from := schemas.KnockEvents().Columns
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			var columns []arrow.Array
			for _, c := range table.Columns {
				if at := slices.IndexFunc(from, func(f schemas.Column) bool { return f.Name == c.Name }); at >= 0 {
					columns = append(columns, batch.Column(at))
					continue
				}
				types := array.NewStringBuilder(memory.DefaultAllocator)
				for range batch.NumRows() {
					types.Append(eventType)
				}
				columns = append(columns, types.NewArray())
			}
			if !yield(array.NewRecord(records.Schema(table.Columns), columns, batch.NumRows()), nil) {
				return
			}
		}
	}
}
