package view

import (
	"fmt"

	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
)

// Human prints for people, in the conventions of Terraform. Its methods may be called
// concurrently. Each embedded printer has one topic.
type Human struct {
	*printer
	planPrinter
	progressPrinter
	schemaPrinter
	statePrinter
}

// NewHuman returns a Human that prints to the streams.
func NewHuman(s Streams) *Human {
	if s.Width <= 0 {
		s.Width = 80
	}
	p := &printer{Streams: s}
	return &Human{p, planPrinter{p}, progressPrinter{printer: p}, schemaPrinter{p}, statePrinter{p}}
}

// The messages when a run stops.
const (
	interrupting = "Interrupt received. Stopping gracefully: requests in flight finish, and the pages that were read are kept. Interrupt again to stop at once."
	aborted      = "Stopped at once. No file in a lake is half-written; files that were being published are recorded, and the next run completes or repairs them. " +
		"Until then, staged files stay in the data directory. The lock of a state on this machine ends with this process. The lock of a remote state expires by itself; to release it now, run: prospector force-unlock ID"
)

// Retrying implements Diagnoser.
func (v *Human) Retrying(why error) { v.Errorf("Still trying: %v\n", why) }

// Interrupting implements Diagnoser.
func (v *Human) Interrupting() { v.Printf("\n%s\n", paragraphs(interrupting, v.Width-2)) }

// Aborted implements Diagnoser.
func (v *Human) Aborted() { v.Printf("\n%s\n", paragraphs(aborted, v.Width-2)) }

// Cancelled implements Operation.
func (v *Human) Cancelled(m plan.Mode) {
	v.Printf("\n%s cancelled. Nothing was changed.\n", operation(m))
}

// operation returns the capitalized name of the command that performs plans of a mode.
func operation(m plan.Mode) string {
	switch m {
	case plan.Destroy:
		return "Destroy"
	case plan.Erase:
		return "Erase"
	}
	return "Apply"
}

// Saved implements Operation.
func (v *Human) Saved(path string) {
	v.Printf("\nSaved the plan to: %s\n\nIt contains events, so protect it like the lake.%s\n", path,
		v.hint(Format("\nTo perform exactly these actions, run:\n\n    prospector apply %s", path)))
}

// Validated implements Validate.
func (v *Human) Validated(c *jobs.Configuration, valid bool) {
	if valid {
		v.Printf("%s The configuration is valid: %s.\n", v.paint("Success!", bold, green), plural(len(c.Jobs), "job"))
	}
}

// Verified implements Verify.
func (v *Human) Verified(r audit.Result) {
	for _, f := range r.Findings {
		v.Printf("\n%s %s\n\n%s", v.paint("Finding:", bold, red), f.URI, prefixed(paragraphs(f.Problem, v.Width-4), "  "))
	}
	what := fmt.Sprintf("%s, %s, %s", plural(r.Files, "file"), plural(r.Rows, "row"), size(r.Bytes))
	if len(r.Findings) == 0 {
		v.Printf("%s Every published file matches the state: %s.\n", v.paint("Success!", bold, green), what)
		return
	}
	v.Printf("\n%s in %s. To see what can be repaired, run: prospector plan\n", plural(len(r.Findings), "finding"), what)
}

// Applied implements Operation.
func (v *Human) Applied(p *plan.Plan) {
	s, done := p.Summary(), operation(p.Mode)+" complete!"
	if p.Mode == plan.RefreshOnly {
		v.Printf("\n%s State updated to match the sinks.\n", v.paint(done, bold, green))
		return
	}
	v.Printf("\n%s Partitions: %d added, %d changed, %d destroyed.\n", v.paint(done, bold, green), s.Add, s.Change, s.Destroy)
}

// Erased implements Operation.
func (v *Human) Erased(e erase.Result) {
	v.Printf("The second reader has read %s and found no row of the prospect.\n", plural(e.Files, "published file"))
	v.Printf("A search of %s next to the state, in the sinks and in the data directory found nothing of the prospect.\n", plural(e.Objects, "other object"))
	if e.Records > 0 {
		v.Printf("The prospect's ID was removed from %s of runs.\n", plural(e.Records, "record"))
	}
	if e.Removed > 0 {
		v.Printf("Removed because they contained the ID or could not be searched: %s.\n", plural(e.Removed, "object"))
	}
	if len(e.Mentions) > 0 {
		v.Printf("\nThe ID also occurs in these places. Check whether it means the prospect there:\n\n")
		for _, m := range e.Mentions[:min(len(e.Mentions), maxMentions)] {
			v.Printf("  %s: %s (%d)\n", m.URI, m.Place, m.Count)
		}
		if more := len(e.Mentions) - maxMentions; more > 0 {
			v.Printf("  … and %d more\n", more)
		}
	}
}

// maxMentions is the number of places that Erased lists.
const maxMentions = 20

// Outputs implements Operation.
func (v *Human) Outputs(outputs []jobs.Output) {
	if len(outputs) == 0 {
		return
	}
	v.Printf("\n%s\n\n", v.paint("Outputs:", bold, green))
	v.OutputList(outputs)
}

// OutputList prints outputs as the configuration language would.
func (v *Human) OutputList(outputs []jobs.Output) {
	for _, o := range outputs {
		value := Literal(o.Value)
		if o.Sensitive {
			value = "<sensitive>"
		}
		v.Printf("%s = %s\n", o.Name, value)
	}
}
