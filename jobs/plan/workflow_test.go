package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/state"
)

var both = map[string]*plan.Refreshed{
	lake:   sinkWith(map[string]string{"p=1": "A@1", "p=2": "B@2", "p=3": "!@3"}),
	bucket: sinkWith(map[string]string{"p=1": "A@4"}),
}

// A replaced partition is written even if its rows are the same, and created in
// sinks that do not have it.
func TestReplace(t *testing.T) {
	replaced := func(path, text string) plan.Outcome {
		o := outcome(path, text)
		o.Replace = true
		return o
	}
	changes := plan.Changes(job, []string{lake, bucket}, both, []plan.Outcome{replaced("p=1", "A"), replaced("p=9", "C")})
	if c := changes[0]; c.Action != plan.Replace || len(c.Writes) != 2 || c.Writes[0].Action != plan.Update || c.Writes[0].Generation != "1" || c.Staged == nil {
		t.Errorf("p=1: %+v", c)
	}
	if c := changes[1]; c.Action != plan.Create || len(c.Writes) != 2 {
		t.Errorf("p=9: %+v", c)
	}
	p := plan.Plan{Jobs: []plan.Job{{Output: plan.Output{Changes: changes}}}}
	if got := p.Summary(); got != (plan.Summary{Add: 2, Destroy: 1}) {
		t.Errorf("the summary is %+v", got)
	}
}

// A destruction deletes every object of the table in every sink, damaged or
// not, and plans no deletion of a missing object.
func TestDestruction(t *testing.T) {
	changes := plan.Destruction(job, []string{lake, bucket}, both, []string{"p=1", "p=2", "p=3", "p=4"})
	var got []string
	for _, c := range changes {
		for _, w := range c.Writes {
			got = append(got, strings.Join([]string{string(c.Action), string(w.Action), w.Sink, w.Key, w.Generation}, " "))
		}
	}
	want := []string{
		"delete delete " + lake + " " + plan.Key(job, "p=1") + " 1",
		"delete delete " + bucket + " " + plan.Key(job, "p=1") + " 4",
		"delete delete " + lake + " " + plan.Key(job, "p=2") + " 2",
		"delete delete " + lake + " " + plan.Key(job, "p=3") + " 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the writes differ (-want +got):\n%s", diff)
	}
	if c := changes[3]; c.Action != plan.NoOp {
		t.Errorf("p=4: %+v", c)
	}
}

