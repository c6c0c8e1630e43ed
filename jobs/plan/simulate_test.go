package plan_test

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
)

// attempt is a run that may be cut short anywhere.
func (w *world) attempt(outsiders bool) error {
	r := w.plan()
	if len(r.inTheWay()) > 0 {
		w.did("run: refused, %v is in the way", r.inTheWay())
		return nil
	}
	for outsiders && w.chance(4) {
		w.meddle() // between plan and apply
	}
	steps, stop := w.rng.IntN(12), w.chance(2)
	err := w.apply(r, steps, stop)
	w.did("run: ended after at most %d steps: %v", steps, err)
	return err
}

// settle is an undisturbed run. What is in its way, a person moves first.
func (w *world) settle() {
	r := w.plan()
	for inTheWay := r.inTheWay(); len(inTheWay) > 0; inTheWay = r.inTheWay() { // of other files each time, perhaps
		for _, d := range inTheWay {
			delete(w.held[d.Sink], d.Key)
			w.did("person: moves %s of %s out of the way", d.Key, d.Sink)
		}
		r = w.plan()
	}
	if err := w.apply(r, 1<<30, false); err != nil {
		w.t.Errorf("an undisturbed run fails: %v", err)
	}
}

// settled proves that the sinks hold what is desired, and that a plan sees so.
// What an outsider has left that no run may take away is told as drift.
func (w *world) settled() {
	r := w.plan()
	for _, c := range r.Output.Changes {
		if c.Action != plan.NoOp {
			w.t.Errorf("%s %s is planned again: %+v", c.Action, c.Partition, c.Writes)
		}
	}
	if r.Output.Quarantine != nil {
		w.t.Errorf("the quarantine is planned again: %+v", r.Output.Quarantine.Writes)
	}
	for _, sink := range sinks {
		if adopted := r.prior[sink].Adopted; adopted > 0 || w.state.Job(address).Sink(sink).Pending != nil {
			w.t.Errorf("%s: %d changes are adopted, pending is %+v", sink, adopted, w.state.Job(address).Sink(sink).Pending)
		}
		// A partition stands at its directory.
		want, got := make(map[string]string), make(map[string]string)
		for dir, rows := range w.desired {
			want[job+"/"+dir] = rows
		}
		if w.quarantine != "" {
			want[plan.QuarantineKey(job)] = w.quarantine
		}
		place := func(key string) string {
			if strings.HasSuffix(key, ".parquet") {
				return path.Dir(key)
			}
			return key
		}
		drifted := make(map[string]bool)
		for _, d := range r.Found.Drift {
			drifted[d.Key] = drifted[d.Key] || d.Sink == sink
		}
		for _, key := range slices.Sorted(maps.Keys(w.held[sink])) {
			if text, _ := parse(w.held[sink][key]); !drifted[key] {
				got[place(key)] += rowsOf(text)
			}
		}
		for _, d := range r.Found.Drift {
			_, wanted := want[place(d.Key)]
			wanted = wanted && d.Kind != plan.Foreign
			unneeded := d.Kind == plan.Foreign || d.Kind == plan.Modified && d.Key == plan.QuarantineKey(job)
			switch {
			case d.Sink != sink:
			case wanted || !unneeded:
				w.t.Errorf("there is drift after a run: %+v", d)
			default:
				if _, generation := parse(w.held[sink][d.Key]); !w.strange[generation] {
					w.t.Errorf("what a run has written became drift: %+v", d)
				}
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			w.t.Errorf("%s does not hold what is desired (-want +got):\n%s", sink, diff)
		}
	}
}

const worlds = 1500

// Whatever outsiders, crashes and the source do, in any order, the next run that
// is left in peace leaves in every sink exactly what is desired, and the one
// after it has nothing to do. No run takes away what it has not told of.
func TestEveryWorldSettles(t *testing.T) {
	var crashes, conflicts, refusals, adopted int
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 1 + w.rng.IntN(8) {
			w.happens()
			for w.chance(2) {
				w.meddle()
			}
			if r := w.plan(); len(r.inTheWay()) > 0 {
				refusals++
			} else {
				adopted += r.prior[lake].Adopted + r.prior[bucket].Adopted
			}
			switch err := w.attempt(true); {
			case errors.Is(err, errConflict):
				conflicts++
			case errors.Is(err, errCrashed):
				crashes++
			}
		}
		w.settle()
		w.settled()
		w.end()
	}
	if crashes < worlds/2 || conflicts < worlds/20 || refusals < worlds/20 || adopted < worlds/4 {
		t.Errorf("%d crashes, %d conflicts, %d refusals, %d changes adopted: the test hardly tests", crashes, conflicts, refusals, adopted)
	}
}

// Crashes alone are never taken for what somebody else has done, and a run after
// them needs nobody's help.
func TestCrashesAreNoDrift(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 1 + w.rng.IntN(8) {
			w.happens()
			if r := w.plan(); len(r.Found.Drift) > 0 {
				t.Errorf("there is drift, though nobody else was there: %v", r.Found.Drift)
			}
			if err := w.attempt(false); errors.Is(err, errConflict) {
				t.Error(err)
			}
		}
		if r := w.plan(); len(r.Found.Drift) > 0 {
			t.Errorf("there is drift, though nobody else was there: %v", r.Found.Drift)
		}
		w.settle()
		w.settled()
		w.end()
	}
}
