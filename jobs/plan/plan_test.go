package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/state"
)

const bucket = "sink.gcs.lake"

// sinkWith returns a refreshed sink with a TEXT@GENERATION for each partition.
// "!@7" is a damaged object with generation 7.
func sinkWith(partitions map[string]string) *plan.Refreshed {
	r := &plan.Refreshed{Sink: state.Sink{Partitions: make(map[string]state.Partition)}, Damaged: make(map[string]string)}
	for path, s := range partitions {
		key := plan.Key(job, path)
		if text, generation := parse(s); text == "!" {
			r.Damaged[key] = generation
		} else {
			r.Partitions[path] = partitionOf(key, s)
		}
	}
	return r
}

// outcome returns the outcome of a partition that will have the text, or no
// rows if it is "". The staged file is longer than the text, because files with
// the same rows may differ in size.
func outcome(path, text string) plan.Outcome {
	if text == "" {
		return plan.Outcome{Partition: path}
	}
	p := partitionOf("", text)
	return plan.Outcome{
		Partition: path, Rows: plan.Rows{After: p.Rows}, Content: p.Content,
		Staged: []*plan.Staged{{Path: "staged/" + text, Rows: p.Rows, Content: p.Content, Size: p.Size() + 100, CRC32C: p.Files[0].CRC32C}},
	}
}

