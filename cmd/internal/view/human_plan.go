package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// planPrinter prints plans.
type planPrinter struct{ *printer }

// Plan prints what would change, and the summary line.
func (v planPrinter) Plan(p *plan.Plan) {
	v.warnings(p)
	if p.Empty() {
		v.Printf("\n%s %s\n", v.paint("No changes.", bold, green), nothing(p))
		for _, j := range p.Jobs {
			v.rejected(j)
			v.reading(j)
		}
		return
	}
	if p.Mode == plan.RefreshOnly {
		v.Printf("\nThe state would be updated to match the sinks, and forget the files that are gone.\nNothing in a sink changes.\n")
	}
	v.legend(p)
	if p.Mode != plan.RefreshOnly {
		v.Printf("\nProspector will perform the following actions:\n")
	}
	for _, m := range p.Moved {
		v.Printf("\n  %s has moved to %s\n", v.paint("# "+m.From, bold), v.paint(m.To, bold))
	}
	for _, address := range p.Forgotten {
		v.Printf("\n  %s will be forgotten, and its files stay\n", v.paint("# "+address, bold))
	}
	if p.Mode == plan.RefreshOnly {
		return
	}
	for _, j := range p.Jobs {
		lines := v.changeLines(j)
		if j.Destroy && len(lines) == 0 {
			continue
		}
		headline := v.paint("# "+j.Address, bold) + v.fate(j)
		if len(lines) == 0 {
			headline += " has no changes"
		}
		v.Printf("\n  %s\n", headline)
		for _, m := range j.Found.Renamed {
			v.Printf("    %s has been renamed to %s\n", m.From, m.To)
		}
		v.rewrite(j.Output.Rewrite)
		for _, line := range lines {
			v.Printf("  %s\n", line)
		}
		v.rejected(j)
		v.reading(j)
	}
	s := p.Summary()
	v.Printf("\n%s %d to add, %d to change, %d to destroy.\n", v.paint("Plan:", bold), s.Add, s.Change, s.Destroy)
}

// rejected lists the first partitions that cannot be published.
func (v planPrinter) rejected(j plan.Job) {
	const most = 10
	for _, r := range j.Problems.Rejected[:min(most, len(j.Problems.Rejected))] {
		v.Printf("  %s %s cannot be published: %s\n", v.paint("!", bold, red), partitionAddress(j.Address, r.Partition), r.Problem.Summary)
	}
	if more := len(j.Problems.Rejected) - most; more > 0 {
		v.Printf("    and %s\n", plural(more, "more partition"))
	}
}

// rewrite prints how the schema of published files changes.
func (v planPrinter) rewrite(r *plan.Rewrite) {
	if r == nil {
		return
	}
	v.Printf("  %s schema: %s of %s rewritten\n", v.symbol(plan.Update), plural(r.Rows, "row"), plural(r.Files, "file"))
	if r.Repartitions() {
		v.Printf("      %s partition_by = [%s] -> [%s]\n", v.symbol(plan.Update), quoted(r.Before), quoted(r.After))
	}
	v.columnChanges(r.Columns, "      ")
}

// nothing explains why a plan has no changes.
func nothing(p *plan.Plan) string {
	incomplete := int64(0)
	for _, j := range p.Jobs {
		incomplete += j.Source.Reading.Incomplete()
	}
	switch {
	case p.Mode == plan.Destroy:
		return "There is nothing to destroy."
	case p.Mode == plan.Erase:
		return "No published file and no quarantine contains anything of the prospect. Check the ID."
	case p.Mode == plan.RefreshOnly && slices.ContainsFunc(p.Jobs, func(j plan.Job) bool { return len(j.Found.Drift) > 0 }):
		return "The state has nothing to forget."
	case p.Mode == plan.RefreshOnly:
		return "The state matches the sinks."
	case slices.ContainsFunc(p.Jobs, func(j plan.Job) bool { return len(j.Problems.Rejected) > 0 }):
		return "The lake contains everything that could be published."
	case len(p.Targets) > 0:
		return "The target of the plan matches the source."
	case incomplete > 0:
		return "The lake contains everything that could be read."
	}
	return "The lake matches the source."
}

// legend explains the symbols in the plan.
func (v planPrinter) legend(p *plan.Plan) {
	used := make(map[plan.Action]bool)
	for _, c := range changesOf(p) {
		used[c.Action] = true
	}
	var lines Text
	for _, l := range []struct {
		action plan.Action
		means  string
	}{
		{plan.Create, "create"}, {plan.Update, "update in place"}, {plan.Delete, "destroy"},
		{plan.Replace, "replace (rewrite)"},
	} {
		if used[l.action] {
			lines += Format("%s%s %s\n", strings.Repeat(" ", 3-visible(v.symbol(l.action))), v.symbol(l.action), l.means)
		}
	}
	if lines != "" {
		v.Printf("\nPartition actions are indicated with the following symbols:\n%s", lines)
	}
}

