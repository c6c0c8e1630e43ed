package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store/local"
)

// erase erases a prospect like the command.
func (h *house) erase(prospect string) (p *plan.Plan, err error) {
	ctx, s, err := h.open(h.Context())
	if err != nil {
		return nil, err
	}
	return eraseIn(ctx, s, prospect)
}

func eraseIn(ctx context.Context, s *Session, prospect string) (p *plan.Plan, err error) {
	if p, err = s.Plan(ctx, PlanOptions{Mode: plan.Erase, Prospect: prospect}); err == nil {
		err = s.Apply(ctx, p)
	}
	if err == nil {
		_, err = s.ProveErased(ctx, prospect)
	}
	return p, errors.Join(err, s.Close())
}

func warned(warnings jobs.Diagnostics, summary string) (detail string) {
	for _, w := range warnings {
		if w.Severity == jobs.Warning && strings.HasPrefix(w.Summary, summary) {
			return w.Summary + "\n" + w.Detail
		}
	}
	return ""
}

// inSink returns the tombstones in a sink.
func (h *house) inSink(i int) tombstone.Set {
	h.Helper()
	files, err := local.Open(directory(h.job().Sinks[i]))
	if err != nil {
		h.Fatal(err)
	}
	s, err := tombstone.Read(h.Context(), files)
	if err != nil {
		h.Fatal(err)
	}
	return s
}

func (h *house) stateFile() string { return filepath.Join(h.dir, "prospector.state.json") }

