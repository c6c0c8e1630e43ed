package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
)

// StreamVersion is the version of the lines that JSON prints. New members and new
// types of lines raise the number after the dot, other changes the one before it.
const StreamVersion = "1.2"

// JSON prints one object on each line. Its methods may be called concurrently.
type JSON struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
	// changes holds the counts of apply_progress, by job.
	changes map[string]*publishing
	// lastProgress is when the last line about progress was printed.
	lastProgress time.Time
}

// NewJSON returns a JSON and prints its first line.
func NewJSON(out io.Writer, now func() time.Time) *JSON {
	v := &JSON{out: out, now: now}
	v.print("version", "info", "Prospector "+jobs.Version, object{"prospector": jobs.Version, "stream": StreamVersion})
	return v
}

type object map[string]any

// print prints a line: the members that every line has, and those of its type.
func (v *JSON) print(kind, level, message string, members object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.locked(kind, level, message, members)
}

func (v *JSON) locked(kind, level, message string, members object) {
	line := object{
		"format_version": StreamVersion, "type": kind,
		"@level": level, "@message": message, "@module": "prospector.ui",
		"@timestamp": v.now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	for name, value := range members {
		line[name] = value
	}
	b, err := json.Marshal(line)
	if err != nil { // cannot happen, since every member has a JSON form
		b = fmt.Appendf(nil, `{"format_version":%q,"type":"log","@level":"error","@message":%q,"@module":"prospector.ui","@timestamp":""}`, StreamVersion, err)
	}
	writeText(v.out, Document(b)+"\n")
}

// Diagnostics implements Diagnoser.
func (v *JSON) Diagnostics(ds jobs.Diagnostics) {
	for _, d := range ds {
		level := "error"
		if d.Severity == jobs.Warning {
			level = "warn"
		}
		v.print("diagnostic", level, d.Summary, object{"diagnostic": d})
	}
}

// Retrying implements Diagnoser.
func (v *JSON) Retrying(why error) { v.print("log", "warn", "Still trying: "+why.Error(), nil) }

// Interrupting implements Diagnoser.
func (v *JSON) Interrupting() { v.print("log", "warn", interrupting, nil) }

// Aborted implements Diagnoser.
func (v *JSON) Aborted() { v.print("log", "error", aborted, nil) }

// Cancelled implements Operation.
func (v *JSON) Cancelled(m plan.Mode) {
	v.print("log", "error", operation(m)+" cancelled. Nothing was changed.", nil)
}

// Waiting implements run.Observer.
func (v *JSON) Waiting(by *state.LockedError) {
	v.print("lock_wait", "info", "Waiting for another run to end", object{"lock": lockOf(by.Holder)})
}

// JobStarted implements run.Observer.
func (v *JSON) JobStarted(job string, prospects int) {
	v.print("job_start", "info", fmt.Sprintf("%s: Reading %s...", job, plural(prospects, "prospect")),
		object{"job": job, "prospects": prospects})
}

// Resumed implements run.Observer.
func (v *JSON) Resumed(job string, prospects, pages int) {
	v.print("job_resume", "info", fmt.Sprintf("%s: Resuming an interrupted run", job),
		object{"job": job, "prospects": prospects, "pages": pages})
}

// jsonEvery is the interval between lines about progress.
const jsonEvery = time.Second

// Progress implements run.Observer.
func (v *JSON) Progress(p read.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.lastProgress) < jsonEvery && p.Prospects < p.Of {
		return
	}
	v.lastProgress = v.now()
	v.locked("job_progress", "info", p.Job+": Still reading...", object{
		"job": p.Job, "prospects": p.Prospects, "prospects_total": p.Of, "prospects_failed": p.Failed,
		"requests": p.Requests, "events": p.Events, "bytes": p.Bytes, "elapsed_seconds": p.Elapsed.Seconds(),
	})
}

// Staged implements run.Observer.
func (v *JSON) Staged(job string) {
	v.print("job_staged", "info", job+": Read and staged", object{"job": job})
}

