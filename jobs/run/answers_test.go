package run

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/spool"
	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/read"
)

// api is a source whose responses a test can change from run to run.
type api struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, prospect, after string)
	asked  map[string]int // requests by prospect, since the last change
}

// serve makes the job read prospects, one at a time, from an API.
func (h *house) serve(prospects ...string) *api {
	h.Helper()
	a := &api{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		prospect := strings.Split(r.URL.Path, "/")[2]
		a.asked[prospect]++
		a.answer(w, prospect, r.URL.Query().Get("after"))
	}))
	h.Cleanup(server.Close)
	h.ask(server.URL, prospects...)
	h.job().Source.Concurrency, h.job().Source.MaxAttempts = 1, 1
	return a
}

func (a *api) change(answer func(w http.ResponseWriter, prospect, after string)) {
	a.answer, a.asked = answer, make(map[string]int)
}

// events responds with a page that is the last one.
func events(w io.Writer, nodes ...string) {
	var edges []string
	for _, n := range nodes {
		edges = append(edges, `{"node":`+n+`}`)
	}
	fmt.Fprintf(w, `{"edges":[%s],"pageInfo":{"hasNextPage":false}}`, strings.Join(edges, ","))
}

// Refusals are not kept: the next run requests only the missing pages.
func TestRefusalsAreNotKept(t *testing.T) {
	for _, test := range []struct {
		status    int
		prospects []string
		refused   func(prospect string) bool
		summary   string
		again     map[string]int // requests of the second run
	}{
		{401, []string{"a", "b"}, func(string) bool { return true }, "The API key is not accepted", map[string]int{"a": 1, "b": 1}},
		{401, []string{"a", "b"}, func(p string) bool { return p == "b" }, "The API key is not accepted", map[string]int{"b": 1}},
		{403, []string{"a", "b"}, func(string) bool { return true }, "No prospect could be read", map[string]int{"a": 1, "b": 1}},
		{404, []string{"a", "b"}, func(string) bool { return true }, "No prospect could be read", map[string]int{"a": 1, "b": 1}},
		{410, []string{"a", "b"}, func(string) bool { return true }, "No prospect could be read", map[string]int{"a": 1, "b": 1}},
	} {
		t.Run(fmt.Sprint(test.status, test.again), func(t *testing.T) {
			h := newHouse(t)
			a := h.serve(test.prospects...)
			a.change(func(w http.ResponseWriter, prospect, _ string) {
				if test.refused(prospect) {
					w.WriteHeader(test.status)
					return
				}
				events(w, on(1, prospect))
			})
			_, err := h.try(t.Context())
			d := jobs.Diagnose(err, "")[0]
			if d.Summary != test.summary || !strings.Contains(d.Detail, "Nothing was published") || !strings.Contains(d.Detail, "run the same command again") {
				t.Fatalf("the refused run ends with: %v", err)
			}
			a.change(func(w http.ResponseWriter, prospect, _ string) { events(w, on(1, prospect)) })
			h.apply()
			if diff := cmp.Diff(test.prospects, h.bodies()); diff != "" {
				t.Errorf("the lake has other rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.again, a.asked); diff != "" {
				t.Errorf("the requests are others (-want +got):\n%s", diff)
			}
		})
	}
}

// Refusals are not kept either if the run ends for another reason.
func TestRefusalsOfAnInterruptedRun(t *testing.T) {
	h := newHouse(t)
	a := h.serve("a", "b", "c", "d")
	refused := map[string]int{"b": 403, "c": 404, "d": 401}
	a.change(func(w http.ResponseWriter, prospect, _ string) {
		if status := refused[prospect]; status > 0 {
			w.WriteHeader(status)
			return
		}
		events(w, on(1, prospect))
	})
	if _, err := h.try(t.Context()); err == nil {
		t.Fatal("the run did not end")
	}
	a.change(func(w http.ResponseWriter, prospect, _ string) { events(w, on(1, prospect)) })
	h.apply()
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, h.bodies()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"b": 1, "c": 1, "d": 1}, a.asked); diff != "" {
		t.Errorf("the requests are others (-want +got):\n%s", diff)
	}
}

