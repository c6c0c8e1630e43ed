package plan_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// inParts returns the state of a partition with a file for each
// TEXT@GENERATION. Each byte of a text is a row. The files have the names that
// Keys returns. A leading "-" makes it a pending deletion.
func inParts(words string) (p state.Partition) {
	deletion := strings.HasPrefix(words, "-")
	var staged []*plan.Staged
	files := strings.Fields(strings.TrimPrefix(words, "-"))
	for _, s := range files {
		text, _ := parse(s)
		staged = append(staged, &plan.Staged{Rows: int64(len(text)), Content: digest(text)})
	}
	for i, key := range plan.Keys(job, day, staged) {
		text, generation := parse(files[i])
		f := state.File{Rows: staged[i].Rows, Content: staged[i].Content, Object: objectOf(key, text, generation)}
		if deletion {
			f = state.File{Object: state.Object{Key: key}}
		}
		p.Rows, p.Content, p.Files = p.Rows+f.Rows, p.Content.Add(f.Content), append(p.Files, f)
	}
	return p
}

// nth returns the partition reduced to the files with those indexes.
func nth(words string, files ...int) state.Partition {
	p := inParts(words)
	return p.Only(func(f state.File) bool {
		return slices.Contains(files, slices.IndexFunc(p.Files, func(g state.File) bool { return f.Key == g.Key }))
	})
}

