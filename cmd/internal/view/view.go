// Package view prints what the commands do. Human prints for people, in the
// conventions of Terraform. JSON prints for programs, one typed and versioned object
// on each line; the files in formats/ are the schemas. The package decides nothing.
//
// A command prints through an interface, so that it does not depend on the form of
// its output.
package view

import (
	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/run"
)

// Diagnoser reports problems.
type Diagnoser interface {
	Diagnostics(jobs.Diagnostics)
	// Retrying means that a sink or backend does not work at the moment.
	Retrying(why error)
	// Interrupting means that the run stops as soon as its current work is done.
	Interrupting()
	// Aborted means that the run stopped at once.
	Aborted()
}

// Operation is the view of plan, apply and destroy.
type Operation interface {
	Diagnoser
	run.Observer
	// Plan prints what would change. It does not print failed checks that block the
	// apply, which are for Diagnostics.
	Plan(*plan.Plan)
	// Saved means that the plan is in that file.
	Saved(path string)
	// Cancelled means that the user did not approve.
	Cancelled(plan.Mode)
	// Applying comes before the changes of a plan, Applied after them.
	Applying(*plan.Plan)
	Applied(*plan.Plan)
	// Erased means that the second reader no longer finds the prospect.
	Erased(erase.Result)
	Outputs([]jobs.Output)
}

// Validate is the view of validate.
type Validate interface {
	Diagnoser
	Validated(c *jobs.Configuration, valid bool)
}

// Verify is the view of verify.
type Verify interface {
	Diagnoser
	run.Observer
	Verifying(done, of int)
	Verified(audit.Result)
}

var (
	_ Operation = (*Human)(nil)
	_ Validate  = (*Human)(nil)
	_ Verify    = (*Human)(nil)
	_ Operation = (*JSON)(nil)
	_ Validate  = (*JSON)(nil)
	_ Verify    = (*JSON)(nil)
)
