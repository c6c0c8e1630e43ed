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

// The guards judge a run as a whole. Every row of a run can be correct while the run is
// wrong: a gateway answers "not found" for every prospect, or the API writes createdAt
// in another form. A guard refuses the plan until the user accepts the change by name.

// Guard names one judgement.
type Guard string

// The guards.
const (
	GuardIdentity    Guard = "identity"
	GuardQuarantined Guard = "quarantined"
	GuardNotFound    Guard = "not-found"
	GuardForbidden   Guard = "forbidden"
	GuardGone        Guard = "gone"
)

// Guards returns all guards, as -accept takes them.
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

// FewEvents is the number of events of a type below which it is not judged alone.
const FewEvents = 5

// Evidence is what the guards judge of one job.
type Evidence struct {
	// Known counts the prospects that the source had at the last apply. NotFound
	// and Forbidden count those that it no longer returns.
	Known, NotFound, Forbidden int64
	// Types are ascending by type.
	Types []TypeEvidence
	// Few is the evidence of all types together that have fewer than FewEvents
	// published events.
	Few TypeEvidence
	// All counts the events of all types.
	All Quarantining
	// Targeted reports that the plan is limited to targets. Then no type or column
	// is judged to be gone.
	Targeted bool
	// Emptied counts the published rows that are deleted, or wait for it, while the
	// source returned no event at all.
	Emptied int64
}

// Forget removes from the evidence the prospects that were unavailable at the last apply
// already. removed counts the prospects that have left the list since then.
func (e *Evidence) Forget(notFound, forbidden, removed int64) {
	e.Known = max(0, e.Known-max(0, notFound+forbidden-removed))
	e.NotFound = max(0, e.NotFound-max(0, notFound-removed))
	e.Forbidden = max(0, e.Forbidden-max(0, forbidden-removed))
}

// TypeEvidence is the part of the evidence that concerns one event type. The
// published events are those of completely read prospects.
type TypeEvidence struct {
	Type     string
	Returned int64 // published events that the source returned again
	// Vanished counts published events that it returned at the last apply but not now.
	// It may be too low for a partition of which no event was read.
	Vanished int64
	Read     int64 // events of the type that it returned
	// Replaced describes new events that took the place of the vanished ones, or is
	// nil.
	Replaced *Replacement
	// Emptied are the columns that have a value in nearly all published rows of the
	// returned events, but in no row that was read.
	Emptied []string
	Quarantining
}

// Quarantining counts events that were read, and those that cannot become rows.
// Distinct counts the latter without repetitions. Before counts the distinct ones of
// the same prospects at the last apply.
type Quarantining struct {
	Events, Quarantined, Distinct, Before int64
	// Rows are at least as many as events became rows at the last apply.
	Rows int64
	// Reasons counts the quarantined events by reason.
	Reasons map[string]int64
}

// most reports whether most events are quarantined, and were not before.
func (q Quarantining) most() bool {
	return q.Events >= FewEvents && 2*q.Quarantined > q.Events && !q.mostBefore()
}

// mostBefore reports whether most events of the last apply, or of this run, were
// quarantined before.
func (q Quarantining) mostBefore() bool {
	return q.Before >= FewEvents && q.Before > q.Rows || 2*q.Before*q.Quarantined > q.Events*q.Distinct
}

// MostVanished reports whether most published events are missing. Only then Judge
// needs Replaced.
func (t TypeEvidence) MostVanished() bool {
	return t.Returned+t.Vanished >= FewEvents && t.Vanished > t.Returned
}

// reidentified reports whether new events took the place of most published ones.
func (t TypeEvidence) reidentified() bool {
	return t.MostVanished() && t.Replaced != nil && t.Replaced.Field != ""
}

// gone reports whether the source no longer has any event of the type.
func (t TypeEvidence) gone() bool {
	return t.MostVanished() && t.Vanished >= FewEvents && t.Returned == 0 && t.Read == 0 && !t.reidentified()
}

// String names the events of the type, or of several small ones.
func (t TypeEvidence) String() string {
	if t.Type == "" {
		return fmt.Sprintf("events of types with fewer than %d events", FewEvents)
	}
	return t.Type + " events"
}

// Judge returns the errors that refuse the job's plan. For guards that the user accepts,
// it returns warnings instead. diagnose makes a diagnostic about the job.
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
			"%s\n\nNothing was published. If the source has changed on purpose, accept the change with this flag. %s\n\n    -accept=%s", cause, effect, by)))
	}
	by, summary, cause := e.unavailable()
	judge(by, summary, cause, "Their published rows stay.")
	summary, cause = e.quarantined()
	judge(string(GuardQuarantined), summary, cause, "The events go to the quarantine.")
	summary, cause = e.identity()
	judge(string(GuardIdentity), summary, cause, "The new events are added, and on_missing decides whether the published ones stay.")
	summary, cause = e.gone()
	judge(string(GuardGone), summary, cause, "The plan is applied as shown.")
	return refused, warnings
}

// unavailable judges the prospects that are not found, those that are forbidden, and
// both together. by is the guard that accepts the change. It is both guards when only
// both kinds together are most of the prospects.
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
		"The source had %s at the last apply. It now answers %q for %d of them. A misconfigured gateway, or another endpoint or key, has the same effect.",
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

// judged returns the types that are judged alone, and then all others together.
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
	return "Published events have another identity", "Most published events of completely read prospects vanished, and as many new ones appeared:\n\n" + list(lines) +
		"\n\nThe ID of an event is made from its prospect, its type and its createdAt. When one of them changes, every event is exported a second time."
}

// gone judges whether all events, an event type or the values of a column are gone.
func (e Evidence) gone() (summary, cause string) {
	switch {
	case e.Emptied > 0:
		return "The source has returned no event at all", fmt.Sprintf(
			"on_missing = \"delete\" would delete %s. A failing API has the same effect. To delete the whole table, run prospector destroy.", jobs.Count(e.Emptied, "published row"))
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
		summary, cause = "An event type is gone", "The source no longer returns any event of these types, though it did at the last apply and their prospects were read completely:\n\n"+list(types)
	}
	if len(columns) > 0 {
		if summary == "" {
			summary = "A column is empty"
		} else {
			summary, cause = "Event types and columns are gone", cause+"\n\n"
		}
		cause += "These columns have a value in nearly every published row of what the source returned, and are NULL in every row that was read:\n\n" + list(columns)
	}
	return summary, cause
}

// maxListed is how many lines of a kind a diagnostic lists.
const maxListed = 20

// list joins lines. They may contain names that the API chose.
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

// WarnWaiting returns a warning that published rows will be deleted unless their
// prospects return events.
func WarnWaiting(job string, prospects, rows int64, after time.Time) jobs.Diagnostic {
	return jobs.Diagnostic{Severity: jobs.Warning, Address: job, Summary: "Published rows wait for another empty read", Detail: fmt.Sprintf(
		"%s returned no events. Their %s will be deleted if a read after %s is empty, too.",
		jobs.Count(prospects, "prospect"), jobs.Count(rows, "published row"), after.UTC().Format("2006-01-02 15:04 MST"))}
}
