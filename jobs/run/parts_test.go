package run

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/sink/store/local"
)

// at returns an event of the 13th at an hour. All such events are in one partition.
func at(hour int, text string) string {
	return fmt.Sprintf(`{"type":"SMS_MESSAGE","createdAt":"2022-01-13T%02d:00:00Z","data":{"body":%q}}`, hour, text)
}

// fileNames returns the names of the table's files, ascending.
func (h *house) fileNames() (names []string) {
	for path := range snapshot(h, filepath.Join(h.root(), "prospect_events")) {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)
	return names
}

const inOneFile = "part-00000.parquet"

// If the number of a partition's files grows or shrinks and the apply is killed at any
// time, no published row is lost or duplicated, whether the source returns it again or
// not, and no file is left over.
func TestPartsKilled(t *testing.T) {
	few := []string{at(1, "a")}
	many := []string{at(1, "a"), at(2, "b"), at(3, "c"), at(4, "d")}
	for name, test := range map[string]struct {
		before, after []string
		target        [2]int64 // before and after
		deletes       bool     // rows that the source no longer returns are deleted
	}{
		"from one file to several":        {before: few, after: many, target: [2]int64{1, 1}},
		"more at the end":                 {before: many[:3], after: many, target: [2]int64{1, 1}},
		"more in the middle":              {before: []string{many[0], many[3]}, after: many, target: [2]int64{1, 1}},
		"more at the beginning":           {before: many[2:], after: many, target: [2]int64{1, 1}},
		"another text":                    {before: many, after: []string{many[0], at(2, "other"), many[2], many[3]}, target: [2]int64{1, 1}},
		"files of another size":           {before: many[:3], after: many, target: [2]int64{1, 0}},
		"files of another size again":     {before: many[:3], after: many, target: [2]int64{0, 1}},
		"fewer rows":                      {before: many, after: many[:2], target: [2]int64{1, 1}, deletes: true},
		"only one row":                    {before: many, after: many[:1], target: [2]int64{1, 1}, deletes: true},
		"fewer rows in another partition": {before: append(many, on(20, "x")), after: append(many[1:], on(20, "x"), on(20, "y")), target: [2]int64{1, 1}, deletes: true},
		"another partition instead":       {before: many, after: []string{on(20, "x"), on(21, "y")}, target: [2]int64{1, 1}, deletes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killed := 0
			for lives := int64(5); ; lives++ {
				h := newMortalHouse(t)
				h.job().DeleteMissing, h.job().TargetFileSize = test.deletes, test.target[0]
				h.events(test.before...)
				if err := h.run(1<<40, true); err != nil {
					t.Fatal(err)
				}
				published := h.bodies()
				h.job().TargetFileSize = test.target[1]
				h.events(test.after...)
				err := h.run(lives, lives%2 == 0)
				ended := !h.life.over()
				switch {
				case ended && err != nil:
					t.Fatal(err)
				case !ended:
					killed++
				}
				if lives%3 == 0 || test.deletes {
					h.events(test.after...)
				} else { // without the new events
					h.events(test.before[0])
				}
				if err := h.run(1<<40, true); err != nil {
					t.Fatalf("after an apply of %d operations: %v", lives, err)
				}
				got := h.bodies() // fails on duplicate IDs
				switch {
				case test.deletes:
					if want := len(test.after); len(got) != want {
						t.Errorf("after an apply of %d operations there are %q, not %d rows", lives, got, want)
					}
				case len(got) < len(published):
					t.Errorf("after an apply of %d operations there are %q of %q", lives, got, published)
				}
				h.checkUnchanged(fmt.Sprintf("after an apply of %d operations", lives))
				if ended || t.Failed() {
					break
				}
			}
			if killed < 5 {
				t.Errorf("only %d applies were killed, so the test is void", killed)
			}
		})
	}
}