// Refusals in the journal of an earlier version are not replayed, even if the prospect
// has pages.
func TestOldJournal(t *testing.T) {
	h := newHouse(t)
	a := h.serve("a", "b", "c")
	a.change(func(w http.ResponseWriter, prospect, _ string) { events(w, on(1, prospect)) })
	from, err := knock.Open(h.api(), extract.Requests{PageSize: h.job().Source.PageSize})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := spool.Open(filepath.Join(h.dir, ".prospector", "journal", fileName(h.job().Address)), read.Binding(h.job().Address, from), read.JournalAge, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for prospect, outcome := range map[string]read.Outcome{"a": read.NotFound, "b": read.Forbidden, "c": read.NotFound} {
		if prospect == "c" {
			err = journal.Append(spool.Page{Prospect: prospect, Number: 1, Next: "2", Events: 0, Body: []byte(`{"edges":[],"pageInfo":{"hasNextPage":true,"endCursor":"2"}}`)})
		}
		if err == nil {
			err = journal.Finish(prospect, string(outcome))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	h.apply()
	if diff := cmp.Diff([]string{"a", "b", "c"}, h.bodies()); diff != "" {
		t.Error(diff)
	}
}

// Pages that were fetched with one API key are not used with another key. The journal
// does not reveal the key.
func TestKeysDoNotShareAJournal(t *testing.T) {
	h := newHouse(t)
	a := h.serve("a", "b")
	half := func(w http.ResponseWriter, prospect, _ string) {
		if prospect == "b" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		events(w, on(1, prospect))
	}
	const key = "the-first-key-0123456789"
	for i, test := range []struct {
		key   attribute.Secret
		again int // requests for a
	}{{key, 1}, {key, 0}, {"the-second-key", 1}, {key, 1}} {
		h.api().APIKey = test.key
		a.change(half)
		if _, err := h.try(t.Context()); err == nil {
			t.Fatal("the run did not end")
		}
		if a.asked["a"] != test.again {
			t.Errorf("run %d: %d requests for a prospect that was read, want %d", i+1, a.asked["a"], test.again)
		}
	}
	err := filepath.WalkDir(filepath.Join(h.dir, ".prospector"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(readAll(t, path), key) {
			t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// emptyAnswers are responses without events that do not prove that there are none, and
// whether a prospect with such a page, alone or after another page, fails.
var emptyAnswers = []struct {
	name   string
	status int
	body   string
	failed bool
}{
	{"204", 204, "", false},
	{"edges null", 200, `{"edges":null,"pageInfo":{"hasNextPage":false,"endCursor":null}}`, false},
	{"edges null, empty errors", 200, `{"errors":[],"edges":null,"pageInfo":{"hasNextPage":false}}`, false},
	{"errors", 200, `{"errors":[{"message":"internal"}],"edges":null,"pageInfo":{"hasNextPage":false,"endCursor":null}}`, true},
	{"errors, edges empty", 200, `{"errors":[{"message":"internal"}],"edges":[],"pageInfo":{"hasNextPage":false}}`, true},
	{"errorMessage", 200, `{"errorMessage":"internal","edges":[],"pageInfo":{"hasNextPage":false}}`, true},
	{"errorCode", 200, `{"errorCode":"E1","edges":[],"pageInfo":{"hasNextPage":false}}`, true},
	{"no success", 200, `{"success":false,"edges":[],"pageInfo":{"hasNextPage":false}}`, true},
	{"an error in pageInfo", 200, `{"edges":[],"pageInfo":{"hasNextPage":false,"error":"timeout"}}`, true},
	{"pageInfo with other keys", 200, `{"edges":[],"pageInfo":{"has_next_page":false,"end_cursor":null}}`, true},
	{"a message", 200, `{"message":"Internal server error","edges":[],"pageInfo":{"hasNextPage":false}}`, false},
	{"a count of other events", 200, `{"edges":[],"pageInfo":{"hasNextPage":false},"totalCount":5}`, false},
	{"a reason in pageInfo", 200, `{"edges":[],"pageInfo":{"hasNextPage":false,"reason":"timeout"}}`, false},
	{"no edges", 200, `{"pageInfo":{"hasNextPage":false}}`, true},
	{"empty object", 200, `{}`, true},
	{"JSON null", 200, `null`, true},
	{"nothing", 200, ``, true},
	{"HTML", 200, `<html>Please log in</html>`, true},
	{"206", 206, `{"edges":[],"pageInfo":{"hasNextPage":false}}`, true},
	{"202", 202, `{"edges":[],"pageInfo":{"hasNextPage":false}}`, true},
}

// A response that does not prove that a prospect has no events deletes neither a row
// nor a quarantined event.
func TestNoEvidenceDeletesNothing(t *testing.T) {
	for _, test := range emptyAnswers {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", on a later page: ", later), func(t *testing.T) {
				h := newHouse(t)
				h.job().DeleteMissing = true
				a := h.serve("other", "p")
				quarantined := `{"type":"SMS_MESSAGE","data":{"body":"no time"}}`
				a.change(func(w http.ResponseWriter, prospect, _ string) {
					events(w, on(1, prospect), on(2, prospect+"2"), quarantined)
				})
				h.apply()
				before := readAll(t, filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl"))

				a.change(func(w http.ResponseWriter, prospect, after string) {
					switch {
					case prospect == "other":
						events(w, on(1, prospect), on(2, prospect+"2"), quarantined)
					case later && after == "":
						fmt.Fprintf(w, `{"edges":[{"node":%s}],"pageInfo":{"hasNextPage":true,"endCursor":"2"}}`, on(1, prospect))
					default:
						w.WriteHeader(test.status)
						io.WriteString(w, test.body)
					}
				})
				p := h.apply()
				if diff := cmp.Diff([]string{"other", "other2", "p", "p2"}, h.bodies()); diff != "" {
					t.Errorf("the lake has other rows (-want +got):\n%s", diff)
				}
				if after := readAll(t, filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl")); after != before {
					t.Errorf("the quarantine has changed:\n%s", after)
				}
				want := plan.Coverage{Prospects: 2, Complete: 2}
				if test.failed && later {
					want.Complete, want.Partial = 1, 1
				} else if test.failed {
					want.Complete, want.Failed = 1, 1
				}
				if diff := cmp.Diff(want, p.Jobs[0].Source.Reading.Coverage); diff != "" {
					t.Errorf("coverage (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// The same holds for such a response in the journal.
func TestNoEvidenceInTheJournal(t *testing.T) {
	for _, test := range emptyAnswers {
		if test.failed {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.job().DeleteMissing = true
			a := h.serve("a", "p", "z")
			a.change(func(w http.ResponseWriter, prospect, _ string) { events(w, on(1, prospect), on(2, prospect+"2")) })
			h.apply()
			end := true
			answer := func(w http.ResponseWriter, prospect, _ string) {
				switch {
				case prospect == "p":
					w.WriteHeader(test.status)
					io.WriteString(w, test.body)
				case prospect == "z" && end:
					w.WriteHeader(http.StatusUnauthorized)
				default:
					events(w, on(1, prospect))
				}
			}
			a.change(answer)
			if _, err := h.try(t.Context()); err == nil {
				t.Fatal("the run did not end")
			}
			end = false
			a.change(answer)
			h.apply()
			if diff := cmp.Diff(map[string]int{"z": 1}, a.asked); diff != "" || h.observed.resumed != 2 {
				t.Errorf("%d pages were resumed; the requests are others (-want +got):\n%s", h.observed.resumed, diff)
			}
			if diff := cmp.Diff([]string{"a", "p", "p2", "z"}, h.bodies()); diff != "" {
				t.Errorf("the lake has other rows (-want +got):\n%s", diff)
			}
		})
	}
}

// An expired cursor does not mean that its prospect was not found.
func TestExpiredCursor(t *testing.T) {
	for _, status := range []int{404, 410} {
		h := newHouse(t)
		h.job().DeleteMissing = true
		a := h.serve("p")
		a.change(func(w http.ResponseWriter, _, _ string) { events(w, on(1, "a"), on(2, "b")) })
		h.apply()
		a.change(func(w http.ResponseWriter, _, after string) {
			if after != "" {
				w.WriteHeader(status)
				return
			}
			fmt.Fprintf(w, `{"edges":[{"node":%s}],"pageInfo":{"hasNextPage":true,"endCursor":"2"}}`, on(1, "a"))
		})
		p := h.apply()
		r := p.Jobs[0].Source.Reading
		if r.Partial != 1 || len(r.Exceptions) != 1 || r.Exceptions[0].Outcome != string(read.Partial) || strings.Contains(r.Exceptions[0].Reason, "no such prospect") {
			t.Errorf("%d: the reading is %+v", status, r)
		}
		if diff := cmp.Diff([]string{"a", "b"}, h.bodies()); diff != "" {
			t.Errorf("%d: %s", status, diff)
		}
	}
}

// A run ends early if the endpoint returns no pages or refuses all requests, but not
// if prospects are not found or forbidden.
func TestEndpointDown(t *testing.T) {
	var ids []string
	for i := range 120 {
		ids = append(ids, fmt.Sprintf("p%03d", i))
	}
	for _, test := range []struct {
		name    string
		status  int
		body    string
		summary string
		most    int // requests
	}{
		{"HTML", 200, "<html>Please log in</html>", "The API does not return events", read.MaxFailures},
		{"errors", 200, `{"errors":["internal"]}`, "The API does not return events", read.MaxFailures},
		{"no page", 200, `{"edges":{},"pageInfo":{}}`, "The API does not return events", read.MaxFailures},
		{"redirect", 302, "", "The API does not return events", read.MaxFailures},
		{"payment required", 402, "", "The API does not return events", read.MaxFailures},
		{"unavailable", 503, "", "The API does not respond", read.MaxFailures},
		{"not found", 404, "", "No prospect could be read", len(ids)},
		{"forbidden", 403, "", "No prospect could be read", len(ids)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			a := h.serve(ids...)
			a.change(func(w http.ResponseWriter, _, _ string) {
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			_, err := h.try(t.Context())
			if d := jobs.Diagnose(err, "")[0]; d.Summary != test.summary || !strings.Contains(d.Detail, "run the same command again") {
				t.Errorf("the run ends with: %v", err)
			}
			requests := 0
			for _, n := range a.asked {
				requests += n
			}
			if requests != test.most {
				t.Errorf("%d requests were made, want %d", requests, test.most)
			}
			a.change(func(w http.ResponseWriter, prospect, _ string) { events(w, on(1, prospect)) })
			h.apply()
			if got := h.bodies(); !slices.Equal(got, ids) {
				t.Errorf("with the repaired API, there are %d rows", len(got))
			}
		})
	}
}

// The warning about quarantined events counts their reasons.
func TestQuarantineReasonsAreCounted(t *testing.T) {
	h := newHouse(t)
	a := h.serve("p")
	a.change(func(w http.ResponseWriter, prospect, _ string) {
		events(w, on(1, prospect), on(2, prospect), on(3, prospect), on(4, prospect),
			`{"type":"SMS_MESSAGE"}`, `{"type":"SMS_MESSAGE","data":{}}`, `null`)
	})
	for _, d := range h.apply().Jobs[0].Problems.Warnings {
		if d.Summary != "Events that cannot become rows: 3" {
			continue
		}
		if !strings.HasPrefix(d.Detail, "  2: ") || !strings.Contains(d.Detail, "\n  1: ") {
			t.Errorf("the reasons are not counted: %s", d.Detail)
		}
		return
	}
	t.Error("there is no warning")
}
