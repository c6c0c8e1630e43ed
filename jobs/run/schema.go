package run

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// consent refuses a plan by which a column would mean something else than its
// user has accepted: what the lock says or, where that does not know the job, what
// is published.
func (w *planning) consent(job jobs.Job, into *plan.Job) {
	accepted, ok := w.prior.Accepted(job.Address, w.Config.Lock)
	if !ok {
		return
	}
	_, locked := w.Config.Lock[job.Address]
	changes := schemas.Diff(accepted, job.Schema)
	var lost []string
	if into.Output.Rewrite != nil {
		for _, c := range into.Output.Rewrite.Columns {
			if of := c.Loses(); of != "" {
				lost = append(lost, of)
			}
		}
	}
	if len(lost) > 0 {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "Published values will be lost",
			Detail: fmt.Sprintf("The published rows lose %s, which cannot be told from what is published. Rows that the source returns have them as the schema says; in all others they are gone for good.", strings.Join(lost, ", "))})
	}
	block, attribute := job.SchemaBlock, ""
	if block.Address == "" {
		block, attribute = job.Block, "table"
	}
	switch replaced := schemas.Replaces(changes); {
	case len(replaced) > 0:
		effect := "Nothing is published yet that it would concern."
		if r := into.Output.Rewrite; r != nil {
			effect = fmt.Sprintf("It rewrites the %d rows in all %d files.", r.Rows, r.Files)
		}
		d := block.Diagnose(attribute, "A schema change needs consent", fmt.Sprintf(
			"Queries that were right would not be right any more:\n\n%s\n\n%s If that is meant, accept it, and commit the %s that it writes:\n\n    prospector init -upgrade",
			schemas.ListChanges(replaced), effect, schemas.LockFile))
		d.Address = job.Address
		into.Problems.Refused = append(into.Problems.Refused, d)
	case locked && len(changes) > 0:
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "The schema lock is behind",
			Detail: fmt.Sprintf("%s does not have:\n\n%s\n\nTo bring it up to date, run prospector init, and commit the file.", schemas.LockFile, schemas.ListChanges(changes))})
	}
}

// warnMissing warns of a plan that deletes much of a table because the source does
// not return it.
func (w *planning) warnMissing(job jobs.Job, into *plan.Job, published int64) {
	if deleted := into.Source.Missing.Deleted; deleted*10 > published {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "Much of the table is deleted",
			Detail: fmt.Sprintf("%d of %d published rows are not among what was read, and the job says on_missing = \"delete\". A check on staged.rows_removed can forbid that.", deleted, published)})
	}
}

