// Package plan determines what a run would change in the lake, and why. It
// compares the declared jobs, the state, the staged rows and the objects in the
// sinks. It is pure: it does no I/O.
package plan

import (
	"fmt"
	"slices"
	"time"

	"prospector/jobs"
	"prospector/schemas"
)

// Plan is what a run would change.
type Plan struct {
	Mode Mode
	// Lineage and Serial identify the state that the plan is based on.
	Lineage string
	Serial  int64
	// Config is the digest of the configuration.
	Config  string
	Created time.Time
	// Targets and Replace are the addresses given with -target and -replace.
	Targets []string
	Replace []string
	// Accepted are the guards given with -accept.
	Accepted []Guard
	// Moved are the jobs of the state that get a new address, in this order.
	Moved []Move
	// Forgotten are the addresses of the jobs that are removed from the state.
	// Their published files remain.
	Forgotten []string
	Jobs      []Job
	Checks    []Check
	Warnings  jobs.Diagnostics
	// Prospect is the ID of the prospect to erase. It is never saved.
	Prospect string
}

// Mode is the kind of plan.
type Mode string

// The modes.
const (
	Normal      Mode = "normal"
	Destroy     Mode = "destroy"
	RefreshOnly Mode = "refresh-only"
	Erase       Mode = "erase" // all rows of one prospect
)

// Move changes the address of a job or a sink in the state.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Job is the part of a plan for one job in the configuration or the state.
type Job struct {
	Address   string
	TableName string
	// SchemaFingerprint identifies the schema of the table after the apply.
	SchemaFingerprint string
	// Schema is that schema, or nil if the plan publishes nothing.
	Schema *schemas.Table
	// PreventDestroy is the declared value.
	PreventDestroy bool
	// Destroy deletes the table from the Sinks. DestroyReason is "" if the user
	// requested it.
	Destroy       bool
	DestroyReason string
	// Sinks are the addresses of the affected sinks, in the order of the job.
	Sinks []string

	Found    Found
	Source   Source
	Output   Output
	Problems Problems
}

// Found is what a refresh found in the sinks, compared with the state.
type Found struct {
	// Prior is the content of each sink, by address.
	Prior map[string]*Refreshed
	Drift []Drift
	// Renamed are the sinks of the state that have a new address but the same
	// location.
	Renamed []Move
	// AbandonedURIs are the former locations of the table, before its sink or
	// its name changed. They are removed from the state.
	AbandonedURIs []string
}

// Source is what a job's source returned, and how it was used.
type Source struct {
	Reading Reading
	Books   Books
	Missing Missing
	// Waiting are the prospects whose published rows are deleted after another
	// empty read. It is nil if the state keeps its list.
	Waiting *Waiting
	// Survey describes the data that was read and the schema does not cover. It
	// is nil if nothing was read.
	Survey *schemas.Survey
}

// Output is what the plan changes in the sinks.
type Output struct {
	// Changes are in ascending order of partitions. A partition that was
	// examined and does not change has the action NoOp.
	Changes []Change
	// Quarantine is nil if the quarantine does not change.
	Quarantine *Quarantine
	// Rewrite is set if published files have another schema, so that their rows
	// are rewritten.
	Rewrite *Rewrite
	// Obsolete are the deletions of files that an interrupted apply left.
	Obsolete []Write
	// Foreign are the deletions of objects that prospector does not own.
	Foreign []Write
	// Copies preserve the damaged objects that the plan replaces or deletes.
	// Apply makes the copies first.
	Copies []Copy
}

// Problems are the errors and warnings of a job's plan.
type Problems struct {
	// Refused are the reasons why the job must not be applied.
	Refused jobs.Diagnostics
	// Rejected are the partitions that are not published, because the second
	// reader rejected their staged files, or those of a partition that must
	// change together with them.
	Rejected []Rejected
	Warnings jobs.Diagnostics
}

// Rejected is a partition that cannot be published, with the reason.
type Rejected struct {
	Partition string          `json:"partition"` // its path
	Problem   jobs.Diagnostic `json:"problem"`
}

// Check is the result of a declared check.
type Check struct {
	Address  string        `json:"address"`
	Job      string        `json:"job"`
	Severity jobs.Severity `json:"severity"` // of a failure
	Passed   bool          `json:"passed"`
	// Problems are the failed assertions.
	Problems jobs.Diagnostics `json:"problems,omitempty"`
}

// Empty reports whether the plan has no changes to show: no sink changes, and
// the state is at most updated to match the sinks.
func (p *Plan) Empty() bool {
	drifted := p.Mode == RefreshOnly && slices.ContainsFunc(p.Jobs, func(j Job) bool {
		return slices.ContainsFunc(j.Found.Drift, func(d Drift) bool { return d.Kind == Deleted })
	})
	elsewhere := slices.ContainsFunc(p.Jobs, func(j Job) bool { return len(j.Found.AbandonedURIs)+len(j.Found.Renamed) > 0 })
	return p.Summary().Empty() && len(p.Moved)+len(p.Forgotten) == 0 && !drifted && !elsewhere
}

// Blocked returns the reasons why the plan must not be applied: refused jobs,
// and failed checks of severity Error.
func (p *Plan) Blocked() (errs jobs.Diagnostics) {
	for _, j := range p.Jobs {
		errs = append(errs, j.Problems.Refused...)
	}
	for _, c := range p.Checks {
		if !c.Passed && c.Severity == jobs.Error {
			errs = append(errs, c.Problems...)
		}
	}
	return errs
}

// Rejected returns the reasons why partitions are not published when the plan
// is applied. It lists only the first ones of each job.
func (p *Plan) Rejected() (errs jobs.Diagnostics) {
	const maxRejected = 10
	for _, j := range p.Jobs {
		for _, r := range j.Problems.Rejected[:min(maxRejected, len(j.Problems.Rejected))] {
			errs = append(errs, r.Problem)
		}
		if more := len(j.Problems.Rejected) - maxRejected; more > 0 {
			errs = append(errs, jobs.Diagnostic{Severity: jobs.Error, Address: j.Address,
				Summary: fmt.Sprintf("%d more partitions are not published", more),
				Detail:  "The second reader also rejected their staged files, or those of partitions that must change together with them."})
		}
	}
	return errs
}
