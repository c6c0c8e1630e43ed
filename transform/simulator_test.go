package transform_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/schemas"
	"prospector/transform"
)

// simulated returns the pages of the simulator's events, by prospect, with at most 100
// events each.
func simulated(t testing.TB, prospects, events int) map[string][]string {
	t.Helper()
	s, err := knocksim.New(knocksim.Options{Prospects: prospects, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string][]string)
	for id := range s.ProspectIDs() {
		var nodes []string
		for node := range s.Nodes(id) {
			nodes = append(nodes, string(node))
		}
		for chunk := range slices.Chunk(nodes, 100) {
			pages[id] = append(pages[id], page(chunk...))
		}
	}
	return pages
}

// An event of each of the simulator's kinds becomes the row in its golden file.
func TestKinds(t *testing.T) {
	for _, kind := range []string{"APPOINTMENT_CREATED", "EMAIL_MESSAGE", "FACEBOOK_MESSAGE", "KNOCKBOT_MESSAGE", "SMS_MESSAGE", "WEB_MESSAGE"} {
		t.Run(kind, func(t *testing.T) {
			event, err := os.ReadFile(filepath.Join("testdata", kind+".json"))
			if err != nil {
				t.Fatal(err)
			}
			r := one(t, string(event))
			if len(r.rows) != 1 || r.rows[0]["event_type"] != kind {
				t.Fatalf("want one row of this type, got %v, %+v", r.rows, r.rejected)
			}
			checkGolden(t, kind+".row.json", r.rows[0])
		})
	}
}

// The rows of the simulator's events do not change when they are converted to the same table,
// or to another table and back.
func TestConformSimulated(t *testing.T) {
	pages := simulated(t, 100, 5000)
	builtin, every := schemas.KnockEvents(), everyType(t)
	r := flattenBy(t, builtin, pages)
	if len(r.rows) < 4000 {
		t.Fatalf("there are %d rows, want more", len(r.rows))
	}
	if diff := cmp.Diff(r.rows, r.conform(t, builtin, builtin)); diff != "" {
		t.Errorf("conversion to the same table changes rows (-row +conformed):\n%s", diff)
	}
	batches := func(yield func(arrow.Record, error) bool) {
		for _, b := range r.batches {
			if !yield(b, nil) {
				return
			}
		}
	}
	var back []map[string]any
	for batch, err := range transform.Conform(transform.Conform(batches, builtin, every), every, builtin) {
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, rowsOf(builtin.RowColumns(), batch)...)
	}
	if diff := cmp.Diff(r.rows, back); diff != "" {
		t.Errorf("conversion to another table and back changes rows (-row +back):\n%s", diff)
	}
}

// BenchmarkFlatten flattens the simulator's pages with one Flattener on one goroutine, as
// each worker of an apply does. It includes parsing, IDs, batches, books and survey. The
// budget is 600,000 events/s on a core.
func BenchmarkFlatten(b *testing.B) { benchmarkFlatten(b, schemas.KnockEvents()) }

// BenchmarkFlattenProtected is like BenchmarkFlatten, with policies for some columns.
func BenchmarkFlattenProtected(b *testing.B) {
	benchmarkFlatten(b, protecting(b, secret, everyPolicy))
}

func benchmarkFlatten(b *testing.B, table schemas.Table) {
	byProspect := simulated(b, 1000, 40_000)
	type read struct {
		prospect string
		pages    [][]byte
	}
	var reads []read
	events, size := 0, 0
	for id, pages := range byProspect {
		r := read{prospect: id}
		for _, p := range pages {
			r.pages = append(r.pages, []byte(p))
			events += strings.Count(p, `{"node":`)
			size += len(p)
		}
		reads = append(reads, r)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	f := transform.NewFlattener(table, relay, func(arrow.Record) error { return nil }, func(transform.Rejected) error { return nil })
	for b.Loop() {
		for _, r := range reads {
			f.Begin(r.prospect)
			for _, p := range r.pages {
				if err := f.Page(p, ""); err != nil {
					b.Fatal(err)
				}
			}
			if err := f.End(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if got := f.Books(); got.Events != int64(events*b.N) || got.Events != got.Rows {
		b.Fatalf("%d events became %+v", events*b.N, got)
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
