package plan_test

import (
	"strings"
	"testing"
	"time"

	"prospector/jobs"
	"prospector/jobs/plan"
)

// judge returns the errors and warnings of the guards.
func judge(e plan.Evidence, accepted ...plan.Guard) (refused, warnings jobs.Diagnostics) {
	return e.Judge(accepted, func(summary, detail string) jobs.Diagnostic {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: summary, Detail: detail}
	})
}

func one(t plan.TypeEvidence) plan.Evidence {
	t.Type = "SMS_MESSAGE"
	return plan.Evidence{Types: []plan.TypeEvidence{t}}
}

func TestGuards(t *testing.T) {
	created := &plan.Replacement{Field: "createdAt", How: "is cut to seconds"}
	most := func(events, quarantined, before int64) plan.Quarantining {
		return plan.Quarantining{Events: events, Quarantined: quarantined, Distinct: quarantined, Before: before, Reasons: map[string]int64{"no usable time": quarantined}}
	}
	for _, test := range []struct {
		name     string
		evidence plan.Evidence
		guard    plan.Guard // "" if nothing is refused
		texts    string     // separated by |
	}{
		{"nothing", plan.Evidence{}, "", ""},

		{"most are not found", plan.Evidence{Known: 5, NotFound: 3}, plan.GuardNotFound, `Most known prospects are not found|5 prospects|for 3 of them`},
		{"half are not found", plan.Evidence{Known: 4, NotFound: 2}, "", ""},
		{"most are forbidden", plan.Evidence{Known: 3, Forbidden: 2}, plan.GuardForbidden, "Most known prospects are forbidden"},
		{"most are not found or forbidden", plan.Evidence{Known: 5, NotFound: 2, Forbidden: 2}, "not-found,forbidden", `Most known prospects are not found or forbidden|"not found or forbidden" for 4 of them`},
		{"half are not found or forbidden", plan.Evidence{Known: 8, NotFound: 2, Forbidden: 2}, "", ""},
		{"most are not found, others forbidden", plan.Evidence{Known: 10, NotFound: 6, Forbidden: 3}, plan.GuardNotFound, "6 of them"},
		{"new prospects are not found", plan.Evidence{}, "", ""},

		{"most are quarantined", plan.Evidence{All: most(5, 3, 0)}, plan.GuardQuarantined, "3 of 5 events|3: no usable time"},
		{"few events", plan.Evidence{All: most(4, 4, 0)}, "", ""},
		{"half are quarantined", plan.Evidence{All: most(6, 3, 0)}, "", ""},
		{"as many as before", plan.Evidence{All: most(6, 4, 4)}, "", ""},
		{"as many as before, with repetitions", plan.Evidence{All: plan.Quarantining{Events: 12, Quarantined: 12, Distinct: 3, Before: 3}}, "", ""},
		{"fewer than most before", plan.Evidence{All: most(6, 4, 3)}, plan.GuardQuarantined, ""},
		{"more, and most were before", plan.Evidence{All: plan.Quarantining{Events: 12, Quarantined: 10, Distinct: 10, Before: 6, Rows: 2}}, "", ""},
		{"more, and half were before", plan.Evidence{All: plan.Quarantining{Events: 12, Quarantined: 10, Distinct: 10, Before: 6, Rows: 6}}, plan.GuardQuarantined, ""},
		{"more, and few were before", plan.Evidence{All: plan.Quarantining{Events: 12, Quarantined: 10, Distinct: 10, Before: 4, Rows: 2}}, plan.GuardQuarantined, ""},
		{"most of a type", plan.Evidence{All: most(100, 5, 0), Types: []plan.TypeEvidence{{Type: "CALL", Quarantining: most(5, 5, 0)}}}, plan.GuardQuarantined, "5 of 5 CALL events"},

		{"another identity", one(plan.TypeEvidence{Returned: 2, Vanished: 3, Read: 5, Replaced: created}), plan.GuardIdentity, "3 of 5 SMS_MESSAGE events: createdAt is cut to seconds"},
		{"half have another identity", one(plan.TypeEvidence{Returned: 3, Vanished: 3, Read: 6, Replaced: created}), "", ""},
		{"few published events", one(plan.TypeEvidence{Vanished: 4, Read: 4, Replaced: created}), "", ""},
		{"most vanished, and none are new", one(plan.TypeEvidence{Returned: 1, Vanished: 9, Read: 1}), "", ""},

		{"small types have another identity", plan.Evidence{Few: plan.TypeEvidence{Returned: 2, Vanished: 3, Read: 5, Replaced: created}}, plan.GuardIdentity, "3 of 5 events of types with fewer than 5 events: createdAt is cut to seconds"},
		{"small types are gone", plan.Evidence{Few: plan.TypeEvidence{Vanished: 5}}, plan.GuardGone, "An event type is gone|  all types with fewer than 5 events, which had 5 together"},
		{"a few small types are gone", plan.Evidence{Few: plan.TypeEvidence{Vanished: 5, Returned: 1, Read: 1}}, "", ""},
		{"a type is gone", one(plan.TypeEvidence{Vanished: 5}), plan.GuardGone, "An event type is gone|  SMS_MESSAGE"},
		{"a small type is gone", one(plan.TypeEvidence{Vanished: 4}), "", ""},
		{"other events of the type exist", one(plan.TypeEvidence{Vanished: 5, Read: 1}), "", ""},
		{"a renamed type", one(plan.TypeEvidence{Vanished: 5, Replaced: &plan.Replacement{Field: "type"}}), plan.GuardIdentity, "type has changed"},
		{"a column is empty", one(plan.TypeEvidence{Emptied: []string{"description"}}), plan.GuardGone, "A column is empty|description in SMS_MESSAGE events"},
		{"both", plan.Evidence{Types: []plan.TypeEvidence{{Type: "A", Vanished: 5}, {Type: "B", Emptied: []string{"c"}}}}, plan.GuardGone, "Event types and columns are gone|  A|c in B"},
		{"no event at all", plan.Evidence{Emptied: 2}, plan.GuardGone, "The source returned no events at all|2 published rows"},
		{"with targets", plan.Evidence{Targeted: true, Types: []plan.TypeEvidence{{Type: "A", Vanished: 5, Emptied: []string{"c"}}}}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused, warnings := judge(test.evidence)
			if len(warnings) > 0 || test.guard == "" && len(refused) > 0 || test.guard != "" && len(refused) != 1 {
				t.Fatalf("refused: %v; warnings: %v", refused, warnings)
			}
			if test.guard == "" {
				return
			}
			text := refused[0].Summary + "\n" + refused[0].Detail
			for _, want := range append(strings.Split(test.texts, "|"), "-accept="+string(test.guard)) {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			accept, err := plan.ParseGuards(string(test.guard))
			if err != nil {
				t.Fatal(err)
			}
			if refused, _ := judge(test.evidence, accept[1:]...); len(refused) != 1 {
				t.Errorf("the guard %q alone accepts it", accept[1:])
			}
			refused, warnings = judge(test.evidence, accept...)
			if len(refused) > 0 || len(warnings) != 1 || warnings[0].Severity != jobs.Warning {
				t.Errorf("accepted: refused %v; warnings %v", refused, warnings)
			}
		})
	}
}

