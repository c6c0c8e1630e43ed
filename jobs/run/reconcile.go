package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/schemas"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
)

// table returns the description of the job's table.
func (s *stager) table() reconcile.Table {
	return reconcile.Table{
		Job: s.job.Address, Schema: s.job.Schema, DeleteMissing: s.job.DeleteMissing,
		Files: parquetfile.Options{
			Job: s.job.TableName, CreatedBy: jobs.CreatedBy(), Compression: string(s.job.Compression), TargetSize: s.job.TargetFileSize,
		},
	}
}

// published gives access to the published files of the job.
func (s *stager) published() reconcile.Published {
	return reconcile.Published{Sinks: s.plan.Sinks, Prior: s.plan.Found.Prior, Stores: s.sinks.stores, Dir: s.dir, Downloads: s.memory.Downloads()}
}

// openStages creates the stages of the job. It fills those that replace published
// files.
func (s *stager) openStages(ctx context.Context) error {
	if err := s.stageFormer(ctx); err != nil {
		return err
	}
	hasFormer := s.stages.Former != nil
	if !hasFormer {
		if err := s.stageRecovered(ctx); err != nil {
			return err
		}
	}
	s.stages.Kept = stage.New(s.job.Schema, filepath.Join(s.dir, "kept"), s.memory.KeptRows(hasFormer))
	s.stages.New = stage.New(s.job.Schema, s.dir, s.memory.NewRows(hasFormer))
	s.workspace.closeLater(s.stages.New)
	s.workspace.closeLater(s.stages.Kept)
	return nil
}

// stageFormer stages the published rows of a table whose schema has changed.
func (s *stager) stageFormer(ctx context.Context) error {
	isOutdated := func(sink string) bool {
		return reconcile.IsOutdated(s.plan.Found.Prior[sink], s.plan.SchemaFingerprint)
	}
	if !slices.ContainsFunc(s.plan.Sinks, isOutdated) || s.prior.Jobs[s.job.Address] == nil {
		return nil
	}
	schemaOf := func(fingerprint string) (schemas.Table, error) {
		return reconcile.PublishedSchema(s.job.Block, s.owned, fingerprint)
	}
	before, err := schemaOf(s.owned.SchemaFingerprint)
	if err != nil {
		return err
	}
	rewrite := &plan.Rewrite{
		SchemaFingerprint: s.owned.SchemaFingerprint, Before: before.Keys(), After: s.job.Schema.Keys(), Columns: schemas.Diff(before, s.job.Schema),
	}
	if err := s.checkRewrite(rewrite); err != nil {
		return err
	}
	s.stages.Former, rewrite.Files, rewrite.Rows, err = reconcile.Former{
		Table: s.table(), Published: s.published(), Schema: before, Schemas: schemaOf,
		Memory: s.memory, Dir: filepath.Join(s.dir, "former"),
	}.Stage(ctx)
	if err != nil {
		return err
	}
	s.workspace.closeLater(s.stages.Former)
	s.plan.Output.Rewrite = rewrite
	if rewrite.Repartitions() {
		s.warn(jobs.Diagnostic{
			Severity: jobs.Warning, Address: s.job.Address, Summary: "The table is rewritten",
			Detail: fmt.Sprintf("Its partition keys change from %s to %s. All of its %d rows are kept. During the apply, readers find files with both sets of keys. Update the readers afterwards: prospector sql prints the new DDL.",
				keyList(rewrite.Before), keyList(rewrite.After), rewrite.Rows),
		})
	}
	return nil
}