// For a partition with several files, the published files are current until all
// pending files exist.
func TestRefreshParts(t *testing.T) {
	for _, test := range []struct {
		name               string
		published, pending string
		// seen are the objects in the sink, at the keys of the published files
		// and then of the pending ones: "=" is the file, "" is no object, and
		// anything else is another object.
		seen       []string
		kept       state.Partition
		broken     state.Partition
		obsolete   []string // the texts
		drift      []plan.DriftKind
		unfinished bool
		lost       int64
		adopted    int
	}{
		{name: "intact", published: "A@1 B@2", seen: []string{"=", "="}, kept: inParts("A@1 B@2")},
		{name: "one deleted", published: "A@1 B@2 CC@3", seen: []string{"=", "=", ""},
			broken: nth("A@1 B@2 CC@3", 0, 1), drift: []plan.DriftKind{plan.Deleted}, lost: 2},
		{name: "one modified", published: "A@1 B@2 C@3", seen: []string{"=", "x@9", "="},
			broken: inParts("A@1 B@2 C@3"), drift: []plan.DriftKind{plan.Modified}, lost: 1},
		{name: "all deleted", published: "A@1 B@2", seen: []string{"", ""}, drift: []plan.DriftKind{plan.Deleted, plan.Deleted}, lost: 2},

		{name: "update not begun", published: "A@1 B@2", pending: "C D", seen: []string{"=", "=", "", ""}, kept: inParts("A@1 B@2"), unfinished: true},
		{name: "update half-done", published: "A@1 B@2", pending: "C D", seen: []string{"=", "=", "=", ""},
			kept: inParts("A@1 B@2"), unfinished: true, obsolete: []string{"C"}},
		{name: "all new ones written", published: "A@1 B@2", pending: "C D", seen: []string{"=", "=", "=", "="},
			kept: inParts("C@7 D@7"), obsolete: []string{"A", "B"}, adopted: 1},
		{name: "some old ones deleted", published: "A@1 B@2", pending: "C D", seen: []string{"", "=", "=", "="},
			kept: inParts("C@7 D@7"), obsolete: []string{"B"}, adopted: 1},
		{name: "all old ones deleted", published: "A@1 B@2", pending: "C D", seen: []string{"", "", "=", "="}, kept: inParts("C@7 D@7"), adopted: 1},
		{name: "from one file", published: "A@1", pending: "C D", seen: []string{"=", "=", "="},
			kept: inParts("C@7 D@7"), obsolete: []string{"A"}, adopted: 1},
		{name: "to one file", published: "C@1 D@2", pending: "A", seen: []string{"=", "=", "="},
			kept: inParts("A@7"), obsolete: []string{"C", "D"}, adopted: 1},
		{name: "update half-done, and an old one deleted", published: "A@1 B@2", pending: "C D", seen: []string{"=", "", "=", ""},
			broken: nth("A@1 B@2", 0), drift: []plan.DriftKind{plan.Deleted}, unfinished: true, lost: 1, obsolete: []string{"C"}},
		{name: "update half-done, and the new one modified", published: "A@1 B@2", pending: "C D", seen: []string{"=", "=", "x@9", ""},
			kept: inParts("A@1 B@2"), drift: []plan.DriftKind{plan.Modified}, unfinished: true, obsolete: []string{"x"}},

		// A change that only deletes files may not have started: the rows in
		// the files may move to another partition.
		{name: "fewer files, not begun", published: "A@1 B@2 C@3", pending: "A@1 B@2", seen: []string{"=", "=", "="},
			kept: inParts("A@1 B@2 C@3"), unfinished: true},
		{name: "fewer files, done", published: "A@1 B@2 C@3", pending: "A@1 B@2", seen: []string{"=", "=", ""}, kept: inParts("A@1 B@2"), adopted: 1},
		{name: "fewer files, half-done", published: "A@1 B@2 C@3 D@4", pending: "A@1 B@2", seen: []string{"=", "=", "", "="},
			kept: nth("A@1 B@2 C@3 D@4", 0, 1, 3), unfinished: true},
		{name: "fewer files, half-done, and another one deleted", published: "A@1 B@2 C@3 D@4", pending: "A@1 B@2", seen: []string{"=", "", "", "="},
			broken: nth("A@1 B@2 C@3 D@4", 0, 3), drift: []plan.DriftKind{plan.Deleted}, unfinished: true, lost: 1},
		{name: "one file more, done", published: "A@1 B@2", pending: "A@1 B@2 C", seen: []string{"=", "=", "", "", "="},
			kept: inParts("A@1 B@2 C@7"), adopted: 1},

		{name: "deletion not begun", published: "A@1 B@2", pending: "-A B", seen: []string{"=", "="}, kept: inParts("A@1 B@2"), unfinished: true},
		{name: "deletion half-done", published: "A@1 B@2", pending: "-A B", seen: []string{"", "="}, kept: nth("A@1 B@2", 1), unfinished: true},
		{name: "deletion done", published: "A@1 B@2", pending: "-A B", seen: []string{"", ""}, adopted: 1},
		{name: "deletion half-done, and the other modified", published: "A@1 B@2", pending: "-A B", seen: []string{"", "x@9"},
			broken: nth("A@1 B@2", 1), drift: []plan.DriftKind{plan.Modified}, lost: 1},

		{name: "creation half-done", pending: "A B", seen: []string{"=", ""}, obsolete: []string{"A"}},
		{name: "creation done", pending: "A B", seen: []string{"=", "="}, kept: inParts("A@7 B@7"), adopted: 1},
		{name: "creation half-done, and another object", pending: "A B", seen: []string{"=", "x@9"},
			broken: nth("A B", 1), obsolete: []string{"A"}, drift: []plan.DriftKind{plan.Modified}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prior := &state.Sink{Partitions: make(map[string]state.Partition)}
			objects, texts := held{}, make(map[string]string)
			seen := test.seen
			put := func(p state.Partition, words string, generation string) {
				for i, f := range p.Files {
					if len(seen) == 0 {
						return
					}
					text, own := parse(strings.Fields(words)[i])
					if own == "" {
						own = generation
					}
					switch is := seen[0]; {
					case is == "=":
						objects[f.Key] = text + "@" + own
					case is != "":
						objects[f.Key] = is
					}
					seen = seen[1:]
				}
			}
			if test.published != "" {
				prior.Partitions[day] = inParts(test.published)
				put(prior.Partitions[day], test.published, "7")
			}
			if test.pending != "" {
				next := inParts(test.pending)
				prior.Pending = &state.Pending{Partitions: map[string]state.Partition{day: next}}
				put(next, strings.TrimPrefix(test.pending, "-"), "7")
			}
			for key, s := range objects {
				texts[key], _ = parse(s)
			}
			got := refresh(t, lake, prior, objects)
			check := func(what string, want, got state.Partition) {
				if diff := cmp.Diff(want, got, same); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			check("kept", test.kept, got.Partitions[day])
			check("broken", test.broken, got.Broken[day])
			var obsolete []string
			for _, key := range slices.Sorted(maps.Keys(got.Obsolete)) {
				obsolete = append(obsolete, texts[key])
			}
			slices.Sort(obsolete)
			if !slices.Equal(obsolete, test.obsolete) {
				t.Errorf("the obsolete files are %q, want %q", obsolete, test.obsolete)
			}
			var drift []plan.DriftKind
			for _, d := range got.Drift {
				drift = append(drift, d.Kind)
			}
			if !slices.Equal(drift, test.drift) {
				t.Errorf("the drift is %v, want %v", got.Drift, test.drift)
			}
			if _, unfinished := got.Unfinished[day]; unfinished != test.unfinished {
				t.Errorf("unfinished: %t", unfinished)
			}
			if got.Lost[day] != test.lost || got.Adopted != test.adopted {
				t.Errorf("%d rows are lost and %d changes adopted, want %d and %d", got.Lost[day], got.Adopted, test.lost, test.adopted)
			}

			// A refresh of the resulting state finds the same partition and no
			// new drift.
			next := got.State()
			again := refresh(t, lake, next, objects)
			var added []plan.Drift
			for _, d := range again.Drift {
				if !slices.Contains(got.Drift, d) {
					added = append(added, d)
				}
			}
			if len(added) > 0 {
				t.Errorf("the next refresh finds new drift: %v", added)
			}
			check("kept the next time", test.kept, again.Partitions[day])
			if again.Adopted > 0 {
				t.Errorf("the next refresh adopts the change again")
			}
		})
	}
}