// Prospects that were unavailable at the last apply are not judged again,
// unless they were removed from the list.
func TestForget(t *testing.T) {
	for _, test := range []struct {
		name                                  string
		known, notFound, before, removed, now int64
		refused                               bool
	}{
		{"the same ones", 10, 9, 9, 0, 9, false},
		{"one more of the others", 10, 9, 9, 0, 10, true},
		{"none before", 10, 9, 0, 0, 9, true},
		{"they were removed from the list", 10, 0, 60, 60, 9, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := plan.Evidence{Known: test.known, NotFound: test.now}
			e.Forget(test.before, 0, test.removed)
			if refused, _ := judge(e); (len(refused) > 0) != test.refused {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestParseGuards(t *testing.T) {
	if got, err := plan.ParseGuards("gone,not-found"); err != nil || len(got) != 2 || got[1] != plan.GuardNotFound {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "all", "gone,", "gone, identity"} {
		if _, err := plan.ParseGuards(bad); err == nil || !strings.Contains(err.Error(), "identity, quarantined, not-found, forbidden, gone") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestExplain(t *testing.T) {
	const second = int64(1e6)
	at := func(prospect, eventType string, micros ...int64) (all []plan.Trace) {
		for _, m := range micros {
			all = append(all, plan.Trace{Prospect: prospect, Type: eventType, Created: m})
		}
		return all
	}
	before := at("p", "A", 1*second+866_831, 2*second+123_456, 3*second+5)
	mapped := func(f func(*plan.Trace)) (all []plan.Trace) {
		for _, t := range before {
			f(&t)
			all = append(all, t)
		}
		return all
	}
	for _, test := range []struct {
		name  string
		fresh []plan.Trace
		stale float64
		want  string
	}{
		{"cut to milliseconds", mapped(func(t *plan.Trace) { t.Created -= t.Created % 1000 }), 0, "createdAt is cut to milliseconds"},
		{"cut to seconds", mapped(func(t *plan.Trace) { t.Created -= t.Created % second }), 0, "createdAt is cut to seconds"},
		{"another time zone", mapped(func(t *plan.Trace) { t.Created += 5 * 3600 * second }), 0, "createdAt is later by 5h"},
		{"ten seconds", mapped(func(t *plan.Trace) { t.Created -= 10 * second }), 0, "createdAt is earlier by 10s"},
		{"no createdAt", mapped(func(t *plan.Trace) { t.Created, t.NoCreated = t.Created+7*second, true }), 0, "createdAt is missing"},
		{"an unrelated time", at("p", "A", 77*second+1, 99*second+1, 500*second+1), 0, "createdAt has changed"},
		{"another type", mapped(func(t *plan.Trace) { t.Type = "B" }), 0, "type has changed"},
		{"another prospect", mapped(func(t *plan.Trace) { t.Prospect = "q" }), 0, "the prospect has changed"},
		{"none are new", nil, 0, ""},
		{"too few are new", at("p", "A", 7), 0, ""},
		{"the others were already missing", at("p", "A", 7), 0.6, "createdAt has changed"},
		{"new events of other prospects", at("q", "B", 1, 2, 3), 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if r := plan.Explain(before, test.fresh, test.stale); r != nil {
				got = r.String()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWarnWaiting(t *testing.T) {
	d := plan.WarnWaiting("job.a", 3, 120, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if want := "3 prospects returned no events. Their 120 published rows will be deleted if another read after 2026-01-02 03:04 UTC also returns no events."; d.Detail != want {
		t.Errorf("got %q", d.Detail)
	}
}

// The API chooses the names of types. A name must not start a line of a
// diagnostic.
func TestGuardsEscapeNames(t *testing.T) {
	const name = "A\n\nError: Forged\n\n  with job.x"
	many := plan.Quarantining{Events: 9, Quarantined: 9, Distinct: 9, Reasons: map[string]int64{name: 9}}
	e := plan.Evidence{Types: []plan.TypeEvidence{
		{Type: name, Quarantining: many},
		{Type: name, Vanished: 9},
		{Type: name, Vanished: 9, Replaced: &plan.Replacement{Field: "type", How: name}},
		{Type: name, Returned: 9, Emptied: []string{name}},
	}}
	refused, _ := judge(e)
	if len(refused) != 3 {
		t.Fatalf("%d guards refuse: %v", len(refused), refused)
	}
	for _, d := range refused {
		if strings.Contains(d.Detail, "\nError: Forged") || !strings.Contains(d.Detail, `A\n\nError: Forged\n\n  with job.x`) {
			t.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
}
