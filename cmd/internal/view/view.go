// Package view tells what the commands do: Human to people, in the conventions
// of Terraform, and JSON to programs, as one typed and versioned object a line
// (the files in formats/ are its schemas). It decides nothing.
//
// Each command is handed an interface that has what the command can tell, so
// that it cannot know to whom.
package view

import (
	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/run"
)

// Diagnoser tells of problems.
type Diagnoser interface {
	Diagnostics(jobs.Diagnostics)
	// Interrupting: the run is being stopped, once what is in flight is done.
	Interrupting()
	// Aborted: it was stopped at once.
	Aborted()
}

// Operation is the view of plan, apply and destroy.
type Operation interface {
	Diagnoser
	run.Observer
	// Plan tells what would change. Its failed checks that forbid the apply
	// are left to Diagnostics.
	Plan(*plan.Plan)
	// Saved: the plan is in that file.
	Saved(path string)
	// Cancelled: the user did not approve.
	Cancelled(plan.Mode)
	// Applying and Applied surround the changes of a plan.
	Applying(*plan.Plan)
	Applied(*plan.Plan)
	// Erased: the second reader has not found the prospect any more.
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
