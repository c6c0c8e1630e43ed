package run

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store/local"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The response in the vendor's documentation becomes one row in one file.
func TestDocumentedSample(t *testing.T) {
	h := newHouse(t)
	body := readAll(t, "../../transform/testdata/documented.json")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "MQ==" {
			body = `{"edges":[],"pageInfo":{"endCursor":null,"hasNextPage":false}}`
		}
		io.WriteString(w, body)
	}))
	defer server.Close()
	h.ask(server.URL, "47569637")
	h.apply()
	got, err := json.MarshalIndent(h.rows(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/documented.lake.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readAll(t, golden), string(got)+"\n"); diff != "" {
		t.Errorf("the lake is not that of %s (-want +got):\n%s", golden, diff)
	}
}

// The lake has what the simulator serves, and a second apply changes nothing.
func TestExport(t *testing.T) {
	for name, limit := range map[string]int64{"in memory": 0, "spilling": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.limit = limit
			sim := h.simulate(knocksim.Options{Seed: 7, Prospects: 200, Events: 8000})
			p := h.apply()
			rows := h.rows()
			if len(rows) != 8000 || sim.EventCount() != 8000 {
				t.Fatalf("%d rows of %d events", len(rows), sim.EventCount())
			}
			for id, row := range rows {
				if !strings.Contains(row[""], "/event_date="+row["event_time"][:10]+"/") {
					t.Fatalf("event %s of %s is in %s", id, row["event_time"], row[""])
				}
			}
			if b := p.Jobs[0].Source.Books; b.Events != 8000 || b.Added != 8000 {
				t.Errorf("the books are %+v", b)
			}
			if got := sim.Stats(); got.Repeated != 0 {
				t.Errorf("%d requests were made twice", got.Repeated)
			}

			before := snapshot(t, h.root())
			state := readAll(t, filepath.Join(h.dir, "prospector.state.json"))
			if p := h.apply(); !p.Summary().Empty() {
				t.Errorf("the second plan has changes: %+v", p.Summary())
			}
			if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
				t.Errorf("the second apply touched files:\n%s", diff)
			}
			if diff := cmp.Diff(state, readAll(t, filepath.Join(h.dir, "prospector.state.json"))); diff != "" {
				t.Errorf("the second apply changed the state:\n%s", diff)
			}
		})
	}
}

// nightOf is the beginning of a day of the simulated January.
func nightOf(day int) time.Time { return time.Date(2022, 1, day, 0, 0, 0, 0, time.UTC) }

// snapshot returns every file below root with its size and time.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			out[path] = fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// After nights with new, late and changed events, the lake equals that of an export
// from scratch, for any partitioning and any order of the source.
func TestNights(t *testing.T) {
	for _, test := range []struct {
		keys   []string
		newest bool
		limit  int64
	}{
		{[]string{"event_type", "event_date"}, false, 0},
		{[]string{"event_type", "event_date"}, true, 1 << 18},
		{[]string{"event_month"}, true, 0},
		{[]string{"event_year", "event_type"}, false, 0},
	} {
		t.Run(fmt.Sprint(test.keys, test.newest), func(t *testing.T) {
			h := newHouse(t)
			h.limit = test.limit
			var err error
			if h.job().Schema, err = schemas.KnockEvents().PartitionedBy(test.keys...); err != nil {
				t.Fatal(err)
			}
			changed := int64(0)
			for night := range 4 {
				sim := h.simulate(knocksim.Options{
					Seed: 3, Prospects: 60, Events: 3000, NewestFirst: test.newest,
					AsOf: nightOf(20 + night),
				})
				p := h.apply()
				changed += p.Jobs[0].Source.Books.Changed
				if got := len(h.rows()); got != sim.EventCount() {
					t.Fatalf("night %d: %d rows of %d events", night, got, sim.EventCount())
				}
			}
			if changed == 0 {
				t.Error("no appointment has changed its status, so the test is void")
			}
			if diff := cmp.Diff(h.fromScratch(), h.lake(h.root())); diff != "" {
				t.Errorf("the lake is not that of an export from scratch:\n%s", diff)
			}
		})
	}
}