// Plan implements Operation.
func (v *JSON) Plan(p *plan.Plan) {
	v.Diagnostics(p.Warnings)
	for _, j := range p.Jobs {
		v.Diagnostics(j.Problems.Warnings)
		for _, d := range j.Found.Drift {
			v.print("drift", "info", fmt.Sprintf("%s: %s", d.Key, d.Kind), object{"drift": driftOf(j, d)})
		}
	}
	for _, c := range changesOf(p) {
		if c.Action != plan.NoOp {
			v.print("planned_change", "info", fmt.Sprintf("%s: Plan to %s", c.Address, c.Action), object{"change": c})
		}
	}
	for _, c := range p.Checks {
		level, message := "info", "Check passed"
		if !c.Passed {
			level, message = "error", "Check failed"
			if c.Severity == jobs.Warning {
				level = "warn"
				v.Diagnostics(c.Problems)
			}
		}
		v.print("check", level, c.Address+": "+message, object{"check": checkOf(c)})
	}
	s := p.Summary()
	v.print("change_summary", "info", fmt.Sprintf("Plan: %d to add, %d to change, %d to destroy.", s.Add, s.Change, s.Destroy),
		object{"changes": summaryOf(s, "plan"), "empty": p.Empty(), "jobs": readingsOf(p)})
}

// Saved implements Operation.
func (v *JSON) Saved(path string) {
	v.print("plan_saved", "info", "Saved the plan to "+path, object{"path": path})
}

// Applying implements Operation.
func (v *JSON) Applying(p *plan.Plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changes = publishingOf(p)
}

// ApplyStarted implements run.Observer.
func (v *JSON) ApplyStarted(job string, c plan.Change) {
	address := partitionAddress(job, c.Partition)
	v.print("apply_start", "info", fmt.Sprintf("%s: %s begins", address, c.Action),
		object{"hook": object{"address": address, "action": c.Action}})
}

// ApplyDone implements run.Observer.
func (v *JSON) ApplyDone(job string, c plan.Change, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	address := partitionAddress(job, c.Partition)
	v.locked("apply_complete", "info", fmt.Sprintf("%s: %s complete", address, c.Action),
		object{"hook": object{"address": address, "action": c.Action, "elapsed_seconds": took.Seconds()}})
	p := v.changes[job]
	if p == nil {
		return
	}
	if p.add(c.Action); p.done == p.of || v.now().Sub(v.lastProgress) >= jsonEvery {
		v.lastProgress = v.now()
		v.locked("apply_progress", "info", fmt.Sprintf("%s: %d of %d partitions", job, p.done, p.of),
			object{"job": job, "done": p.done, "total": p.of})
	}
}

// Applied implements Operation.
func (v *JSON) Applied(p *plan.Plan) {
	s, done := p.Summary(), operation(p.Mode)
	v.print("change_summary", "info", fmt.Sprintf("%s complete! Partitions: %d added, %d changed, %d destroyed.", done, s.Add, s.Change, s.Destroy),
		object{"changes": summaryOf(s, strings.ToLower(done)), "empty": p.Empty(), "jobs": readingsOf(p)})
}

// Erased implements Operation.
func (v *JSON) Erased(e erase.Result) {
	mentions := e.Mentions
	if mentions == nil {
		mentions = []erase.Mention{}
	}
	v.print("erasure", "info", "Nothing of the prospect was found",
		object{"files": e.Files, "records": e.Records, "removed": e.Removed, "objects": e.Objects, "mentions": mentions})
}

// Outputs implements Operation.
func (v *JSON) Outputs(outputs []jobs.Output) {
	v.print("outputs", "info", fmt.Sprintf("Outputs: %d", len(outputs)), object{"outputs": OutputsOf(outputs)})
}

// Validated implements Validate.
func (v *JSON) Validated(c *jobs.Configuration, valid bool) {
	count, message := 0, "The configuration is not valid."
	if valid {
		count, message = len(c.Jobs), "The configuration is valid."
	}
	v.print("validation", "info", message, object{"valid": valid, "jobs": count})
}

// Verifying implements Verify.
func (v *JSON) Verifying(done, of int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if done < of && v.now().Sub(v.lastProgress) < jsonEvery {
		return
	}
	v.lastProgress = v.now()
	v.locked("verify_progress", "info", fmt.Sprintf("%d of %d files", done, of), object{"done": done, "total": of})
}

// Verified implements Verify.
func (v *JSON) Verified(r audit.Result) {
	for _, f := range r.Findings {
		v.print("finding", "error", f.Problem, object{"finding": f})
	}
	v.print("verification", "info", fmt.Sprintf("%d files, %d findings", r.Files, len(r.Findings)),
		object{"files": r.Files, "rows": r.Rows, "bytes": r.Bytes, "findings": len(r.Findings)})
}