// checkRewrite returns an error if the targets or the job do not allow a rewrite of
// the table.
func (s *stager) checkRewrite(rewrite *plan.Rewrite) error {
	switch {
	case !s.target().All:
		return s.job.Diagnose("partition_by", "The targets do not include the complete table",
			fmt.Sprintf("The schema of %s has changed, so all of its files must be rewritten. Plan without -target, or with -target=%[1]s.", s.job.Address))
	case s.job.PreventDestroy && rewrite.Repartitions():
		return s.job.Diagnose("prevent_destroy", "The table cannot be destroyed",
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its partition keys have changed, so all of its files would be rewritten and the old ones deleted. Either disable lifecycle.prevent_destroy, or restore partition_by = %s.",
				s.job.Address, keyList(rewrite.Before)))
	}
	return nil
}

// keyList formats partition keys like the configuration.
func keyList(keys []string) string {
	return `["` + strings.Join(keys, `", "`) + `"]`
}

// stageRecovered stages the readable rows of damaged partitions, and adds the number
// of rows to the drift.
func (s *stager) stageRecovered(ctx context.Context) error {
	rows, files, err := reconcile.Damaged{
		Table: s.table(), Published: s.published(), Memory: s.memory, Dir: filepath.Join(s.dir, "recovered"),
	}.Recover(ctx)
	if err != nil || rows == nil {
		return err
	}
	s.stages.Recovered = rows
	s.workspace.closeLater(rows)
	for _, f := range files {
		for i := range s.plan.Found.Drift {
			if d := &s.plan.Found.Drift[i]; d.Sink == f.Sink && d.Key == f.Key {
				d.Recovered, d.Proven = f.Rows, f.Proven
			}
		}
	}
	return nil
}

// reconcile compares the staged rows with the published ones, and builds the files of
// the partitions that change.
func (s *stager) reconcile(ctx context.Context) (err error) {
	in := reconcile.Input{
		Table: s.table(), Published: s.published(), Stages: s.stages, Rewrite: s.plan.Output.Rewrite,
		Read: reconcile.Read{
			Coverage: s.read.Coverage, Events: s.read.Books.Events, EventTypes: s.read.Survey.EventTypes,
			Quarantined: s.quarantine.Counts(), Prospects: prospects{s.read, s.waiting},
		},
		Target: s.target(), Replace: selectPartitions(s.job.Address, s.options.Replace),
		Files: s.files, Memory: s.memory, Dir: s.dir,
	}
	if s.owned.Survey != nil {
		in.FormerTypes = s.owned.Survey.EventTypes
	}
	if s.found, err = reconcile.Run(ctx, in); err != nil {
		return err
	}
	var unknown []string
	for _, named := range []reconcile.Selection{in.Target, in.Replace} {
		for path := range named.Partitions {
			if _, exists := slices.BinarySearch(s.found.Partitions, path); !exists {
				unknown = append(unknown, path)
			}
		}
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "No such partition", Address: s.job.Address,
			Detail: fmt.Sprintf("The table does not have these partitions, and the plan would not add them:\n\n  %s", strings.Join(slices.Compact(unknown), "\n  "))}
	}
	return reconcile.CheckCase(s.job, s.sinks.stores, s.found.Partitions)
}

// closeStages frees the memory of the stages, whose rows are now in files.
func (s *stager) closeStages() (err error) {
	for _, s := range []*stage.Stage{s.stages.New, s.stages.Kept, s.stages.Former, s.stages.Recovered} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// prospects describes the prospects of a run to reconcile.
type prospects struct {
	read    *read.Result
	waiting *lists.Waiting
}

// ReadCompletely reports whether all events of a prospect were read.
func (p prospects) ReadCompletely(prospect string) bool {
	_, complete := p.read.Complete[prospect]
	return complete
}

// RowLeaves reports whether a missing row of a prospect leaves the table, if the job
// deletes missing rows. A row of a prospect with quarantined events stays, because its
// event may be one of them.
func (p prospects) RowLeaves(prospect string) bool {
	switch content, complete := p.read.Complete[prospect]; {
	case !complete, content == read.HasRejected:
		return false
	case content == read.HasEvents:
		return true
	default:
		return p.waiting.RowLeaves(prospect, content == read.EmptyNow)
	}
}
