package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/stage"
	"prospector/transform"
)

// Readers see one schema: every file has the columns that are declared, so a
// table that is declared otherwise is written anew. Its published rows are read
// into a stage of the new table, and from there on they are what published rows
// always are, those that new rows replace or are added to.
//
// A file of the new table takes the place of the old one, and the state says of
// each partition of which table it is. Where the partition keys change, it has another
// place: then the new files are all published before any old one is deleted, so
// that an apply that is killed in between has lost nothing; the state calls the
// table the old one until then.

// former stages the published rows of a table that is declared otherwise now, or
// gives nil when it is not.
func (w *planning) former(ctx context.Context, job jobs.Job, into *plan.Job, dir string) (*stage.Stage, error) {
	owned := w.prior.Jobs[job.Address]
	paths := plan.Partitions(into.Found.Prior)
	if owned == nil || !slices.ContainsFunc(into.Sinks, func(address string) bool { return outdated(into.Found.Prior[address], into.SchemaFingerprint) }) {
		return nil, nil
	}
	before, err := tableOf(job.Block, owned, owned.SchemaFingerprint)
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
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its partition keys have changed, so that all of its files would be written anew and the old ones deleted. Either disable lifecycle.prevent_destroy, or go back to partition_by = %s.",
				job.Address, keyList(before)))
	}
	former := stage.New(job.Schema, dir, w.rowMemory()/2) // that of new rows has the other half
	w.stages = append(w.stages, former)
	r := rewriting{planning: w, job: job, owned: owned, stage: former, seen: make(transform.IDs)}
	paths, r.cut = unfinishedLast(into, paths)
	paths = slices.DeleteFunc(paths, func(path string) bool {
		_, _, ok := plan.Published(into.Sinks, into.Found.Prior, path)
		return !ok
	})
	// What an interrupted rewrite with other keys has made comes last of all: most
	// of its rows are in the files of before, too.
	var made []string
	paths = slices.DeleteFunc(paths, func(path string) bool {
		_, err := sink.ParsePartition(before, path)
		if err != nil {
			made = append(made, path)
		}
		return err != nil
	})
	paths, r.cut = append(paths, made...), r.cut || len(made) > 0
	for _, path := range paths {
		_, p, _ := plan.Published(into.Sinks, into.Found.Prior, path)
		rewrite.Files += int64(len(p.Files))
	}
	if err := r.readAll(ctx, into, paths); err != nil {
		return nil, err
	}
	rewrite.Rows = former.Facts().Rows
	into.Output.Rewrite = rewrite
	if rewrite.Repartitions() {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address, Summary: "The table is written anew",
			Detail: fmt.Sprintf("It is partitioned by %s, and is to be by %s. Its %d rows are kept. While the plan is applied, readers find files of both kinds; afterwards, tell them: prospector sql prints the new DDL.",
				keyList(before), keyList(job.Schema), rewrite.Rows),
		})
	}
	return former, nil
}

// rewriting stages published rows for another table.
type rewriting struct {
	*planning
	job   jobs.Job
	owned *state.Job
	stage *stage.Stage
	// cut says that an interrupted apply may have left a row in two partitions,
	// in one of which it was to be taken away: those come last, and only bring
	// what is not in seen.
	cut  bool
	seen transform.IDs
}

func (r *rewriting) readAll(ctx context.Context, into *plan.Job, paths []string) error {
	read := func(ctx context.Context, path string) error {
		from, published, _ := plan.Published(into.Sinks, into.Found.Prior, path)
		return r.read(ctx, from, path, published)
	}
	if !r.cut {
		return parallel.Each(ctx, r.width(), paths, read)
	}
	for _, path := range paths {
		if err := read(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (r *rewriting) read(ctx context.Context, from, path string, published state.Partition) error {
	table, err := tableOf(r.job.Block, r.owned, published.SchemaFingerprint)
	if err != nil {
		return err
	}
	partition, err := sink.ParsePartition(table, path)
	if err != nil {
		return err
	}
	rows := readPublished(ctx, r.stores[from], published.Files, table, r.stageDir())
	if r.cut {
		ids, err := transform.CollectIDs(table, rows)
		if err != nil {
			return err
		}
		rows = transform.Without(table, rows, maps.Clone(r.seen))
		maps.Copy(r.seen, ids)
	}
	for batch, err := range conformed(rows, table, partition, r.job.Schema) {
		if err == nil {
			err = r.stage.Add(batch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outdated reports whether a sink has a file of another table that can be read.
func outdated(found *plan.Refreshed, schema string) bool {
	for _, path := range plan.Partitions(map[string]*plan.Refreshed{"": found}) {
		if p := found.Intact(path); len(p.Files) > 0 && p.SchemaFingerprint != schema {
			return true
		}
	}
	return false
}

// tableOf is the table of published files.
func tableOf(block jobs.Block, owned *state.Job, fingerprint string) (schemas.Table, error) {
	if t, ok := owned.Schemas[fingerprint]; ok {
		return t, nil
	}
	return schemas.Table{}, block.Diagnose("table", "The columns of the published table are not known",
		fmt.Sprintf("The state says that the table has the schema %s, and not what that is, so its files cannot be read. Let the job write a table of another name, or start anew:\n\n    prospector destroy -target=%s",
			fingerprint, block.Address))
}

// conformed gives rows of a published file the columns of another table.
func conformed(rows records.Rows, from schemas.Table, partition sink.Partition, to schemas.Table) records.Rows {
	if len(schemas.Diff(from, to)) == 0 {
		return stage.Reshape(rows, from, partition, to)
	}
	return transform.Conform(stage.Reshape(rows, from, partition, from), from, to)
}

// unfinishedLast puts those paths last that an interrupted apply has left
// unfinished where they are read, and reports whether there are any.
func unfinishedLast(p *plan.Job, paths []string) (ordered []string, any bool) {
	var last []string
	for _, path := range paths {
		unfinished := false
		if from, _, ok := plan.Published(p.Sinks, p.Found.Prior, path); ok {
			_, unfinished = p.Found.Prior[from].Unfinished[path]
		}
		if unfinished {
			last = append(last, path)
		} else {
			ordered = append(ordered, path)
		}
	}
	return append(ordered, last...), len(last) > 0
}

// keyList is how the configuration writes a table's partition keys.
func keyList(t schemas.Table) string {
	return `["` + strings.Join(t.Keys(), `", "`) + `"]`
}