func TestDestroyQuarantine(t *testing.T) {
	key := plan.QuarantineKey(job)
	intact, damaged, none := sinkWith(nil), sinkWith(nil), sinkWith(nil)
	intact.Quarantine = &state.Quarantine{Events: 3, Object: state.Object{Key: key, Generation: "1"}}
	damaged.Damaged[key] = "2"
	if q := plan.DestroyQuarantine(job, []string{lake}, map[string]*plan.Refreshed{lake: none}); q != nil {
		t.Errorf("without a quarantine: %+v", q)
	}
	got := plan.DestroyQuarantine(job, []string{"a", "b", "c"}, map[string]*plan.Refreshed{"a": intact, "b": damaged, "c": none})
	want := &plan.Quarantine{Before: 3, Writes: []plan.Write{
		{Sink: "a", Action: plan.Delete, Key: key, Generation: "1"}, {Sink: "b", Action: plan.Delete, Key: key, Generation: "2"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the writes differ (-want +got):\n%s", diff)
	}
}

// The obsolete files of a rewrite are deleted, except for those that the
// changes replace.
func TestObsolete(t *testing.T) {
	old, taken := plan.Key(job, "q=1"), plan.Key(job, "p=1")
	prior := &state.Sink{
		Partitions: map[string]state.Partition{"p=2": partitionOf(plan.Key(job, "p=2"), "B@2")},
		Obsolete: map[string]state.Object{
			old: objectOf(old, "A", "1"), taken: objectOf(taken, "C", "3"),
			"events/gone": objectOf("events/gone", "D", "4"), "events/changed": objectOf("events/changed", "E", "5"),
		},
	}
	seen := held{old: "A@1", taken: "C@3", plan.Key(job, "p=2"): "B@2", "events/changed": "X@9"}
	r := refresh(t, lake, prior, seen)
	if want := []plan.Drift{{Sink: lake, Key: "events/changed", Kind: plan.Modified}}; !slices.Equal(want, r.Drift) {
		t.Errorf("the drift is %v", r.Drift)
	}
	if len(r.Foreign) > 0 {
		t.Errorf("obsolete files count as foreign: %v", r.Foreign)
	}
	j := plan.Job{Sinks: []string{lake}, Found: plan.Found{Prior: map[string]*plan.Refreshed{lake: r}}}
	j.Output.Changes = plan.Changes(job, j.Sinks, j.Found.Prior, []plan.Outcome{outcome("p=1", "Z")})
	if w := j.Output.Changes[0].Writes; len(w) != 1 || w[0].Generation != "3" {
		t.Errorf("the write that replaces the obsolete file is %+v", w)
	}
	want := []plan.Write{
		{Sink: lake, Action: plan.Delete, Key: "events/changed", Generation: "9"},
		{Sink: lake, Action: plan.Delete, Key: old, Generation: "1"},
	}
	if diff := cmp.Diff(want, j.DeleteObsolete()); diff != "" {
		t.Errorf("the writes differ (-want +got):\n%s", diff)
	}
}

func TestDeleteForeign(t *testing.T) {
	r := refresh(t, lake, &state.Sink{}, held{"events/b": "B@2", "events/a": "A@1", "other/c": "C@3"})
	want := []plan.Write{
		{Sink: lake, Action: plan.Delete, Key: "events/a", Generation: "1"},
		{Sink: lake, Action: plan.Delete, Key: "events/b", Generation: "2"},
	}
	if diff := cmp.Diff(want, plan.DeleteForeign([]string{lake}, map[string]*plan.Refreshed{lake: r})); diff != "" {
		t.Errorf("the writes differ (-want +got):\n%s", diff)
	}
}

func TestListCompare(t *testing.T) {
	words := strings.Fields
	for _, test := range []struct{ before, after, added, removed string }{
		{"", "", "", ""},
		{"", "a b", "a b", ""},
		{"a b", "", "", "a b"},
		{"a b c", "a b c", "", ""},
		{"a c e", "b c d e f", "b d f", "a"},
		{"b", "a c", "a c", "b"},
	} {
		var l plan.List
		l.Compare(words(test.before), words(test.after))
		if !l.Known || !slices.Equal(l.AddedIDs, words(test.added)) || !slices.Equal(l.RemovedIDs, words(test.removed)) ||
			l.Added != int64(len(words(test.added))) || l.Removed != int64(len(words(test.removed))) {
			t.Errorf("%q to %q: %+v", test.before, test.after, l)
		}
	}
	var many plan.List
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strings.Repeat("x", i+1)
	}
	if many.Compare(nil, ids); many.Added != 1000 || len(many.AddedIDs) != 20 {
		t.Errorf("of many IDs, %d are counted and %d listed", many.Added, len(many.AddedIDs))
	}
}

// Only changes of objects that it depends on make a plan outdated.
func TestOutdated(t *testing.T) {
	prior := &state.Sink{Partitions: map[string]state.Partition{"p=1": partitionOf(plan.Key(job, "p=1"), "A@1"), "p=2": partitionOf(plan.Key(job, "p=2"), "B@2")}}
	before := held{plan.Key(job, "p=1"): "A@1", plan.Key(job, "p=2"): "B@2", "events/foreign": "F@3"}
	made := plan.Job{Sinks: []string{lake}, Found: plan.Found{Prior: map[string]*plan.Refreshed{lake: refresh(t, lake, prior, before)}}}
	made.Output.Changes = plan.Changes(job, made.Sinks, made.Found.Prior, []plan.Outcome{outcome("p=9", "Z")})
	for _, test := range []struct {
		name   string
		change func(held)
		want   string // the key that has changed, or ""
	}{
		{"nothing", func(held) {}, ""},
		{"deleted", func(h held) { delete(h, plan.Key(job, "p=1")) }, plan.Key(job, "p=1")},
		{"modified", func(h held) { h[plan.Key(job, "p=2")] = "X@7" }, plan.Key(job, "p=2")},
		{"rewritten with the same bytes", func(h held) { h[plan.Key(job, "p=2")] = "B@7" }, plan.Key(job, "p=2")},
		{"another foreign object", func(h held) { h["events/more"] = "F@8" }, ""},
		{"a foreign object changed", func(h held) { h["events/foreign"] = "G@8" }, ""},
		{"a foreign object at the key of a new file", func(h held) { h[plan.Key(job, "p=9")] = "G@8" }, plan.Key(job, "p=9")},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := held{}
			for key, s := range before {
				now[key] = s
			}
			test.change(now)
			got := made.Outdated(map[string]*plan.Refreshed{lake: refresh(t, lake, prior, now)})
			var keys []string
			for _, d := range got {
				keys = append(keys, d.Key)
			}
			if strings.Join(keys, " ") != test.want {
				t.Errorf("Outdated returned %v, want %q", got, test.want)
			}
		})
	}
}