func (h *house) state() *state.State {
	h.Helper()
	s, err := state.Decode([]byte(readAll(h, h.stateFile())))
	if err != nil {
		h.Fatal(err)
	}
	return s
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// An erased prospect that is still listed is neither requested nor exported, unless the
// job exports erased prospects. Later damage to the state or the sinks does not matter.
func TestTombstones(t *testing.T) {
	events := map[string][]string{"alice": {on(1, "a1"), on(2, "a2")}, "bob": {on(1, "b1"), on(3, "b3")}, "carol": {on(2, "c2")}}
	bodies := []string{"b1", "b3", "c2"}
	copyOf := func(h *house, i int) string {
		return filepath.Join(directory(h.job().Sinks[i]), filepath.FromSlash(tombstone.Key))
	}
	for _, test := range []struct {
		name     string
		happens  func(h *house, before string) // before is the state before the erase
		exported bool
		warning  string
	}{
		{name: "nothing", happens: func(*house, string) {}},
		{name: "the job exports the erased", happens: func(h *house, _ string) { h.job().ExportErased = true }, exported: true},
		{name: "the state is restored from before", happens: func(h *house, before string) {
			h.must(os.WriteFile(h.stateFile(), []byte(before), 0o600))
		}},
		{name: "a sink loses its tombstones", happens: func(h *house, _ string) { h.must(os.Remove(copyOf(h, 0))) }},
		{name: "both sinks lose them", happens: func(h *house, _ string) { h.must(errors.Join(os.Remove(copyOf(h, 0)), os.Remove(copyOf(h, 1)))) }},
		{name: "one sink and the state lose them", happens: func(h *house, before string) {
			h.must(errors.Join(os.Remove(copyOf(h, 0)), os.WriteFile(h.stateFile(), []byte(before), 0o600)))
		}},
		{name: "those of a sink are damaged", warning: "The tombstones of a sink are damaged", happens: func(h *house, _ string) {
			h.must(os.Truncate(copyOf(h, 0), 40))
		}},
		{name: "those of a sink are another state's", happens: func(h *house, _ string) {
			h.must(os.Remove(copyOf(h, 0)))
			files, err := local.Open(directory(h.job().Sinks[0]))
			h.must(err)
			h.must(tombstone.Write(h.Context(), files, tombstone.Set{}.Add("another lineage", "dave")))
		}},
		{name: "the job gets another sink", happens: func(h *house, _ string) {
			h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.third"}, Location: local.At(filepath.Join(h.dir, "third"))})
		}},
		{name: "the job is forgotten", happens: func(h *house, _ string) {
			s := h.state()
			h.must(s.Forget("job.prospect_events"))
			s.Serial++
			text, err := state.Encode(s)
			h.must(err)
			h.must(os.WriteFile(h.stateFile(), text, 0o600))
			h.must(errors.Join(os.RemoveAll(filepath.Join(h.root(), "prospect_events")), os.RemoveAll(filepath.Join(directory(h.job().Sinks[1]), "prospect_events"))))
		}},
		{name: "everything is destroyed", happens: func(h *house, _ string) {
			h.options = PlanOptions{Mode: plan.Destroy}
			h.apply()
			h.options = PlanOptions{}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.copy"}, Location: local.At(filepath.Join(h.dir, "copy"))})
			h.people(events)
			h.apply()
			before := readAll(t, h.stateFile())
			if _, err := h.erase("alice"); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if s := h.inSink(i); s.Len() != 1 || !s.Has("alice") {
					t.Fatalf("a sink has %d tombstones", s.Len())
				}
			}
			test.happens(h, before)

			p := h.apply()
			want, requested, how := bodies, int64(2), "skipped"
			if test.exported {
				want, requested, how = append([]string{"a1", "a2"}, bodies...), 3, "exported"
			}
			if diff := cmp.Diff(want, h.bodies()); diff != "" {
				t.Errorf("the lake has other rows (-want +got):\n%s", diff)
			}
			if n := p.Jobs[0].Source.Reading.Prospects; n != requested {
				t.Errorf("%d prospects were requested, want %d", n, requested)
			}
			if w := warned(p.Jobs[0].Problems.Warnings, "Erased prospects in the list, "+how+": 1"); !strings.Contains(w, "alice") {
				t.Errorf("the warnings are %v", p.Jobs[0].Problems.Warnings)
			}
			if test.warning != "" && warned(p.Warnings, test.warning) == "" {
				t.Errorf("the warnings are %v", p.Warnings)
			}
			// The state and every sink have all tombstones again.
			for i := range h.job().Sinks {
				if s := h.inSink(i); !s.Has("alice") || !s.Contains(h.state().Tombstones) {
					t.Errorf("sink %d has %d tombstones", i, s.Len())
				}
			}
			if s := h.state().Tombstones; !s.Has("alice") || !s.Contains(h.inSink(0)) {
				t.Errorf("the state has %d tombstones", s.Len())
			}
			if p := h.apply(); !p.Empty() || len(p.Warnings) > 0 {
				t.Errorf("the next plan: %+v, %v", p.Summary(), p.Warnings)
			}
			lists, err := filepath.Glob(filepath.Join(h.dir, "prospector.state.json.d", "prospects", "*"))
			if err != nil || len(lists) != 1 || strings.Contains(readAll(t, lists[0]), "alice") != test.exported {
				t.Errorf("the list next to the state: %q, %v", lists, err)
			}
		})
	}
}

// A saved plan whose list has erased prospects can be applied. It is stale if one of its
// prospects was erased after it was saved.
func TestTombstonesAndSavedPlans(t *testing.T) {
	h := newHouse(t)
	h.people(map[string][]string{"alice": {on(1, "a1")}, "bob": {on(1, "b1")}})
	h.apply()
	if _, err := h.erase("alice"); err != nil {
		t.Fatal(err)
	}
	h.people(map[string][]string{"alice": {on(1, "a1")}, "bob": {on(1, "b1"), on(2, "b2")}, "carol": {on(2, "c2")}})
	saved := filepath.Join(h.dir, "saved.plan")
	save := func() {
		ctx, s, err := h.open(t.Context())
		h.must(err)
		p, err := s.Plan(ctx, PlanOptions{})
		if err == nil {
			err = s.SavePlan(p, saved)
		}
		h.must(errors.Join(err, s.Close()))
	}
	load := func() error {
		ctx, s, err := h.open(t.Context())
		h.must(err)
		p, err := s.LoadPlan(ctx, saved)
		if err == nil {
			err = s.Apply(ctx, p)
		}
		return errors.Join(err, s.Close())
	}
	save()
	h.must(load())
	if diff := cmp.Diff([]string{"b1", "b2", "c2"}, h.bodies()); diff != "" {
		t.Errorf("the lake has other rows (-want +got):\n%s", diff)
	}
	save()
	files, err := local.Open(h.root())
	h.must(err)
	h.must(tombstone.Write(t.Context(), files, tombstone.Set{}.Add("another lineage", "bob"))) // by another state
	if err := load(); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("a plan that exports an erased prospect: %v", err)
	}
}

