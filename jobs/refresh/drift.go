package refresh

import (
	"fmt"

	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/plan"
)

// URI returns the URI of an object in a sink.
type URI func(sink, key string) string

// InTheWay returns an error if foreign objects have the keys of files that the plan
// would write.
func InTheWay(job jobs.Block, p plan.Job, uri URI) error {
	inTheWay := plan.InTheWay(p.Output.Changes, p.Found.Drift)
	if len(inTheWay) == 0 {
		return nil
	}
	return jobs.Diagnostic{
		Severity: jobs.Error, Address: job.Address,
		Summary: "The plan would overwrite objects that are not in the state",
		Detail: fmt.Sprintf("%s\n\nThese objects may belong to another program. If the state is lost or outdated, restore it or its backup:\n\n    prospector state push -force FILE\n\nOtherwise, move the objects away, or set another sink in the job. Nothing was published.",
			DriftList(inTheWay, uri)),
		Origin: &job.Origin,
	}
}

// Warnings reports what has changed outside of prospector, and what the plan does
// about it.
func Warnings(job jobs.Block, p plan.Job, uri URI) (warnings jobs.Diagnostics) {
	var foreign, changed []plan.Drift
	repaired := 0
	writes := p.Writes()
	for _, d := range p.Found.Drift {
		if d.Kind == plan.Foreign {
			foreign = append(foreign, d)
			continue
		}
		changed = append(changed, d)
		if writes[plan.At{Sink: d.Sink, Key: d.Key}] {
			repaired++
		}
	}
	if len(changed) > 0 {
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Objects have changed outside of prospector",
			Detail:  DriftList(changed, uri) + "\n\n" + remedy(p, repaired, len(changed)),
		})
	}
	if len(foreign) > 0 {
		effect := "Move them away. prospector does not touch them unless the job has on_foreign_file = \"delete\"."
		if len(p.Output.Foreign) == len(foreign) {
			effect = "This plan deletes them, because the job has on_foreign_file = \"delete\"."
		}
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Foreign objects under the table's prefix",
			Detail:  DriftList(foreign, uri) + "\n\nReaders of the lake treat them as part of the table. BigQuery fails on any object that is not Parquet. " + effect,
		})
	}
	return warnings
}

// remedy describes what the plan does about the objects that have changed.
func remedy(p plan.Job, repaired, changed int) string {
	if p.SchemaFingerprint != "" && len(p.Output.Changes) == 0 {
		return "The next plan that reads the source repairs what it can."
	}
	effect := "This plan repairs them."
	switch {
	case p.Destroy:
		effect = "This plan deletes those that still exist."
	case repaired < changed:
		effect = fmt.Sprintf("This plan repairs %d of %d. The others are not among its targets, or it has no rows for them.", repaired, changed)
	}
	if lost := p.Unrestored(); lost > 0 && !p.Destroy {
		effect += fmt.Sprintf(" %d of their rows cannot be restored, because the source no longer returns them.", lost)
	}
	if lost := p.UnrestoredEvents(); lost > 0 && !p.Destroy {
		effect += fmt.Sprintf(" %s cannot be restored.", jobs.Count(lost, "quarantined event"))
	}
	return effect
}

// DriftList lists drifted objects, one per line.
func DriftList(drift []plan.Drift, uri URI) string {
	var lines []string
	for _, d := range drift {
		lines = append(lines, terminal.Line(fmt.Sprintf("  %s: %s", uri(d.Sink, d.Key), describe(d, uri))))
	}
	return jobs.List(lines)
}

// describe describes how an object has drifted, what of it can still be read, and
// where its copy is kept.
func describe(d plan.Drift, uri URI) string {
	kind := string(d.Kind)
	if d.Kind == plan.Foreign {
		kind = "not in the state"
	}
	thing := "row"
	if plan.IsQuarantine(d.Key) {
		thing = "event"
	}
	switch {
	case d.Recovered > 0:
		kind += fmt.Sprintf("; %d of its %s can still be read", min(d.Recovered, d.Held), jobs.Count(d.Held, thing))
		if !d.Proven {
			kind += ", but they may differ from what was written"
		}
	case d.Held > 0 && thing == "event":
		kind += "; it had " + jobs.Count(d.Held, thing)
	}
	if d.KeptAs != "" {
		kind += "; a copy is kept at " + uri(d.Sink, d.KeptAs)
	}
	return kind
}
