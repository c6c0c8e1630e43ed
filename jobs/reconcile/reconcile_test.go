package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	arrowmemory "github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
	"prospector/sink/store"
	"prospector/sink/store/memory"
	"prospector/sink/verify"
)

// event is an event of these tests. It was created on the first day. The day on which
// it happens determines its partition.
type event struct {
	id, prospect string
	day          int32
	text         string
}

// path is the path of its partition.
func (e event) path(table schemas.Table) string {
	return sink.PartitionOf(table, "SMS_MESSAGE", e.day).Path
}

const sinkName = "sink.local.lake"

// lake is a table in one sink, as a refresh finds it.
type lake struct {
	testing.TB
	table schemas.Table
	files *memory.Store
	found *plan.Refreshed
}

func newLake(t testing.TB) *lake {
	return &lake{TB: t, table: schemas.KnockEvents(), files: memory.New(), found: &plan.Refreshed{
		Sink:       state.Sink{Partitions: make(map[string]state.Partition)},
		Unfinished: make(map[string]state.Partition),
	}}
}

func (l *lake) published(dir string) Published {
	return Published{
		Sinks: []string{sinkName}, Prior: map[string]*plan.Refreshed{sinkName: l.found},
		Stores: map[string]store.Store{sinkName: l.files}, Dir: dir,
	}
}

// described returns the description of the table that the package takes.
func (l *lake) described() Table {
	return Table{Job: "job.prospect_events", Schema: l.table, Files: parquetfile.Options{
		Job: "prospect_events", CreatedBy: jobs.CreatedBy(), Compression: "none",
	}}
}

// night is what a run read.
type night struct {
	events   []event
	complete map[string]bool // prospects
	deletes  bool            // missing rows
	memory   Memory
	verify   func(context.Context, io.ReaderAt, int64, schemas.Table, sink.Partition, sink.Summary) error
	former   *stage.Stage
	rewrite  *plan.Rewrite
}

func (n night) ReadCompletely(prospect string) bool { return n.complete[prospect] }
func (n night) RowLeaves(string) bool               { return true }

func batchOfEvents(table schemas.Table, events []event) arrow.Record {
	columns := table.RowColumns()
	b := array.NewRecordBuilder(arrowmemory.DefaultAllocator, records.Schema(columns))
	for _, e := range events {
		values := map[string]any{
			"event_id": e.id, "prospect_id": e.prospect, "event_type": "SMS_MESSAGE", "description": e.text,
			"event_date": arrow.Date32(e.day), "event_time": arrow.Timestamp(int64(e.day) * 24 * 60 * 60 * 1e6), "created_at": arrow.Timestamp(1),
		}
		for i, c := range columns {
			switch v := values[c.Name].(type) {
			case nil:
				b.Field(i).AppendNull()
			case string:
				b.Field(i).(*array.StringBuilder).Append(v)
			case arrow.Date32:
				b.Field(i).(*array.Date32Builder).Append(v)
			case arrow.Timestamp:
				b.Field(i).(*array.TimestampBuilder).Append(v)
			}
		}
	}
	return b.NewRecord()
}

// run reconciles what a night read with the lake.
func (l *lake) run(n night) (Result, error) {
	l.Helper()
	dir := l.TempDir()
	data, err := nolink.Open(dir)
	if err != nil {
		l.Fatal(err)
	}
	defer data.Close()
	if err := os.MkdirAll(filepath.Join(dir, "stage", "job"), 0o700); err != nil {
		l.Fatal(err)
	}
	stages := Stages{
		New: stage.New(l.table, filepath.Join(dir, "new"), 1<<20), Kept: stage.New(l.table, filepath.Join(dir, "kept"), 1<<20), Former: n.former,
	}
	defer stages.New.Close()
	defer stages.Kept.Close()
	if len(n.events) > 0 {
		if err := stages.New.Add(batchOfEvents(l.table, n.events)); err != nil {
			l.Fatal(err)
		}
	}
	if n.verify == nil {
		n.verify = verify.Check
	}
	table := l.described()
	table.DeleteMissing = n.deletes
	return Run(l.Context(), Input{
		Table: table, Published: l.published(dir), Stages: stages, Rewrite: n.rewrite,
		Read:   Read{Events: int64(len(n.events)), EventTypes: map[string]int64{"SMS_MESSAGE": int64(len(n.events))}, Prospects: n},
		Target: Selection{All: true},
		Files:  &FileBuilder{Verify: n.verify, Rejected: NewRejectedFiles(data, dir, "stage", "rejected")},
		Memory: n.memory, Dir: filepath.Join(dir, "stage", "job"),
	})
}

