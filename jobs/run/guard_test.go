package run

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// night returns the events of n prospects, by prospect.
func night(n int, of func(prospect, event int) string, events int) map[string][]string {
	out := make(map[string][]string)
	for p := range n {
		all := []string{}
		for e := range events {
			if text := of(p, e); text != "" {
				all = append(all, text)
			}
		}
		out[fmt.Sprint("p", p)] = all
	}
	return out
}

// event returns an event with the given fields, on a day of its own.
func event(eventType string, prospect, number int, fields string) string {
	return fmt.Sprintf(`{"type":%q,"eventTime":"2022-01-%02dT10:00:00Z",%s}`, eventType, 1+number, fields)
}

func createdAt(prospect, number int, fraction string) string {
	return fmt.Sprintf(`"createdAt":"2022-01-%02dT10:%02d:07.%sZ"`, 1+number, prospect, fraction)
}

// refusal plans and applies. It returns the summaries of the diagnostics that refuse
// the plan.
func (h *house) refusal() (summaries []string, text string) {
	h.Helper()
	_, err := h.try(h.Context())
	var all jobs.Diagnostics
	if err != nil && !errors.As(err, &all) {
		all = jobs.Diagnose(err, "")
	}
	for _, d := range all {
		summaries = append(summaries, d.Summary)
		text += d.Summary + "\n" + d.Detail + "\n"
	}
	return summaries, text
}

// A night that is probably wrong is refused, and nothing is published. It is applied if
// the user accepts the guard by name. The next night needs no flag.
func TestNightsAreRefused(t *testing.T) {
	sms := func(p, e int) string {
		return event("SMS_MESSAGE", p, e, createdAt(p, e, "866831")+`,"description":"d","data":{"body":"b"}`)
	}
	both := func(p, e int) string {
		if e%2 == 0 {
			return sms(p, e)
		}
		return event("CALL", p, e, createdAt(p, e, "866831")+`,"description":"d"`)
	}
	small := func(p, e int) string { return strings.Replace(both(p, e), `":"`, fmt.Sprintf(`":"T%d_`, 4*p+e), 1) }
	few := func(p, e int) string {
		if p+e > 0 {
			return sms(p, e)
		}
		return event("CALL", p, e, createdAt(p, e, "866831"))
	}
	replaced := func(of func(p, e int) string, old, replacement string) func(p, e int) string {
		return func(p, e int) string { return strings.Replace(of(p, e), old, replacement, 1) }
	}
	without := func(of func(p, e int) string, part string) func(p, e int) string {
		return func(p, e int) string {
			if text := of(p, e); !strings.Contains(text, part) {
				return text
			}
			return ""
		}
	}
	const identity, gone, quarantined = "Published events have another identity", "An event type is gone", "Most events cannot become rows"
	for _, test := range []struct {
		name          string
		before, after func(p, e int) string
		refused       string // "" if the night is normal
		text          string
		accept        plan.Guard
	}{
		{"nothing changes", both, both, "", "", ""},
		{"createdAt is cut", sms, replaced(sms, "866831Z", "866Z"), identity, "12 of 12 SMS_MESSAGE events: createdAt is cut to milliseconds", plan.GuardIdentity},
		{"createdAt is hours earlier", sms, replaced(sms, "866831Z", "866831+05:00"), identity, "createdAt is earlier by 5h", plan.GuardIdentity},
		{"all times are a month later", sms, replaced(replaced(sms, "2022-01", "2022-02"), "2022-01", "2022-02"), identity, "createdAt is later by 744h", plan.GuardIdentity},
		{"a type is renamed", both, replaced(both, "CALL", "PHONE_CALL"), identity, "6 of 6 CALL events: type has changed", plan.GuardIdentity},
		{"a type is gone", both, without(both, "CALL"), gone, "  CALL", plan.GuardGone},
		{"createdAt of small types is cut", small, replaced(small, "866831Z", "866Z"), identity, "12 of 12 events of types with fewer than 5 events: createdAt is cut to milliseconds", plan.GuardIdentity},
		{"small types are renamed", small, replaced(small, `":"T`, `":"U`), identity, "12 of 12 events of types with fewer than 5 events: type has changed", plan.GuardIdentity},
		{"small types are gone", small, func(p, e int) string {
			if e > 0 {
				return ""
			}
			return event("NEW", p, e, createdAt(p, e, "1"))
		}, gone, "all types with fewer than 5 events, which had 12 together", plan.GuardGone},
		{"some small types are gone", small, func(p, e int) string {
			if p == 0 {
				return ""
			}
			return small(p, e)
		}, "", "", ""},
		{"a column of small types is gone", small, replaced(small, `,"description":"d"`, ""), "A column is empty", "description in events of types with fewer than 5 events", plan.GuardGone},
		{"a small type is gone", few, without(few, "CALL"), "", "", ""},
		{"a column is gone", both, replaced(both, `,"description":"d"`, ""), "A column is empty", "description in SMS_MESSAGE events", plan.GuardGone},
		{"a column of one type is gone", both, replaced(both, `"data":{"body":"b"}`, `"data":{}`), "A column is empty", "message_body in SMS_MESSAGE events", plan.GuardGone},
		{"a column changes", both, replaced(both, `"description":"d"`, `"description":"e"`), "", "", ""},
		{"no event has a time", sms, func(p, e int) string { return `{"type":"SMS_MESSAGE","eventTime":true}` }, quarantined, "12 of 12 SMS_MESSAGE events", plan.GuardQuarantined},
		{"a type has no time", both, replaced(both, `"CALL","eventTime":"`, `"CALL","eventTime":"x`), "A column is empty", "event_time in CALL events", plan.GuardGone},
	} {
		for _, keys := range [][]string{{"event_type", "event_date"}, {"event_month"}, {"event_date"}} {
			t.Run(fmt.Sprintf("%s, by %v", test.name, keys), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				table, err := schemas.KnockEvents().PartitionedBy(keys...)
				if err != nil {
					t.Fatal(err)
				}
				h.job().Schema = table
				h.people(night(3, test.before, 4))
				h.apply()
				published := h.lake(h.root())
				h.people(night(3, test.after, 4))
				if test.refused == "" {
					h.apply()
					return
				}
				for range 2 { // it is refused until it is accepted
					summaries, text := h.refusal()
					if !slices.Equal(summaries, []string{test.refused}) || !strings.Contains(text, test.text) || !strings.Contains(text, "-accept="+string(test.accept)) {
						t.Fatalf("refused with %q:\n%s", summaries, text)
					}
				}
				if diff := cmp.Diff(published, h.lake(h.root())); diff != "" {
					t.Errorf("something was published:\n%s", diff)
				}
				h.options.Accept = []plan.Guard{test.accept}
				if p := h.apply(); !slices.ContainsFunc(p.Jobs[0].Problems.Warnings, func(d jobs.Diagnostic) bool { return d.Summary == test.refused }) || len(p.Accepted) != 1 {
					t.Errorf("the warnings are %v", p.Jobs[0].Problems.Warnings)
				}
				h.options.Accept = nil
				if p := h.apply(); !p.Empty() {
					t.Errorf("the next night changes %+v", p.Summary())
				}
				h.people(night(3, test.after, 6)) // with new events
				h.apply()
			})
		}
	}
}

