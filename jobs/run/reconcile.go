package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
	"prospector/sink/store"
)

// jobTable describes the table of a job.
func jobTable(job jobs.Job) reconcile.Table {
	return reconcile.Table{
		Job: job.Address, Schema: job.Schema, DeleteMissing: job.DeleteMissing,
		Files: parquetfile.Options{
			Job: job.TableName, CreatedBy: jobs.CreatedBy(), Compression: string(job.Compression), TargetSize: job.TargetFileSize,
		},
	}
}

// jobPublished gives access to the published files of a planned job. Copies of remote
// files go to dir.
func jobPublished(p *plan.Job, stores map[string]store.Store, dir string) reconcile.Published {
	return reconcile.Published{Sinks: p.Sinks, Prior: p.Found.Prior, Stores: stores, Dir: dir}
}

// makeStages makes the stages of a job, and reads into them what is published and
// needs to be staged.
func (w *planning) makeStages(ctx context.Context, job jobs.Job, into *plan.Job, dir string) (s reconcile.Stages, err error) {
	if s.Former, err = w.stageFormer(ctx, job, into, dir); err != nil {
		return s, err
	}
	if s.Former == nil {
		if s.Recovered, err = w.stageRecovered(ctx, job, into, dir); err != nil {
			return s, err
		}
	}
	s.Kept = stage.New(job.Schema, filepath.Join(dir, "kept"), w.memory().KeptRows(s.Former != nil))
	s.New = stage.New(job.Schema, dir, w.memory().NewRows(s.Former != nil))
	w.stages = append(w.stages, s.New, s.Kept)
	return s, nil
}

// stageFormer stages the published rows of a table whose schema has changed. It
// returns nil if it has not.
func (w *planning) stageFormer(ctx context.Context, job jobs.Job, into *plan.Job, dir string) (*stage.Stage, error) {
	owned := w.prior.Jobs[job.Address]
	isOutdated := func(sink string) bool { return reconcile.IsOutdated(into.Found.Prior[sink], into.SchemaFingerprint) }
	if owned == nil || !slices.ContainsFunc(into.Sinks, isOutdated) {
		return nil, nil
	}
	before, err := reconcile.PublishedSchema(job.Block, owned, owned.SchemaFingerprint)
	if err != nil {
		return nil, err
	}
	rewrite := &plan.Rewrite{
		SchemaFingerprint: owned.SchemaFingerprint, Before: before.Keys(), After: job.Schema.Keys(), Columns: schemas.Diff(before, job.Schema),
	}
	switch {
	case !w.options.target(job.Address).whole:
		return nil, job.Diagnose("partition_by", "A table is rewritten as a whole",
			fmt.Sprintf("The schema of %s has changed, which concerns all of its files. Plan without -target, or with -target=%[1]s.", job.Address))
	case job.PreventDestroy && rewrite.Repartitions():
		return nil, job.Diagnose("prevent_destroy", "The table must not be destroyed",
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its partition keys have changed, so all of its files would be rewritten and the old ones deleted. Either disable lifecycle.prevent_destroy, or go back to partition_by = %s.",
				job.Address, keyList(before)))
	}
	former := reconcile.Former{
		Table: jobTable(job), Published: jobPublished(into, w.stores, dir), Schema: before,
		Schemas: func(fingerprint string) (schemas.Table, error) {
			return reconcile.PublishedSchema(job.Block, owned, fingerprint)
		},
		Memory: w.memory(), Dir: filepath.Join(dir, "former"),
	}
	var rows *stage.Stage
	if rows, rewrite.Files, rewrite.Rows, err = former.Stage(ctx); err != nil {
		return nil, err
	}
	w.stages = append(w.stages, rows)
	into.Output.Rewrite = rewrite
	if rewrite.Repartitions() {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address, Summary: "The table is rewritten",
			Detail: fmt.Sprintf("It is partitioned by %s, and will be by %s. Its %d rows are kept. While the plan is applied, readers find files of both kinds. Afterwards, update the readers: prospector sql prints the new DDL.",
				keyList(before), keyList(job.Schema), rewrite.Rows),
		})
	}
	return rows, nil
}

// keyList returns a table's partition keys as the configuration writes them.
func keyList(t schemas.Table) string {
	return `["` + strings.Join(t.Keys(), `", "`) + `"]`
}

