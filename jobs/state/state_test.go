package state_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/state"
)

func TestNew(t *testing.T) {
	a, b := state.New(), state.New()
	if a.Lineage == "" || a.Lineage == b.Lineage {
		t.Errorf("two new states have the lineages %q and %q", a.Lineage, b.Lineage)
	}
	if a.Serial != 0 || len(a.Jobs) != 0 {
		t.Errorf("a new state is %+v", a)
	}
}

func TestJobAndSinkAreAddedOnce(t *testing.T) {
	s := state.New()
	s.Job("job.b").SchemaFingerprint = "x"
	s.Job("job.b").Sink("sink.a").URI = "u"
	s.Job("job.b").Sink("sink.a").Partitions["p"] = partition(1, 1)
	s.Job("job.a")
	if got := s.Job("job.b"); got.SchemaFingerprint != "x" || got.Sink("sink.a").URI != "u" || len(got.Sinks["sink.a"].Partitions) != 1 {
		t.Errorf("the job is %+v", got)
	}
	if got, want := s.Addresses(), []string{"job.a", "job.b"}; !slices.Equal(got, want) {
		t.Errorf("the addresses are %q, want %q", got, want)
	}
}

// Changing a clone does not change the original.
func TestCloneIsIndependent(t *testing.T) {
	const path = "event_type=SMS_MESSAGE/event_date=2022-01-13"
	for _, test := range []struct {
		name   string
		change func(*state.State)
	}{
		{"serial", func(s *state.State) { s.Serial++ }},
		{"lineage", func(s *state.State) { s.Lineage = "" }},
		{"an added job", func(s *state.State) { s.Job("job.new") }},
		{"a removed job", func(s *state.State) { delete(s.Jobs, "job.empty") }},
		{"table", func(s *state.State) { s.Job("job.prospect_events").TableName = "" }},
		{"prospects", func(s *state.State) { s.Job("job.prospect_events").Prospects.Count++ }},
		{"no prospects", func(s *state.State) { s.Job("job.prospect_events").Prospects = nil }},
		{"empty prospects", func(s *state.State) { s.Job("job.prospect_events").Empty.Count++ }},
		{"unavailable prospects", func(s *state.State) { s.Job("job.prospect_events").Unavailable.NotFound++ }},
		{"schema", func(s *state.State) { s.Job("job.prospect_events").SchemaFingerprint = "" }},
		{"an added sink", func(s *state.State) { s.Job("job.prospect_events").Sink("sink.new") }},
		{"an added sink of an empty job", func(s *state.State) { s.Job("job.empty").Sink("sink.new") }},
		{"a removed sink", func(s *state.State) { clear(s.Job("job.prospect_events").Sinks) }},
		{"uri", func(s *state.State) { lake(s).URI = "" }},
		{"an added partition", func(s *state.State) { lake(s).Partitions["p"] = partition(1, 1) }},
		{"an added partition of an empty sink", func(s *state.State) {
			s.Job("job.prospect_events").Sink("sink.gcs.lake").Partitions["p"] = partition(1, 1)
		}},
		{"a partition", func(s *state.State) { lake(s).Partitions[path] = partition(1, 1) }},
		{"a partition's file", func(s *state.State) { lake(s).Partitions[path].Files[0].Generation = "" }},
		{"a removed partition", func(s *state.State) { delete(lake(s).Partitions, path) }},
		{"quarantine", func(s *state.State) { lake(s).Quarantine.Object.Generation = "" }},
		{"no quarantine", func(s *state.State) { lake(s).Quarantine = nil }},
		{"a pending partition", func(s *state.State) { lake(s).Pending.Partitions[path] = partition(1, 1) }},
		{"a pending partition's file", func(s *state.State) { lake(s).Pending.Partitions[path].Files[0].Generation = "" }},
		{"pending quarantine", func(s *state.State) { lake(s).Pending.Quarantine.Object.Generation = "" }},
		{"no pending quarantine", func(s *state.State) { lake(s).Pending.Quarantine = nil }},
		{"no pending", func(s *state.State) { lake(s).Pending = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			original := full()
			clone := original.Clone()
			if diff := cmp.Diff(original, clone); diff != "" {
				t.Fatalf("the clone differs (-original +clone):\n%s", diff)
			}
			test.change(clone)
			if diff := cmp.Diff(full(), original); diff != "" {
				t.Errorf("the original has changed:\n%s", diff)
			}
			if cmp.Equal(original, clone) {
				t.Error("the clone has not changed: the test is ineffective")
			}
		})
	}
}

func lake(s *state.State) *state.Sink { return s.Job("job.prospect_events").Sink("sink.local.lake") }