// The guards do not consider events as gone if their prospect was not read completely,
// they are not among the targets, or their declaration has changed.
func TestNothingIsGone(t *testing.T) {
	both := func(p, e int) string {
		if e < 2 {
			return event("SMS_MESSAGE", p, e, createdAt(p, e, "866831")+`,"data":{"body":"b","segments":1}`)
		}
		return event("CALL", p, e, createdAt(p, e, "866831")+`,"data":{"segments":1}`)
	}
	onlySMS := func(p, e int) string {
		if e < 2 {
			return both(p, e)
		}
		return ""
	}
	for name, second := range map[string]func(h *house){
		"prospects were read in part": func(h *house) {
			after := night(6, onlySMS, 4)
			for _, p := range []string{"p0", "p1", "p2", "p3"} {
				after[p] = append(after[p], "…")
			}
			h.people(after)
		},
		"prospects are no longer listed": func(h *house) { h.people(map[string][]string{"p0": {both(0, 0)}}) },
		"targets": func(h *house) {
			h.people(night(6, onlySMS, 4))
			h.options.Targets = []jobs.Address{address(&mortalHouse{house: h}, "job.prospect_events").WithPartition("event_type=SMS_MESSAGE/event_date=2022-01-01")}
		},
		"a column is no longer declared": func(h *house) {
			h.people(night(6, both, 4))
			h.job().Schema = schemas.KnockEvents()
			h.config.Lock = schemas.Lock{h.job().Address: h.job().Schema}
		},
		"a column has another source": func(h *house) {
			h.people(night(6, both, 4))
			table, err := schemas.KnockEvents().Declare(schemas.Column{Name: "segments", Type: schemas.Int64, From: []string{"data.parts"}})
			if err != nil {
				h.Fatal(err)
			}
			h.job().Schema, h.config.Lock = table, schemas.Lock{h.job().Address: table}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			table, err := schemas.KnockEvents().Declare(schemas.Column{Name: "segments", Type: schemas.Int64, From: []string{"data.segments"}})
			if err != nil {
				t.Fatal(err)
			}
			h.job().Schema = table
			h.people(night(6, both, 4))
			h.apply()
			second(h)
			h.apply()
			if h.options.Targets == nil {
				h.apply() // the same night
			}
		})
	}
}

