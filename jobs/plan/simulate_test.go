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

// attempt is a run that may end after any step.
func (w *world) attempt(interference bool) error {
	r := w.plan()
	if len(r.inTheWay()) > 0 {
		w.did("run: refused, %v is in the way", r.inTheWay())
		return nil
	}
	for interference && w.chance(4) {
		w.interfere() // between plan and apply
	}
	steps, stop := w.rng.IntN(12), w.chance(2)
	err := w.apply(r, steps, stop)
	w.did("run: ended after at most %d steps: %v", steps, err)
	return err
}

// converge is an undisturbed run. Before it, a user moves foreign objects out of
// the way.
func (w *world) converge() {
	r := w.plan()
	for inTheWay := r.inTheWay(); len(inTheWay) > 0; inTheWay = r.inTheWay() { // the next plan may have other files in its way
		for _, d := range inTheWay {
			delete(w.held[d.Sink], d.Key)
			w.did("user: moves %s in %s out of the way", d.Key, d.Sink)
		}
		r = w.plan()
	}
	if err := w.apply(r, 1<<30, false); err != nil {
		w.t.Errorf("an undisturbed run failed: %v", err)
	}
}

// checkConverged checks that the sinks have the desired rows, and that the next
// plan has no changes. Objects of another program that no run may delete must
// be reported as drift.
func (w *world) checkConverged() {
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
			w.t.Errorf("%s: the next refresh adopts %d changes, and %+v is pending", sink, adopted, w.state.Job(address).Sink(sink).Pending)
		}
		// Compare partitions by directory.
		want, got := make(map[string]string), make(map[string]string)
		for dir, rows := range w.desired {
			want[job+"/"+dir] = rows
		}
		if w.quarantine != "" {
			want[plan.QuarantineKey(job)] = w.quarantine
		}
		location := func(key string) string {
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
				got[location(key)] += rowsOf(text)
			}
		}
		for _, d := range r.Found.Drift {
			_, wanted := want[location(d.Key)]
			wanted = wanted && d.Kind != plan.Foreign
			unneeded := d.Kind == plan.Foreign || d.Kind == plan.Modified && d.Key == plan.QuarantineKey(job)
			switch {
			case d.Sink != sink:
			case wanted || !unneeded:
				w.t.Errorf("a refresh after a run finds drift: %+v", d)
			default:
				if _, generation := parse(w.held[sink][d.Key]); !w.foreign[generation] {
					w.t.Errorf("an object that a run wrote is reported as drift: %+v", d)
				}
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			w.t.Errorf("the rows in %s differ (-want +got):\n%s", sink, diff)
		}
	}
}

const worlds = 1500

// After any sequence of source changes, crashes and interference by other
// programs, the next undisturbed run leaves exactly the desired rows in every
// sink, and the run after it has no changes. No run deletes an object that it
// did not report.
func TestEveryWorldConverges(t *testing.T) {
	var crashes, conflicts, refusals, adopted int
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 1 + w.rng.IntN(8) {
			w.changeSource()
			for w.chance(2) {
				w.interfere()
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
		w.converge()
		w.checkConverged()
		w.end()
	}
	if crashes < worlds/2 || conflicts < worlds/20 || refusals < worlds/20 || adopted < worlds/4 {
		t.Errorf("%d crashes, %d conflicts, %d refusals, %d changes adopted: the test is ineffective", crashes, conflicts, refusals, adopted)
	}
}

// Crashes alone are never reported as drift, and the next run completes without
// help from the user.
func TestCrashesAreNotDrift(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 1 + w.rng.IntN(8) {
			w.changeSource()
			if r := w.plan(); len(r.Found.Drift) > 0 {
				t.Errorf("a refresh finds drift, but no other program changed the sinks: %v", r.Found.Drift)
			}
			if err := w.attempt(false); errors.Is(err, errConflict) {
				t.Error(err)
			}
		}
		if r := w.plan(); len(r.Found.Drift) > 0 {
			t.Errorf("a refresh finds drift, but no other program changed the sinks: %v", r.Found.Drift)
		}
		w.converge()
		w.checkConverged()
		w.end()
	}
}
