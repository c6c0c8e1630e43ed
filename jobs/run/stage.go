package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
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
	former, err := w.former(ctx, job, &out, filepath.Join(dir, "former"))
	if err != nil {
		return out, err
	}
	recovered, err := w.recoverRows(ctx, job, &out, former != nil, filepath.Join(dir, "recovered"))
	if err != nil {
		return out, err
	}
	limit := w.rowMemory()
	if former != nil {
		limit /= 2
	}
	// An eighth is for published rows that stay next to new ones, and for quarantined
	// events. Both are few: the source returns most published events again.
	kept := stage.New(job.Schema, filepath.Join(dir, "kept"), limit/16)
	staging := stage.New(job.Schema, dir, limit-limit/8)
	w.stages = append(w.stages, staging, kept)
	rejected, err := quarantine.Open(ctx, w.stores, &out, filepath.Join(dir, "quarantine"), limit/16)
	if err != nil {
		return out, err
	}
	if policies := job.Schema.Protection(); policies != "" {
		rejected.Protect(policies, transform.NewProtector(job.Schema))
	}
	read, err := w.readSource(ctx, job, from, staging, rejected, known, waiting)
	if err != nil {
		return out, err
	}
	waiting.ReadEnded(w.Now())
	list := out.Source.Reading.List
	out.Source.Reading = read.Reading
	out.Source.Reading.List = list

	target := w.options.target(job.Address)
	b := &builder{
		session: w.Session, job: job, schema: out.SchemaFingerprint, prior: out.Found.Prior, staging: staging, former: former, recovered: recovered, kept: kept, dir: dir,
		target: target, replace: selected(job.Address, w.options.Replace), known: make(map[string]bool),
		read: read, waiting: waiting, rewrite: out.Output.Rewrite, types: make(map[string]*typeCount),
	}
	if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Survey != nil {
		b.formerTypes = owned.Survey.EventTypes
	}
	if err := b.build(ctx); err != nil {
		return out, err
	}
	if missing := b.unknownTargets(); len(missing) > 0 {
		return out, jobs.Diagnostic{Severity: jobs.Error, Summary: "No such partition", Address: job.Address,
			Detail: fmt.Sprintf("The table has no such partition, and would get none:\n\n  %s", strings.Join(missing, "\n  "))}
	}
	if err := w.noCaseTwins(job, b.known); err != nil {
		return out, err
	}
	out.Output.Changes = plan.Changes(job.TableName, out.Sinks, out.Found.Prior, b.outcomes)
	out.Source.Books = plan.Books{
		Events: read.Books.Events, Duplicates: read.Books.Duplicates, Quarantined: read.Books.Quarantined,
		Added: b.rows.Added, Changed: b.rows.Changed, Unchanged: b.rows.Unchanged, Rejected: b.withheld,
	}
	out.Problems.Rejected = b.rejected
	if err := out.Source.Books.Check(); err != nil {
		return out, err
	}
	// With a rejected file, nothing is deleted beyond the partitions: what it has
	// rows of may be in the quarantine or in a file that is left over.
	whole := target.whole && len(out.Problems.Rejected) == 0
	if whole {
		out.Output.Quarantine, err = rejected.Change(job.TableName, out.Sinks, out.Found.Prior, filepath.Join(dir, "quarantine.jsonl"))
		if err != nil {
			return out, err
		}
	}
	out.Source.Missing = b.missing
	if err := w.planWaiting(job, &out, waiting, read.Complete, dir); err != nil {
		return out, err
	}
	out.WarnMissing(b.rows.Before)
	w.guard(job, &out, b)
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
	if err := w.planCopies(ctx, &out); err != nil {
		return out, err
	}
	w.results[job.Address] = result(b, staging, out, w.Now())
	if err := errors.Join(b.release(), rejected.Close()); err != nil { // the next job needs the memory
		return out, err
	}
	out.Problems.Warnings = slices.Concat(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri), b.warnings, read.Warnings(job.Address, from.repeated, rejected.Reasons()), out.Advice(job.Schema))
	w.Observer.Staged(job.Address)
	return out, nil
}

// result is what checks see.
func result(b *builder, staging *stage.Stage, p plan.Job, now time.Time) jobs.Result {
	facts := staging.Facts()
	r := jobs.Result{
		Rows: facts.Rows, Nulls: facts.Nulls, Newest: facts.Newest,
		TableRows: b.rows.After, RowsAdded: b.rows.Added, RowsChanged: b.rows.Changed, RowsRemoved: b.rows.Removed,
		Quarantined: p.Source.Books.Quarantined, Prospects: p.Source.Reading.Prospects, ProspectsFailed: p.Source.Reading.Incomplete(),
		Now: now,
	}
	return r
}

// maxListed is how many of a kind a warning lists.
const maxListed = 10
