package erase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prospector/internal/bug"
	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
	"prospector/jobs/reconcile"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/parquetfile"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// Planner plans to erase a prospect.
type Planner struct {
	Prospect string
	Config   *jobs.Configuration
	// State is the state after the moves in the configuration: see plan.Relocate.
	State *state.State
	// Open opens a sink, and Stores are the sinks that it has opened, by address.
	Open   refresh.OpenSink
	Stores map[string]store.Store
	Lists  lists.Lists
	Files  *reconcile.FileBuilder
	// StageDir makes the directory for the staged files of a job.
	StageDir func(job string) (string, error)
	Memory   reconcile.Memory
	Now      time.Time
}

// Plan plans to remove the prospect from every job in the state, declared or not. If
// it returns an error, it also returns the jobs that it has planned.
func (p Planner) Plan(ctx context.Context) (planned []plan.Job, err error) {
	for _, address := range p.State.Addresses() {
		w := planning{Planner: p, block: jobs.Block{Address: address}, owned: p.State.Jobs[address]}
		w.plan = plan.Job{Address: address, TableName: w.owned.TableName}
		w.options = parquetfile.Options{
			Job: w.owned.TableName, CreatedBy: jobs.CreatedBy(), Compression: string(jobs.Snappy), TargetSize: jobs.DefaultTargetFileSize,
		}
		if declared, ok := p.Config.Job(address); ok {
			w.block = declared.Block
			w.options.Compression, w.options.TargetSize = string(declared.Compression), declared.TargetFileSize
		}
		for _, step := range []func(context.Context) error{w.refresh, w.rewrite, w.changeQuarantine, w.changeLists} {
			if err := step(ctx); err != nil {
				return planned, err
			}
		}
		planned = append(planned, w.plan)
	}
	return planned, nil
}

// planning is the planning of one job in progress.
type planning struct {
	Planner
	block   jobs.Block
	owned   *state.Job
	options parquetfile.Options
	plan    plan.Job
	dir     string // of staged files
}

// uri returns the URI of an object in a sink.
func (w *planning) uri(sink, key string) string { return w.Stores[sink].URI(key) }

// refresh compares the state with the job's sinks. It returns an error if they differ
// such that the prospect's rows may be in unknown files.
func (w *planning) refresh(ctx context.Context) (err error) {
	var sinks []jobs.Sink
	for _, name := range slices.Sorted(maps.Keys(w.owned.Sinks)) {
		sink, err := plan.DeclaredSink(w.Config, w.block, name, w.owned)
		if err != nil {
			return err
		}
		sinks = append(sinks, sink)
		w.plan.Sinks = append(w.plan.Sinks, sink.Address)
	}
	if err := refresh.Into(ctx, w.Open, w.State, plan.Erase, &w.plan, sinks); err != nil {
		return err
	}
	if why := unknownRows(&w.plan); why != "" {
		return w.block.Diagnose("sinks", "The sinks differ from the state",
			why+" So the files with rows of the prospect are not known. Run prospector apply, and then erase the prospect.")
	}
	w.plan.Problems.Warnings = append(w.plan.Problems.Warnings, refresh.Warnings(w.block, w.plan, w.uri)...)
	w.dir, err = w.StageDir(w.plan.Address)
	return err
}

// unknownRows returns why the rows of a job are not known, or "".
func unknownRows(p *plan.Job) string {
	if len(p.Found.AbandonedURIs) > 0 {
		return "prospector no longer manages the files at " + strings.Join(p.Found.AbandonedURIs, " and ") + "."
	}
	contents := make(map[string]schemas.Digest)
	for _, address := range p.Sinks {
		found := p.Found.Prior[address]
		if len(found.Damaged)+len(found.Broken) > 0 {
			return "Files in " + address + " were changed outside of prospector."
		}
		for path, partition := range found.Partitions {
			if content, ok := contents[path]; ok && content != partition.Content {
				return "The sinks do not have the same rows."
			}
			contents[path] = partition.Content
		}
	}
	return ""
}

