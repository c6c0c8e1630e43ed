package run

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"prospector/internal/jsontext"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// A bad event on the second of three pages is quarantined, and no other event is lost.
// No page is requested twice, and the second night changes nothing.
func TestBadEvents(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		name, value string // of a field of the bad event
		encoded     bool   // in base64
	}{
		{"not a number", `NaN`, true},
		{"infinities", `[Infinity,-Infinity]`, true},
		{"words and numbers of other languages", `[None,undefined,01,+1,.5,1.]`, true},
		{"broken escapes", `["\x","\u12"]`, true},
		{"raw control characters", "\"1\n2\x003\"", true},
		{"trailing commas", `[1,{"a":2,},]`, true},
		{"single quotes", `'x'`, true},
		{"nested 400 deep", deep(400), true},
		{"nested 10,000 deep", deep(9_999), true}, // the most that encoding/json reads, as the line has two more levels
		{"nested 100,000 deep", deep(100_000), true},
		{"too many values", "[1" + strings.Repeat(",1", 250_000) + "]", false},
		{"a key twice", `{"a":1,"a":2}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			var requests atomic.Int64
			bad := `{"type":"SMS_MESSAGE","createdAt":"2022-01-02T10:00:00Z","a":` + test.value + `}`
			pages := map[string][]string{
				"": {on(1, "a"), on(1, "b")}, "2": {on(2, "c"), bad, on(2, "],[")}, "3": {on(3, "d")},
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				after := r.URL.Query().Get("after")
				next := map[string]string{"": "2", "2": "3", "3": ""}[after]
				io.WriteString(w, `{"edges":[{"node":`+strings.Join(pages[after], `},{"node":`)+fmt.Sprintf(`}],"pageInfo":{"endCursor":%q,"hasNextPage":%t}}`, next, next != ""))
			}))
			t.Cleanup(server.Close)
			h.ask(server.URL, "1")
			for night := range 2 {
				p := h.apply()
				if got, want := h.bodies(), []string{"],[", "a", "b", "c", "d"}; !slices.Equal(got, want) {
					t.Fatalf("the lake has %q, not %q", got, want)
				}
				if n := requests.Swap(0); n != 3 {
					t.Errorf("%d requests, not 3", n)
				}
				if s := p.Summary(); night == 1 && s != (plan.Summary{}) {
					t.Errorf("the second night has changes: %+v", s)
				}
			}
			var line struct {
				Event json.RawMessage
				Raw   []byte `json:"event_base64"`
			}
			if err := json.Unmarshal([]byte(readAll(t, filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl"))), &line); err != nil {
				t.Fatal(err)
			}
			kept := []byte(line.Event)
			if test.encoded {
				kept = line.Raw
			}
			if string(kept) != bad {
				t.Errorf("the quarantine has %.200q, not %.200q", kept, bad)
			}
		})
	}
}

// An event with a text that is not Unicode becomes a row. Its prospect is read
// completely, and a new schema does not change the row.
func TestBrokenUnicode(t *testing.T) {
	h := newHouse(t)
	h.job().DeleteMissing = true
	event := func(day int, value string) string {
		return fmt.Sprintf(`{"type":"SMS_\ud83d","createdAt":"2022-01-%02dT10:00:00Z","data":{"body":%s,"mood":%s}}`, day, value, value)
	}
	gone := on(5, "gone")
	h.people(map[string][]string{"1": {event(1, `"see you soon \ud83d"`), event(2, "\"\xff\""), on(3, "intact"), gone}})
	p := h.apply()
	if b := p.Jobs[0].Source.Books; b.Added != 4 || b.Quarantined != 0 {
		t.Fatalf("the books are %+v", b)
	}
	if !slices.ContainsFunc(p.Jobs[0].Problems.Warnings, func(d jobs.Diagnostic) bool {
		return d.Summary == "Text that is not Unicode" && strings.Contains(d.Detail, "data.body in 2 SMS_\uFFFD events: text that is not Unicode")
	}) {
		t.Errorf("the warnings are %+v", p.Jobs[0].Problems.Warnings)
	}
	want := h.rows()
	for _, row := range want {
		if extra := row["extra_json"]; strings.Contains(row["message_body"], "\uFFFD") && (!jsontext.IsPortable([]byte(extra)) || strings.Count(extra, `{"$bytes":`) != 3) {
			t.Errorf("extra_json is %s", extra)
		}
	}
	if got := h.bodies(); !slices.Equal(got, []string{"gone", "intact", "see you soon \uFFFD", "\uFFFD"}) {
		t.Errorf("the lake has %q", got)
	}
	if s := h.apply().Summary(); s != (plan.Summary{}) {
		t.Errorf("the second night has changes: %+v", s)
	}

	for _, column := range schemas.Infer(h.job().Schema, *p.Jobs[0].Source.Survey) {
		if strings.Contains(fmt.Sprint(column.Column.From), "$") {
			t.Errorf("a column is proposed for %v", column.Column.From)
		}
	}
	table, err := h.job().Schema.Declare(schemas.Column{Name: "mood", Type: schemas.String, From: []string{"data.mood"}})
	if err != nil {
		t.Fatal(err)
	}
	h.job().Schema = table
	h.people(map[string][]string{"1": {event(1, `"see you soon \ud83d"`), event(2, "\"\xff\""), on(3, "intact")}})
	h.apply()
	if got := h.bodies(); !slices.Equal(got, []string{"intact", "see you soon \uFFFD", "\uFFFD"}) {
		t.Errorf("the lake has %q: the prospect was not read completely", got)
	}
	for id, row := range h.rows() {
		if row["extra_json"] != want[id]["extra_json"] || row["mood"] != "" && row["mood"] != want[id]["message_body"] {
			t.Errorf("%v became %v", want[id], row)
		}
	}
}
