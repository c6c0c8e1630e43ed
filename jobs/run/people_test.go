package run

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink/store/local"
)

// people makes the source serve the events of several prospects, each on one page. If
// the events of a prospect end with "…", there is another page that never arrives. A
// listed prospect without events is not found.
func (h *house) people(events map[string][]string, listed ...string) {
	h.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nodes, known := events[strings.Split(r.URL.Path, "/")[2]]
		partial := len(nodes) > 0 && nodes[len(nodes)-1] == "…"
		switch {
		case !known:
			w.WriteHeader(http.StatusNotFound)
			return
		case r.URL.Query().Get("after") != "":
			w.WriteHeader(http.StatusBadRequest)
			return
		case partial:
			nodes = nodes[:len(nodes)-1]
		}
		edges := make([]string, len(nodes))
		for i, n := range nodes {
			edges[i] = `{"node":` + n + `}`
		}
		fmt.Fprintf(w, `{"edges":[%s],"pageInfo":{"hasNextPage":%t,"endCursor":"next"}}`, strings.Join(edges, ","), partial)
	}))
	h.Cleanup(server.Close)
	h.ask(server.URL, slices.Concat(slices.Sorted(maps.Keys(events)), listed)...)
}

// on returns an event with a day and a text.
func on(day int, text string) string {
	return fmt.Sprintf(`{"type":"SMS_MESSAGE","createdAt":"2022-01-%02dT10:00:00Z","data":{"body":%q,"segments":1}}`, day, text)
}

func (h *house) bodies() (all []string) {
	for _, row := range h.rows() {
		all = append(all, row["message_body"])
	}
	slices.Sort(all)
	return all
}

// on_missing decides whether rows that the source no longer returns stay. Rows of a
// prospect that was not read completely stay.
func TestMissing(t *testing.T) {
	before := map[string][]string{
		"whole":   {on(1, "a"), on(2, "b"), on(3, "c")},
		"partial": {on(1, "d"), on(4, "e")},
		"unknown": {on(1, "f")},
		"left":    {on(5, "g")},
		"empty":   {on(6, "h")},
		"refused": {on(7, "i")},
	}
	after := map[string][]string{
		"whole":   {on(1, "a")}, // one partition shrinks, and one has nothing new
		"partial": {on(1, "d"), "…"},
		"empty":   {},
		"refused": {`{"type":"SMS_MESSAGE","data":{"body":"i"}}`}, // no longer a row
	}
	for _, test := range []struct {
		del     bool
		want    []string
		missing plan.Missing
	}{
		{false, []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}, plan.Missing{Kept: 7}},
		{true, []string{"a", "d", "e", "f", "g", "h", "i"}, plan.Missing{Kept: 5, Waiting: 1, Deleted: 2}},
	} {
		t.Run(fmt.Sprint("deleted: ", test.del), func(t *testing.T) {
			h := newHouse(t)
			h.job().DeleteMissing = test.del
			h.people(before)
			h.apply()
			h.people(after, "unknown")
			p := h.apply()
			if diff := cmp.Diff(test.want, h.bodies()); diff != "" {
				t.Errorf("the lake has other rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.missing, p.Jobs[0].Source.Missing); diff != "" {
				t.Errorf("counts in the plan (-want +got):\n%s", diff)
			}
			if p = h.apply(); !p.Empty() || p.Jobs[0].Source.Missing.Deleted != 0 {
				t.Errorf("the next plan: %+v, %+v", p.Summary(), p.Jobs[0].Source.Missing)
			}
		})
	}
}

// A source that returns nothing does not empty the lake.
func TestNothingReturned(t *testing.T) {
	h := newHouse(t)
	h.job().DeleteMissing = true
	h.people(map[string][]string{"p": {on(1, "a"), on(2, "b")}, "q": {on(3, "c")}})
	h.apply()
	h.people(map[string][]string{"p": {}, "q": {}})
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "The source returned no events at all") {
		t.Errorf("the error is %v", err)
	}
	if got := h.bodies(); len(got) != 3 {
		t.Errorf("the lake has %q", got)
	}
	h.people(map[string][]string{"p": {on(1, "a")}, "q": {}})
	if p := h.apply(); len(p.Jobs[0].Problems.Warnings) != 2 || p.Jobs[0].Problems.Warnings[1].Summary != "Much of the table is deleted" {
		t.Errorf("the warnings are %v", p.Jobs[0].Problems.Warnings)
	}
}