// Changes writes only files that the sink does not have, and deletes files that
// the partition no longer needs.
func TestChangesOfParts(t *testing.T) {
	staged := func(texts ...string) (files []*plan.Staged) {
		for _, text := range texts {
			files = append(files, &plan.Staged{Path: text, Rows: int64(len(text)), Content: digest(text), Size: 10})
		}
		return files
	}
	key := func(i int, texts ...string) string { return plan.Keys(job, day, staged(texts...))[i] }
	for _, test := range []struct {
		name    string
		holds   string
		files   []string
		replace bool
		action  plan.Action
		want    []plan.Write
	}{
		{"new", "", []string{"A", "B"}, false, plan.Create, []plan.Write{
			{Action: plan.Create, Key: key(0, "A", "B")}, {Action: plan.Create, Key: key(1, "A", "B"), File: 1}}},
		{"another last file", "A@1 B@2", []string{"A", "C"}, false, plan.Update, []plan.Write{
			{Action: plan.Create, Key: key(1, "A", "C"), File: 1}, {Action: plan.Delete, Key: key(1, "A", "B"), Generation: "2"}}},
		{"one file more", "A@1 B@2", []string{"A", "B", "C"}, false, plan.Update, []plan.Write{{Action: plan.Create, Key: key(2, "A", "B", "C"), File: 2}}},
		{"one file less", "A@1 B@2 C@3", []string{"A", "B"}, false, plan.Update, []plan.Write{{Action: plan.Delete, Key: key(2, "A", "B", "C"), Generation: "3"}}},
		{"to one file", "A@1 B@2", []string{"AB", "C"}[:1], true, plan.Replace, []plan.Write{
			{Action: plan.Create, Key: plan.Key(job, day)}, {Action: plan.Delete, Key: key(0, "A", "B"), Generation: "1"}, {Action: plan.Delete, Key: key(1, "A", "B"), Generation: "2"}}},
		{"from one file", "AB@1", []string{"A", "C"}, false, plan.Update, []plan.Write{
			{Action: plan.Create, Key: key(0, "A", "C")}, {Action: plan.Create, Key: key(1, "A", "C"), File: 1}, {Action: plan.Delete, Key: plan.Key(job, day), Generation: "1"}}},
		{"the same rows in other files", "A@1 BC@2", []string{"AB", "C"}, false, plan.NoOp, nil},
		{"the same, replaced", "A@1 B@2", []string{"A", "B"}, true, plan.Replace, []plan.Write{
			{Action: plan.Update, Key: key(0, "A", "B"), Generation: "1"}, {Action: plan.Update, Key: key(1, "A", "B"), File: 1, Generation: "2"}}},
		{"nothing", "A@1 B@2", nil, false, plan.Delete, []plan.Write{
			{Action: plan.Delete, Key: key(0, "A", "B"), Generation: "1"}, {Action: plan.Delete, Key: key(1, "A", "B"), Generation: "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prior := map[string]*plan.Refreshed{lake: sinkWith(nil)}
			if test.holds != "" {
				prior[lake].Partitions[day] = inParts(test.holds)
			}
			o := plan.Outcome{Partition: day, Staged: staged(test.files...), Replace: test.replace}
			for _, s := range o.Staged {
				o.Rows.After, o.Content = o.Rows.After+s.Rows, o.Content.Add(s.Content)
			}
			c := plan.Changes(job, []string{lake}, prior, []plan.Outcome{o})[0]
			want := slices.Clone(test.want)
			for i := range want {
				want[i].Sink = lake
			}
			if diff := cmp.Diff(want, c.Writes); diff != "" || c.Action != test.action {
				t.Errorf("the action is %s, want %s; the writes differ (-want +got):\n%s", c.Action, test.action, diff)
			}
			if len(c.Writes) == 0 {
				return
			}
			// After the change, the partition has the rows in files that
			// existed or were written.
			j := plan.Job{TableName: job, Sinks: []string{lake}, Found: plan.Found{Prior: prior}}
			next := j.StateChange(c, lake).Next
			if next.Rows != o.Rows.After || next.Content != o.Content {
				t.Errorf("the partition has %d rows after the change, want %d", next.Rows, o.Rows.After)
			}
			for i, s := range o.Staged {
				if f := next.Files[i]; f.Rows != s.Rows || f.Content != s.Content || f.Key != plan.Keys(job, day, o.Staged)[i] {
					t.Errorf("file %d of the partition is %+v after the change", i, f)
				}
			}
		})
	}
}