// A plan is refused if most known prospects are no longer found. New prospects, and
// those that were not found before, do not count.
func TestMostProspectsAreNotFound(t *testing.T) {
	people := func(n int) map[string][]string {
		return night(n, func(p, e int) string { return on(1+p, fmt.Sprint(p, e)) }, 1)
	}
	ids := func(from, to int) (all []string) {
		for p := from; p < to; p++ {
			all = append(all, fmt.Sprint("p", p))
		}
		return all
	}
	h := newHouse(t)
	h.people(people(4))
	h.apply()
	h.people(people(4), ids(4, 20)...) // new ones
	h.apply()
	h.people(people(2), ids(2, 20)...) // half of those that were found
	h.apply()
	h.people(people(4), ids(4, 20)...)
	h.apply()
	h.people(people(1), ids(1, 20)...)
	summaries, text := h.refusal()
	if !slices.Equal(summaries, []string{"Most known prospects are not found"}) || !strings.Contains(text, "3 of them") {
		t.Fatalf("refused with %q:\n%s", summaries, text)
	}
	h.options.Accept = []plan.Guard{plan.GuardNotFound}
	h.apply()
	h.options.Accept = nil
	h.apply()
}

// empties is a house with prospects that may return no events.
type empties struct {
	*house
	at time.Time
}

func newEmpties(t *testing.T) *empties {
	h := &empties{newHouse(t), time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)}
	h.house.now = func() time.Time { return h.at }
	h.job().DeleteMissing = true
	return h
}

// serve returns the events of a, and those of b and c if they have any.
func (h *empties) serve(b, c bool) {
	events := map[string][]string{"a": {on(1, "a"), on(2, "a2")}, "b": {}, "c": {}}
	if b {
		events["b"] = []string{on(2, "b"), on(3, "b2")}
	}
	if c {
		events["c"] = []string{on(4, "c")}
	}
	h.people(events)
}

func (h *empties) lists() (all []string) {
	names, err := filepath.Glob(filepath.Join(h.dir, "prospector.state.json.d", "empty", "*"))
	if err != nil {
		h.Fatal(err)
	}
	return names
}

