package run

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store/local"
)

const unusable = `{"type":"T","text":"no time"}`

// The quarantine is in every sink. If the first sink does not have it, it is read from
// another one.
func TestQuarantineOfAnotherSink(t *testing.T) {
	for _, name := range []string{"the first sink is new", "the first sink's file is gone"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			one := h.job().Sinks[0]
			two := jobs.Sink{Block: jobs.Block{Address: "sink.local.two"}, Location: local.At(filepath.Join(h.dir, "two"))}
			h.job().Sinks = []jobs.Sink{one, two}
			if name == "the first sink is new" {
				h.job().Sinks = []jobs.Sink{two}
			}
			h.events(`{`+created+`}`, unusable)
			h.apply()
			h.job().Sinks = []jobs.Sink{one, two}
			first := filepath.Join(directory(one), plan.QuarantineKey("prospect_events"))
			if err := os.Remove(first); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			h.ask(h.api().Endpoint, "2") // another prospect
			h.apply()
			for _, sink := range h.job().Sinks {
				if text := readAll(t, filepath.Join(directory(sink), plan.QuarantineKey("prospect_events"))); !strings.Contains(text, "no time") {
					t.Errorf("the quarantine of %s is %q", sink.Address, text)
				}
			}
		})
	}
}

// A job whose table has the location of another job's table is refused before anything
// else happens. The error names the likely cause.
func TestRenamedWithoutMoved(t *testing.T) {
	for name, rename := range map[string]func(*house){
		"the job": func(h *house) { h.job().Address = "job.other" },
		"the job, partitioned otherwise": func(h *house) {
			h.job().Address = "job.other"
			h.job().Schema, _ = schemas.KnockEvents().PartitionedBy("event_month")
		},
		"the job, and foreign files are deleted": func(h *house) { h.job().Address, h.job().DeleteForeign = "job.other", true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.events(`{`+created+`}`, unusable)
			h.apply()
			before := snapshot(t, h.dir)
			rename(h)
			_, err := h.try(t.Context())
			if err == nil || !strings.Contains(err.Error(), "Another table is already there") {
				t.Errorf("the apply ends with: %v", err)
			}
			for path, is := range snapshot(t, h.dir) {
				if before[path] != is && !strings.Contains(path, ".lock") && !strings.Contains(path, ".prospector/tmp") {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
}

// A renamed sink has the same location, and nothing in it changes.
func TestRenamedSink(t *testing.T) {
	h := newHouse(t)
	h.events(`{`+created+`}`, unusable)
	h.apply()
	before := snapshot(t, h.root())
	h.job().Sinks = []jobs.Sink{{Block: jobs.Block{Address: "sink.local.other"}, Location: local.At(h.root())}}
	if p := h.apply(); !p.Summary().Empty() || p.Empty() || len(p.Jobs[0].Found.Renamed) != 1 {
		t.Errorf("the plan is %+v, renamed are %v", p.Summary(), p.Jobs[0].Found.Renamed)
	}
	if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
		t.Errorf("files were touched:\n%s", diff)
	}
	if text := readAll(t, filepath.Join(h.dir, "prospector.state.json")); strings.Contains(text, "sink.local.lake") || !strings.Contains(text, "sink.local.other") {
		t.Errorf("the state is\n%s", text)
	}
	if p := h.apply(); !p.Empty() {
		t.Errorf("the next plan is %+v", p.Summary())
	}
}

// The same holds if sinks swap their names, or if a new sink has the path of an old one.
func TestSwappedSinks(t *testing.T) {
	for _, name := range []string{"swapped", "shifted"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			one := h.job().Sinks[0]
			two := jobs.Sink{Block: jobs.Block{Address: "sink.local.two"}, Location: local.At(filepath.Join(h.dir, "two"))}
			if h.job().Sinks = []jobs.Sink{one, two}; name == "shifted" {
				h.job().Sinks = []jobs.Sink{one}
			}
			h.events(moving(1, 1))
			h.apply()
			one.Location, two.Location = two.Location, one.Location
			h.job().Sinks = []jobs.Sink{one, two}
			before := snapshot(t, directory(two))
			if p := h.apply(); p.Summary().Destroy > 0 || len(p.Jobs[0].Found.AbandonedURIs) > 0 || len(p.Jobs[0].Found.Renamed) == 0 {
				t.Errorf("the plan is %+v, left are %v, renamed %v", p.Summary(), p.Jobs[0].Found.AbandonedURIs, p.Jobs[0].Found.Renamed)
			}
			if diff := cmp.Diff(before, snapshot(t, directory(two))); diff != "" {
				t.Errorf("files were touched:\n%s", diff)
			}
			if p := h.apply(); !p.Empty() || len(h.lake(directory(one))) != 1 || len(h.lake(directory(two))) != 1 {
				t.Errorf("the next plan is %+v", p.Summary())
			}
		})
	}
}

// If the path of a sink changes, published files stay at the old path. An apply reports
// them, and neither a destroy nor a refresh removes them from the state.
func TestMovedSink(t *testing.T) {
	h := newHouse(t)
	h.events(`{` + created + `}`)
	h.apply()
	owned := readAll(t, filepath.Join(h.dir, "prospector.state.json"))
	former := h.root()
	h.job().Sinks = []jobs.Sink{h.job().Sinks[0]}
	h.job().Sinks[0].Location = local.At(filepath.Join(h.dir, "elsewhere"))

	h.options.Mode = plan.RefreshOnly
	if p := h.apply(); !p.Empty() {
		t.Errorf("a refresh has changes: %+v", p.Summary())
	}
	h.options.Mode = plan.Destroy
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "location of the table has changed") {
		t.Errorf("the destroy ends with: %v", err)
	}
	if readAll(t, filepath.Join(h.dir, "prospector.state.json")) != owned {
		t.Error("the state has forgotten something")
	}
	h.options.Mode = plan.Normal
	p := h.apply()
	if left := p.Jobs[0].Found.AbandonedURIs; len(left) != 1 || !strings.Contains(left[0], former) || p.Empty() {
		t.Errorf("the abandoned files are not reported: %v", left)
	}
	if len(h.rows()) != 1 || len(h.lake(former)) != 1 {
		t.Error("both places should have the table")
	}
}