// stageRecovered stages what can be read of damaged partitions, and notes it in the
// drift. It returns nil if there are no such partitions.
func (w *planning) stageRecovered(ctx context.Context, job jobs.Job, into *plan.Job, dir string) (*stage.Stage, error) {
	rows, files, err := reconcile.Damaged{
		Table: jobTable(job), Published: jobPublished(into, w.stores, dir), Memory: w.memory(), Dir: filepath.Join(dir, "recovered"),
	}.Recover(ctx)
	if err != nil || rows == nil {
		return nil, err
	}
	w.stages = append(w.stages, rows)
	for _, f := range files {
		for i := range into.Found.Drift {
			if d := &into.Found.Drift[i]; d.Sink == f.Sink && d.Key == f.Key {
				d.Recovered, d.Proven = f.Rows, f.Proven
			}
		}
	}
	return rows, nil
}

// reconcile compares what a job has staged with what is published, and builds the
// files of what changes.
func (w *planning) reconcile(ctx context.Context, job jobs.Job, p *plan.Job, stages reconcile.Stages, from *reading, dir string) (reconcile.Result, error) {
	target, replace := w.options.target(job.Address), selected(job.Address, w.options.Replace)
	in := reconcile.Input{
		Table: jobTable(job), Published: jobPublished(p, w.stores, dir), Stages: stages, Rewrite: p.Output.Rewrite,
		Read: reconcile.Read{
			Coverage: from.Coverage, Events: from.Books.Events, EventTypes: from.Survey.EventTypes,
			Quarantined: from.quarantine.Counts(), Prospects: from,
		},
		Target:  reconcile.Selection{All: target.whole, Partitions: target.partitions},
		Replace: reconcile.Selection{All: replace.whole, Partitions: replace.partitions},
		Files:   w.files, Memory: w.memory(), Dir: dir,
	}
	if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Survey != nil {
		in.FormerTypes = owned.Survey.EventTypes
	}
	result, err := reconcile.Run(ctx, in)
	if err != nil {
		return result, err
	}
	var unknown []string
	for _, named := range []selection{target, replace} {
		for path := range named.partitions {
			if _, exists := slices.BinarySearch(result.Partitions, path); !exists {
				unknown = append(unknown, path)
			}
		}
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		return result, jobs.Diagnostic{Severity: jobs.Error, Summary: "No such partition", Address: job.Address,
			Detail: fmt.Sprintf("The table has no such partition, and would get none:\n\n  %s", strings.Join(slices.Compact(unknown), "\n  "))}
	}
	return result, reconcile.CheckCase(job, w.stores, result.Partitions)
}

// closeStages frees the memory of stages. Their rows are in files now.
func closeStages(s reconcile.Stages) (err error) {
	for _, s := range []*stage.Stage{s.New, s.Kept, s.Former, s.Recovered} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// ReadCompletely reports whether all events of a prospect were read.
func (r *reading) ReadCompletely(prospect string) bool {
	_, complete := r.Complete[prospect]
	return complete
}

// RowLeaves reports whether a published row without a new one leaves the table, if
// the job deletes missing rows. No row of a prospect with rejected events is known
// to be gone.
func (r *reading) RowLeaves(prospect string) bool {
	e, complete := r.Complete[prospect]
	leaves := complete && e != read.HasRejected
	if leaves && e != read.HasEvents {
		leaves = r.waiting.RowLeaves(prospect, e == read.EmptyNow)
	}
	return leaves
}

// guard judges the run of a job as a whole. The plan is refused unless the user
// accepts what the guards find.
func (w *planning) guard(job jobs.Job, into *plan.Job, e plan.Evidence, unavailable state.Unavailable) {
	e.Targeted = !w.options.target(job.Address).whole
	if into.Source.Books.Events == 0 {
		e.Emptied = into.Source.Missing.Deleted + into.Source.Missing.Waiting
	}
	if list := into.Source.Reading.List; list.Known {
		e.Known, e.NotFound, e.Forbidden = list.Count-list.Added, unavailable.NotFound, unavailable.Forbidden
		if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Unavailable != nil {
			e.Forget(owned.Unavailable.NotFound, owned.Unavailable.Forbidden, list.Removed)
		}
	}
	refused, warnings := e.Judge(w.options.Accept, func(summary, detail string) jobs.Diagnostic { return job.Diagnose("", summary, detail) })
	into.Problems.Refused, into.Problems.Warnings = append(into.Problems.Refused, refused...), append(into.Problems.Warnings, warnings...)
}
