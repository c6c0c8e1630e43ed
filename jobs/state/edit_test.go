package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/state"
	"prospector/schemas"
)

const (
	thursday = "event_type=SMS_MESSAGE/event_date=2022-01-13"
	friday   = "event_type=SMS_MESSAGE/event_date=2022-01-14"
)

// instances returns a state with two instances of a job, and with another job.
func instances() *state.State {
	s := state.New()
	for i, key := range []string{`job.events["south"]`, `job.events["north"]`, `job.events_old`} {
		s.Job(key).TableName = fmt.Sprint("t", i)
		for _, sink := range []string{"sink.local.lake", "sink.gcs.lake"} {
			s.Job(key).Sink(sink).Partitions[thursday] = partition(1, 1)
		}
		s.Job(key).Sink("sink.local.lake").Partitions[friday] = partition(1, 1)
	}
	return s
}

func listed(s *state.State) (all []string) {
	for _, a := range s.List() {
		all = append(all, a.String())
	}
	return all
}

func TestList(t *testing.T) {
	s := instances()
	s.Job("job.Not an address")
	want := []string{
		`job.Not an address`,
		`job.events["north"]`, `job.events["north"].partition["` + thursday + `"]`, `job.events["north"].partition["` + friday + `"]`,
		`job.events["south"]`, `job.events["south"].partition["` + thursday + `"]`, `job.events["south"].partition["` + friday + `"]`,
		`job.events_old`, `job.events_old.partition["` + thursday + `"]`, `job.events_old.partition["` + friday + `"]`,
	}
	if diff := cmp.Diff(want, listed(s)); diff != "" {
		t.Errorf("the listed addresses differ (-want +got):\n%s", diff)
	}
	if got := state.New().List(); len(got) != 0 {
		t.Errorf("a new state lists %v", got)
	}
}

func TestMove(t *testing.T) {
	s := instances()
	want := instances()
	want.Lineage = s.Lineage
	want.Jobs[`job.events["old"]`] = want.Jobs["job.events_old"]
	delete(want.Jobs, "job.events_old")
	if err := s.Move("job.events_old", `job.events["old"]`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("the resulting state differs (-want +got):\n%s", diff)
	}
}

func TestMoveRefuses(t *testing.T) {
	for _, test := range []struct{ from, to, contains string }{
		{"job.gone", "job.new", `it has job.events["north"], job.events["south"], job.events_old`},
		{"job.events_old", `job.events["north"]`, "has a job"},
		{"job.events_old", "job.events_old", "has a job"},
		{"events_old", "job.new", "is not an address"},
		{"job.events_old", "new", "is not an address"},
		{"job.events_old", `job.new.partition["a"]`, "only jobs can be moved"},
		{"job.events_old", `job.new["\u0061"]`, `as job.new["a"]; use that form`},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			s := instances()
			want := s.Clone()
			err := s.Move(test.from, test.to)
			if err == nil || !strings.Contains(err.Error(), test.contains) {
				t.Errorf("Move returned %v, want an error that contains %q", err, test.contains)
			}
			if errors.Is(err, state.ErrNoAddress) != (test.from == "job.gone") {
				t.Errorf("the error has the wrong kind: %v", err)
			}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Errorf("the state has changed:\n%s", diff)
			}
		})
	}
}

