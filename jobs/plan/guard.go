package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"prospector/internal/terminal"
	"prospector/jobs"
)

// The guards judge a run, not single rows. Every row can be correct while the
// run is wrong: a gateway may respond "not found" for every prospect, or the
// API may change the format of createdAt. A guard refuses the plan until the
// user accepts the change by the name of the guard.

// Guard is the name of a guard.
type Guard string

// The guards.
const (
	GuardIdentity    Guard = "identity"
	GuardQuarantined Guard = "quarantined"
	GuardNotFound    Guard = "not-found"
	GuardForbidden   Guard = "forbidden"
	GuardGone        Guard = "gone"
)

// Guards returns the names of all guards, for -accept.
func Guards() []string {
	return []string{string(GuardIdentity), string(GuardQuarantined), string(GuardNotFound), string(GuardForbidden), string(GuardGone)}
}

// ParseGuards parses a comma-separated list of guards.
func ParseGuards(list string) (guards []Guard, err error) {
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(Guards(), name) {
			return nil, fmt.Errorf("there is no guard %q; the guards are %s", name, strings.Join(Guards(), ", "))
		}
		guards = append(guards, Guard(name))
	}
	return guards, nil
}

// FewEvents is the minimum number of events of a type that is judged
// separately.
const FewEvents = 5

// Evidence is what the guards judge of one job.
type Evidence struct {
	// Known counts the prospects that the source returned to the last apply.
	// NotFound and Forbidden count those that it no longer returns.
	Known, NotFound, Forbidden int64
	// Types are in ascending order of types.
	Types []TypeEvidence
	// Few is the combined evidence of all types with fewer than FewEvents
	// published events.
	Few TypeEvidence
	// All counts the events of all types.
	All Quarantining
	// Targeted is true if the plan is limited to targets. Then missing types
	// and columns are not judged.
	Targeted bool
	// Emptied counts the published rows that would be deleted now or after
	// another empty read, if the source returned no events at all.
	Emptied int64
}

// Forget removes the prospects from the evidence that were already unavailable
// at the last apply. removed counts the prospects that were removed from the
// list since then.
func (e *Evidence) Forget(notFound, forbidden, removed int64) {
	e.Known = max(0, e.Known-max(0, notFound+forbidden-removed))
	e.NotFound = max(0, e.NotFound-max(0, notFound-removed))
	e.Forbidden = max(0, e.Forbidden-max(0, forbidden-removed))
}

// TypeEvidence is the evidence of one event type. It counts published events
// only of prospects that were read completely.
type TypeEvidence struct {
	Type     string
	Returned int64 // published events that the source returned again
	// Vanished counts published events that the source returned to the last
	// apply but not now. The count may be too low if no event of a partition
	// was read.
	Vanished int64
	Read     int64 // events of the type that the source returned
	// Replaced describes new events that replaced the vanished ones, or is nil.
	Replaced *Replacement
	// Emptied are the columns that have a value in nearly all published rows of
	// the returned events, but are NULL in every row that was read.
	Emptied []string
	Quarantining
}

// Quarantining counts the events that were read, and the quarantined ones among
// them. Distinct counts the quarantined events without repetitions. Before
// counts the distinct quarantined events of the same prospects at the last
// apply.
type Quarantining struct {
	Events, Quarantined, Distinct, Before int64
	// Rows is an upper bound of the number of events that became rows at the
	// last apply.
	Rows int64
	// Reasons counts the quarantined events by reason.
	Reasons map[string]int64
}

// most reports whether most events are quarantined now but were not before.
func (q Quarantining) most() bool {
	return q.Events >= FewEvents && 2*q.Quarantined > q.Events && !q.mostBefore()
}

// mostBefore reports whether most events of the last apply were quarantined, or
// most events of this run already were at the last apply.
func (q Quarantining) mostBefore() bool {
	return q.Before >= FewEvents && q.Before > q.Rows || 2*q.Before*q.Quarantined > q.Events*q.Distinct
}

// MostVanished reports whether most published events are missing. Judge needs
// Replaced only in this case.
func (t TypeEvidence) MostVanished() bool {
	return t.Returned+t.Vanished >= FewEvents && t.Vanished > t.Returned
}

// reidentified reports whether new events replaced most published ones.
func (t TypeEvidence) reidentified() bool {
	return t.MostVanished() && t.Replaced != nil && t.Replaced.Field != ""
}

// gone reports whether the source no longer returns any events of the type.
func (t TypeEvidence) gone() bool {
	return t.MostVanished() && t.Vanished >= FewEvents && t.Returned == 0 && t.Read == 0 && !t.reidentified()
}

// String describes the events of the type, or of all types with few events.
func (t TypeEvidence) String() string {
	if t.Type == "" {
		return fmt.Sprintf("events of types with fewer than %d events", FewEvents)
	}
	return t.Type + " events"
}

// Judge returns the errors that refuse the job's plan. For accepted guards, it
// returns warnings instead. The function diagnose returns a diagnostic about
// the job.
func (e Evidence) Judge(accepted []Guard, diagnose func(summary, detail string) jobs.Diagnostic) (refused, warnings jobs.Diagnostics) {
	judge := func(by, summary, cause, effect string) {
		if summary == "" {
			return
		}
		if !slices.ContainsFunc(strings.Split(by, ","), func(g string) bool { return !slices.Contains(accepted, Guard(g)) }) {
			d := diagnose(summary, fmt.Sprintf("%s\n\nThis is accepted with -accept=%s. %s", cause, by, effect))
			d.Severity = jobs.Warning
			warnings = append(warnings, d)
			return
		}
		refused = append(refused, diagnose(summary, fmt.Sprintf(
			"%s\n\nNothing was published. If the source has changed intentionally, accept the change with this flag. %s\n\n    -accept=%s", cause, effect, by)))
	}
	by, summary, cause := e.unavailable()
	judge(by, summary, cause, "Their published rows stay.")
	summary, cause = e.quarantined()
	judge(string(GuardQuarantined), summary, cause, "The events are quarantined.")
	summary, cause = e.identity()
	judge(string(GuardIdentity), summary, cause, "The new events are added, and on_missing decides whether the published ones stay.")
	summary, cause = e.gone()
	judge(string(GuardGone), summary, cause, "The plan is applied as shown.")
	return refused, warnings
}