// The result is the same if one request in ten fails, in all possible ways.
func TestFaults(t *testing.T) {
	world := knocksim.Options{Seed: 5, Prospects: 100, Events: 5000}
	h := newHouse(t)
	h.simulate(world)
	want := h.fromScratch()

	world.Faults = knocksim.Faults{Rate: 0.1}
	sim := h.simulate(world)
	h.apply()
	faults := int64(0)
	for _, n := range sim.Stats().Faults {
		faults += n
	}
	if faults == 0 {
		t.Fatal("there was no fault, so the test is void")
	}
	if diff := cmp.Diff(want, h.lake(h.root())); diff != "" {
		t.Errorf("with %d faults, the lake differs:\n%s", faults, diff)
	}
}

// An interrupted read resumes where it stopped. No page that arrived is requested
// again, and a page that was in flight still arrives.
func TestResume(t *testing.T) {
	for _, test := range []struct {
		name     string
		answered int64 // whether the request in flight at the interrupt is
	}{{"answered", 1}, {"unanswered", 0}} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			sim := h.simulate(knocksim.Options{Seed: 9, Prospects: 300, Events: 20000})
			want := h.fromScratch()
			pages := sim.Stats().Pages
			sim = h.simulate(knocksim.Options{Seed: 9, Prospects: 300, Events: 20000})

			h.config.Jobs[0].Source.Concurrency = 1
			ctx, cancel := context.WithCancel(t.Context())
			interrupted := pages / 2
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if ctx.Err() == nil && sim.Stats().Pages == interrupted {
					cancel()
					if test.answered == 0 {
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
				}
				sim.ServeHTTP(w, r)
			}))
			defer server.Close()
			h.api().Endpoint = server.URL

			if _, err := h.try(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("the interrupted apply ended with %v", err)
			}
			if _, err := os.Stat(filepath.Join(h.root(), "prospect_events")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the interrupted apply has published something: %v", err)
			}
			if got := sim.Stats().Pages; got != interrupted+test.answered {
				t.Errorf("%d pages were served before the end, not %d", got, interrupted+test.answered)
			}
			h.apply()
			if want := int(interrupted + test.answered); h.observed.resumed != want {
				t.Errorf("%d pages were resumed, not %d", h.observed.resumed, want)
			}
			if got := sim.Stats(); got.Repeated != 0 || got.Pages != pages {
				t.Errorf("%d pages were requested, %d of them again; want %d", got.Pages, got.Repeated, pages)
			}
			if diff := cmp.Diff(want, h.lake(h.root())); diff != "" {
				t.Errorf("after the resumed run, the lake differs:\n%s", diff)
			}
		})
	}
}

// Failed prospects are reported, and their published rows stay.
func TestProspectsThatFail(t *testing.T) {
	h := newHouse(t)
	sim := h.simulate(knocksim.Options{Seed: 11, Prospects: 20, Events: 4000})
	h.apply()
	published := h.lake(h.root())

	var ids []string
	for id := range sim.ProspectIDs() {
		ids = append(ids, id)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/"+ids[0]+"/"):
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.URL.Path, "/"+ids[1]+"/"):
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(r.URL.Path, "/"+ids[2]+"/"), r.URL.Query().Get("after") != "":
			w.WriteHeader(http.StatusBadRequest)
		default:
			sim.ServeHTTP(w, r)
		}
	}))
	defer broken.Close()
	h.ask(broken.URL, ids...)
	p := h.apply()
	c := p.Jobs[0].Source.Reading.Coverage
	if c.NotFound != 1 || c.Forbidden != 1 || c.Failed < 1 || c.Partial < 1 || c.Complete+c.NotFound+c.Forbidden+c.Failed+c.Partial != 20 {
		t.Errorf("the coverage is %+v", c)
	}
	if !p.Summary().Empty() {
		t.Errorf("there are changes: %+v", p.Summary())
	}
	if diff := cmp.Diff(published, h.lake(h.root())); diff != "" {
		t.Errorf("the lake has changed:\n%s", diff)
	}
	if text := fmt.Sprint(p.Jobs[0].Problems.Warnings); !strings.Contains(text, ids[0]) || !strings.Contains(text, "are incomplete") {
		t.Errorf("the warnings are incomplete: %s", text)
	}
}