// checkUnchanged fails unless the plan has no changes, no file is left over, and the second
// reader finds no problem.
func (h *mortalHouse) checkUnchanged(when string) {
	h.Helper()
	ctx, s, err := h.open(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	defer s.Close()
	h.life.left.Store(1 << 40)
	p, err := s.Plan(ctx, PlanOptions{})
	if err != nil || !p.Empty() || len(p.Jobs[0].Found.Drift) > 0 {
		h.Errorf("%s, the next plan: %v, %+v", when, err, p)
	}
	for _, sink := range s.State().Jobs["job.prospect_events"].Sinks {
		if sink.Pending != nil || sink.Obsolete != nil {
			h.Errorf("%s, changes are still pending: %+v", when, sink)
		}
	}
	if v, err := s.Verify(ctx, func(int, int) {}); err != nil || len(v.Findings) > 0 || v.Files != int64(len(h.fileNames())) {
		h.Errorf("%s, the second reader finds: %+v, %v", when, v, err)
	}
}

// If one of several files is deleted or damaged, the rows that the source returns are
// restored and no other rows are lost, even with plans of other partitions in between.
// With another sink, all rows are restored.
func TestPartsDrift(t *testing.T) {
	all := []string{at(1, "a"), at(2, "b"), at(3, "c"), at(4, "d")}
	harm := map[string]func(path string) error{
		"deleted":  os.Remove,
		"damaged":  func(path string) error { return os.Truncate(path, 30) },
		"replaced": func(path string) error { return os.WriteFile(path, []byte("PAR1 or not"), 0o600) },
	}
	between := map[string]func(*mortalHouse){
		"at once":      func(*mortalHouse) {},
		"refresh-only": func(h *mortalHouse) { h.options.Mode = plan.RefreshOnly },
		"a target": func(h *mortalHouse) {
			h.options.Targets = []jobs.Address{address(h, "job.prospect_events").WithPartition("event_type=SMS_MESSAGE/event_date=2022-01-20")}
		},
	}
	for how, harm := range harm {
		for when, between := range between {
			for sinks := 1; sinks <= 2; sinks++ {
				for _, given := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s, %s, in %d sinks, given again: %t", how, when, sinks, given), func(t *testing.T) {
						t.Parallel()
						h := newMortalHouse(t)
						h.job().TargetFileSize = 1
						if sinks == 2 {
							h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.two"}, Location: local.At(filepath.Join(h.dir, "two"))})
						}
						h.events(append(all, on(20, "x"))...)
						if err := h.run(1<<40, true); err != nil {
							t.Fatal(err)
						}
						want := h.bodies()
						names, err := filepath.Glob(filepath.Join(h.root(), "prospect_events/*/event_date=2022-01-13/part-00001-*"))
						if err != nil || len(names) != 1 {
							t.Fatalf("the second files are %q", names)
						}
						if err := harm(names[0]); err != nil {
							t.Fatal(err)
						}
						if !given {
							h.events(on(20, "x"))
						}
						if between(h); !cmp.Equal(h.options, PlanOptions{}) {
							if err := h.run(1<<40, true); err != nil {
								t.Fatal(err)
							}
							h.options = PlanOptions{}
						}
						if err := h.run(1<<40, true); err != nil {
							t.Fatal(err)
						}
						if !given && sinks == 1 {
							want = slices.DeleteFunc(want, func(body string) bool { return body == "b" })
						}
						for _, sink := range h.job().Sinks {
							if diff := cmp.Diff(want, bodiesIn(h, sink)); diff != "" {
								t.Errorf("%s has other rows (-want +got):\n%s", sink.Address, diff)
							}
						}
					})
				}
			}
		}
	}
}

func bodiesIn(h *mortalHouse, sink jobs.Sink) []string {
	other := *h.house
	config := *h.config
	config.Jobs = slices.Clone(config.Jobs)
	config.Jobs[0].Sinks = []jobs.Sink{sink}
	other.config = &config
	return other.bodies()
}

// Changing the target size does not rewrite files by itself. It applies to partitions
// that change.
func TestAnotherFileSize(t *testing.T) {
	h := newHouse(t)
	h.events(at(1, "a"), at(2, "b"), on(20, "x"), on(20, "y"))
	h.apply()
	if got := h.fileNames(); !slices.Equal(got, []string{inOneFile, inOneFile}) {
		t.Fatalf("the files are %q", got)
	}
	h.job().TargetFileSize = 1
	if p := h.apply(); !p.Empty() {
		t.Errorf("the plan is %+v", p.Summary())
	}
	h.events(at(3, "c"))
	if p := h.apply(); p.Summary() != (plan.Summary{Change: 1}) {
		t.Errorf("the plan is %+v", p.Summary())
	}
	names := h.fileNames()
	if len(names) != 4 || !slices.Contains(names, inOneFile) || !strings.HasPrefix(names[0], "part-00000-") || !strings.HasPrefix(names[3], "part-00002-") {
		t.Errorf("the files are %q", names)
	}
	// Files that do not change are not rewritten.
	before := snapshot(t, h.root())
	h.events(at(4, "d"))
	p := h.apply()
	if writes := p.Jobs[0].Output.Changes[0].Writes; len(writes) != 1 || writes[0].Action != plan.Create || writes[0].File != 3 {
		t.Errorf("the writes are %+v", writes)
	}
	after := snapshot(t, h.root())
	for path, is := range before {
		if after[path] != is {
			t.Errorf("%s was touched", path)
		}
	}
	if len(after) != len(before)+1 {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	h.job().TargetFileSize = 0
	h.options.Replace = []jobs.Address{address(h, "job.prospect_events")}
	h.apply()
	if got := h.fileNames(); !slices.Equal(got, []string{inOneFile, inOneFile}) {
		t.Errorf("the files are %q", got)
	}
	if got := h.bodies(); !slices.Equal(got, []string{"a", "b", "c", "d", "x", "y"}) {
		t.Errorf("the rows are %q", got)
	}
}

// A saved plan has every file of a partition, and deletes every file of a partition.
func TestPartsOfSavedPlansAndDestruction(t *testing.T) {
	h := newHouse(t)
	h.job().TargetFileSize = 1
	h.events(at(1, "a"), at(2, "b"), at(3, "c"))
	path := filepath.Join(h.dir, "saved.plan")
	session := func(use func(*Session) error) {
		t.Helper()
		_, s, err := h.open(t.Context())
		if err == nil {
			err = errors.Join(use(s), s.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	session(func(s *Session) error {
		p, err := s.Plan(t.Context(), PlanOptions{})
		if err != nil {
			return err
		}
		return s.SavePlan(p, path)
	})
	session(func(s *Session) error {
		p, err := s.LoadPlan(t.Context(), path)
		if err != nil {
			return err
		}
		return s.Apply(t.Context(), p)
	})
	if got := h.bodies(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the rows are %q", got)
	}
	h.options.Mode = plan.Destroy
	h.apply()
	if left := slices.Collect(maps.Keys(snapshot(t, h.root()))); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