// unavailable judges the prospects that are not found, those that are
// forbidden, and both together. by is the guard that must be accepted: both
// guards if most prospects are unavailable only when both kinds are added up.
func (e Evidence) unavailable() (by, summary, cause string) {
	prospects, outcome := e.NotFound+e.Forbidden, "not found or forbidden"
	by = string(GuardNotFound + "," + GuardForbidden)
	switch {
	case prospects*2 <= e.Known:
		return "", "", ""
	case e.NotFound*2 > e.Known:
		by, prospects, outcome = string(GuardNotFound), e.NotFound, "not found"
	case e.Forbidden*2 > e.Known:
		by, prospects, outcome = string(GuardForbidden), e.Forbidden, "forbidden"
	}
	return by, "Most known prospects are " + outcome, fmt.Sprintf(
		"The source returned %s to the last apply. It now responds %q for %d of them. A misconfigured gateway, or a different endpoint or API key, can cause this.",
		jobs.Count(e.Known, "prospect"), outcome, prospects)
}

// quarantined judges the events that cannot become rows.
func (e Evidence) quarantined() (summary, cause string) {
	var lines []string
	line := func(q Quarantining, of string) {
		lines = append(lines, fmt.Sprintf("  %d of %d %s", q.Quarantined, q.Events, of))
		reasons := slices.SortedFunc(maps.Keys(q.Reasons), func(a, b string) int {
			return cmp.Or(cmp.Compare(q.Reasons[b], q.Reasons[a]), cmp.Compare(a, b))
		})
		for _, reason := range reasons[:min(3, len(reasons))] {
			lines = append(lines, fmt.Sprintf("    %d: %s", q.Reasons[reason], reason))
		}
	}
	for _, t := range e.Types {
		if t.most() {
			line(t.Quarantining, t.Type+" events")
		}
	}
	if len(lines) == 0 && e.All.most() {
		line(e.All, "events")
	}
	if len(lines) == 0 {
		return "", ""
	}
	return "Most events cannot become rows", "Most events that were read would be quarantined:\n\n" + list(lines)
}

// judged returns the types that are judged separately, followed by the others
// combined.
func (e Evidence) judged() []TypeEvidence { return append(slices.Clone(e.Types), e.Few) }

// identity judges whether published events have another identity now.
func (e Evidence) identity() (summary, cause string) {
	var lines []string
	for _, t := range e.judged() {
		if t.reidentified() {
			lines = append(lines, fmt.Sprintf("  %d of %d %s: %s", t.Vanished, t.Vanished+t.Returned, t, t.Replaced))
		}
	}
	if len(lines) == 0 {
		return "", ""
	}
	return "Published events have another identity", "Most published events of completely read prospects are missing, and as many new events have appeared:\n\n" + list(lines) +
		"\n\nThe ID of an event is derived from its prospect, its type and its createdAt. If one of them changes, every event is exported a second time."
}

// gone judges whether all events, an event type or the values of a column are gone.
func (e Evidence) gone() (summary, cause string) {
	switch {
	case e.Emptied > 0:
		return "The source returned no events at all", fmt.Sprintf(
			"on_missing = \"delete\" would delete %s. A failing API can cause this. To delete the entire table, run prospector destroy.", jobs.Count(e.Emptied, "published row"))
	case e.Targeted:
		return "", ""
	}
	var types, columns []string
	for _, t := range e.judged() {
		if t.gone() {
			types = append(types, "  "+cmp.Or(t.Type, fmt.Sprintf("all types with fewer than %d events, which had %d together", FewEvents, t.Vanished)))
		}
		for _, c := range t.Emptied {
			columns = append(columns, fmt.Sprintf("  %s in %s", c, t))
		}
	}
	if len(types) > 0 {
		summary, cause = "An event type is gone", "The source returned events of these types to the last apply. It no longer returns any, although their prospects were read completely:\n\n"+list(types)
	}
	if len(columns) > 0 {
		if summary == "" {
			summary = "A column is empty"
		} else {
			summary, cause = "Event types and columns are gone", cause+"\n\n"
		}
		cause += "These columns have a value in nearly every published row, but are NULL in every row of the same events that was read now:\n\n" + list(columns)
	}
	return summary, cause
}

// maxListed is how many lines of a kind a diagnostic lists.
const maxListed = 20

// list joins lines, and escapes them because they may contain names from the
// API.
func list(lines []string) string {
	var b strings.Builder
	for i, line := range lines[:min(maxListed, len(lines))] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(terminal.Line(line))
	}
	if more := len(lines) - maxListed; more > 0 {
		fmt.Fprintf(&b, "\n  … and %d more", more)
	}
	return b.String()
}

// WarnWaiting returns a warning that published rows will be deleted if their
// prospects still have no events in a later read.
func WarnWaiting(job string, prospects, rows int64, after time.Time) jobs.Diagnostic {
	return jobs.Diagnostic{Severity: jobs.Warning, Address: job, Summary: "Published rows wait for another empty read", Detail: fmt.Sprintf(
		"%s returned no events. Their %s will be deleted if another read after %s also returns no events.",
		jobs.Count(prospects, "prospect"), jobs.Count(rows, "published row"), after.UTC().Format("2006-01-02 15:04 MST"))}
}