func TestBadKey(t *testing.T) {
	h := newHouse(t)
	sim := h.simulate(knocksim.Options{Seed: 1, Prospects: 50, Events: 100})
	h.api().APIKey = "not-the-key"
	_, err := h.try(t.Context())
	var d jobs.Diagnostic
	if !errors.As(err, &d) || d.Summary != "The API key is not accepted" {
		t.Fatalf("the error is %v", err)
	}
	if strings.Contains(err.Error(), "not-the-key") {
		t.Errorf("the error has the key: %v", err)
	}
	if n := sim.Stats().Requests; n > int64(h.job().Source.Concurrency) {
		t.Errorf("%d requests were made with a bad key", n)
	}
}

// An API that is down ends the run early. The next run has the pages that were fetched.
func TestSilence(t *testing.T) {
	h := newHouse(t)
	sim := h.simulate(knocksim.Options{Seed: 1, Prospects: 500, Events: 1000})
	h.job().Source.MaxAttempts = 1
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sim.Stats().Pages < 100 {
			sim.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer down.Close()
	h.api().Endpoint = down.URL
	_, err := h.try(t.Context())
	var d jobs.Diagnostic
	if !errors.As(err, &d) || d.Summary != "The API does not respond" {
		t.Fatalf("the run ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.root(), "prospect_events")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was published: %v", err)
	}
	if _, err := h.try(t.Context()); err == nil || h.observed.resumed < 90 {
		t.Errorf("%d pages were resumed; the run ended with %v", h.observed.resumed, err)
	}
}

// A page without a way to the next one is exported, and the prospect counts as
// partially read.
func TestPagesWithoutEnd(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"edges":[{"node":{`+created+`}}],"pageInfo":{"endCursor":null,"hasNextPage":true}}`)
	}))
	defer server.Close()
	h.ask(server.URL, "1")
	p := h.apply()
	if c := p.Jobs[0].Source.Reading.Coverage; c.Partial != 1 || len(h.rows()) != 1 {
		t.Errorf("the coverage is %+v, and there are %d rows", c, len(h.rows()))
	}
}

// If the second reader rejects a file, the file is not published and the old one stays.
func TestSecondReaderObjects(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 1, Prospects: 5, Events: 100, AsOf: nightOf(20)})
	h.apply()
	before := snapshot(t, h.root())
	h.simulate(knocksim.Options{Seed: 1, Prospects: 5, Events: 100})
	h.prepare = func(s *Session) {
		check := s.files.Verify
		s.files.Verify = func(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, p sink.Partition, want sink.Summary) error {
			want.Columns[3].Values.Lo++
			return check(ctx, r, size, table, p, want)
		}
	}
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "second reader") {
		t.Fatalf("the apply ended with %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
		t.Errorf("something was published:\n%s", diff)
	}
}

// events serves one page of events for the only prospect.
func (h *house) events(nodes ...string) {
	edges := make([]string, len(nodes))
	for i, n := range nodes {
		edges[i] = `{"node":` + n + `}`
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"edges":[`+strings.Join(edges, ",")+`],"pageInfo":{"hasNextPage":false}}`)
	}))
	h.Cleanup(server.Close)
	h.ask(server.URL, "1")
}

const created = `"type":"T","createdAt":"2022-01-13T19:27:37.866831+00:00"`

