package erase

import (
	"context"
	"strings"
	"testing"
	"time"

	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/reconcile"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// planner erases from one job that has a quarantine and a list of prospects, but no
// partitions.
func planner(t *testing.T) (p Planner, lake store.Store) {
	stateStore, lake := memory.New(), memory.New()
	sink := jobs.Sink{Block: jobs.Block{Address: "sink.local.lake"}}
	s := state.New()
	owned := s.Job("job.a")
	owned.TableName = "a"
	of := owned.Sink(sink.Address)
	of.URI = lake.URI("a")
	entries := `{"prospect_id":"bob","reason":"r","cursor":"","index":0}` + "\n" + `{"prospect_id":"` + id + `","reason":"r","cursor":"","index":0}` + "\n"
	put(t, lake, plan.QuarantineKey("a"), entries)
	object, err := lake.Stat(t.Context(), plan.QuarantineKey("a"))
	if err != nil {
		t.Fatal(err)
	}
	of.Quarantine = &state.Quarantine{Events: 2, Object: state.Object{Key: object.Key, Size: object.Size, CRC32C: object.CRC32C, Generation: object.Generation}}

	dir := t.TempDir()
	l := lists.New(stateStore, prefix)
	list, err := lists.StageProspects([]string{"bob", id}, dir+"/list")
	if err != nil {
		t.Fatal(err)
	}
	put(t, stateStore, prefix+"list.jsonl", `"bob"`+"\n"+`"`+id+`"`+"\n")
	owned.Prospects = &state.ProspectList{Count: 2, Digest: list.Digest, Key: prefix + "list.jsonl"}
	return Planner{
		Prospect: id, Config: &jobs.Configuration{Sinks: []jobs.Sink{sink}}, State: s, Lists: l,
		Stores: map[string]store.Store{sink.Address: lake}, Memory: reconcile.Memory(jobs.DefaultMemoryLimit), Now: time.Unix(0, 0),
		Open:     func(context.Context, jobs.Sink) (store.Store, error) { return lake, nil },
		StageDir: func(string) (string, error) { return dir, nil },
	}, lake
}

func TestPlan(t *testing.T) {
	p, _ := planner(t)
	planned, err := p.Plan(t.Context())
	if err != nil || len(planned) != 1 {
		t.Fatalf("planned is %+v: %v", planned, err)
	}
	out := planned[0]
	if q := out.Output.Quarantine; q == nil || q.Before != 2 || q.After != 1 {
		t.Errorf("the quarantine: %+v", q)
	}
	if l := out.Source.Reading.List; l == nil || l.Count != 1 || l.Staged == nil {
		t.Errorf("the list: %+v", l)
	}
	if len(out.Output.Changes) > 0 || out.Source.Waiting != nil {
		t.Errorf("the plan has other changes: %+v", out)
	}

	// Without a trace of the prospect, no entry or list changes.
	p.Prospect = "carol"
	if planned, err = p.Plan(t.Context()); err != nil || planned[0].Output.Quarantine.After != 2 || planned[0].Source.Reading.List != nil {
		t.Errorf("planned is %+v: %v", planned, err)
	}
}

// A job cannot be planned unless the files with its rows are known.
func TestPlanRefuses(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(p *Planner, lake store.Store)
	}{
		{"a sink that is not declared", "prospector state rm sink.local.lake", func(p *Planner, _ store.Store) { p.Config.Sinks = nil }},
		{"a damaged file", "were changed outside of prospector", func(p *Planner, lake store.Store) {
			put(t, lake, "a/p=1/part-00000.parquet", "damaged")
			p.State.Jobs["job.a"].Sinks["sink.local.lake"].Partitions = map[string]state.Partition{
				"p=1": {Rows: 1, Files: []state.File{{Rows: 1, Object: state.Object{Key: "a/p=1/part-00000.parquet"}}}}}
		}},
		{"another location", "no longer manages the files at", func(p *Planner, _ store.Store) {
			p.State.Jobs["job.a"].Sinks["sink.local.lake"].URI = "file:///elsewhere"
		}},
	} {
		p, lake := planner(t)
		test.change(&p, lake)
		if _, err := p.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
