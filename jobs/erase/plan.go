package erase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	var mu sync.Mutex
	rows := make(map[string]int64) // of the prospect, by partition
	err := w.eachPartition(ctx, plan.Partitions(w.plan.Found.Prior), func(ctx context.Context, p partition) error {
		n, err := w.count(ctx, p)
		mu.Lock()
		defer mu.Unlock()
		if n > 0 {
			rows[p.path] = n
		}
		return err
	})
	if err != nil {
		return err
	}
	outcomes := make([]plan.Outcome, len(rows))
	err = w.eachPartition(ctx, slices.Sorted(maps.Keys(rows)), func(ctx context.Context, p partition) (err error) {
		outcomes[p.number], err = w.rewritePartition(ctx, p, rows[p.path])
		return err
	})
	if err != nil {
		return err
	}
	w.plan.Output.Changes = plan.Changes(w.plan.TableName, w.plan.Sinks, w.plan.Found.Prior, outcomes)
	w.plan.Output.Obsolete = w.plan.DeleteObsolete()
	return nil
}

// partition is a published partition.
type partition struct {
	number int // among those that are processed together
	path   string
	from   reconcile.Published
	sink   string // where to read it
	table  schemas.Table
	state.Partition
}

// eachPartition calls f for several partitions at a time. Meanwhile the files of the next
// ones are opened.
func (w *planning) eachPartition(ctx context.Context, paths []string, f func(context.Context, partition) error) error {
	from, ahead := reconcile.Published{
		Sinks: w.plan.Sinks, Prior: w.plan.Found.Prior, Stores: w.Stores, Dir: w.dir, Downloads: w.Memory.Downloads(),
	}.Ahead(ctx, paths)
	defer ahead.Close()
	partitions := make([]partition, len(paths))
	for i, path := range paths {
		partitions[i] = partition{number: i, path: path, from: from}
	}
	return parallel.Each(ctx, w.Memory.Width(), partitions, func(ctx context.Context, p partition) (err error) {
		p.sink, p.Partition, _ = from.Find(p.path)
		p.table, err = reconcile.PublishedSchema(w.block, w.owned, p.SchemaFingerprint)
		if err == nil {
			err = f(ctx, p)
		}
		if err != nil {
			err = fmt.Errorf("%s, partition %s: %w", w.plan.Address, p.path, err)
		}
		return err
	})
}

// rewritePartition rebuilds a partition without that many rows of the prospect.
func (w *planning) rewritePartition(ctx context.Context, p partition, rows int64) (plan.Outcome, error) {
	o := plan.Outcome{Partition: p.path, SchemaFingerprint: p.SchemaFingerprint,
		Rows: plan.Rows{Before: p.Rows, After: p.Rows - rows, Removed: rows, Unchanged: p.Rows - rows}}
	if o.Rows.After == 0 {
		return o, nil
	}
	kept := reconcile.WithoutProspect(p.table, p.from.Rows(ctx, p.sink, p.Files, p.table), w.Prospect)
	built, err := w.Files.Build(ctx, filepath.Join(w.dir, fmt.Sprintf("%05d", p.number)), p.path, p.table, w.options, kept)
	var r *reconcile.Rejection
	if errors.As(err, &r) {
		return o, r.Diagnose(w.plan.Address, p.path, "Nothing was erased. Erase the same prospect again.")
	}
	if err == nil && built.Rows != o.Rows.After {
		err = fmt.Errorf("%d rows were expected, but %d were written; nothing was published: %w", o.Rows.After, built.Rows, bug.ErrInternal)
	}
	o.Content, o.Staged = built.Content, built.Staged(p.SchemaFingerprint)
	return o, err
}

// count counts the prospect's rows in a partition with the second reader.
func (w *planning) count(ctx context.Context, p partition) (rows int64, err error) {
	if _, err := sink.ParsePartition(p.table, p.path); err != nil {
		return 0, w.block.Diagnose("partition_by", "A rewrite was interrupted", "Run prospector apply to complete it, and then erase the prospect.")
	}
	for _, f := range p.Files {
		n, err := w.countInFile(ctx, p, f)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

func (w *planning) countInFile(ctx context.Context, p partition, f state.File) (int64, error) {
	file, err := p.from.OpenFile(ctx, p.sink, f)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return verify.Count(ctx, file, f.Size, p.table, p.table.Roles().Entity, w.Prospect)
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