func TestForget(t *testing.T) {
	for _, test := range []struct {
		address string
		keep    func(address string) bool
	}{
		{"job.events_old", func(a string) bool { return !strings.HasPrefix(a, "job.events_old") }},
		{`job.events["north"]`, func(a string) bool { return !strings.HasPrefix(a, `job.events["north"]`) }},
		{"job.events", func(a string) bool { return strings.HasPrefix(a, "job.events_old") }},
		{`job.events["north"].partition["` + thursday + `"]`,
			func(a string) bool { return a != `job.events["north"].partition["`+thursday+`"]` }},
	} {
		t.Run(test.address, func(t *testing.T) {
			s := instances()
			want := slices.DeleteFunc(listed(s), func(a string) bool { return !test.keep(a) })
			if err := s.Forget(test.address); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, listed(s)); diff != "" {
				t.Errorf("the remaining addresses differ (-want +got):\n%s", diff)
			}
			if err := s.Forget(test.address); !errors.Is(err, state.ErrNoAddress) {
				t.Errorf("the second Forget returned %v", err)
			}
		})
	}
	for address, contains := range map[string]string{
		"job.gone": "job.events_old", "events_old": "is not an address",
		`job.events.partition["` + thursday + `"]`: "no such address", // this address has no instance
		`job.events_old.partition["gone"]`:         "no such address",
	} {
		s := instances()
		want := s.Clone()
		if err := s.Forget(address); err == nil || !strings.Contains(err.Error(), contains) {
			t.Errorf("Forget(%s) returned %v, want an error that contains %q", address, err, contains)
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("the state has changed:\n%s", diff)
		}
	}
}

// A forgotten partition is no longer pending, so that the next run does not complete
// it, and its obsolete files are not deleted.
func TestForgetPending(t *testing.T) {
	s := state.New()
	s.Job("job.a").TableName = "a"
	sink := s.Job("job.a").Sink("sink.b")
	sink.Obsolete = map[string]state.Object{"a/" + thursday + "/part-00000-x.parquet": {}, "a/" + friday + "/part-00000-x.parquet": {}}
	sink.Pending = &state.Pending{Partitions: map[string]state.Partition{thursday: partition(1, 1), friday: partition(1, 1)}}
	for i, path := range []string{thursday, friday} {
		if err := s.Forget(`job.a.partition["` + path + `"]`); err != nil {
			t.Fatal(err)
		}
		if left := sink.Pending != nil; left != (i == 0) {
			t.Errorf("after %d partitions, %+v is pending", i+1, sink.Pending)
		}
		if len(sink.Obsolete) != 1-i {
			t.Errorf("after %d partitions, %v are obsolete", i+1, sink.Obsolete)
		}
	}
}

func TestEmpty(t *testing.T) {
	for _, test := range []struct {
		name  string
		owns  func(*state.Sink)
		empty bool
	}{
		{"nothing", func(*state.Sink) {}, true},
		{"a partition", func(s *state.Sink) { s.Partitions["p"] = partition(1, 1) }, false},
		{"a quarantine", func(s *state.Sink) { s.Quarantine = quarantine(1, 1) }, false},
		{"something pending", func(s *state.Sink) { s.Pending = &state.Pending{} }, false},
	} {
		s := state.New()
		if !s.Empty() {
			t.Error("a new state is not empty")
		}
		test.owns(s.Job("job.a").Sink("sink.b"))
		if got := s.Empty(); got != test.empty {
			t.Errorf("a state that owns %s: empty is %v", test.name, got)
		}
	}
}

// The accepted schema is that of the lock or, if the lock does not have the job, the
// published one.
func TestAccepted(t *testing.T) {
	published, locked := schemas.KnockEvents(), table("data.sentiment")
	s := state.New()
	s.Job("job.a").SchemaFingerprint = published.Fingerprint()
	s.Job("job.a").Schemas = map[string]schemas.Table{published.Fingerprint(): published, locked.Fingerprint(): locked}
	s.Job("job.b").SchemaFingerprint = "of an older state"
	for _, test := range []struct {
		name, address string
		lock          schemas.Lock
		want          string
	}{
		{"published", "job.a", nil, published.Fingerprint()},
		{"locked", "job.a", schemas.Lock{"job.a": locked}, locked.Fingerprint()},
		{"another is locked", "job.a", schemas.Lock{"job.b": locked}, published.Fingerprint()},
		{"published, but unknown", "job.b", nil, ""},
		{"neither", "job.c", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := s.Accepted(test.address, test.lock)
			if ok != (test.want != "") || ok && got.Fingerprint() != test.want {
				t.Errorf("Accepted returned %t and %s", ok, got.Fingerprint())
			}
		})
	}
}