// fate returns the text about a destroyed table for a job's headline.
func (v planPrinter) fate(j plan.Job) Text {
	if !j.Destroy {
		return ""
	}
	text := Format(" will be %s in %s", v.paint("destroyed", red, bold), strings.Join(j.Sinks, " and "))
	if j.DestroyReason != "" {
		text += Format(", since %s", j.DestroyReason)
	}
	return text
}

// reading prints a job's books, prospects and cost, and the rows that the source lacks.
func (v planPrinter) reading(j plan.Job) {
	r := j.Source.Reading
	if r.Prospects == 0 {
		return
	}
	v.Printf("\n    %s\n", books(j.Source.Books))
	prospects := plural(r.Prospects, "prospect")
	if l := r.List; l.Added+l.Removed > 0 {
		prospects += fmt.Sprintf(": %s new, %s no longer in the list (their rows stay)%s", count(l.Added), count(l.Removed), named(l))
	}
	if n := r.Incomplete(); n > 0 {
		prospects += fmt.Sprintf(" (%s incomplete)", count(n))
	}
	cost := fmt.Sprintf("%s, %s, %s", plural(r.Requests, "request"), size(r.Bytes), seconds(r.Seconds))
	if r.Rate > 0 {
		cost += fmt.Sprintf("; at %g requests a second at least %s", r.Rate, seconds(atRate(r)))
	}
	v.Printf("    %s\n    %s\n", prospects, cost)
	v.survey(j.Source.Survey)
	if m := j.Source.Missing; m.Kept+m.Deleted > 0 {
		line := fmt.Sprintf("%s missing from the source", plural(m.Kept+m.Deleted, "published row"))
		switch {
		case m.Deleted == 0:
			line += ": kept"
		case m.Kept == 0:
			line += ": deleted"
		default:
			line += fmt.Sprintf(": %s deleted, %s kept because their prospects are incomplete or need another empty read", count(m.Deleted), count(m.Kept))
		}
		v.Printf("    %s\n", line)
	}
}

// survey prints what the table does not expect.
func (v planPrinter) survey(s *schemas.Survey) {
	if s == nil {
		return
	}
	paths, values, broken := make(map[string]bool), int64(0), int64(0)
	for f := range s.Unmapped {
		paths[f.Path] = true
	}
	for f, n := range s.Mismatched {
		if f.Kind == schemas.KindNotUnicode {
			broken += n
		} else {
			values += n
		}
	}
	if len(paths) > 0 {
		v.Printf("    %s without a column: prospector schema infer\n", plural(len(paths), "field"))
	}
	if values > 0 {
		v.Printf("    %s with another type than the column: prospector schema infer\n", plural(values, "value"))
	}
	if broken > 0 {
		v.Printf("    %s with text that is not Unicode: U+FFFD in the column, the bytes in extra_json\n", plural(broken, "value"))
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}

// named returns the first IDs that were added to or removed from a list.
func named(l *plan.List) string {
	const most = 5
	var parts []string
	add := func(sign string, ids []string, n int64) {
		for _, id := range ids[:min(most, len(ids))] {
			parts = append(parts, sign+id)
		}
		if n > most && len(ids) > 0 {
			parts = append(parts, sign+"…")
		}
	}
	add("+", l.AddedIDs, l.Added)
	add("-", l.RemovedIDs, l.Removed)
	return " (" + strings.Join(parts, " ") + ")"
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func (v planPrinter) warnings(p *plan.Plan) {
	v.Diagnostics(p.Warnings)
	for _, j := range p.Jobs {
		v.Diagnostics(j.Problems.Warnings)
	}
	for _, c := range p.Checks {
		if c.Severity == jobs.Warning {
			v.Diagnostics(c.Problems)
		}
	}
}

func books(b plan.Books) string {
	text := fmt.Sprintf("%s read = %s added + %s changed + %s unchanged + %s + %s quarantined",
		plural(b.Events, "event"), count(b.Added), count(b.Changed), count(b.Unchanged),
		plural(b.Duplicates, "duplicate"), count(b.Quarantined))
	if b.Rejected > 0 {
		text += fmt.Sprintf(" + %s rejected", count(b.Rejected))
	}
	return text
}