// publish publishes the outcomes of a run.
func (l *lake) publish(outcomes []plan.Outcome) {
	l.Helper()
	for _, o := range outcomes {
		delete(l.found.Unfinished, o.Partition)
		if o.Rows.After == 0 {
			delete(l.found.Partitions, o.Partition)
			continue
		}
		p := l.found.Partitions[o.Partition]
		p.SourceSubset = o.SourceSubset
		if len(o.Staged) > 0 {
			p = state.Partition{SchemaFingerprint: o.SchemaFingerprint, Content: o.Content, SourceSubset: o.SourceSubset, Rows: o.Rows.After}
		}
		for i, key := range plan.Keys("prospect_events", o.Partition, o.Staged) {
			s := o.Staged[i]
			text, err := os.ReadFile(s.Path)
			if err != nil {
				l.Fatal(err)
			}
			object, err := l.files.Put(l.Context(), key, store.Content{Reader: strings.NewReader(string(text)), Size: s.Size, CRC32C: s.CRC32C}, store.Condition{})
			if err != nil {
				l.Fatal(err)
			}
			p.Files = append(p.Files, state.File{Rows: s.Rows, Content: s.Content, Object: state.Object{
				Key: key, Size: s.Size, CRC32C: s.CRC32C, Generation: object.Generation,
			}})
			p.Days = s.Days
		}
		l.found.Partitions[o.Partition] = p
	}
}

// events are the published events, by ID. It fails if one is published twice.
func (l *lake) events() map[string]event {
	l.Helper()
	all := make(map[string]event)
	for path, p := range l.found.Partitions {
		for batch, err := range l.published(l.TempDir()).Rows(l.Context(), sinkName, p.Files, l.table) {
			if err != nil {
				l.Fatal(err)
			}
			ids, prospects, texts := textsOf(batch, "event_id"), textsOf(batch, "prospect_id"), textsOf(batch, "description")
			times := batch.Column(batch.Schema().FieldIndices("event_time")[0]).(*array.Timestamp)
			for i, id := range ids {
				e := event{id, prospects[i], int32(int64(times.Value(i)) / (24 * 60 * 60 * 1e6)), texts[i]}
				if e.path(l.table) != path {
					l.Errorf("event %s is in %s", id, path)
				}
				if other, twice := all[id]; twice {
					l.Errorf("event %s is published twice: %+v, %+v", id, other, e)
				}
				all[id] = e
			}
		}
	}
	return all
}

// memories are two limits: no ID fits in the first, and all fit in the second.
var memories = map[string]Memory{"little memory": 8, "much memory": 1 << 28}

// runAll runs a night with each of memories, and checks that the results are equal,
// except for the steps if events move in a circle.
func (l *lake) runAll(n night) Result {
	l.Helper()
	var results []Result
	for _, name := range slices.Sorted(maps.Keys(memories)) {
		n.memory = memories[name]
		r, err := l.run(n)
		if err != nil {
			l.Fatalf("%s: %v", name, err)
		}
		results = append(results, r)
	}
	if diff := cmp.Diff(results[1], results[0], cmpopts.IgnoreFields(plan.Staged{}, "Path"), cmpopts.IgnoreFields(plan.Outcome{}, "Step")); diff != "" {
		l.Fatalf("the result depends on memory (-much +little):\n%s", diff)
	}
	return results[0]
}

