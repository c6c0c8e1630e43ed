// Package plan determines what a run would change in the lake, and why. It compares
// what a job declares, what the state has, what is staged and what the sinks hold. It
// is pure: it reads and writes nothing.
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
	// Lineage and Serial are those of the state that the plan is made from.
	Lineage string
	Serial  int64
	// Config is the digest of the configuration.
	Config  string
	Created time.Time
	// Targets and Replace are the addresses that the user named.
	Targets []string
	Replace []string
	// Accepted are the guards that the user accepted.
	Accepted []Guard
	// Moved are the jobs of the state that get another address, in this order.
	Moved []Move
	// Forgotten are the jobs that the state forgets. Their published files stay.
	Forgotten []string
	Jobs      []Job
	Checks    []Check
	Warnings  jobs.Diagnostics
	// Prospect is the ID that an Erase removes. It is never saved.
	Prospect string
}

// Mode is what a plan is for.
type Mode string

// The modes.
const (
	Normal      Mode = "normal"
	Destroy     Mode = "destroy"
	RefreshOnly Mode = "refresh-only"
	Erase       Mode = "erase" // all rows of one prospect
)

// Move gives a job or a sink of the state another address.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Job is the part of a plan that concerns one job of the configuration or of the
// state.
type Job struct {
	Address   string
	TableName string
	// SchemaFingerprint identifies the schema that the table has after the plan.
	SchemaFingerprint string
	// Schema is that schema, or nil when the plan publishes nothing.
	Schema *schemas.Table
	// PreventDestroy is the value that the job declares.
	PreventDestroy bool
	// Destroy deletes the table from the Sinks. DestroyReason is "" when the user
	// asked for it.
	Destroy       bool
	DestroyReason string
	// Sinks are the addresses of the sinks concerned, in the order of the job.
	Sinks []string

	Found    Found
	Source   Source
	Output   Output
	Problems Problems
}

// Found is what a refresh found in the sinks, compared with the state.
type Found struct {
	// Prior is what each sink holds, by the sink's address.
	Prior map[string]*Refreshed
	Drift []Drift
	// Renamed are the sinks of the state that have another address now, but are at
	// the same place.
	Renamed []Move
	// AbandonedURIs are the places where the job published before its sink or the
	// name of its table changed. The state forgets them.
	AbandonedURIs []string
}

// Source is what a job's source returned, and what became of it.
type Source struct {
	Reading Reading
	Books   Books
	Missing Missing
	// Waiting are the prospects whose published rows wait for another empty read.
	// It is nil when the state keeps the list that it has.
	Waiting *Waiting
	// Survey describes what the events had beyond what the schema expects. It is
	// nil when nothing was read.
	Survey *schemas.Survey
}

// Output is what the plan changes in the sinks.
type Output struct {
	// Changes are ascending by partition. A partition that was examined and stays
	// as it is has a change with the action NoOp.
	Changes []Change
	// Quarantine is nil when the quarantine stays as it is.
	Quarantine *Quarantine
	// Rewrite is set when published files have another schema. Their rows are
	// rewritten.
	Rewrite *Rewrite
	// Obsolete deletes the files that an interrupted apply left.
	Obsolete []Write
	// Foreign deletes the objects that prospector does not own.
	Foreign []Write
	// Copies keep the damaged objects that the plan replaces or deletes. Apply
	// makes them first.
	Copies []Copy
}

// Problems are what is wrong with a job's plan.
type Problems struct {
	// Refused is why the job must not be applied.
	Refused jobs.Diagnostics
	// Rejected are partitions that stay as they are. The second reader rejected their
	// staged files, or those of a partition that they must change together with.
	Rejected []Rejected
	Warnings jobs.Diagnostics
}

// Rejected is a partition that cannot be published, and why.
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
	// Problems are the assertions that do not hold.
	Problems jobs.Diagnostics `json:"problems,omitempty"`
}

// Empty reports whether the plan has no change that the user should see: nothing in a
// sink changes, and the state only catches up with the sinks.
func (p *Plan) Empty() bool {
	drifted := p.Mode == RefreshOnly && slices.ContainsFunc(p.Jobs, func(j Job) bool {
		return slices.ContainsFunc(j.Found.Drift, func(d Drift) bool { return d.Kind == Deleted })
	})
	elsewhere := slices.ContainsFunc(p.Jobs, func(j Job) bool { return len(j.Found.AbandonedURIs)+len(j.Found.Renamed) > 0 })
	return p.Summary().Empty() && len(p.Moved)+len(p.Forgotten) == 0 && !drifted && !elsewhere
}

// Blocked returns why the plan must not be applied: refused jobs, and failed checks of
// severity Error.
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

// Rejected returns why partitions are not published even though the plan is applied.
// It lists the first of each job.
func (p *Plan) Rejected() (errs jobs.Diagnostics) {
	const maxListed = 10
	for _, j := range p.Jobs {
		for _, r := range j.Problems.Rejected[:min(maxListed, len(j.Problems.Rejected))] {
			errs = append(errs, r.Problem)
		}
		if more := len(j.Problems.Rejected) - maxListed; more > 0 {
			errs = append(errs, jobs.Diagnostic{Severity: jobs.Error, Address: j.Address,
				Summary: fmt.Sprintf("%d more partitions are not published", more),
				Detail:  "The second reader also rejects their staged files, or those of partitions that they must change together with."})
		}
	}
	return errs
}