// Removing a policy does not restore published values. The plan warns of this.
func TestLostValuesAreReported(t *testing.T) {
	h := newHouse(t)
	h.people(map[string][]string{"p": {on(1, "a"), on(2, "b")}})
	redacted, err := schemas.KnockEvents().Declare(schemas.Column{
		Name: "message_body", Type: schemas.String, From: []string{"data.body"}, Policy: schemas.Redact,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		table schemas.Table
		lost  string
	}{
		{redacted, ""}, {schemas.KnockEvents(), "message_body"},
	} {
		h.apply()
		h.people(map[string][]string{"p": {on(2, "b")}})
		h.job().Schema = test.table
		h.config.Lock = schemas.Lock{h.job().Address: test.table}
		warning := ""
		for _, w := range h.apply().Jobs[0].Problems.Warnings {
			if w.Summary == "Published values will be lost" {
				warning = w.Detail
			}
		}
		if (warning != "") != (test.lost != "") || !strings.Contains(warning, test.lost) {
			t.Errorf("the warning is %q", warning)
		}
	}
	if diff := cmp.Diff([]string{"", "b"}, h.bodies()); diff != "" {
		t.Error(diff)
	}
}

// A new field, a new event type and a value of another type are reported once.
func TestNewThingsAreReportedOnce(t *testing.T) {
	h := newHouse(t)
	warnings := func(p *plan.Plan) (all []string) {
		for _, w := range p.Jobs[0].Problems.Warnings {
			all = append(all, w.Summary+": "+strings.Split(strings.TrimSpace(w.Detail), "\n")[0])
		}
		return all
	}
	nights := []struct {
		events []string
		want   []string
	}{
		{[]string{on(1, "a"), on(2, "b")}, nil}, // in the first apply, every field is new
		{[]string{on(1, "a"), `{"type":"SMS_MESSAGE","createdAt":"2022-01-02T10:00:00Z","data":{"mood":"gay"}}`}, []string{"New fields without a column: data.mood in 1 SMS_MESSAGE event: a string"}},
		{[]string{on(1, "a"), `{"type":"SMS_MESSAGE","createdAt":"2022-01-02T10:00:00Z","data":{"mood":"sad"}}`}, nil},
		{[]string{on(1, "a"), `{"type":"VOICE","createdAt":"2022-01-04T10:00:00Z","data":{"to":1,"body":[]}}`}, []string{
			"New event types: VOICE: 1 event",
			"Values that do not match their column's type: data.body in 1 VOICE event: an array, but the column message_body has type string",
		}},
		{[]string{on(1, "a")}, nil},
		{[]string{on(1, "a"), `{"type":"VOICE","createdAt":"2022-01-04T10:00:00Z","data":{"to":1,"body":[]}}`}, nil}, // it is still known
	}
	for i, night := range nights {
		h.people(map[string][]string{"p": night.events})
		if diff := cmp.Diff(night.want, warnings(h.apply())); diff != "" {
			t.Errorf("warnings of night %d (-want +got):\n%s", i+1, diff)
		}
	}
}

// Replacing a column requires approval: the lock must have the new column. Without a
// lock, the published schema counts. Adding a column requires no approval.
func TestConsent(t *testing.T) {
	declare := func(columns ...schemas.Column) schemas.Table {
		table, err := schemas.KnockEvents().Declare(columns...)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	number := schemas.Column{Name: "segments", Type: schemas.Int64, From: []string{"data.segments"}}
	text := number
	text.Type = schemas.String
	h := newHouse(t)
	h.people(map[string][]string{"p": {on(1, "a"), on(2, "b")}})
	h.apply()
	h.job().Schema = declare(number)
	if p := h.apply(); p.Jobs[0].Output.Rewrite == nil || p.Jobs[0].Output.Rewrite.Files != 2 || p.Summary().Change != 2 {
		t.Errorf("after adding a column: %+v", p.Jobs[0].Output.Rewrite)
	}
	for id, row := range h.rows() {
		if row["segments"] != "1" || row["extra_json"] != "" {
			t.Errorf("the row %s is %v", id, row)
		}
	}

	h.job().Schema = declare(text)
	before := snapshot(t, h.root())
	refused := func(when string) {
		t.Helper()
		_, err := h.try(t.Context())
		d := jobs.Diagnose(err, "")[0]
		if d.Summary != "A schema change needs approval" || !strings.Contains(d.Detail, "segments: int64 -> string") ||
			!strings.Contains(d.Detail, "2 rows in all 2 files") || !strings.Contains(d.Detail, "prospector init -upgrade") {
			t.Errorf("%s, after widening a column: %v", when, err)
		}
		if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
			t.Errorf("%s, the lake has changed:\n%s", when, diff)
		}
	}
	refused("without a lock")
	h.config.Lock = schemas.Lock{h.job().Address: declare(number)}
	refused("against the lock")
	h.config.Lock = schemas.Lock{h.job().Address: declare(text)}
	if p := h.apply(); p.Summary().Change != 2 {
		t.Errorf("with consent: %+v", p.Summary())
	}
	h.config.Lock = schemas.Lock{h.job().Address: schemas.KnockEvents()} // as it was committed at first
	p := h.apply()
	if w := p.Jobs[0].Problems.Warnings; len(w) != 1 || w[0].Summary != "The schema lock is out of date" {
		t.Errorf("a lock that lacks a column: %v", w)
	}
	if !p.Empty() {
		t.Errorf("the next plan: %+v", p.Summary())
	}
}

// With mismatch = "fail" or the like, an unexpected value ends the run. The error points
// to the schema.
func TestUnexpectedFails(t *testing.T) {
	h := newHouse(t)
	h.people(map[string][]string{"p": {`{"type":"VOICE","createdAt":"2022-01-04T10:00:00Z","data":{"secret":"Alice"}}`}})
	h.job().Schema.UnknownType = schemas.Fail
	h.job().SchemaBlock = jobs.Block{Address: "schema.s", Attributes: map[string]jobs.Origin{"unknown_type": {Filename: "main.hcl", Line: 7}}}
	_, err := h.try(t.Context())
	var d jobs.Diagnostic
	if !errors.As(err, &d) || d.Origin == nil || d.Origin.Line != 7 || !strings.Contains(d.Detail, "VOICE") || strings.Contains(err.Error(), "Alice") {
		t.Errorf("the error is %v", err)
	}
}

// If the list of prospects is damaged or deleted, the plan does not compare prospects
// with it, and the apply replaces it.
func TestDamagedList(t *testing.T) {
	before, after := map[string][]string{"a": {on(1, "a")}}, map[string][]string{"a": {on(1, "a")}, "b": {on(1, "b")}}
	for name, damage := range map[string]func(path string) error{
		"intact":                  func(string) error { return nil },
		"an ID less":              func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"another ID":              func(path string) error { return os.WriteFile(path, []byte("\"c\"\n"), 0o600) },
		"cut off in the first ID": func(path string) error { return os.Truncate(path, 2) },
		"gone":                    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.people(before)
			h.apply()
			lists, err := filepath.Glob(filepath.Join(h.dir, "prospector.state.json.d", "prospects", "*"))
			if err != nil || len(lists) != 1 {
				t.Fatalf("the lists: %q, %v", lists, err)
			}
			if err := damage(lists[0]); err != nil {
				t.Fatal(err)
			}
			h.people(after)
			p := h.apply()
			list, warned := p.Jobs[0].Source.Reading.List, slices.ContainsFunc(p.Jobs[0].Problems.Warnings, func(d jobs.Diagnostic) bool {
				return d.Summary == "The previous list of prospects cannot be read"
			})
			if intact := name == "intact"; warned == intact || list.Known != intact || intact != (list.Added == 1) {
				t.Errorf("the list: %+v, warned: %t", list, warned)
			}
			if p := h.apply(); !p.Empty() || len(p.Jobs[0].Problems.Warnings) > 0 {
				t.Errorf("the next plan: %+v, %v", p.Summary(), p.Jobs[0].Problems.Warnings)
			}
		})
	}
}

