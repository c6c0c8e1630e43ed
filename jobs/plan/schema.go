package plan

import (
	"fmt"
	"strings"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/schemas"
)

// CheckSchema refuses a job's plan if the meaning of a column changes without
// approval. The approved schema is the one in the lock file or, if the lock
// file does not have the job, the published one. Adding a column does not
// require approval.
func (j *Job) CheckSchema(job jobs.Job, prior *state.State, lock schemas.Lock) {
	approved, ok := prior.Accepted(job.Address, lock)
	if !ok {
		return
	}
	j.warnLostValues()
	changes := schemas.Diff(approved, job.Schema)
	replaced := schemas.Replaces(changes)
	_, locked := lock[job.Address]
	switch {
	case len(replaced) > 0:
		effect := "The change does not affect any published rows."
		if r := j.Output.Rewrite; r != nil {
			effect = fmt.Sprintf("The plan rewrites the %d rows in all %d files.", r.Rows, r.Files)
		}
		block, attribute := job.SchemaBlock, ""
		if block.Address == "" {
			block, attribute = job.Block, "table"
		}
		d := block.Diagnose(attribute, "A schema change needs approval", fmt.Sprintf(
			"Existing queries would return different results:\n\n%s\n\n%s To approve the change, run this command and commit %s, which it updates:\n\n    prospector init -upgrade",
			schemas.ListChanges(replaced), effect, schemas.LockFile))
		d.Address = job.Address
		j.Problems.Refused = append(j.Problems.Refused, d)
	case locked && len(changes) > 0:
		j.warn("The schema lock is out of date",
			fmt.Sprintf("%s does not include these changes:\n\n%s\n\nTo update it, run prospector init and commit the file.", schemas.LockFile, schemas.ListChanges(changes)))
	}
}

// warnLostValues warns about a rewrite that loses published values.
func (j *Job) warnLostValues() {
	var lost []string
	if j.Output.Rewrite != nil {
		for _, c := range j.Output.Rewrite.Columns {
			if of := c.Loses(); of != "" {
				lost = append(lost, of)
			}
		}
	}
	if len(lost) > 0 {
		j.warn("Published values will be lost",
			fmt.Sprintf("The rewrite drops %s from the published rows. These values cannot be restored from the lake. Rows that the source returns are exported again with the new schema. In all other rows the values are lost for good.", strings.Join(lost, ", ")))
	}
}

// WarnMissing warns about a plan that deletes more than a tenth of the
// published rows because the source does not return them.
func (j *Job) WarnMissing(published int64) {
	if deleted := j.Source.Missing.Deleted; deleted*10 > published {
		j.warn("Much of the table is deleted",
			fmt.Sprintf("The source did not return %d of %d published rows, and the job has on_missing = \"delete\". A check on staged.rows_removed can prevent that.", deleted, published))
	}
}

// warn adds a warning to a job's plan.
func (j *Job) warn(summary, detail string) {
	j.Problems.Warnings = append(j.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: j.Address, Summary: summary, Detail: detail})
}