// The rows of a prospect that returns no events are deleted after two applied reads
// that are 20 hours apart, not before.
func TestEmptyProspects(t *testing.T) {
	for _, test := range []struct {
		name   string
		second func(h *empties) // after the first empty read, which was applied
		want   string           // bodies in the lake after the last read
	}{
		{"20 hours later", func(h *empties) { h.at = h.at.Add(20 * time.Hour) }, "a a2 c"},
		{"sooner", func(h *empties) { h.at = h.at.Add(20*time.Hour - time.Second) }, "a a2 b b2 c"},
		{"with events in between", func(h *empties) {
			h.at = h.at.Add(10 * time.Hour)
			h.serve(true, true)
			h.apply()
			h.serve(false, true)
			h.at = h.at.Add(10 * time.Hour)
		}, "a a2 b b2 c"},
		{"not found in between", func(h *empties) {
			h.at = h.at.Add(10 * time.Hour)
			h.people(map[string][]string{"a": {on(1, "a"), on(2, "a2")}, "c": {on(4, "c")}}, "b")
			h.apply()
			h.serve(false, true)
			h.at = h.at.Add(10 * time.Hour)
		}, "a a2 c"},
		{"empty again in between", func(h *empties) {
			h.at = h.at.Add(10 * time.Hour)
			h.apply()
			h.at = h.at.Add(10 * time.Hour)
		}, "a a2 c"},
		{"the list is lost", func(h *empties) {
			h.at = h.at.Add(20 * time.Hour)
			for _, name := range h.lists() {
				if err := os.Remove(name); err != nil {
					h.Fatal(err)
				}
			}
		}, "a a2 b b2 c"},
		{"the list is damaged", func(h *empties) {
			h.at = h.at.Add(20 * time.Hour)
			for _, name := range h.lists() {
				text := strings.ReplaceAll(readAll(h, name), "2026", "2020")
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					h.Fatal(err)
				}
			}
		}, "a a2 b b2 c"},
		{"another prospect is empty as well", func(h *empties) {
			h.at = h.at.Add(20 * time.Hour)
			h.serve(false, false)
		}, "a a2 c"},
		{"the job keeps rows meanwhile", func(h *empties) {
			h.job().DeleteMissing = false
			h.apply()
			h.job().DeleteMissing = true
			h.at = h.at.Add(20 * time.Hour)
		}, "a a2 b b2 c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newEmpties(t)
			h.serve(true, true)
			h.apply()
			h.serve(false, true)
			p := h.apply()
			if m := p.Jobs[0].Source.Missing; m != (plan.Missing{Kept: 2, Waiting: 2}) {
				t.Errorf("missing are %+v", m)
			}
			if w := p.Jobs[0].Problems.Warnings; len(w) != 1 || !strings.HasPrefix(w[0].Detail, "1 prospect returned no events. Their 2 published rows will be deleted if another read after 2026-01-01 22:00 UTC") {
				t.Errorf("the warnings are %v", w)
			}
			if len(h.lists()) != 1 {
				t.Errorf("the lists are %q", h.lists())
			}
			test.second(h)
			h.apply()
			if got := strings.Join(h.bodies(), " "); got != test.want {
				t.Errorf("the lake has %q, not %q", got, test.want)
			}
			if n := len(h.lists()); n > 1 || test.want == "a a2 c" && test.name != "another prospect is empty as well" && n > 0 {
				t.Errorf("the lists are %q", h.lists())
			}
		})
	}
}