func TestChanges(t *testing.T) {
	key := plan.Key(job, day)
	for _, test := range []struct {
		name          string
		first, second string // the partition in the sinks, or ""
		after         string
		action        plan.Action
		before, size  int64
		writes        []plan.Write
	}{
		{"no rows before and after", "", "", "", plan.NoOp, 0, 0, nil},
		{"create", "", "", "B", plan.Create, 0, 101, []plan.Write{
			{Sink: lake, Action: plan.Create, Key: key}, {Sink: bucket, Action: plan.Create, Key: key}}},
		{"update", "A@1", "A@2", "BB", plan.Update, 1, 102, []plan.Write{
			{Sink: lake, Action: plan.Update, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Update, Key: key, Generation: "2"}}},
		{"delete", "A@1", "A@2", "", plan.Delete, 1, 0, []plan.Write{
			{Sink: lake, Action: plan.Delete, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Delete, Key: key, Generation: "2"}}},
		{"no-op", "A@1", "A@2", "A", plan.NoOp, 1, 1, nil},

		{"the first sink lacks it", "", "A@2", "A", plan.Update, 0, 101, []plan.Write{{Sink: lake, Action: plan.Create, Key: key}}},
		{"the second sink lacks it", "A@1", "", "A", plan.Update, 1, 1, []plan.Write{{Sink: bucket, Action: plan.Create, Key: key}}},
		{"the second sink is behind", "AA@1", "A@2", "AA", plan.Update, 2, 2, []plan.Write{{Sink: bucket, Action: plan.Update, Key: key, Generation: "2"}}},
		{"the second sink is ahead", "A@1", "BB@2", "BB", plan.Update, 1, 102, []plan.Write{{Sink: lake, Action: plan.Update, Key: key, Generation: "1"}}},
		{"update, and the second sink lacks it", "A@1", "", "B", plan.Update, 1, 101, []plan.Write{
			{Sink: lake, Action: plan.Update, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Create, Key: key}}},
		{"delete, and the second sink lacks it", "A@1", "", "", plan.Delete, 1, 0, []plan.Write{{Sink: lake, Action: plan.Delete, Key: key, Generation: "1"}}},
		{"delete, and the first sink lacks it", "", "A@2", "", plan.Delete, 0, 0, []plan.Write{{Sink: bucket, Action: plan.Delete, Key: key, Generation: "2"}}},

		{"damaged in both", "!@1", "!@2", "A", plan.Create, 0, 101, []plan.Write{
			{Sink: lake, Action: plan.Create, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Create, Key: key, Generation: "2"}}},
		{"damaged in the second", "A@1", "!@2", "A", plan.Update, 1, 1, []plan.Write{{Sink: bucket, Action: plan.Create, Key: key, Generation: "2"}}},
		{"update, and damaged in the first", "!@1", "A@2", "B", plan.Update, 0, 101, []plan.Write{
			{Sink: lake, Action: plan.Create, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Update, Key: key, Generation: "2"}}},
		{"delete, and damaged in the second", "A@1", "!@2", "", plan.Delete, 1, 0, []plan.Write{
			{Sink: lake, Action: plan.Delete, Key: key, Generation: "1"}, {Sink: bucket, Action: plan.Delete, Key: key, Generation: "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prior := map[string]*plan.Refreshed{lake: sinkWith(nil), bucket: sinkWith(nil)}
			for sink, holds := range map[string]string{lake: test.first, bucket: test.second} {
				if holds != "" {
					prior[sink] = sinkWith(map[string]string{day: holds})
				}
			}
			o := outcome(day, test.after)
			want := plan.Change{
				Partition: day, Action: test.action, Rows: o.Rows, Before: test.before, After: test.size, Writes: test.writes,
			}
			if len(test.writes) > 0 {
				want.Staged = o.Staged
			}
			got := plan.Changes(job, []string{lake, bucket}, prior, []plan.Outcome{o})
			if diff := cmp.Diff([]plan.Change{want}, got); diff != "" {
				t.Errorf("the change differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Each partition has one change, and the changes are in the order of the
// partitions.
func TestChangesOfMany(t *testing.T) {
	sink := sinkWith(map[string]string{"p=1": "A@1", "p=2": "B@2", "p=4": "D@4"})
	got := plan.Changes(job, []string{lake}, map[string]*plan.Refreshed{lake: sink}, []plan.Outcome{
		outcome("p=4", ""), outcome("p=2", "BB"), outcome("p=3", "C"), outcome("p=1", "A"),
	})
	var actions []string
	for _, c := range got {
		actions = append(actions, c.Partition+" "+string(c.Action))
	}
	if want := []string{"p=1 no-op", "p=2 update", "p=3 create", "p=4 delete"}; !slices.Equal(actions, want) {
		t.Errorf("the changes are %q, want %q", actions, want)
	}
	p := plan.Plan{Jobs: []plan.Job{{Output: plan.Output{Changes: got}}}}
	if got, want := p.Summary(), (plan.Summary{Add: 1, Change: 1, Destroy: 1}); got != want {
		t.Errorf("the summary is %+v, want %+v", got, want)
	}
}

// A new sink gets all partitions. Nothing is written to a sink that already has
// them.
func TestChangesOfNewSink(t *testing.T) {
	prior := map[string]*plan.Refreshed{lake: sinkWith(map[string]string{"p=1": "A@1", "p=2": "B@2"}), bucket: sinkWith(nil)}
	outcomes := []plan.Outcome{outcome("p=1", "A"), outcome("p=2", "B")}
	for _, c := range plan.Changes(job, []string{lake, bucket}, prior, outcomes) {
		want := []plan.Write{{Sink: bucket, Action: plan.Create, Key: plan.Key(job, c.Partition)}}
		if c.Action != plan.Update || !slices.Equal(c.Writes, want) {
			t.Errorf("%s: %s, %+v, want %+v", c.Partition, c.Action, c.Writes, want)
		}
	}
	for _, c := range plan.Changes(job, []string{lake}, prior, outcomes) { // without the new sink
		if c.Action != plan.NoOp || c.Writes != nil || c.Staged != nil {
			t.Errorf("%s: %+v", c.Partition, c)
		}
	}
}

func TestNeeds(t *testing.T) {
	sink := &sinkWith(map[string]string{"p=1": "A@1"}).Sink
	a, b := outcome("", "A").Content, outcome("", "B").Content
	for _, test := range []struct {
		name, partition string
		after           int64
		b               bool // whether the rows are those of b instead of a
		schema          string
		want            bool
	}{
		{"the same", "p=1", 1, false, "", false},
		{"other rows", "p=1", 1, true, "", true},
		{"the same rows of another table", "p=1", 1, false, "other", true},
		{"no rows", "p=1", 0, false, "", true},
		{"lacking", "p=2", 1, false, "", true},
		{"lacking, and no rows", "p=2", 0, false, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := a
			if test.b {
				content = b
			}
			o := plan.Outcome{Partition: test.partition, Rows: plan.Rows{After: test.after}, Content: content, SchemaFingerprint: test.schema}
			if got := plan.Needs(sink, o); got != test.want {
				t.Errorf("Needs returned %t", got)
			}
		})
	}
}

// A foreign object is in the way only if a change would create an object in the
// same sink at the same key.
func TestInTheWay(t *testing.T) {
	write := func(sink, path string, action plan.Action) plan.Write {
		return plan.Write{Sink: sink, Action: action, Key: plan.Key(job, path)}
	}
	changes := []plan.Change{
		{Partition: "p=1", Action: plan.Create, Writes: []plan.Write{write(lake, "p=1", plan.Create), write(bucket, "p=1", plan.Create)}},
		{Partition: "p=2", Action: plan.Update, Writes: []plan.Write{write(lake, "p=2", plan.Update)}},
		{Partition: "p=3", Action: plan.NoOp},
		{Partition: "p=4", Action: plan.Update, Writes: []plan.Write{write(bucket, "p=4", plan.Create)}},
	}
	drift := func(sink, path string, kind plan.DriftKind) plan.Drift {
		return plan.Drift{Sink: sink, Key: plan.Key(job, path), Kind: kind}
	}
	for _, test := range []struct {
		name     string
		drift    plan.Drift
		inTheWay bool
	}{
		{"created", drift(bucket, "p=1", plan.Foreign), true},
		{"created in one sink of two", drift(bucket, "p=4", plan.Foreign), true},
		{"in another sink", drift(lake, "p=4", plan.Foreign), false},
		{"nothing is written there", drift(lake, "p=3", plan.Foreign), false},
		{"in a partition that does not change", drift(lake, "p=5", plan.Foreign), false},
		{"updated", drift(lake, "p=2", plan.Foreign), false},
		{"modified", drift(lake, "p=1", plan.Modified), false},
		{"deleted", drift(lake, "p=1", plan.Deleted), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan.InTheWay(changes, []plan.Drift{drift(lake, "p=9", plan.Foreign), test.drift})
			var want []plan.Drift
			if test.inTheWay {
				want = []plan.Drift{test.drift}
			}
			if !slices.Equal(got, want) {
				t.Errorf("InTheWay returned %v, want %v", got, want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	changes := func(actions ...plan.Action) (out []plan.Change) {
		for _, a := range actions {
			out = append(out, plan.Change{Action: a})
		}
		return out
	}
	for _, test := range []struct {
		name string
		jobs []plan.Job
		want plan.Summary
	}{
		{"no jobs", nil, plan.Summary{}},
		{"no changes", []plan.Job{{Output: plan.Output{Changes: changes(plan.NoOp, plan.NoOp)}}, {}}, plan.Summary{}},
		{"one job", []plan.Job{{Output: plan.Output{Changes: changes(plan.Create, plan.Update, plan.Create, plan.NoOp, plan.Delete, plan.Create)}}}, plan.Summary{Add: 3, Change: 1, Destroy: 1}},
		{"two jobs", []plan.Job{{Output: plan.Output{Changes: changes(plan.Create)}}, {Output: plan.Output{Changes: changes(plan.Create, plan.Delete)}}}, plan.Summary{Add: 2, Destroy: 1}},
		{"a new quarantine", []plan.Job{{Output: plan.Output{Quarantine: &plan.Quarantine{After: 2}}}}, plan.Summary{Add: 1}},
		{"a changed quarantine", []plan.Job{{Output: plan.Output{Quarantine: &plan.Quarantine{Before: 2, After: 2}}}}, plan.Summary{Change: 1}},
		{"a deleted quarantine", []plan.Job{{Output: plan.Output{Changes: changes(plan.Delete), Quarantine: &plan.Quarantine{Before: 2}}}}, plan.Summary{Destroy: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := (&plan.Plan{Jobs: test.jobs}).Summary()
			if got != test.want || got.Empty() != (test.want == plan.Summary{}) {
				t.Errorf("the summary is %+v, empty: %t, want %+v", got, got.Empty(), test.want)
			}
		})
	}
}

func TestBooks(t *testing.T) {
	balanced := plan.Books{Events: 31, Added: 1, Changed: 2, Unchanged: 4, Duplicates: 8, Quarantined: 16}
	for name, b := range map[string]plan.Books{"of nothing": {}, "of every kind": balanced} {
		if err := b.Check(); err != nil {
			t.Errorf("the books %s do not add up: %v", name, err)
		}
	}
	for name, change := range map[string]func(*plan.Books){
		"one more event":       func(b *plan.Books) { b.Events++ },
		"one less event":       func(b *plan.Books) { b.Events-- },
		"one more added":       func(b *plan.Books) { b.Added++ },
		"one less added":       func(b *plan.Books) { b.Added-- },
		"one more changed":     func(b *plan.Books) { b.Changed++ },
		"one less changed":     func(b *plan.Books) { b.Changed-- },
		"one more unchanged":   func(b *plan.Books) { b.Unchanged++ },
		"one less unchanged":   func(b *plan.Books) { b.Unchanged-- },
		"one more duplicate":   func(b *plan.Books) { b.Duplicates++ },
		"one less duplicate":   func(b *plan.Books) { b.Duplicates-- },
		"one more quarantined": func(b *plan.Books) { b.Quarantined++ },
		"one less quarantined": func(b *plan.Books) { b.Quarantined-- },
	} {
		t.Run(name, func(t *testing.T) {
			b := balanced
			change(&b)
			if err := b.Check(); err == nil || !strings.Contains(err.Error(), "do not add up") {
				t.Errorf("Check of %+v returned %v", b, err)
			}
		})
	}
}

// The keys of objects are part of the lake's format.
func TestKeys(t *testing.T) {
	if got, want := plan.Key(job, day), "events/event_date=2022-01-13/part-00000.parquet"; got != want {
		t.Errorf("the key of a partition is %s, want %s", got, want)
	}
	if got, want := plan.QuarantineKey(job), ".prospector/quarantine/events.jsonl"; got != want {
		t.Errorf("the key of the quarantine is %s, want %s", got, want)
	}
	if prefix := plan.TablePrefix(job); !strings.HasPrefix(plan.Key(job, day), prefix) || strings.HasPrefix(plan.QuarantineKey(job), prefix) {
		t.Errorf("the table's prefix is %s", prefix)
	}
}

func TestPartitions(t *testing.T) {
	got := plan.Partitions(map[string]*plan.Refreshed{
		lake:   sinkWith(map[string]string{"p=3": "A@1", "p=1": "A@2", "p=4": "!@3"}),
		bucket: sinkWith(map[string]string{"p=2": "A@1", "p=1": "A@2"}),
	})
	if want := []string{"p=1", "p=2", "p=3"}; !slices.Equal(got, want) {
		t.Errorf("the partitions are %q, want %q", got, want)
	}
}