// An event is in one partition, even if its time changes. Rows that the source no
// longer returns stay.
func TestEventsMoveAndStay(t *testing.T) {
	h := newHouse(t)
	h.events(`{`+created+`,"eventTime":"2022-01-13T00:00:00Z"}`, `{"type":"T","createdAt":"2022-01-14T00:00:00Z"}`)
	h.apply()
	h.events(`{` + created + `,"eventTime":"2022-02-01T00:00:00Z"}`)
	p := h.apply()
	if s := p.Summary(); s != (plan.Summary{Add: 1, Destroy: 1}) {
		t.Errorf("the summary is %+v", s)
	}
	keys := make(map[string]int)
	for _, row := range h.rows() {
		keys[row[""]]++
	}
	want := map[string]int{
		"prospect_events/event_type=T/event_date=2022-01-14/part-00000.parquet": 1,
		"prospect_events/event_type=T/event_date=2022-02-01/part-00000.parquet": 1,
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
}

func TestQuarantine(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl")
	h.events(`{`+created+`}`, `{"type":"T","text":"no time"}`, `{"type":"T","text":"no time"}`)
	if p := h.apply(); p.Summary() != (plan.Summary{Add: 2}) || p.Jobs[0].Source.Books.Quarantined != 2 {
		t.Errorf("the plan is %+v, the books %+v", p.Summary(), p.Jobs[0].Source.Books)
	}
	want := `{"prospect_id":"1","reason":"no usable time: neither eventTime nor createdAt is a time","cursor":"","index":1,"event":{"type":"T","text":"no time"}}` + "\n"
	if got := readAll(t, path); got != want {
		t.Errorf("the quarantine is\n%s, not\n%s", got, want)
	}
	if p := h.apply(); !p.Summary().Empty() {
		t.Errorf("the second plan is %+v", p.Summary())
	}
	h.events(`{`+created+`}`, `{"type":"T","text":"a time","createdAt":"2022-01-14T00:00:00Z"}`)
	if p := h.apply(); p.Summary() != (plan.Summary{Add: 1, Destroy: 1}) {
		t.Errorf("the plan is %+v", p.Summary())
	}
	gone := func() {
		t.Helper()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the quarantine was not deleted: %v", err)
		}
	}
	gone()

	// A foreign object with its key is reported and deleted.
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("not ours\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if p := h.apply(); p.Summary().Empty() || len(p.Jobs[0].Problems.Warnings) == 0 {
		t.Errorf("the plan is %+v, the warnings %v", p.Summary(), p.Jobs[0].Problems.Warnings)
	}
	gone()
	if p := h.apply(); !p.Summary().Empty() || len(p.Jobs[0].Problems.Warnings) > 0 {
		t.Errorf("the next plan is %+v, the warnings %v", p.Summary(), p.Jobs[0].Problems.Warnings)
	}
}

func TestDrift(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 13, Prospects: 20, Events: 500})
	h.apply()
	want := h.lake(h.root())
	var files []string
	for path := range snapshot(t, filepath.Join(h.root(), "prospect_events")) {
		files = append(files, path)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(h.root(), "prospect_events", "notes.txt")
	must(os.Remove(files[0]))
	must(os.Truncate(files[1], 100))
	must(os.WriteFile(files[2], []byte("PAR1 not really PAR1"), 0o600))
	copied := readAll(t, files[3])
	must(os.Remove(files[3]))
	must(os.WriteFile(files[3], []byte(copied), 0o600)) // the same bytes: no drift
	must(os.WriteFile(foreign, []byte("mine"), 0o600))

	p := h.apply()
	if s := p.Summary(); s != (plan.Summary{Add: 3}) {
		t.Errorf("the summary is %+v", s)
	}
	text := fmt.Sprint(p.Jobs[0].Problems.Warnings)
	for _, path := range []string{files[0], files[1], files[2], foreign} {
		if !strings.Contains(text, filepath.Base(filepath.Dir(path))) {
			t.Errorf("the warnings do not name %s:\n%s", path, text)
		}
	}
	if got := readAll(t, foreign); got != "mine" {
		t.Errorf("the foreign file is %q now", got)
	}
	must(os.Remove(foreign))
	if diff := cmp.Diff(want, h.lake(h.root())); diff != "" {
		t.Errorf("the drift was not repaired:\n%s", diff)
	}
	if p := h.apply(); !p.Summary().Empty() || len(p.Jobs[0].Problems.Warnings) > 0 {
		t.Errorf("the next plan is %+v with %v", p.Summary(), p.Jobs[0].Problems.Warnings)
	}
}

// Without its state, prospector does not overwrite foreign files.
func TestLostState(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 13, Prospects: 5, Events: 50})
	h.apply()
	before := snapshot(t, h.root())
	if err := os.Remove(filepath.Join(h.dir, "prospector.state.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "would overwrite objects") {
		t.Errorf("the apply ended with %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
		t.Errorf("the lake was touched:\n%s", diff)
	}
}

// A new sink gets everything, and the other sinks do not change.
func TestSecondSink(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 13, Prospects: 20, Events: 500})
	h.apply()
	before := snapshot(t, h.root())
	second := filepath.Join(h.dir, "second")
	h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.second"}, Location: local.At(second)})
	h.apply()
	if diff := cmp.Diff(h.lake(h.root()), h.lake(second)); diff != "" {
		t.Errorf("the sinks differ:\n%s", diff)
	}
	if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
		t.Errorf("the first sink was touched:\n%s", diff)
	}
	if p := h.apply(); !p.Summary().Empty() {
		t.Errorf("the next plan is %+v", p.Summary())
	}
}
