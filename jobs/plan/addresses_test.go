package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store/local"
)

func localSink(address, path string) jobs.Sink {
	return jobs.Sink{Block: jobs.Block{Address: address}, Location: local.At(path)}
}

func declaredJob(address, table string, sinks ...jobs.Sink) jobs.Job {
	return jobs.Job{Block: jobs.Block{Address: address}, TableName: table, Sinks: sinks}
}

// stateOf returns a state in which the jobs have published their tables.
func stateOf(all ...jobs.Job) *state.State {
	s := state.New()
	for _, j := range all {
		s.Job(j.Address).TableName = j.TableName
		for _, sink := range j.Sinks {
			of := s.Job(j.Address).Sink(sink.Address)
			of.URI = sink.URI(j.TableName)
			of.Partitions = map[string]state.Partition{"p=1": {Rows: 1}}
		}
	}
	return s
}

func movedFrom(from, to string) jobs.Moved { return jobs.Moved{From: from, To: to} }

var (
	firstSink  = localSink("sink.local.one", "/one")
	secondSink = localSink("sink.local.two", "/two")
)

func TestRelocate(t *testing.T) {
	renamedOne := localSink("sink.local.lake", "/one")
	swappedOne, swappedTwo := localSink("sink.local.one", "/two"), localSink("sink.local.two", "/one")
	for _, test := range []struct {
		name    string
		state   *state.State
		config  jobs.Configuration
		jobs    map[string][]string // in the result: the sinks of each job
		moved   []plan.Move
		forgets []string
		renamed map[string][]plan.Move
		err     string
	}{
		{
			name: "nothing has moved", state: stateOf(declaredJob("job.a", "a", firstSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.a", "a", firstSink)}, Sinks: []jobs.Sink{firstSink}},
			jobs:   map[string][]string{"job.a": {"sink.local.one"}},
		}, {
			name: "a job has moved", state: stateOf(declaredJob("job.a", "a", firstSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.b", "a", firstSink)}, Sinks: []jobs.Sink{firstSink}, Moved: []jobs.Moved{movedFrom("job.a", "job.b")}},
			jobs:   map[string][]string{"job.b": {"sink.local.one"}}, moved: []plan.Move{{From: "job.a", To: "job.b"}},
		}, {
			name: "a job has moved earlier", state: stateOf(declaredJob("job.b", "a", firstSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.b", "a", firstSink)}, Sinks: []jobs.Sink{firstSink}, Moved: []jobs.Moved{movedFrom("job.a", "job.b")}},
			jobs:   map[string][]string{"job.b": {"sink.local.one"}},
		}, {
			name: "both addresses are in the state", state: stateOf(declaredJob("job.a", "a", firstSink), declaredJob("job.b", "b", firstSink)),
			config: jobs.Configuration{Moved: []jobs.Moved{movedFrom("job.a", "job.b")}}, err: "Both addresses of a move are in the state",
		}, {
			name: "a moved job has another table", state: stateOf(declaredJob("job.a", "a", firstSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.b", "b", firstSink)}, Sinks: []jobs.Sink{firstSink}, Moved: []jobs.Moved{movedFrom("job.a", "job.b")}},
			err:    `table = "a"`,
		}, {
			name: "a job is forgotten, another destroyed", state: stateOf(declaredJob("job.a", "a", firstSink), declaredJob("job.b", "b", firstSink)),
			config: jobs.Configuration{Sinks: []jobs.Sink{firstSink}, Removed: []jobs.Removed{{From: "job.a"}, {From: "job.b", Destroy: true}}},
			jobs:   map[string][]string{"job.b": {"sink.local.one"}}, forgets: []string{"job.a"},
		}, {
			name: "a sink is renamed", state: stateOf(declaredJob("job.a", "a", firstSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.a", "a", renamedOne)}, Sinks: []jobs.Sink{renamedOne}},
			jobs:   map[string][]string{"job.a": {"sink.local.lake"}}, renamed: map[string][]plan.Move{"job.a": {{From: "sink.local.one", To: "sink.local.lake"}}},
		}, {
			name: "sinks swap their names", state: stateOf(declaredJob("job.a", "a", firstSink, secondSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.a", "a", swappedOne, swappedTwo)}, Sinks: []jobs.Sink{swappedOne, swappedTwo}},
			jobs:   map[string][]string{"job.a": {"sink.local.one", "sink.local.two"}},
			renamed: map[string][]plan.Move{"job.a": {
				{From: "sink.local.one", To: "sink.local.two"}, {From: "sink.local.two", To: "sink.local.one"}}},
		}, {
			name: "the new name of a sink has files elsewhere", state: stateOf(declaredJob("job.a", "a", firstSink, secondSink)),
			config: jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.a", "a", localSink("sink.local.two", "/one"))}, Sinks: []jobs.Sink{localSink("sink.local.two", "/one")}},
			jobs:   map[string][]string{"job.a": {"sink.local.one", "sink.local.two"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.state.Clone()
			r, err := plan.Relocate(test.state, &test.config)
			if diff := cmp.Diff(before, test.state); diff != "" {
				t.Errorf("the state has changed:\n%s", diff)
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error does not contain %q: %v", test.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string][]string)
			for address, job := range r.State.Jobs {
				for sink := range job.Sinks {
					got[address] = append(got[address], sink)
				}
				slices.Sort(got[address])
			}
			if diff := cmp.Diff(test.jobs, got); diff != "" {
				t.Errorf("the jobs of the state differ (-want +got):\n%s", diff)
			}
			if test.renamed == nil {
				test.renamed = map[string][]plan.Move{}
			}
			want := plan.Relocated{Moved: test.moved, Forgotten: test.forgets, Renamed: test.renamed}
			r.State = nil
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("the relocation differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckAddresses(t *testing.T) {
	prior := stateOf(declaredJob(`job.old["a"]`, "old", firstSink))
	config := &jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.new", "new", firstSink)}}
	for text, known := range map[string]bool{
		"job.new": true, `job.old["a"]`: true, "job.old": true, `job.new.partition["p=1"]`: true,
		"job.news": false, `job.old["b"]`: false,
	} {
		a, err := jobs.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.CheckAddresses(prior, config, []jobs.Address{a}); (err == nil) != known {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOrphans(t *testing.T) {
	prior := stateOf(declaredJob("job.gone", "gone", firstSink), declaredJob("job.less", "less", firstSink, secondSink), declaredJob("job.same", "same", firstSink))
	prior.Jobs["job.gone"].PreventDestroy = true
	less := declaredJob("job.less", "less", firstSink)
	less.PreventDestroy = true
	config := &jobs.Configuration{Jobs: []jobs.Job{less, declaredJob("job.same", "same", firstSink)}, Sinks: []jobs.Sink{firstSink, secondSink}}
	all := func(string) bool { return true }
	check := func(want ...string) {
		t.Helper()
		orphans, err := plan.Orphans(prior, config, all)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range orphans {
			got = append(got, fmt.Sprintf("%s, table %s in %s, protected %t: %s", o.Address, o.TableName, o.Sinks[0].Address, o.PreventDestroy, o.Reason))
			if len(o.Sinks) != 1 {
				t.Errorf("%s has the sinks %v", o.Address, o.Sinks)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the orphans differ (-want +got):\n%s", diff)
		}
	}
	const lost = "job.less, table less in sink.local.two, protected true: it is no longer among the job's sinks"
	check("job.gone, table gone in sink.local.one, protected true: it is no longer declared", lost)

	// A removed block overrides the state.
	const gone = "job.gone, table gone in sink.local.one, protected false: it is no longer declared"
	config.Removed = []jobs.Removed{{From: "job.gone", Destroy: true}}
	check(gone, lost)

	config.Sinks = []jobs.Sink{firstSink}
	if _, err := plan.Orphans(prior, config, all); err == nil || !strings.Contains(err.Error(), "prospector state rm sink.local.two") {
		t.Errorf("a sink that is not declared: %v", err)
	}
	all = func(job string) bool { return job == "job.gone" }
	check(gone)
}

func TestCheckRivals(t *testing.T) {
	uri := func(sink, table string) string {
		return map[string]jobs.Sink{firstSink.Address: firstSink, secondSink.Address: secondSink, "sink.local.lake": localSink("", "/one")}[sink].URI(table)
	}
	prior := stateOf(declaredJob("job.a", "a", firstSink))
	for _, test := range []struct {
		name string
		job  jobs.Job
		err  string
	}{
		{"the same job", declaredJob("job.a", "a", firstSink), ""},
		{"another table", declaredJob("job.b", "b", firstSink), ""},
		{"another sink", declaredJob("job.b", "a", secondSink), ""},
		{"a renamed job", declaredJob("job.b", "a", firstSink), "from = job.a\n      to   = job.b"},
		{"a renamed sink", declaredJob("job.a", "a", localSink("sink.local.lake", "/one")), "prospector state rm sink.local.one"},
	} {
		err := plan.CheckRivals(prior, &jobs.Configuration{Jobs: []jobs.Job{test.job}}, uri)
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	prior.Jobs["job.a"].Sinks[firstSink.Address].Partitions = nil
	if err := plan.CheckRivals(prior, &jobs.Configuration{Jobs: []jobs.Job{declaredJob("job.b", "a", firstSink)}}, uri); err != nil {
		t.Errorf("a vacant sink is a rival: %v", err)
	}
}
