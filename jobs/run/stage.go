package run

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
	"prospector/jobs/reconcile"
	"prospector/jobs/refresh"
	"prospector/schemas"
	"prospector/sink/stage"
	"prospector/transform"
)

// stage reads one job's events and stages the files of what they change.
func (w *planning) stage(ctx context.Context, job jobs.Job) (plan.Job, error) {
	out := plan.Job{
		Address: job.Address, TableName: job.TableName, SchemaFingerprint: job.Schema.Fingerprint(), Schema: &job.Schema,
		PreventDestroy: job.PreventDestroy, Sinks: addresses(job.Sinks),
	}
	if err := w.refresh(ctx, &out, job.Sinks); err != nil {
		return out, err
	}
	from, err := w.openSource(ctx, job)
	if err != nil {
		return out, err
	}
	defer from.Close()

	dir, err := w.makeStageDir(fileName(job.Address))
	if err != nil {
		return out, err
	}
	known, err := w.compareProspects(ctx, job, &out, from.prospects, dir)
	if err != nil {
		return out, err
	}
	out.Problems.Warnings = append(out.Problems.Warnings, erase.WarnListed(job, from.erased)...)
	waiting := w.waitingProspects(ctx, job, &out)
	stages, err := w.makeStages(ctx, job, &out, dir)
	if err != nil {
		return out, err
	}
	rejected, err := quarantine.Open(ctx, w.stores, &out, filepath.Join(dir, "quarantine"), w.memory().Quarantine(stages.Former != nil))
	if err != nil {
		return out, err
	}
	if policies := job.Schema.Protection(); policies != "" {
		rejected.Protect(policies, transform.NewProtector(job.Schema))
	}
	read, err := w.readSource(ctx, job, from, stages.New, rejected, known, waiting)
	if err != nil {
		return out, err
	}
	waiting.ReadEnded(w.Now())
	list := out.Source.Reading.List
	out.Source.Reading = read.Reading
	out.Source.Reading.List = list

	found, err := w.reconcile(ctx, job, &out, stages, read, dir)
	if err != nil {
		return out, err
	}
	out.Output.Changes = plan.Changes(job.TableName, out.Sinks, out.Found.Prior, found.Outcomes)
	out.Source.Books = plan.Books{
		Events: read.Books.Events, Duplicates: read.Books.Duplicates, Quarantined: read.Books.Quarantined,
		Added: found.Rows.Added, Changed: found.Rows.Changed, Unchanged: found.Rows.Unchanged, Rejected: found.Withheld,
	}
	out.Problems.Rejected = found.Rejected
	if err := out.Source.Books.Check(); err != nil {
		return out, err
	}
	// With a rejected file, nothing is deleted beyond the partitions: what it has
	// rows of may be in the quarantine or in a file that is left over.
	whole := w.options.target(job.Address).whole && len(out.Problems.Rejected) == 0
	if whole {
		out.Output.Quarantine, err = rejected.Change(job.TableName, out.Sinks, out.Found.Prior, filepath.Join(dir, "quarantine.jsonl"))
		if err != nil {
			return out, err
		}
	}
	out.Source.Missing = found.Missing
	if err := w.planWaiting(job, &out, waiting, read.Complete, dir); err != nil {
		return out, err
	}
	out.WarnMissing(found.Rows.Before)
	w.guard(job, &out, found.Evidence, read.unavailable)
	out.CheckSchema(job, w.prior, w.Config.Lock)
	var formerSurvey *schemas.Survey
	if owned := w.prior.Jobs[job.Address]; owned != nil {
		formerSurvey = owned.Survey
	}
	out.AddSurvey(job.Schema, formerSurvey, read.Survey)
	if err := refresh.InTheWay(job.Block, out, w.uri); err != nil {
		return out, err
	}
	if whole {
		out.Output.Obsolete = out.DeleteObsolete()
		if job.DeleteForeign {
			out.Output.Foreign = plan.DeleteForeign(out.Sinks, out.Found.Prior)
		}
	}
	if err := refresh.PlanCopies(ctx, w.stores, &out); err != nil {
		return out, err
	}
	w.results[job.Address] = result(found, stages.New.Facts(), out, w.Now())
	if err := errors.Join(closeStages(stages), rejected.Close()); err != nil { // the next job needs the memory
		return out, err
	}
	out.Problems.Warnings = slices.Concat(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri), found.Warnings, read.Warnings(job.Address, from.repeated, rejected.Reasons()), out.Advice(job.Schema))
	w.Observer.Staged(job.Address)
	return out, nil
}

// result is what checks see.
func result(found reconcile.Result, facts stage.Facts, p plan.Job, now time.Time) jobs.Result {
	return jobs.Result{
		Rows: facts.Rows, Nulls: facts.Nulls, Newest: facts.Newest,
		TableRows: found.Rows.After, RowsAdded: found.Rows.Added, RowsChanged: found.Rows.Changed, RowsRemoved: found.Rows.Removed,
		Quarantined: p.Source.Books.Quarantined, Prospects: p.Source.Reading.Prospects, ProspectsFailed: p.Source.Reading.Incomplete(),
		Now: now,
	}
}

// maxListed is how many of a kind a warning lists.
const maxListed = 10
