package read

import (
	"errors"
	"fmt"
	"strings"

	"prospector/extract"
	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/transform"
)

// resume explains how to continue after the source has ended a run.
const resume = "Nothing was published. After fixing the cause, run the same command again. It requests only the missing pages: " +
	"those that were fetched with the same key and settings are kept for 12 hours, refusals are not."

// noneRead returns the error for a run that could not read any prospect.
func noneRead(job jobs.Job, r plan.Reading) error {
	var counts []string
	for _, c := range []struct {
		n    int64
		what string
	}{{r.Forbidden, "refused (403)"}, {r.NotFound, "not found (404 or 410)"}, {r.Failed, "failed"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return job.Source.Diagnose("endpoint", "No prospect could be read", fmt.Sprintf(
		"Prospects: %s.\n\n%s\n\nCheck endpoint, api_key and the list of prospects. %s",
		strings.Join(counts, ", "), exceptionList(r), resume))
}

// diagnose turns the error that ended the reading of a job into a diagnostic, if the
// user can fix it.
func diagnose(job jobs.Job, err error) error {
	var u *transform.Unexpected
	switch {
	case errors.As(err, &u):
		d := job.SchemaBlock.Diagnose(u.What, "An event does not match the schema", fmt.Sprintf(
			"An event of type %s: %v. The schema has %s = \"fail\". Nothing was published. The fetched pages are kept for the next run. "+
				"Change the schema, or set %s = \"keep\". With \"keep\", plan -out=FILE and schema infer FILE list everything that the schema does not declare.",
			terminal.Line(u.EventType), terminal.Line(u.Error()), u.What, u.What))
		d.Address = job.Address
		return d
	case errors.Is(err, extract.ErrUnauthorized):
		return job.Source.Diagnose("api_key", "The API key is not accepted", err.Error()+".\n\n"+resume)
	case errors.Is(err, errDown):
		summary := "The API does not respond"
		if !errors.Is(err, extract.ErrExhausted) || errors.Is(err, extract.ErrBadPage) {
			summary = "The API does not return events"
		}
		return job.Source.Diagnose("endpoint", summary, err.Error()+".\n\n"+resume)
	case errors.Is(err, extract.ErrThrottled):
		return job.Source.Diagnose("requests_per_second", "The API asks for a long delay", err.Error()+".\n\n"+resume)
	}
	return err
}

// maxListed is how many prospects a message lists.
const maxListed = 10

func exceptionList(r plan.Reading) string {
	var lines []string
	for _, e := range r.Exceptions[:min(maxListed, len(r.Exceptions))] {
		lines = append(lines, terminal.Line(fmt.Sprintf("  prospect %s: %s", e.Prospect, e.Reason)))
	}
	if more := r.Incomplete() - int64(len(lines)); more > 0 {
		lines = append(lines, fmt.Sprintf("  … and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Warnings returns warnings about a reading. repeated counts the repeated IDs in the
// list of prospects, and reasons lists why events could not become rows.
func (r *Result) Warnings(job string, repeated int, reasons string) (warnings jobs.Diagnostics) {
	warn := func(summary, detail string) {
		warnings = append(warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job, Summary: summary, Detail: detail})
	}
	if n := r.Incomplete(); n > 0 {
		warn(fmt.Sprintf("%d of %d prospects are incomplete", n, r.Prospects),
			exceptionList(r.Reading)+"\n\nTheir published rows stay unchanged. The next run requests them again.")
	}
	if n := r.Books.Quarantined; n > 0 {
		warn(fmt.Sprintf("Events that cannot become rows: %d", n), reasons+
			"\n\nThe quarantine next to the table has each of them, with its reason.")
	}
	if n := r.Books.Tied; n > 0 {
		warn(fmt.Sprintf("%d events have the same prospect, type and creation time as another event", n),
			"They differ in other fields, so each of them is a row. Their IDs depend on their time and content.")
	}
	if n := r.Books.NaiveTimes; n > 0 {
		warn(fmt.Sprintf("%d times have no offset", n), "They are read as UTC.")
	}
	if repeated > 0 {
		warn(fmt.Sprintf("%d prospects are listed more than once", repeated), "Each is read once.")
	}
	return warnings
}