// Only an applied read counts.
func TestEmptyPlansDoNotCount(t *testing.T) {
	h := newEmpties(t)
	h.serve(true, true)
	h.apply()
	h.serve(false, true)
	ctx, s, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Plan(ctx, PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(h.dir, "a.plan")
	if p, err := s.Plan(ctx, PlanOptions{}); err != nil || s.SavePlan(p, saved) != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h.at = h.at.Add(30 * time.Hour)
	ctx, s, err = h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.LoadPlan(ctx, saved) // the read of 30 hours ago
	if err == nil {
		err = errors.Join(s.Apply(ctx, p), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := len(h.bodies()); got != 5 {
		t.Errorf("there are %d rows", got)
	}
	h.apply()
	if got := len(h.bodies()); got != 3 {
		t.Errorf("after the second read there are %d rows", got)
	}
}

// Erasing a prospect removes it from the list, and destroying the table deletes the
// list.
func TestEmptyListGoes(t *testing.T) {
	for name, test := range map[string]struct {
		options PlanOptions
		left    int
	}{
		"erased":          {PlanOptions{Mode: plan.Erase, Prospect: "b"}, 0},
		"another, erased": {PlanOptions{Mode: plan.Erase, Prospect: "c"}, 1},
		"destroyed":       {PlanOptions{Mode: plan.Destroy}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newEmpties(t)
			h.serve(true, true)
			h.apply()
			h.serve(false, true)
			h.apply()
			if n := len(h.lists()); n != 1 {
				t.Fatalf("there are %d lists", n)
			}
			h.options = test.options
			h.apply()
			if got := h.lists(); len(got) != test.left {
				t.Errorf("left are %q", got)
			}
		})
	}
}

// An apply that is killed at any operation neither deletes rows early nor keeps them
// forever.
func TestEmptyKilled(t *testing.T) {
	for lives := int64(1); lives < 80; lives++ {
		h := newMortalHouse(t)
		at := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
		h.now = func() time.Time { return at }
		h.job().DeleteMissing = true
		e := &empties{house: h.house}
		e.serve(true, true)
		if err := h.run(1<<40, true); err != nil {
			t.Fatal(err)
		}
		e.serve(false, true)
		_ = h.run(lives, lives%2 == 0) // the first read
		ended := !h.life.over()
		if err := h.run(1<<40, true); err != nil {
			t.Fatal(err)
		}
		if got := len(h.bodies()); got != 5 {
			t.Fatalf("%d operations: there are %d rows", lives, got)
		}
		at = at.Add(21 * time.Hour)
		_ = h.run(lives, lives%2 == 0) // the second
		if err := h.run(1<<40, true); err != nil {
			t.Fatal(err)
		}
		if got := len(h.bodies()); got != 3 {
			// If the list was deleted before the rows, the wait starts again.
			at = at.Add(21 * time.Hour)
			if err := h.run(1<<40, true); err != nil {
				t.Fatal(err)
			}
			if got = len(h.bodies()); got != 3 {
				t.Fatalf("%d operations: there are %d rows", lives, got)
			}
		}
		if ended {
			return
		}
	}
	t.Fatal("the apply does not end")
}

// A night without changes opens no file of the lake, even if the source no longer
// returns most published events.
func TestGuardsReadNothingAtNight(t *testing.T) {
	both := func(p, e int) string {
		return event([]string{"SMS_MESSAGE", "CALL"}[e%2], p, e, createdAt(p, e, "866831"))
	}
	h := newHouse(t)
	h.people(night(6, both, 8))
	h.apply()
	h.people(night(1, both, 1))
	h.apply() // may read files to find what vanished
	opened := h.countOpened()
	p := h.apply()
	if n := opened.Load(); n != 0 || !p.Empty() {
		t.Errorf("%d files were opened; the plan has %+v", n, p.Summary())
	}
}

// The guards also check the first night.
func TestFirstNightIsQuarantined(t *testing.T) {
	h := newHouse(t)
	h.people(night(1, func(_, e int) string {
		return fmt.Sprintf(`{"type":"SMS_MESSAGE","eventTime":%d,"createdAt":%[1]d}`, 1643709620000+e)
	}, 5))
	summaries, text := h.refusal()
	if !slices.Equal(summaries, []string{"Most events cannot become rows"}) || !strings.Contains(text, "5 of 5 SMS_MESSAGE events") {
		t.Fatalf("refused with %q:\n%s", summaries, text)
	}
	h.options.Accept = []plan.Guard{plan.GuardQuarantined}
	h.apply()
	h.options.Accept = nil
	h.apply()
}

// Events of a type that the schema quarantines do not refuse the plan.
func TestUnknownTypesMayBeQuarantined(t *testing.T) {
	h := newHouse(t)
	h.job().Schema.UnknownType = schemas.Quarantine
	h.people(night(1, func(p, e int) string { return event("CALL", p, e, createdAt(p, e, "866831")) }, 9))
	h.apply()
}

// Renamed events that the schema quarantines are gone from the lake.
func TestUnknownTypesMayHideGone(t *testing.T) {
	sms := func(p, e int) string { return event("SMS_MESSAGE", p, e, createdAt(p, e, "866831")) }
	for _, keys := range [][]string{{"event_type", "event_date"}, {"event_month"}} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			h := newHouse(t)
			table, err := schemas.KnockEvents().PartitionedBy(keys...)
			if err != nil {
				t.Fatal(err)
			}
			table.UnknownType = schemas.Quarantine
			h.job().Schema = table
			h.people(night(3, sms, 4))
			h.apply()
			h.people(night(3, func(p, e int) string { return strings.Replace(sms(p, e), "SMS_MESSAGE", "FOO", 1) }, 4))
			if summaries, text := h.refusal(); !slices.Equal(summaries, []string{"An event type is gone"}) {
				t.Fatalf("refused with %q:\n%s", summaries, text)
			}
			h.options.Accept = []plan.Guard{plan.GuardGone}
			h.apply()
			h.options.Accept = nil
			h.apply()
		})
	}
}