// surveyed notes what the events were beyond what the table expects, and warns of
// what no apply has told of yet.
func (w *planning) surveyed(job jobs.Job, into *plan.Job, seen schemas.Survey) {
	known, first := schemas.NewSurvey(), true
	if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Survey != nil {
		known, first = *owned.Survey, false
	}
	seen.Bound()
	warn := func(summary string, lines []string, remedy string) {
		if more := len(lines) - maxListed; more > 0 {
			lines = append(lines[:maxListed], fmt.Sprintf("  … and %d more", more))
		}
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address,
			Summary: summary, Detail: strings.Join(lines, "\n") + "\n\n" + remedy})
	}

	var types []string
	for _, t := range slices.Sorted(maps.Keys(seen.EventTypes)) {
		if _, before := known.EventTypes[t]; !before && !job.Schema.Knows(t) {
			types = append(types, terminal.Line(fmt.Sprintf("  %s: %d events", t, seen.EventTypes[t])))
		}
	}
	if len(types) > 0 {
		effect := "Their events are exported like all others."
		if job.Schema.UnknownType == schemas.Quarantine {
			effect = `Their events are quarantined, as the schema says unknown_type = "quarantine".`
		}
		warn("There are new event types", types, effect+" To expect them, name them in the schema's event_types.")
	}
	if lines := newFields(seen.Unmapped, known.Unmapped, func(f schemas.Field) string {
		return schemas.DescribeKind(f.Kind)
	}); len(lines) > 0 && !first { // of a table's first events, all fields are new
		remedy := "In events that become rows, they are kept in extra_json. Once this is applied, prospector schema infer proposes columns for them."
		if job.Schema.UnknownField == schemas.Discard {
			remedy = `They are not exported, as the schema says unknown_field = "drop".`
		}
		warn("There are new fields without a column", lines, remedy)
	}
	broken, mismatched := make(map[schemas.Field]int64), make(map[schemas.Field]int64)
	for f, n := range seen.Mismatched {
		if f.Kind == schemas.KindNotUnicode {
			broken[f] = n
		} else {
			mismatched[f] = n
		}
	}
	if lines := newFields(broken, known.Mismatched, func(f schemas.Field) string {
		return schemas.DescribeKind(f.Kind)
	}); len(lines) > 0 {
		effect := "The column has U+FFFD where the text is broken, and extra_json has the original bytes."
		if job.Schema.Mismatch == schemas.Quarantine {
			effect = `Their events are quarantined, as the schema says mismatch = "quarantine".`
		}
		warn("There are texts that are not Unicode", lines, effect)
	}
	times := false
	if lines := newFields(mismatched, known.Mismatched, func(f schemas.Field) string {
		s := schemas.DescribeKind(f.Kind)
		if c, ok := job.Schema.Taking(f.Path, f.EventType); ok {
			s += fmt.Sprintf(", and the column %s is %s", c.Name, c.Type)
			times = times || c.Type == schemas.Timestamp || c.Type == schemas.Date
			if form := seen.Times[f].String(); form != "" && c.Type == schemas.Timestamp {
				s += fmt.Sprintf("; time = %q would read it", form)
			}
		}
		return s
	}); len(lines) > 0 {
		effect := "The column is NULL in those rows, and the value is kept in extra_json."
		if job.Schema.Mismatch == schemas.Quarantine {
			effect = `Their events are quarantined, as the schema says mismatch = "quarantine".`
		}
		remedy := " Give the column a type that holds all of them, such as json, or leave it so."
		if times {
			remedy = ` A column of times can declare how they are written: time = "unix_ms", "unix_s", "unix_us" or a layout such as "%d.%m.%Y %H:%M". Columns of other types can have one that holds all values, such as json.`
		}
		warn("There are values of another type than their column's", lines, effect+remedy)
	}

	// What is known stays known on a night on which it was not seen.
	for _, fields := range []map[schemas.Field]int64{known.Unmapped, known.Mismatched} {
		for f := range fields {
			if times := known.Times[f]; times != 0 && seen.Unmapped[f]+seen.Mismatched[f] == 0 {
				seen.Times[f] = times
			}
		}
	}
	keep(seen.EventTypes, known.EventTypes, func(string) bool { return true })
	unmapped := func(f schemas.Field) bool { _, taken := job.Schema.Taking(f.Path, f.EventType); return !taken }
	keep(seen.Unmapped, known.Unmapped, unmapped)
	keep(seen.Mismatched, known.Mismatched, func(f schemas.Field) bool {
		c, taken := job.Schema.Taking(f.Path, f.EventType)
		return taken && (c.Time == "" || c.Time != known.Times[f].String()) // or else it is read by now
	})
	seen.Bound()
	into.Source.Survey = &seen
}

func newFields(seen, known map[schemas.Field]int64, is func(schemas.Field) string) (lines []string) {
	counts := schemas.Counts(seen)
	slices.SortStableFunc(counts, func(a, b schemas.FieldCount) int { return cmp.Compare(b.Events, a.Events) })
	for _, c := range counts {
		if _, before := known[c.Field]; !before {
			lines = append(lines, terminal.Line(fmt.Sprintf("  %s of %d %s is %s", c.Path, c.Events, c.EventType, is(c.Field))))
		}
	}
	return lines
}

// keep adds those counts of before that are still true and have no successor.
func keep[K comparable](now, before map[K]int64, still func(K) bool) {
	for k, n := range before {
		if _, ok := now[k]; !ok && still(k) {
			now[k] = n
		}
	}
}