// Destroying a single partition does not remove the schema from the state.
func TestDestroyedPartition(t *testing.T) {
	h := newHouse(t)
	h.events(moving(1, 1), moving(2, 2))
	h.apply()
	h.options = PlanOptions{Mode: plan.Destroy, Targets: []jobs.Address{address(t, "job.prospect_events").WithPartition("event_type=T/event_date=2022-01-01")}}
	if p := h.apply(); p.Summary() != (plan.Summary{Destroy: 1}) {
		t.Errorf("the summary is %+v", p.Summary())
	}
	h.options = PlanOptions{}
	h.job().Schema, _ = schemas.KnockEvents().PartitionedBy("event_month")
	h.events(moving(1, 1)) // the source no longer returns the other one
	if p := h.apply(); p.Jobs[0].Output.Rewrite == nil || len(h.rows()) != 2 {
		t.Errorf("rewrite: %+v, %d rows", p.Jobs[0].Output.Rewrite, len(h.rows()))
	}
}

// Rows of a damaged file that cannot be restored are reported, not called repaired.
func TestUnrestored(t *testing.T) {
	h := newHouse(t)
	h.events(moving(1, 1), moving(2, 1), moving(3, 1), moving(4, 4))
	h.apply()
	path := filepath.Join(h.root(), plan.Key("prospect_events", "event_type=T/event_date=2022-01-01"))
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.events(moving(1, 1), moving(4, 4))
	p := h.apply()
	if got := p.Jobs[0].Problems.Warnings.Error(); !strings.Contains(got, "2 of their rows cannot be restored") {
		t.Errorf("the warnings are: %s", got)
	}
}

// A run that finds none of its prospects fails, since its endpoint or its list is
// probably wrong.
func TestNoProspectIsFound(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	h.ask(server.URL, "1", "2")
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "No prospect could be read") {
		t.Errorf("the apply ends with: %v", err)
	}
}

// The loss of the lock while the source is read is reported as such, not as an
// interrupt.
func TestLockLostWhileReading(t *testing.T) {
	h := newHouse(t)
	files, err := local.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	backend := &losing{Local: state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json"))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend.lose(state.ErrLockLost)
		<-r.Context().Done()
	}))
	defer server.Close()
	h.ask(server.URL, "1")
	ctx, s, err := h.openWith(t.Context(), files, backend)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Plan(ctx, PlanOptions{}); !errors.Is(err, state.ErrLockLost) {
		t.Errorf("the plan ends with: %v", err)
	}
}
