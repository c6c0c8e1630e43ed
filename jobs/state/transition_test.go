package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/state"
	"prospector/schemas"
)

// inOneFile returns a partition with one file of that generation. The length of
// the generation is the number of its rows.
func inOneFile(key, generation string) state.Partition {
	return inFilesOf(fileOf(key, generation))
}

func inFilesOf(files ...state.File) state.Partition {
	p := state.Partition{SchemaFingerprint: "new", Files: files}
	for _, f := range files {
		p.Rows += f.Rows
	}
	return p
}

func fileOf(key, generation string) state.File {
	return state.File{Rows: int64(len(generation)), Object: state.Object{Key: key, Size: 10, CRC32C: 7, Generation: generation}}
}

// Each transition of a sink changes what it documents, and nothing else.
func TestSinkTransitions(t *testing.T) {
	type partitions = map[string]state.Partition
	type objects = map[string]state.Object
	var (
		published = inOneFile("t/p/0", "a")
		next      = inOneFile("t/p/0", "bb")
		other     = inOneFile("t/q/0", "c")
		gone      = state.Partition{Files: []state.File{{Object: state.Object{Key: "t/p/0"}}}}
		seen      = state.Object{Key: "t/p/0", Generation: "a"}
		events    = &state.Quarantine{Events: 2, Object: state.Object{Key: "q", Generation: "1"}}
		given     = &state.SourceSubset{Rows: 1}
	)
	withGiven := func(p state.Partition) state.Partition { p.SourceSubset = given; return p }
	split := inFilesOf(fileOf("t/p/1", "x"), fileOf("t/p/2", "y"))
	for _, test := range []struct {
		name   string
		before state.Sink
		do     func(*state.Sink)
		after  state.Sink
	}{
		{"stage a creation", state.Sink{},
			func(s *state.Sink) { s.StagePending(state.Change{Partition: "p", Next: next}) },
			state.Sink{Pending: &state.Pending{Partitions: partitions{"p": next}}}},
		{"stage an update", state.Sink{Partitions: partitions{"p": published}},
			func(s *state.Sink) { s.StagePending(state.Change{Partition: "p", Next: next}) },
			state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"p": next}}}},
		{"stage a deletion", state.Sink{Partitions: partitions{"p": published}},
			func(s *state.Sink) {
				s.StagePending(state.Change{Partition: "p", Next: gone, Obsolete: []state.Object{seen}})
			},
			state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"p": gone}}}},
		{"stage over an interrupted apply", state.Sink{Pending: &state.Pending{Partitions: partitions{"p": published, "q": other}}},
			func(s *state.Sink) { s.StagePending(state.Change{Partition: "p", Next: next}) },
			state.Sink{Pending: &state.Pending{Partitions: partitions{"p": next, "q": other}}}},
		{"stage a quarantine", state.Sink{Pending: &state.Pending{Partitions: partitions{"q": other}}},
			func(s *state.Sink) { s.StagePendingQuarantine(events) },
			state.Sink{Pending: &state.Pending{Partitions: partitions{"q": other}, Quarantine: events}}},

		{"keep a partition", state.Sink{Partitions: partitions{"p": published}},
			func(s *state.Sink) { s.KeepPartition("p", given) },
			state.Sink{Partitions: partitions{"p": withGiven(published)}}},
		{"keep a partition that the source returned completely", state.Sink{Partitions: partitions{"p": withGiven(published)}},
			func(s *state.Sink) { s.KeepPartition("p", nil) },
			state.Sink{Partitions: partitions{"p": published}}},
		{"keep a partition that was pending", state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"p": next, "q": other}}},
			func(s *state.Sink) { s.KeepPartition("p", nil) },
			state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"q": other}}}},
		{"keep an absent partition", state.Sink{Partitions: partitions{"q": other}},
			func(s *state.Sink) { s.KeepPartition("p", given) },
			state.Sink{Partitions: partitions{"q": other}}},

		{"publish a creation", state.Sink{Pending: &state.Pending{Partitions: partitions{"p": next, "q": other}}},
			func(s *state.Sink) { s.Publish(state.Change{Partition: "p", Next: next}) },
			state.Sink{Partitions: partitions{"p": next}, Pending: &state.Pending{Partitions: partitions{"q": other}}}},
		{"publish in the same file", state.Sink{Partitions: partitions{"p": published, "q": other}, Pending: &state.Pending{Partitions: partitions{"p": next}}},
			func(s *state.Sink) { s.Publish(state.Change{Partition: "p", Next: next}) },
			state.Sink{Partitions: partitions{"p": next, "q": other}, Pending: &state.Pending{}}},
		{"publish in other files", state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"p": split}}},
			func(s *state.Sink) {
				s.Publish(state.Change{Partition: "p", Next: split, Obsolete: []state.Object{seen}})
			},
			state.Sink{Partitions: partitions{"p": split}, Pending: &state.Pending{}, Obsolete: objects{"t/p/0": published.Files[0].Object}}},
		{"publish next to a damaged file", state.Sink{Partitions: partitions{"p": published}, Pending: &state.Pending{Partitions: partitions{"p": split}}},
			func(s *state.Sink) {
				s.Publish(state.Change{Partition: "p", Next: split, Obsolete: []state.Object{{Key: "t/p/0", Generation: "strange"}}})
			},
			state.Sink{Partitions: partitions{"p": split}, Pending: &state.Pending{}, Obsolete: objects{"t/p/0": {Key: "t/p/0", Generation: "strange"}}}},
		{"publish where an obsolete file was", state.Sink{Pending: &state.Pending{Partitions: partitions{"p": next}}, Obsolete: objects{"t/p/0": seen, "t/q/0": other.Files[0].Object}},
			func(s *state.Sink) { s.Publish(state.Change{Partition: "p", Next: next}) },
			state.Sink{Partitions: partitions{"p": next}, Pending: &state.Pending{}, Obsolete: objects{"t/q/0": other.Files[0].Object}}},

		{"drop an obsolete object", state.Sink{Partitions: partitions{"p": split}, Obsolete: objects{"t/p/0": seen, "t/p/9": {Key: "t/p/9"}}},
			func(s *state.Sink) { s.DropObsolete("t/p/0") },
			state.Sink{Partitions: partitions{"p": split}, Obsolete: objects{"t/p/9": {Key: "t/p/9"}}}},
		{"drop an object that was not obsolete", state.Sink{Partitions: partitions{"p": published}},
			func(s *state.Sink) { s.DropObsolete("t/p/0") },
			state.Sink{Partitions: partitions{"p": published}}},
		{"drop a partition", state.Sink{Partitions: partitions{"p": published, "q": other}, Pending: &state.Pending{Partitions: partitions{"p": gone, "q": next}}},
			func(s *state.Sink) { s.DropPartition("p") },
			state.Sink{Partitions: partitions{"q": other}, Pending: &state.Pending{Partitions: partitions{"q": next}}}},

		{"publish a quarantine", state.Sink{Pending: &state.Pending{Partitions: partitions{"q": other}, Quarantine: &state.Quarantine{Events: 2}}},
			func(s *state.Sink) { s.PublishQuarantine(events) },
			state.Sink{Quarantine: events, Pending: &state.Pending{Partitions: partitions{"q": other}}}},
		{"delete a quarantine", state.Sink{Quarantine: events, Pending: &state.Pending{Quarantine: &state.Quarantine{}}},
			func(s *state.Sink) { s.PublishQuarantine(nil) },
			state.Sink{Pending: &state.Pending{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.before.URI, test.after.URI = "file:///lake/t", "file:///lake/t"
			s := state.State{Jobs: map[string]*state.Job{"job.t": {Sinks: map[string]*state.Sink{"sink.a": &test.before}}}}
			got := s.Clone().Job("job.t").Sink("sink.a") // the table's values are shared
			if got.Partitions == nil {
				got.Partitions = make(partitions)
			}
			test.do(got)
			if diff := cmp.Diff(&test.after, got, same); diff != "" {
				t.Errorf("the sink differs from what the transition documents (-want +got):\n%s", diff)
			}
		})
	}
}