// Tombstones also apply to the prospects of a simulator.
func TestTombstonesOfSimulator(t *testing.T) {
	h := newHouse(t)
	h.simulated(simulator.Settings{Seed: 1, Prospects: 5, Events: 50, AsOf: nightOf(31)})
	h.apply()
	prospects := func() (ids []string) {
		for _, row := range h.rows() {
			ids = append(ids, row["prospect_id"])
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	all := prospects()
	if _, err := h.erase(all[0]); err != nil {
		t.Fatal(err)
	}
	p := h.apply()
	if diff := cmp.Diff(all[1:], prospects()); diff != "" || !p.Empty() || p.Jobs[0].Source.Reading.Prospects != 4 {
		t.Errorf("after the erase (-want +got): %+v\n%s", p.Summary(), diff)
	}
}

// If an erase is killed at any operation after it has removed a row, the prospect is not
// exported again. Repeating the erase completes it.
func TestEraseKilled(t *testing.T) {
	events := map[string][]string{
		"alice": {on(1, "a1"), on(2, "a2"), `{"type":"SMS_MESSAGE","data":{"body":"no time"}}`},
		"bob":   {on(1, "b1"), on(3, "b3")},
	}
	ended := false
	for lives := int64(1); !ended; lives++ {
		h := newMortalHouse(t)
		h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.copy"}, Location: local.At(filepath.Join(h.dir, "copy"))})
		h.people(events)
		h.must(h.run(1<<40, true))
		before := len(h.rowsIn(0)) + len(h.rowsIn(1))

		ctx, s, err := h.session(lives, lives%2 == 0)
		if err == nil {
			_, err = eraseIn(ctx, s, "alice")
		}
		ended = !h.life.over()
		if ended && err != nil {
			t.Fatal(err)
		}
		known := h.state().Tombstones.Has("alice")
		if left := len(h.rowsIn(0)) + len(h.rowsIn(1)); left < before && !known {
			t.Fatalf("after %d operations, %d rows are gone and there is no tombstone", lives, before-left)
		}
		if err := h.run(1<<40, true); err != nil { // with the prospect still listed
			t.Fatalf("after an erase of %d operations: %v", lives, err)
		}
		if known && len(h.rowsIn(0)) > before/2 {
			t.Fatalf("after an erase of %d operations, rows have come back", lives)
		}
		ctx, s, err = h.session(1<<40, true)
		h.must(err)
		if _, err := eraseIn(ctx, s, "alice"); err != nil {
			t.Fatalf("after an erase of %d operations, it fails again: %v", lives, err)
		}
		if diff := cmp.Diff([]string{"b1", "b3"}, h.bodies()); diff != "" {
			t.Fatalf("after an erase of %d operations and another (-want +got):\n%s", lives, diff)
		}
		if s := h.state(); s.Erasing || !s.Tombstones.Has("alice") || !h.inSink(0).Has("alice") || !h.inSink(1).Has("alice") {
			t.Fatalf("after an erase of %d operations and another, erasing is %t", lives, s.Erasing)
		}
		if lives > 400 {
			t.Fatal("the erase does not end")
		}
	}
}
