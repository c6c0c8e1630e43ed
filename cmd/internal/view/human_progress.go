package view

import (
	"fmt"
	"strings"
	"time"

	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
)

// progressState is what the progress of a session has come to.
type progressState struct {
	lines   time.Time // when the last plain line of progress was printed
	read    read.Progress
	changes map[string]*publishing // by job
}

// publishing is how far the changes of a job have got.
type publishing struct{ done, of, deleted int }

func (p *publishing) add(a plan.Action) {
	p.done++
	if a == plan.Delete {
		p.deleted++
	}
}

// String tells what was done.
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

// plainEvery is how often progress is told where there is no terminal.
const plainEvery = 10 * time.Second

// Waiting implements run.Observer.
func (v *Human) Waiting(by *state.LockedError) {
	v.Printf("Waiting: %s\n", by)
}

// JobStarted implements run.Observer.
func (v *Human) JobStarted(job string, prospects int) {
	v.Printf("%s: Reading %s...\n", v.paint(job, bold), plural(prospects, "prospect"))
}

// Resumed implements run.Observer.
func (v *Human) Resumed(job string, prospects, pages int) {
	v.Printf("%s: Resuming: %s of %s are here from an interrupted run\n", v.paint(job, bold), plural(pages, "page"), plural(prospects, "prospect"))
}

// Progress implements run.Observer.
func (v *Human) Progress(p read.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.run.read = p
	tell := Format("%s of %s prospects, %s, %s, %s",
		count(p.Prospects), count(p.Of), plural(p.Events, "event"), plural(p.Requests, "request"), size(p.Bytes))
	if p.Failed > 0 {
		tell += Format(", %s failed", count(p.Failed))
	}
	v.progress(p.Job, tell, p.Prospects, p.Of)
}

// progress moves the bar, or now and then prints a line.
func (v *Human) progress(job string, tell Text, done, of int64) {
	if !v.Terminal {
		if now := time.Now(); v.run.lines.IsZero() {
			v.run.lines = now
		} else if now.Sub(v.run.lines) >= plainEvery {
			v.run.lines = now
			v.locked("%s: Still reading... %s\n", job, tell)
		}
		return
	}
	const cells = 24
	full := cells
	if of > 0 {
		full = int(done * cells / of)
	}
	line := Format("%s%s %s", strings.Repeat("█", full), strings.Repeat("░", cells-full), tell)
	print(v.Out, clearLine+cut(line, v.Width-1))
	v.bar = true
}

// Staged implements run.Observer.
func (v *Human) Staged(job string) {
	p := v.run.read
	took := p.Elapsed.Round(10 * time.Millisecond)
	v.Printf("%s: Read and staged %s of %s [%s, %s in %s]\n", v.paint(job, bold),
		plural(p.Events, "event"), plural(p.Of, "prospect"), plural(p.Requests, "request"), size(p.Bytes), took)
}

// publishingOf counts the changes of each job that are to come.
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

// Applying tells how many changes are to come.
func (v *Human) Applying(p *plan.Plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.run.changes = publishingOf(p)
}

// ApplyStarted implements run.Observer.
func (v *Human) ApplyStarted(string, plan.Change) {}

// ApplyDone implements run.Observer: a line a change where there are few, else a bar.
func (v *Human) ApplyDone(job string, c plan.Change, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.run.changes[job]
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
