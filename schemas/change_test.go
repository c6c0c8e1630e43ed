package schemas

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hashed returns a table with two declared columns, one of them protected.
func hashed(t testing.TB, key string, change ...func(*Table)) Table {
	t.Helper()
	table := KnockEvents().Core()
	table.HashKey = NewKey(key)
	table, err := table.Declare(
		Column{Name: "score", Type: Int64, From: []string{"data.score"}, When: []string{"SMS_*"}},
		Column{Name: "phone", Type: String, From: []string{"data.phone"}, Policy: Hash},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		table.Columns = clone(table.Columns)
		f(&table)
	}
	return table
}

const firstKey, secondKey = "a key of sixteen bytes", "another of sixteen bytes"

func TestDiff(t *testing.T) {
	score := func(change func(*Column)) func(*Table) {
		return func(t *Table) {
			change(&t.Columns[slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == "score" })])
		}
	}
	id := func(key string) string { return "hash, key " + NewKey(key).ID() }
	for _, test := range []struct {
		name  string
		after Table
		want  []Change
		safe  bool
	}{
		{"no change", hashed(t, firstKey), nil, true},
		{"description and pii", hashed(t, firstKey, score(func(c *Column) { c.Description, c.PII = "It.", true })), nil, true},
		{"other partition keys", hashed(t, firstKey, func(t *Table) { *t, _ = t.PartitionedBy("event_month") }), nil, true},
		{"handling that does not affect files", hashed(t, firstKey, func(t *Table) { t.UnknownType, t.UnknownField, t.Mismatch = Fail, Fail, Fail }), nil, true},
		{"added", hashed(t, firstKey, func(t *Table) { *t, _ = t.Declare(Column{Name: "mood", Type: String, From: []string{"data.mood"}}) }),
			[]Change{{"mood", Added, "", "string from data.mood"}}, true},
		{"added, and protected", hashed(t, firstKey, func(t *Table) {
			*t, _ = t.Declare(Column{Name: "mood", Type: String, From: []string{"data.mood"}, Policy: Redact})
		}), []Change{{"mood", Added, "", "string from data.mood"}, {"mood", Protected, "none", "redact"}}, false},
		{"moved", hashed(t, firstKey, func(t *Table) {
			i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == "score" })
			t.Columns[i], t.Columns[i+1] = t.Columns[i+1], t.Columns[i]
		}), []Change{{"score", Moved, "", ""}}, true},
		{"widened", hashed(t, firstKey, score(func(c *Column) { c.Type = Float64 })), []Change{{"score", Widened, "int64", "float64"}}, false},
		{"retyped", hashed(t, firstKey, score(func(c *Column) { c.Type = Bool })), []Change{{"score", Retyped, "int64", "bool"}}, false},
		{"another path", hashed(t, firstKey, score(func(c *Column) { c.From = []string{"score"} })),
			[]Change{{"score", Resourced, "data.score of SMS_*", "score of SMS_*"}}, false},
		{"other event types", hashed(t, firstKey, score(func(c *Column) { c.When = nil })),
			[]Change{{"score", Resourced, "data.score of SMS_*", "data.score"}}, false},
		{"protected", hashed(t, firstKey, score(func(c *Column) { c.Policy = Drop })), []Change{{"score", Protected, "none", "drop"}}, false},
		{"another key", hashed(t, secondKey), []Change{{"phone", Protected, id(firstKey), id(secondKey)}}, false},
		{"removed", hashed(t, firstKey, func(t *Table) {
			t.Columns = slices.DeleteFunc(t.Columns, func(c Column) bool { return c.Name == "score" })
		}), []Change{{"score", Removed, "int64 from data.score of SMS_*", ""}}, false},
		{"fields are dropped", hashed(t, firstKey, func(t *Table) { t.UnknownField = Discard }), []Change{{"", Fields, "keep", "drop"}}, false},
		{"several changes to one column", hashed(t, firstKey, score(func(c *Column) { c.Type, c.From, c.When = JSON, []string{"a, b", "c"}, nil })),
			[]Change{{"score", Retyped, "int64", "json"}, {"score", Resourced, "data.score of SMS_*", `"a, b", c`}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(hashed(t, firstKey), test.after)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the changes differ (-want +got):\n%s", diff)
			}
			if safe := len(Replaces(got)) == 0; safe != test.safe {
				t.Errorf("safe = %t", safe)
			}
			for _, c := range got {
				if c.String() == "" {
					t.Errorf("%#v has an empty description", c)
				}
			}
		})
	}
}

// A change to a type that holds every value of the old type is Widened. A change to any
// other type is Retyped.
func TestWidening(t *testing.T) {
	wider := map[[2]Type]bool{{Int64, Float64}: true, {Int64, String}: true, {Float64, String}: true}
	for _, before := range Types() {
		for _, after := range Types() {
			if before == after {
				continue
			}
			table := func(kind Type) Table { return Table{Columns: []Column{{Name: "a", Type: kind, From: []string{"a"}}}} }
			want := Retyped
			if wider[[2]Type{before, after}] {
				want = Widened
			}
			if got := Diff(table(before), table(after)); len(got) != 1 || got[0].Kind != want {
				t.Errorf("from %s to %s: %v, want %s", before, after, got, want)
			}
		}
	}
}

// randomTable returns a random table. Two of them are often equal or almost equal.
func randomTable(rng *rand.Rand) Table {
	pick := func(n int) bool { return rng.IntN(n) == 0 }
	t := KnockEvents().Core()
	t.HashKey = NewKey([]string{firstKey, secondKey}[rng.IntN(2)])
	columns := []Column{
		{Name: "a", Type: String, From: []string{"a"}},
		{Name: "b", Type: String, From: []string{"b, c", "d"}, When: []string{"B", "C"}},
	}
	for i := range columns {
		c := &columns[i]
		if pick(4) {
			c.Policy = []Policy{Hash, Drop}[rng.IntN(2)]
		} else if pick(4) {
			c.Type = Types()[rng.IntN(3)]
		}
		if pick(4) {
			c.From = []string{"b", "c, d"}[:1+rng.IntN(2)]
		}
		if pick(4) {
			c.When = []string{"B, C"}
		}
		c.PII = pick(2)
	}
	if columns[0].From[0] == columns[1].From[0] {
		columns = columns[:1]
	}
	if pick(3) {
		slices.Reverse(columns)
	}
	if pick(4) {
		columns = columns[:len(columns)-1]
	}
	if pick(4) {
		t.UnknownField = []Handling{Keep, Fail, Discard}[rng.IntN(3)]
	}
	t, err := t.Declare(columns...)
	if err != nil {
		panic(err)
	}
	if pick(3) {
		t, _ = t.PartitionedBy("event_month")
	}
	return t
}

// Diff is empty if, and only if, the fingerprints are equal.
func TestDiffAgreesWithFingerprint(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	count := map[bool]int{}
	for range 10_000 {
		a, b := randomTable(rng), randomTable(rng)
		same := a.Unpartitioned().Fingerprint() == b.Unpartitioned().Fingerprint()
		count[same]++
		if changes := Diff(a, b); (len(changes) == 0) != same {
			t.Fatalf("the same fingerprint: %t, but the changes are %v\nof %+v\nto %+v", same, changes, a, b)
		}
	}
	if count[true] < 100 || count[false] < 100 {
		t.Errorf("there are too few equal or too few different pairs: %v", count)
	}
}
