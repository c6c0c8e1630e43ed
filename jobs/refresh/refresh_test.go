package refresh

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

const (
	address = "job.events"
	lake    = "sink.local.lake"
	table   = "events"
	day     = "event_date=2022-01-01"
)

// world is a job with one published partition and quarantine in one sink.
type world struct {
	*testing.T
	store store.Store
	prior *state.State
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, store: memory.New(), prior: state.New()}
	of := w.prior.Job(address).Sink(lake)
	of.URI = w.store.URI(table)
	of.Partitions = map[string]state.Partition{day: {Rows: 3, Files: []state.File{{Rows: 3, Object: w.put(plan.Key(table, day), "abc")}}}}
	of.Quarantine = &state.Quarantine{Events: 2, Object: w.put(plan.QuarantineKey(table), "{}\n{}\n")}
	return w
}

func (w *world) put(key, content string) state.Object {
	w.Helper()
	o, err := w.store.Put(w.Context(), key, store.ContentOf([]byte(content), ""), store.Condition{})
	if err != nil {
		w.Fatal(err)
	}
	return state.Object{Key: o.Key, Size: o.Size, CRC32C: o.CRC32C, Generation: o.Generation}
}

func (w *world) open(context.Context, jobs.Sink) (store.Store, error) { return w.store, nil }

func (w *world) uri(_, key string) string { return w.store.URI(key) }

func (w *world) refresh(mode plan.Mode) *plan.Job {
	w.Helper()
	into := &plan.Job{Address: address, TableName: table, Sinks: []string{lake}}
	err := Into(w.Context(), w.open, w.prior, mode, into, []jobs.Sink{{Block: jobs.Block{Address: lake}}})
	if err != nil {
		w.Fatal(err)
	}
	return into
}

// An object with the same bytes and another generation has not drifted.
func TestUnchanged(t *testing.T) {
	w := newWorld(t)
	w.put(plan.Key(table, day), "abc")
	into := w.refresh(plan.Normal)
	if len(into.Found.Drift) > 0 || into.Found.Prior[lake].Partitions[day].Rows != 3 {
		t.Errorf("drift: %v", into.Found.Drift)
	}
	if warnings := Warnings(jobs.Block{}, *into, w.uri); len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestDrift(t *testing.T) {
	w := newWorld(t)
	w.put(plan.Key(table, day), "xyz")
	w.put(plan.TablePrefix(table)+"_SUCCESS", "")
	if err := w.store.Delete(t.Context(), plan.QuarantineKey(table), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	into := w.refresh(plan.Normal)
	want := []plan.Drift{
		{Sink: lake, Key: plan.QuarantineKey(table), Kind: plan.Deleted, Held: 2},
		{Sink: lake, Key: plan.TablePrefix(table) + "_SUCCESS", Kind: plan.Foreign},
		{Sink: lake, Key: plan.Key(table, day), Kind: plan.Modified, Held: 3},
	}
	if diff := cmp.Diff(want, into.Found.Drift); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	into.Found.Drift[2].Recovered, into.Found.Drift[2].KeptAs = 1, "kept"
	text := Warnings(jobs.Block{Address: address}, *into, w.uri).Error()
	for _, want := range []string{
		"Objects have changed outside of prospector: ",
		w.store.URI(plan.QuarantineKey(table)) + ": deleted; it had 2 events\n",
		": modified; 1 of its 3 rows can still be read, but they may differ from what was written; a copy is kept at " + w.store.URI("kept"),
		"Foreign objects under the table's prefix: ",
		"_SUCCESS: not in the state",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the warnings do not contain %q:\n%s", want, text)
		}
	}
}

// If the table has another URI than in the state, the files at the old URI are
// abandoned. A plan that only refreshes leaves out the sink.
func TestAbandoned(t *testing.T) {
	w := newWorld(t)
	w.prior.Job(address).Sink(lake).URI = "file:///elsewhere/events"
	into := w.refresh(plan.Normal)
	if diff := cmp.Diff([]string{"file:///elsewhere/events"}, into.Found.AbandonedURIs); diff != "" || !strings.Contains(into.Problems.Warnings.Error(), "location of a table has changed") {
		t.Errorf("abandoned: %s, warnings: %v", diff, into.Problems.Warnings)
	}
	if into = w.refresh(plan.RefreshOnly); len(into.Found.AbandonedURIs)+len(into.Sinks)+len(into.Problems.Warnings) > 0 {
		t.Errorf("refresh only: %v, %v, %v", into.Found.AbandonedURIs, into.Sinks, into.Problems.Warnings)
	}
	if got := w.prior.Job(address).Sink(lake).URI; got != "file:///elsewhere/events" {
		t.Errorf("the state has changed: %s", got)
	}
}

func TestInTheWay(t *testing.T) {
	w := newWorld(t)
	key := plan.Key(table, "event_date=2022-01-02")
	w.put(key, "foreign")
	into := w.refresh(plan.Normal)
	if err := InTheWay(jobs.Block{}, *into, w.uri); err != nil {
		t.Errorf("without a change of the object: %v", err)
	}
	into.Output.Changes = []plan.Change{{Action: plan.Create, Writes: []plan.Write{{Sink: lake, Key: key, Action: plan.Create}}}}
	err := InTheWay(jobs.Block{}, *into, w.uri)
	var d jobs.Diagnostic
	if !errors.As(err, &d) || !strings.Contains(d.Detail, w.store.URI(key)+": not in the state") {
		t.Errorf("with a change that would overwrite it: %v", err)
	}
}

func TestPlanCopies(t *testing.T) {
	w := newWorld(t)
	key := plan.Key(table, day)
	damaged := w.put(key, "xyz")
	into := w.refresh(plan.Normal)
	into.Output.Changes = []plan.Change{{Partition: day, Action: plan.Update, Writes: []plan.Write{{Sink: lake, Key: key, Action: plan.Update, Generation: damaged.Generation}}}}
	stores := map[string]store.Store{lake: w.store}
	if err := PlanCopies(t.Context(), stores, into); err != nil {
		t.Fatal(err)
	}
	to := plan.DamagedKey(key, damaged.CRC32C)
	want := []plan.Copy{{Sink: lake, Key: key, To: to, Sum: plan.Sum{Size: damaged.Size, CRC32C: damaged.CRC32C}}}
	if diff := cmp.Diff(want, into.Output.Copies); diff != "" || into.Found.Drift[0].KeptAs != to {
		t.Errorf("the drift is %+v, the copies (-want +got):\n%s", into.Found.Drift, diff)
	}
	w.put(key, "other")
	if err := PlanCopies(t.Context(), stores, into); err == nil || !strings.Contains(err.Error(), "run again") {
		t.Errorf("after another change of the file, the error is %v", err)
	}
}

// interrupted is a sink that is interrupted when it is listed.
type interrupted struct {
	store.Store
	cancel func()
}

func (s interrupted) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	s.cancel()
	return s.Store.List(ctx, prefix)
}

// An interrupt is not an error about the sink.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	open := func(context.Context, jobs.Sink) (store.Store, error) { return interrupted{w.store, cancel}, nil }
	_, _, err := Job(ctx, open, w.prior, address, table, []jobs.Sink{{Block: jobs.Block{Address: lake}, Location: local.At(t.TempDir())}})
	if _, isDiagnostic := errors.AsType[jobs.Diagnostic](err); isDiagnostic || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