// The guards check a prospect with an event that cannot become a row like any other,
// and it loses no row.
func TestNightsWithQuarantinedEvents(t *testing.T) {
	both := func(p, e int) string {
		return event([]string{"SMS_MESSAGE", "CALL"}[e%2], p, e, createdAt(p, e, "866831")+`,"description":"d"`)
	}
	const bad = `{"type":"SMS_MESSAGE","data":{}}`
	for _, test := range []struct {
		name    string
		of      func(p, e int) string
		refused string
	}{
		{"nothing changes", both, ""},
		{"createdAt is cut", func(p, e int) string { return strings.Replace(both(p, e), "866831Z", "866Z", 1) }, "Published events have another identity"},
		{"a type is gone", func(p, e int) string {
			if e%2 == 0 {
				return both(p, e)
			}
			return ""
		}, "An event type is gone"},
		{"a column is gone", func(p, e int) string { return strings.Replace(both(p, e), `"d"`, "null", 1) }, "A column is empty"},
		{"some events lose their time", func(p, e int) string {
			if e == 1 {
				return fmt.Sprintf(`{"type":"CALL","data":{"n":%d}}`, p)
			}
			return both(p, e)
		}, ""},
	} {
		for _, missing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, delete %t", test.name, missing), func(t *testing.T) {
				h := newHouse(t)
				h.job().DeleteMissing = missing
				serve := func(of func(p, e int) string) {
					people := night(5, of, 4)
					for p := range people {
						people[p] = append(people[p], bad)
					}
					h.people(people)
				}
				serve(both)
				h.apply()
				serve(test.of)
				if test.refused != "" {
					if summaries, text := h.refusal(); !slices.Equal(summaries, []string{test.refused}) {
						t.Fatalf("refused with %q:\n%s", summaries, text)
					}
					h.options.Accept = []plan.Guard{plan.GuardIdentity, plan.GuardGone}
				}
				if p := h.apply(); p.Jobs[0].Source.Missing.Deleted != 0 {
					t.Errorf("missing are %+v", p.Jobs[0].Source.Missing)
				}
				h.options.Accept = nil
				h.apply()
			})
		}
	}
}

// Events that can no longer become rows do not count as events with another identity,
// even if there are new events.
func TestQuarantinedEventsAreNotReplaced(t *testing.T) {
	sms := func(p, e int) string { return event("SMS_MESSAGE", p, e, createdAt(p, e, "866831")) }
	h := newHouse(t)
	h.people(night(1, sms, 10))
	h.apply()
	h.people(night(1, func(p, e int) string {
		if e < 6 {
			return fmt.Sprintf(`{"type":"SMS_MESSAGE","data":{"n":%d}}`, e)
		}
		return sms(p, e)
	}, 16))
	h.apply()
}

// Accepted quarantined events stay accepted, however the quarantine stores them, even
// if their prospect is partially read or there are more of them.
func TestQuarantinedStaysAccepted(t *testing.T) {
	for name, text := range map[string]string{
		"no time":           `{"type":"SMS_MESSAGE","data":{"n":%d}}`,
		"a lone surrogate":  `{"type":"SMS_MESSAGE","data":{"n":%d,"text":"\ud83d"}}`,
		"not Unicode":       `{"type":"SMS_MESSAGE","data":{"n":%d,"text":"` + "\xff" + `"}}`,
		"nested deeply":     `{"type":"SMS_MESSAGE","data":{"n":%d,"deep":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}}`,
		"not a number":      `{"type":"SMS_MESSAGE","data":{"n":%d,"m":NaN}}`,
		"not even the type": `{"data":{"n":%d}}`,
	} {
		t.Run(name, func(t *testing.T) {
			bad := func(n int) (all []string) {
				for i := range n {
					all = append(all, fmt.Sprintf(text, i))
				}
				return all
			}
			good := []string{on(1, "a"), on(2, "b")}
			h := newHouse(t)
			h.people(map[string][]string{"a": bad(6), "b": good})
			if summaries, text := h.refusal(); !slices.Equal(summaries, []string{"Most events cannot become rows"}) {
				t.Fatalf("refused with %q:\n%s", summaries, text)
			}
			h.options.Accept = []plan.Guard{plan.GuardQuarantined}
			h.apply()
			h.options.Accept = nil
			if p := h.apply(); !p.Empty() {
				t.Errorf("the next night changes %+v", p.Summary())
			}
			h.people(map[string][]string{"a": append(bad(6), "…"), "b": good})
			h.apply()
			h.people(map[string][]string{"a": bad(10), "b": good})
			h.apply()
		})
	}
}

// A plan is refused if most known prospects have become forbidden.
func TestMostProspectsAreForbidden(t *testing.T) {
	h := newHouse(t)
	people := night(3, func(p, e int) string { return on(1+p, fmt.Sprint(p, e)) }, 1)
	h.people(people)
	h.apply()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Split(r.URL.Path, "/")[2] != "p0" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"edges":[{"node":%s}],"pageInfo":{"hasNextPage":false}}`, people["p0"][0])
	}))
	t.Cleanup(server.Close)
	h.ask(server.URL, "p0", "p1", "p2")
	if summaries, text := h.refusal(); !slices.Equal(summaries, []string{"Most known prospects are forbidden"}) {
		t.Fatalf("refused with %q:\n%s", summaries, text)
	}
	h.options.Accept = []plan.Guard{plan.GuardForbidden}
	h.apply()
	h.options.Accept = nil
	h.apply()
}
