package audit

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

const (
	address = "job.events"
	lake    = "sink.local.lake"
)

func TestFindings(t *testing.T) {
	files := memory.New()
	put := func(key, content string) state.Object {
		o, err := files.Put(t.Context(), key, store.ContentOf([]byte(content), ""), store.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		return state.Object{Key: o.Key, Size: o.Size, CRC32C: o.CRC32C, Generation: o.Generation}
	}
	partition := func(o state.Object) state.Partition {
		return state.Partition{SchemaFingerprint: "s", Rows: 3, Files: []state.File{{Rows: 3, Object: o}}}
	}
	s := state.New()
	of := s.Job(address).Sink(lake)
	s.Job(address).TableName = "events"
	of.Partitions = map[string]state.Partition{
		"p=changed":   partition(put("events/p=changed/part-00000.parquet", "before")),
		"p=gone":      partition(state.Object{Key: "events/p=gone/part-00000.parquet"}),
		"p=unchanged": partition(put("events/p=unchanged/part-00000.parquet", "a")),
	}
	incomplete := partition(put("events/p=incomplete/part-00000.parquet", "b"))
	incomplete.Incomplete = true
	of.Partitions["p=incomplete"] = incomplete
	of.Quarantine = &state.Quarantine{Events: 2, Object: put(plan.QuarantineKey("events"), "before")}
	of.Obsolete = map[string]state.Object{"events/old": put("events/old", "")}
	put("events/p=changed/part-00000.parquet", "after!")
	put(plan.QuarantineKey("events"), "after!")
	put("events/unknown", "")

	calls := 0
	a := Audit{
		State: s, Dir: t.TempDir(), Downloads: 2, Width: 2,
		Open: func(context.Context, string) (store.Store, error) { return files, nil },
	}
	result, err := a.Run(t.Context(), func(done, of int) {
		if calls++; done != calls-1 || of != 5 {
			t.Errorf("progress is %d of %d in call %d", done, of, calls)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, f := range result.Findings {
		if f.Job != address || f.Sink != lake {
			t.Errorf("a finding is of %s in %s", f.Job, f.Sink)
		}
		first, _, _ := strings.Cut(f.Problem, ".")
		got[strings.TrimPrefix(f.URI, files.URI("")+"/")] += first + "."
	}
	want := map[string]string{
		"events/p=changed/part-00000.parquet":    "It was changed: it has 6 bytes with CRC32C 36c58b5b, but the state has 6 bytes with ed9684a2.",
		"events/p=gone/part-00000.parquet":       "It was deleted.",
		"events/p=incomplete":                    "Files of this partition were deleted or damaged.",
		"events/p=incomplete/part-00000.parquet": "It is unchanged, but its rows were not read: the state does not have its schema.",
		"events/p=unchanged/part-00000.parquet":  "It is unchanged, but its rows were not read: the state does not have its schema.",
		"events/old":                             "An interrupted apply left this file.",
		"events/unknown":                         "This object is not in the state.",
		plan.QuarantineKey("events"):             "It was changed: it has 6 bytes with CRC32C 36c58b5b, but the state has 6 bytes with ed9684a2.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if result.Files != 5 || result.Rows != 12 {
		t.Errorf("%d files with %d rows", result.Files, result.Rows)
	}
}

// After an interrupted run, objects in the sink are not findings: another apply, or
// the same erase, completes the run. The sinks of a job that is not in the state are
// checked, too.
func TestInterruptedAndLost(t *testing.T) {
	files := memory.New()
	if _, err := files.Put(t.Context(), "events/x", store.ContentOf(nil, ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	s := state.New()
	a := Audit{State: s, Downloads: 1, Width: 1, Open: func(context.Context, string) (store.Store, error) { return files, nil },
		Jobs: []jobs.Job{{Block: jobs.Block{Address: address}, TableName: "events", Sinks: []jobs.Sink{{Block: jobs.Block{Address: lake}}}}}}
	check := func(want string) {
		t.Helper()
		result, err := a.Run(t.Context(), func(int, int) {})
		if err != nil || len(result.Findings) != 1 || !strings.Contains(result.Findings[0].Problem, want) {
			t.Errorf("findings without %q: %+v, %v", want, result.Findings, err)
		}
	}
	check("not in the state")
	s.Job(address).TableName = "events"
	s.Job(address).Sink(lake).Pending = &state.Pending{}
	check("An apply was interrupted")
	s.Erasing = true
	check("An erase was interrupted")
}