// The lake behaves like a map by ID: a new row replaces the published one, in any
// partition, and no other row leaves unless the job deletes missing rows.
func TestRunReplacesByID(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			l, want := newLake(t), make(map[string]event)
			for range 6 {
				n := night{complete: make(map[string]bool), deletes: rng.IntN(2) == 0}
				for p := range 4 {
					n.complete[fmt.Sprint("p", p)] = rng.IntN(4) > 0
				}
				returned := make(map[string]bool)
				for i := range 24 {
					e := event{id: fmt.Sprint("e", i), prospect: fmt.Sprint("p", i%4), day: int32(19000 + i%3)}
					if before, published := want[e.id]; published {
						e = before
					}
					if rng.IntN(4) == 0 {
						e.day = 19000 + rng.Int32N(4)
					}
					if rng.IntN(4) == 0 {
						e.text = fmt.Sprint(rng.IntN(100))
					}
					if n.complete[e.prospect] && rng.IntN(5) > 0 {
						n.events = append(n.events, e)
						want[e.id], returned[e.id] = e, true
					}
				}
				maps.DeleteFunc(want, func(id string, e event) bool {
					return n.deletes && n.complete[e.prospect] && !returned[id]
				})
				result := l.runAll(n)
				if r := result.Rows; r.Added+r.Changed+r.Unchanged != int64(len(n.events)) || r.After != int64(len(want)) {
					t.Errorf("the counts of %d new rows, after which there are %d: %+v", len(n.events), len(want), r)
				}
				l.publish(result.Outcomes)
				if diff := cmp.Diff(want, l.events(), cmp.AllowUnexported(event{})); diff != "" {
					t.Fatalf("the lake (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// After an apply was interrupted between its steps, the next run leaves every event in
// one partition, whatever the source returns.
func TestRunAfterInterruptedApply(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			l := newLake(t)
			var events []event
			for i := range 20 {
				events = append(events, event{id: fmt.Sprint("e", i), prospect: "p", day: int32(19000 + i%4)})
			}
			l.publish(l.runAll(night{events: events}).Outcomes)
			for i := range events { // to later days alone, so that there is an order of steps
				events[i].day += rng.Int32N(2)
			}
			outcomes := l.runAll(night{events: events}).Outcomes
			slices.SortStableFunc(outcomes, func(a, b plan.Outcome) int { return a.Step - b.Step })
			done := rng.IntN(len(outcomes) + 1)
			for _, o := range outcomes[done:] {
				l.found.Unfinished[o.Partition] = state.Partition{}
			}
			l.publish(outcomes[:done])

			var returned []event
			for _, e := range events {
				if rng.IntN(2) == 0 {
					returned = append(returned, e)
				}
			}
			l.publish(l.runAll(night{events: returned}).Outcomes)
			found := l.events()
			if len(found) != len(events) {
				t.Errorf("there are %d events, want %d", len(found), len(events))
			}
			for _, e := range returned {
				if found[e.id] != e {
					t.Errorf("%+v is published as %+v", e, found[e.id])
				}
			}
			l.publish(l.runAll(night{events: events}).Outcomes)
			for id, e := range l.events() {
				if i := slices.IndexFunc(events, func(e event) bool { return e.id == id }); events[i] != e {
					t.Errorf("in the end, %+v is published as %+v", events[i], e)
				}
			}
		})
	}
}

// If an interrupted apply has left an event in two partitions, and the source does not
// return the event, it stays in the partition whose apply finished.
func TestDuplicateStaysWhereApplyFinished(t *testing.T) {
	l := newLake(t)
	before := event{id: "e", prospect: "p", day: 19000}
	after := event{id: "e", prospect: "p", day: 19001}
	l.publish(l.runAll(night{events: []event{before}}).Outcomes)
	outcomes := l.runAll(night{events: []event{after}}).Outcomes
	l.publish(slices.DeleteFunc(outcomes, func(o plan.Outcome) bool { return o.Partition == before.path(l.table) }))
	l.found.Unfinished[before.path(l.table)] = state.Partition{}
	result := l.runAll(night{})
	if result.Rows != (plan.Rows{Before: 2, Removed: 1, After: 1}) {
		t.Errorf("the counts are %+v", result.Rows)
	}
	l.publish(result.Outcomes)
	if found := l.events(); len(found) != 1 || found["e"] != after {
		t.Errorf("the lake has %+v", found)
	}
}

// A partition with a rejected file does not change, nor do the partitions that events
// have moved to or from.
func TestRejectedFileWithholdsLinkedPartitions(t *testing.T) {
	l := newLake(t)
	l.publish(l.runAll(night{events: []event{{"a", "p", 19000, ""}, {"b", "p", 19001, ""}, {"c", "p", 19002, ""}}}).Outcomes)
	n := night{events: []event{{"a", "p", 19001, ""}, {"b", "p", 19001, ""}, {"c", "p", 19002, "changed"}}, memory: 1 << 28}
	rejected := n.events[0].path(l.table)
	n.verify = func(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, p sink.Partition, want sink.Summary) error {
		if p.Path == rejected {
			want.Rows++
		}
		return verify.Check(ctx, r, size, table, p, want)
	}
	result, err := l.run(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Outcomes) != 1 || result.Outcomes[0].Partition != n.events[2].path(l.table) {
		t.Errorf("the outcomes are %+v", result.Outcomes)
	}
	if result.Withheld != 2 || result.Rows.Changed != 1 || len(result.Rejected) != 2 {
		t.Errorf("the result is %+v", result)
	}
	// After a change of the schema, all partitions are published together.
	n.former, n.rewrite = stage.New(l.table, t.TempDir(), 1<<20), new(plan.Rewrite)
	if _, err := l.run(n); err == nil || !strings.Contains(err.Error(), "Nothing was published") {
		t.Errorf("the error is %v", err)
	}
}

// Each row of a former schema is staged once, even if an interrupted rewrite has left
// it in partitions with other keys as well.
func TestFormer(t *testing.T) {
	byMonth, err := schemas.KnockEvents().PartitionedBy("event_month")
	if err != nil {
		t.Fatal(err)
	}
	for name, memory := range memories {
		t.Run(name, func(t *testing.T) {
			l := newLake(t)
			var events []event
			for i := range 20 {
				events = append(events, event{id: fmt.Sprint("e", i), prospect: "p", day: int32(19000 + i%4)})
			}
			l.publish(l.runAll(night{events: events}).Outcomes)
			old := *l
			monthly := newLake(t)
			monthly.table, monthly.files = byMonth, l.files
			monthly.publish(monthly.runAll(night{events: events[:5]}).Outcomes)
			maps.Copy(l.found.Partitions, monthly.found.Partitions)
			if !IsOutdated(l.found, byMonth.Fingerprint()) || IsOutdated(monthly.found, byMonth.Fingerprint()) {
				t.Error("IsOutdated reports the wrong table")
			}
			table := monthly.described()
			rows, files, count, err := Former{
				Table: table, Published: l.published(t.TempDir()), Schema: old.table,
				Schemas: func(fingerprint string) (schemas.Table, error) {
					for _, s := range []schemas.Table{old.table, byMonth} {
						if s.Fingerprint() == fingerprint {
							return s, nil
						}
					}
					return schemas.Table{}, errors.New("unknown schema")
				},
				Memory: memory, Dir: t.TempDir(),
			}.Stage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if files != 5 || count != int64(len(events)) {
				t.Errorf("%d files have %d rows", files, count)
			}
		})
	}
}