// Each transition of a job changes what it documents, and nothing else.
func TestJobTransitions(t *testing.T) {
	builtin := schemas.KnockEvents()
	older, newer := inOneFile("t/p/0", "a"), inOneFile("t/q/0", "bb")
	older.SchemaFingerprint = "old"
	sinkOf := func(uri string, partitions map[string]state.Partition) *state.Sink {
		return &state.Sink{URI: uri, Partitions: partitions}
	}
	list := func(n int64) *state.ProspectList { return &state.ProspectList{Count: n, Key: "list"} }
	destroyed := func(s *state.Sink) *state.Sink { s.Pending = &state.Pending{}; return s }
	for _, test := range []struct {
		name   string
		before state.Job
		do     func(*state.State)
		after  *state.Job // nil if the state has no such job
	}{
		{"begin a table", state.Job{Schemas: map[string]schemas.Table{"old": {}}, SchemaFingerprint: "old"},
			func(s *state.State) { s.Job("job.t").BeginTable("new", builtin, false) },
			&state.Job{SchemaFingerprint: "new", Schemas: map[string]schemas.Table{"old": {}, "new": builtin}}},
		{"begin the first table", state.Job{},
			func(s *state.State) { s.Job("job.t").BeginTable("new", builtin, false) },
			&state.Job{SchemaFingerprint: "new", Schemas: map[string]schemas.Table{"new": builtin}}},
		{"begin a rewrite", state.Job{SchemaFingerprint: "old", Schemas: map[string]schemas.Table{"old": {}}},
			func(s *state.State) { s.Job("job.t").BeginTable("new", builtin, true) },
			&state.Job{SchemaFingerprint: "old", Schemas: map[string]schemas.Table{"old": {}, "new": builtin}}},

		{"refresh", state.Job{Sinks: map[string]*state.Sink{"sink.a": sinkOf("u", nil), "sink.b": sinkOf("v", nil), "sink.c": sinkOf("w", nil)}},
			func(s *state.State) {
				s.Job("job.t").Refresh(map[string]*state.Sink{"sink.a": sinkOf("u", map[string]state.Partition{"p": older}), "sink.d": sinkOf("v", nil)}, "sink.b")
			},
			&state.Job{Sinks: map[string]*state.Sink{"sink.a": sinkOf("u", map[string]state.Partition{"p": older}), "sink.d": sinkOf("v", nil), "sink.c": sinkOf("w", nil)}}},
		{"refresh sinks that swap names", state.Job{Sinks: map[string]*state.Sink{"sink.a": sinkOf("u", nil), "sink.b": sinkOf("v", nil)}},
			func(s *state.State) {
				s.Job("job.t").Refresh(map[string]*state.Sink{"sink.a": sinkOf("v", nil), "sink.b": sinkOf("u", nil)}, "sink.a", "sink.b")
			},
			&state.Job{Sinks: map[string]*state.Sink{"sink.a": sinkOf("v", nil), "sink.b": sinkOf("u", nil)}}},

		{"set new lists", state.Job{Prospects: list(1), Empty: list(2)},
			func(s *state.State) { s.Job("job.t").SetLists(state.Lists{Prospects: list(3), Empty: list(4)}) },
			&state.Job{Prospects: list(3), Empty: list(4)}},
		{"set no lists", state.Job{Prospects: list(1), Empty: list(2)},
			func(s *state.State) { s.Job("job.t").SetLists(state.Lists{}) },
			&state.Job{Prospects: list(1), Empty: list(2)}},
		{"remove a list", state.Job{Prospects: list(1), Empty: list(2)},
			func(s *state.State) { s.Job("job.t").SetLists(state.Lists{Empty: &state.ProspectList{}}) },
			&state.Job{Prospects: list(1)}},
		{"set a list without prospects", state.Job{Prospects: list(1), Empty: list(2)},
			func(s *state.State) { s.Job("job.t").SetLists(state.Lists{Prospects: list(0)}) },
			&state.Job{Prospects: list(0), Empty: list(2)}},

		{"drop what a rewrite supersedes",
			state.Job{SchemaFingerprint: "old", Sinks: map[string]*state.Sink{"sink.a": {
				Partitions: map[string]state.Partition{"p": older, "q": newer},
				Pending:    &state.Pending{Partitions: map[string]state.Partition{"p": {}}},
			}}},
			func(s *state.State) {
				s.Job("job.t").DropSuperseded("new", map[string][]state.Change{"sink.a": {{Partition: "p", Obsolete: []state.Object{{Key: "t/p/0", Generation: "a"}}}}})
			},
			&state.Job{SchemaFingerprint: "new", Sinks: map[string]*state.Sink{"sink.a": {
				Partitions: map[string]state.Partition{"q": newer},
				Pending:    &state.Pending{}, Obsolete: map[string]state.Object{"t/p/0": older.Files[0].Object},
			}}}},

		{"finalize",
			state.Job{SchemaFingerprint: "new", Schemas: map[string]schemas.Table{"old": {}, "older": {}, "new": builtin}, Prospects: list(1), Sinks: map[string]*state.Sink{
				"sink.a": {Partitions: map[string]state.Partition{"q": newer}, Pending: &state.Pending{}, Obsolete: map[string]state.Object{}},
				"sink.b": {Pending: &state.Pending{Partitions: map[string]state.Partition{"p": older}}},
				"sink.c": {Pending: &state.Pending{}},
			}},
			func(s *state.State) { s.Finalize("job.t", []string{"sink.a", "sink.b"}, false) },
			&state.Job{SchemaFingerprint: "new", Schemas: map[string]schemas.Table{"old": {}, "new": builtin}, Prospects: list(1), Sinks: map[string]*state.Sink{
				"sink.a": sinkOf("", map[string]state.Partition{"q": newer}),
				"sink.b": {Pending: &state.Pending{Partitions: map[string]state.Partition{"p": older}}},
				"sink.c": {Pending: &state.Pending{}}, // of another run
			}}},
		{"finalize the destruction in one sink", state.Job{Prospects: list(1), Sinks: map[string]*state.Sink{"sink.a": destroyed(sinkOf("u", nil)), "sink.b": sinkOf("v", nil)}},
			func(s *state.State) { s.Finalize("job.t", []string{"sink.a"}, true) },
			&state.Job{Prospects: list(1), Sinks: map[string]*state.Sink{"sink.b": sinkOf("v", nil)}}},
		{"finalize the destruction in all sinks", state.Job{Prospects: list(1), Empty: list(1), Sinks: map[string]*state.Sink{"sink.a": destroyed(sinkOf("u", nil))}},
			func(s *state.State) { s.Finalize("job.t", []string{"sink.a"}, true) },
			nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := state.State{Jobs: map[string]*state.Job{"job.t": &test.before, "job.u": {TableName: "u"}}}
			got := before.Clone()
			job := got.Jobs["job.t"]
			test.do(got)
			if test.after == nil && (job.Prospects != nil || job.Empty != nil) {
				t.Errorf("the removed job still has lists: %+v", job)
			}
			want := map[string]*state.Job{"job.u": {TableName: "u"}}
			if test.after != nil {
				want["job.t"] = test.after
			}
			if diff := cmp.Diff(want, got.Jobs, same); diff != "" {
				t.Errorf("the job differs from what the transition documents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangeDeletes(t *testing.T) {
	if !(state.Change{Partition: "p"}).Deletes() || (state.Change{Next: inOneFile("k", "g")}).Deletes() {
		t.Error("Deletes must return true if and only if the partition has no rows after the change")
	}
}