// After an erase, nothing that prospector keeps names the prospect.
func TestErase(t *testing.T) {
	for name, target := range map[string]int64{"a file a partition": 0, "a file a row": 1} {
		t.Run(name, func(t *testing.T) { testErase(t, target) })
	}
}

func testErase(t *testing.T, target int64) {
	const id, mail, words = "prospect-ALICE-4711", "alice.liddell@example.com", "down the rabbit hole"
	message := func(day int, kind string) string {
		return fmt.Sprintf(`{"type":%q,"createdAt":"2022-01-%02dT10:00:00Z","data":{"from":%q,"body":%q,"note":%[4]q}}`, kind, day, mail, words)
	}
	events := map[string][]string{
		id:    {message(1, "SMS_MESSAGE"), message(2, "SMS_MESSAGE"), `{"type":"SMS_MESSAGE","data":{"body":"` + words + `"}}`},
		"bob": {on(1, "b"), `{"type":"SMS_MESSAGE","data":{"body":"no time"}}`},
	}
	h := newHouse(t)
	h.job().TargetFileSize = target
	h.job().Compression = jobs.Uncompressed // so that bytes can be searched
	h.job().Sinks = append(h.job().Sinks, jobs.Sink{Block: jobs.Block{Address: "sink.local.copy"}, Location: local.At(filepath.Join(h.dir, "copy"))})
	traces := func() (found []string) {
		err := filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Base(path) == "prospects.txt" { // it is the user's
				return err
			}
			text, err := os.ReadFile(path)
			for _, trace := range []string{id, mail, words} {
				if bytes.Contains(text, []byte(trace)) {
					rel, _ := filepath.Rel(h.dir, path)
					found = append(found, rel+": "+trace)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	run := func(o PlanOptions) (p *plan.Plan, err error) {
		ctx, s, err := h.open(t.Context())
		if err != nil {
			return nil, err
		}
		if p, err = s.Plan(ctx, o); err == nil {
			err = s.Apply(ctx, p)
		}
		err = errors.Join(err, s.Record(ctx, "apply", p, err))
		if err == nil && o.Mode == plan.Erase {
			_, err = s.ProveErased(ctx, o.Prospect)
		}
		return p, errors.Join(err, s.Close())
	}

	h.people(events)
	if _, err := run(PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	h.people(map[string][]string{"bob": events["bob"]}, id) // so that the record of this run names it
	if _, err := run(PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	// Leftovers of killed runs, damaged files, and files of later versions.
	names := `{"of":"` + id + `"}` + "\n"
	for left, text := range map[string]string{
		"lake/.prospector/tmp/X":                                                   id,
		".prospector/tmp/X":                                                        id,
		".prospector/journal/job.prospect_events/x":                                id,
		".prospector/stage/dead/00000":                                             id,
		".prospector/later":                                                        "page of " + id,
		"prospector.state.json.d/prospects/job.prospect_events-0.jsonl":            `"` + id + `"` + "\n",
		"prospector.state.json.d/runs/20220113T120000Z-00000000.json":              names[:len(names)-2],
		"prospector.state.json.d/later/a.jsonl":                                    names,
		"lake/.prospector/damaged/prospect_events/event_type=T/part-00000.parquet": "PAR1\x00" + id + "\x00PAR1",
		"copy/.prospector/later/a.jsonl":                                           names,
	} {
		h.leave(left, text)
	}
	stays := []string{"prospector.state.json.d/later/b.jsonl", "lake/.prospector/later/b.jsonl", ".prospector/later-b"}
	for _, left := range stays {
		h.leave(left, `{"of":"bob"}`+"\n")
	}
	if len(traces()) < 22 {
		t.Fatalf("there are too few traces to erase: %q", traces())
	}
	others := h.bodies()

	p, err := run(PlanOptions{Mode: plan.Erase, Prospect: id})
	if err != nil {
		t.Fatal(err)
	}
	if found := traces(); len(found) > 0 {
		t.Errorf("there are traces:\n%s", strings.Join(found, "\n"))
	}
	for _, left := range stays {
		if _, err := os.Stat(filepath.Join(h.dir, left)); err != nil {
			t.Errorf("%s, which does not name the prospect: %v", left, err)
		}
	}
	if s := p.Summary(); s != (plan.Summary{Change: 2, Destroy: 1}) { // a partition with rows of Bob, the quarantine; a partition without rows of Bob
		t.Errorf("the plan: %+v", s)
	}
	if w := p.Warnings; len(w) != 1 || w[0].Summary != "The prospect is still listed" {
		t.Errorf("the warnings: %v", w)
	}
	others = slices.DeleteFunc(others, func(body string) bool { return body == words })
	if diff := cmp.Diff(others, h.bodies()); diff != "" {
		t.Errorf("others have lost rows (-want +got):\n%s", diff)
	}

	// The lake equals one that never had the prospect.
	h.people(map[string][]string{"bob": events["bob"]})
	if p, err := run(PlanOptions{}); err != nil || !p.Empty() {
		t.Errorf("the next plan: %+v, %v", p.Summary(), err)
	}
	if p, err := run(PlanOptions{Mode: plan.Erase, Prospect: id}); err != nil || !p.Empty() || len(p.Warnings) > 0 {
		t.Errorf("erased once more: %+v, %v, %v", p.Summary(), p.Warnings, err)
	}
}

// leave puts a file into the working directory.
func (h *house) leave(name, text string) {
	h.Helper()
	path := filepath.Join(h.dir, filepath.FromSlash(name))
	h.must(errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)))
}

// The proof finds a prospect that is not erased, wherever it is. It reports text that
// only quotes the ID, but does not fail because of it.
func TestProof(t *testing.T) {
	const id = "prospect-4711"
	h := newHouse(t)
	prove := func() (erase.Result, error) {
		ctx, s, err := h.open(t.Context())
		h.must(err)
		s.state.Erasing = true
		found, err := s.ProveErased(ctx, id)
		if (err != nil) != s.state.Erasing {
			t.Errorf("with %v, erasing is %t", err, s.state.Erasing)
		}
		return found, errors.Join(err, s.Close())
	}
	refused := `{"type":"SMS_MESSAGE","data":{"body":"as prospect-4711 says"}}`
	h.people(map[string][]string{"bob": {on(1, "b"), on(2, "ask prospect-4711."), refused}, "prospect-4711-b": {on(3, "c"), on(4, "not prospect-47111")}})
	h.apply()
	found, err := prove()
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, m := range found.Mentions {
		places = append(places, fmt.Sprint(m.Place, " ", m.Count))
	}
	slices.Sort(places)
	want := []string{"quarantined events of other prospects 1", "rows of other prospects, column message_body 1", "rows of other prospects, column prospect_id 1", "rows of other prospects, column prospect_id 1"}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("other mentions are found (-want +got):\n%s", diff)
	}
	if found.Files == 0 || found.Objects == 0 || found.Removed > 0 {
		t.Errorf("found is %+v", found)
	}

	h.people(map[string][]string{id: {on(1, "a"), refused}, "bob": {on(1, "b")}})
	h.apply()
	_, err = prove()
	for _, says := range []string{"The prospect is not erased", "event_date=2022-01-01/part-00000.parquet: 1 rows of the prospect", "prospect_events.jsonl: 1 events of the prospect"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}

// All quarantined events follow the current policies, whichever prospects were read.
func TestQuarantineObeysPolicies(t *testing.T) {
	h := newHouse(t)
	refused := func(text string) string { return `{"type":"SMS_MESSAGE","data":{"body":"` + text + `"}}` }
	h.people(map[string][]string{"gone": {refused("secret-1"), `{"type":"\ud83d","data":{"body":"secret-2"}}`}, "b": {on(1, "b"), refused("secret-3")}})
	h.apply()
	text := func() string {
		return readAll(t, filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl"))
	}
	if before := text(); strings.Count(before, "secret") != 2 || strings.Count(before, "event_base64") != 0 {
		t.Logf("the quarantine is\n%s", before)
	}
	for _, policy := range []schemas.Policy{schemas.Redact, schemas.Drop} {
		table, err := schemas.KnockEvents().Declare(schemas.Column{Name: "message_body", Type: schemas.String, From: []string{"data.body"}, Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		h.job().Schema = table
		h.config.Lock = schemas.Lock{h.job().Address: table}
		h.people(map[string][]string{"b": {on(1, "b"), refused("secret-3")}})
		h.apply()
		after := text()
		if strings.Contains(after, "secret") || strings.Count(after, "\n") != 3 {
			t.Errorf("under %s the quarantine is\n%s", policy, after)
		}
		if p := h.apply(); !p.Empty() {
			t.Errorf("under %s the next plan is %+v", policy, p.Summary())
		}
	}
}

// An erase can rewrite files whose first rows all have an empty text.
func TestEraseNextToEmptyTexts(t *testing.T) {
	h := newHouse(t)
	var bob []string
	for i := range 600 {
		description := ""
		if i >= 300 {
			description = "zebra"
		}
		bob = append(bob, fmt.Sprintf(`{"type":"T","createdAt":"2022-01-13T%02d:%02d:00Z","description":%q}`, i/60, i%60, description))
	}
	h.people(map[string][]string{"bob": bob, "alice": {`{"type":"T","createdAt":"2022-01-13T23:00:00Z"}`}})
	h.apply()
	h.options = PlanOptions{Mode: plan.Erase, Prospect: "alice"}
	h.apply()
	if rows := h.rows(); len(rows) != 600 {
		t.Errorf("there are %d rows", len(rows))
	}
}
