package view

import (
	"fmt"
	"strings"
	"time"

	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
)

// progressPrinter prints the progress of a session. printer.mu guards its fields.
type progressPrinter struct {
	*printer
	lastLine time.Time // when the last plain line of progress was printed
	read     read.Progress
	changes  map[string]*publishing // by job
}

// publishing counts the changes of a job that are done.
type publishing struct{ done, of, deleted int }

func (p *publishing) add(a plan.Action) {
	p.done++
	if a == plan.Delete {
		p.deleted++
	}
}

// String describes what was done.
func (p *publishing) String() string {
	switch published := p.done - p.deleted; {
	case p.deleted == 0:
		return plural(published, "partition") + " published"
	case published == 0:
		return plural(p.deleted, "partition") + " destroyed"
	default:
		return fmt.Sprintf("%s published, %s destroyed", plural(published, "partition"), count(p.deleted))
	}
}

// plainEvery is the interval between lines of progress without a terminal.
const plainEvery = 10 * time.Second

// Waiting implements run.Observer.
func (v *progressPrinter) Waiting(by *state.LockedError) {
	v.Printf("Waiting: %s\n", by)
}

// JobStarted implements run.Observer.
func (v *progressPrinter) JobStarted(job string, prospects int) {
	v.Printf("%s: Reading %s...\n", v.paint(job, bold), plural(prospects, "prospect"))
}

// Resumed implements run.Observer.
func (v *progressPrinter) Resumed(job string, prospects, pages int) {
	v.Printf("%s: Resuming: reusing %s of %s from an interrupted run\n", v.paint(job, bold), plural(pages, "page"), plural(prospects, "prospect"))
}

// Progress implements run.Observer.
func (v *progressPrinter) Progress(p read.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read = p
	text := Format("%s of %s prospects, %s, %s, %s",
		count(p.Prospects), count(p.Of), plural(p.Events, "event"), plural(p.Requests, "request"), size(p.Bytes))
	if p.Failed > 0 {
		text += Format(", %s failed", count(p.Failed))
	}
	v.progress(p.Job, text, p.Prospects, p.Of)
}

// Verifying implements Verify.
func (v *progressPrinter) Verifying(done, of int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress("Verifying", Format("%s of %s files", count(done), count(of)), int64(done), int64(of))
}

// progress moves the bar. Without a terminal it prints a line from time to time.
func (v *progressPrinter) progress(job string, text Text, done, of int64) {
	if !v.Terminal {
		if now := time.Now(); v.lastLine.IsZero() {
			v.lastLine = now
		} else if now.Sub(v.lastLine) >= plainEvery {
			v.lastLine = now
			v.locked("%s: Still reading... %s\n", job, text)
		}
		return
	}
	const cells = 24
	full := cells
	if of > 0 {
		full = int(done * cells / of)
	}
	line := Format("%s%s %s", strings.Repeat("█", full), strings.Repeat("░", cells-full), text)
	writeText(v.Out, clearLine+cut(line, v.Width-1))
	v.bar = true
}

// Staged implements run.Observer.
func (v *progressPrinter) Staged(job string) {
	p := v.read
	took := p.Elapsed.Round(10 * time.Millisecond)
	v.Printf("%s: Read and staged %s from %s [%s, %s in %s]\n", v.paint(job, bold),
		plural(p.Events, "event"), plural(p.Of, "prospect"), plural(p.Requests, "request"), size(p.Bytes), took)
}

// publishingOf counts the changes of each job.
func publishingOf(p *plan.Plan) map[string]*publishing {
	out := make(map[string]*publishing)
	for _, j := range p.Jobs {
		of := out[j.Address]
		if of == nil {
			of = &publishing{}
			out[j.Address] = of
		}
		for _, c := range j.Output.Changes {
			if len(c.Writes) > 0 {
				of.of++
			}
		}
	}
	return out
}

// Applying implements Operation.
func (v *progressPrinter) Applying(p *plan.Plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changes = publishingOf(p)
}

// ApplyStarted implements run.Observer.
func (v *progressPrinter) ApplyStarted(string, plan.Change) {}

// ApplyDone implements run.Observer. It prints a line for each change if there are
// few, and otherwise moves a bar.
func (v *progressPrinter) ApplyDone(job string, c plan.Change, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.changes[job]
	if p == nil {
		return
	}
	p.add(c.Action)
	if p.of > foldAbove {
		if v.Terminal {
			v.progress(job, Format("%d of %d partitions published", p.done, p.of), int64(p.done), int64(p.of))
		} else if p.done == p.of {
			v.locked("%s: %s\n", job, p)
		}
		return
	}
	done := map[plan.Action]string{plan.Create: "Creation", plan.Update: "Modification", plan.Replace: "Replacement", plan.Delete: "Destruction"}[c.Action]
	v.locked("%s: %s complete after %s\n", v.paint(partitionAddress(job, c.Partition), bold), done, took.Round(time.Millisecond))
}