// rewrite rebuilds the partitions that have rows of the prospect, without these rows.
func (w *planning) rewrite(ctx context.Context) error {
	paths := plan.Partitions(w.plan.Found.Prior)
	outcomes := make([]plan.Outcome, len(paths))
	numbers := make(map[string]int, len(paths))
	for i, path := range paths {
		numbers[path] = i
	}
	err := parallel.Each(ctx, w.Memory.Width(), paths, func(ctx context.Context, path string) (err error) {
		if outcomes[numbers[path]], err = w.rewritePartition(ctx, path, numbers[path]); err != nil {
			err = fmt.Errorf("%s, partition %s: %w", w.plan.Address, path, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o plan.Outcome) bool { return o.Rows.Removed == 0 })
	w.plan.Output.Changes = plan.Changes(w.plan.TableName, w.plan.Sinks, w.plan.Found.Prior, outcomes)
	w.plan.Output.Obsolete = w.plan.DeleteObsolete()
	return nil
}

// rewritePartition rebuilds a partition without the prospect's rows. If it has none,
// the outcome removes no rows.
func (w *planning) rewritePartition(ctx context.Context, path string, number int) (o plan.Outcome, err error) {
	from := reconcile.Published{Sinks: w.plan.Sinks, Prior: w.plan.Found.Prior, Stores: w.Stores, Dir: w.dir}
	in, published, _ := from.Find(path)
	table, err := reconcile.PublishedSchema(w.block, w.owned, published.SchemaFingerprint)
	if err != nil {
		return o, err
	}
	if _, err := sink.ParsePartition(table, path); err != nil {
		return o, w.block.Diagnose("partition_by", "A rewrite was interrupted", "Run prospector apply to complete it, and then erase the prospect.")
	}
	rows, err := w.count(ctx, in, published, table)
	if err != nil || rows == 0 {
		return o, err
	}
	o = plan.Outcome{Partition: path, SchemaFingerprint: published.SchemaFingerprint,
		Rows: plan.Rows{Before: published.Rows, After: published.Rows - rows, Removed: rows, Unchanged: published.Rows - rows}}
	if o.Rows.After == 0 {
		return o, nil
	}
	kept := reconcile.WithoutProspect(table, from.Rows(ctx, in, published.Files, table), w.Prospect)
	built, err := w.Files.Build(ctx, filepath.Join(w.dir, fmt.Sprintf("%05d", number)), path, table, w.options, kept)
	var r *reconcile.Rejection
	if errors.As(err, &r) {
		return o, r.Diagnose(w.plan.Address, path, "Nothing was erased. Erase the same prospect again.")
	}
	if err == nil && built.Rows != o.Rows.After {
		err = fmt.Errorf("%d rows were expected, but %d were written; nothing was published: %w", o.Rows.After, built.Rows, bug.ErrInternal)
	}
	o.Content, o.Staged = built.Content, built.Staged(published.SchemaFingerprint)
	return o, err
}

// count counts the prospect's rows in a published partition with the second reader.
func (w *planning) count(ctx context.Context, in string, published state.Partition, table schemas.Table) (rows int64, err error) {
	for _, f := range published.Files {
		n, err := w.countInFile(ctx, w.Stores[in], f, table)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

func (w *planning) countInFile(ctx context.Context, from store.Store, f state.File, table schemas.Table) (int64, error) {
	file, err := store.OpenFile(ctx, from, f.Stored(), w.dir)
	if err != nil {
		return 0, fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err)
	}
	defer file.Close()
	return verify.Count(ctx, file, f.Size, table, table.Roles().Entity, w.Prospect)
}

// changeQuarantine removes the prospect's events from the quarantine.
func (w *planning) changeQuarantine(ctx context.Context) (err error) {
	q, err := quarantine.Open(ctx, w.Stores, &w.plan, filepath.Join(w.dir, "quarantine"), w.Memory.Quarantine(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	q.Replace(w.Prospect)
	w.plan.Output.Quarantine, err = q.Change(w.plan.TableName, w.plan.Sinks, w.plan.Found.Prior, filepath.Join(w.dir, "quarantine.jsonl"))
	return err
}

// changeLists removes the prospect from the job's lists of prospects. If a list cannot
// be read, a Proof removes the list of all prospects, like any object that it cannot
// search, and the list of empty prospects becomes empty.
func (w *planning) changeLists(ctx context.Context) error {
	if w.owned.Prospects != nil {
		ids, err := w.Lists.Prospects(ctx, *w.owned.Prospects)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && slices.Contains(ids, w.Prospect) {
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == w.Prospect })
			if w.plan.Source.Reading.List, err = lists.StageProspects(ids, filepath.Join(w.dir, "prospects.jsonl")); err != nil {
				return err
			}
		}
	}
	if w.owned.Empty == nil {
		return nil
	}
	waiting, err := w.Lists.ReadWaiting(ctx, *w.owned.Empty, w.Now)
	if named := waiting.Remove(w.Prospect); err == nil && !named {
		return nil
	}
	w.plan.Source.Waiting, err = waiting.Stage(w.owned.Empty, filepath.Join(w.dir, "empty.jsonl"))
	return err
}
