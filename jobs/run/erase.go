package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/erase"
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

// A prospect is erased in three steps. A plan like any other removes it from the
// partitions and the quarantine of every job in the state, and from the lists of
// prospects; its apply first writes a tombstone. Once that is applied, prove.go
// removes the prospect from everything else in the inventory. Then it searches all
// of it.

// eraseAll plans to take a prospect out of every job that the state has, declared
// or not.
func (w *planning) eraseAll(ctx context.Context, p *plan.Plan) (err error) {
	listed, err := erase.WarnStillListed(w.Config.Jobs, w.options.Prospect, w.loadProspects)
	if err != nil {
		return err
	}
	p.Warnings = append(p.Warnings, listed...)
	for _, address := range w.prior.Addresses() {
		planned, err := w.erase(ctx, address)
		if err != nil {
			return err
		}
		p.Jobs = append(p.Jobs, planned)
	}
	return nil
}

// erase says what takes a prospect out of the files of one job.
func (w *planning) erase(ctx context.Context, address string) (plan.Job, error) {
	owned := w.prior.Jobs[address]
	out := plan.Job{Address: address, TableName: owned.TableName}
	block := jobs.Block{Address: address}
	if declared, ok := w.Config.Job(address); ok {
		block = declared.Block
	}
	var sinks []jobs.Sink
	for _, name := range slices.Sorted(maps.Keys(owned.Sinks)) {
		sink, err := plan.DeclaredSink(w.Config, block, name, owned)
		if err != nil {
			return out, err
		}
		sinks = append(sinks, sink)
	}
	out.Sinks = addresses(sinks)
	if err := w.refresh(ctx, &out, sinks); err != nil {
		return out, err
	}
	if why := unsettled(&out); why != "" {
		return out, block.Diagnose("sinks", "The lake is not in the state that is known",
			fmt.Sprintf("%s So it cannot be told whose rows are where. Run prospector apply first, and then erase.", why))
	}
	out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(block, out, w.uri)...)

	dir, err := w.makeStageDir(fileName(address))
	if err != nil {
		return out, err
	}
	paths := plan.Partitions(out.Found.Prior)
	outcomes := make([]plan.Outcome, len(paths))
	numbers := make(map[string]int, len(paths))
	for i, path := range paths {
		numbers[path] = i
	}
	e := &eraser{Session: w.Session, prospect: w.options.Prospect, block: block, owned: owned, prior: out.Found.Prior, sinks: out.Sinks, dir: dir}
	err = parallel.Each(ctx, w.memory().Width(), paths, func(ctx context.Context, path string) (err error) {
		outcomes[numbers[path]], err = e.outcome(ctx, path, numbers[path])
		return err
	})
	if err != nil {
		return out, err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o plan.Outcome) bool { return o.Rows.Removed == 0 })
	out.Output.Changes = plan.Changes(owned.TableName, out.Sinks, out.Found.Prior, outcomes)
	out.Output.Obsolete = out.DeleteObsolete()

	quarantined, err := quarantine.Open(ctx, w.stores, &out, filepath.Join(dir, "quarantine"), w.memory().Quarantine(false))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, quarantined.Close()) }()
	quarantined.Replace(w.options.Prospect)
	if out.Output.Quarantine, err = quarantined.Change(owned.TableName, out.Sinks, out.Found.Prior, filepath.Join(dir, "quarantine.jsonl")); err != nil {
		return out, err
	}
	if out.Source.Reading.List, err = w.listWithout(ctx, owned, filepath.Join(dir, "prospects.jsonl")); err != nil {
		return out, err
	}
	out.Source.Waiting, err = w.waitingWithout(ctx, owned, filepath.Join(dir, "empty.jsonl"))
	return out, err
}

// unsettled says why the rows of a job's partitions cannot be known, or "".
func unsettled(p *plan.Job) string {
	if len(p.Found.AbandonedURIs) > 0 {
		return "What was published at another place, " + strings.Join(p.Found.AbandonedURIs, " and ") + ", is not looked after any more."
	}
	contents := make(map[string]schemas.Digest)
	for _, address := range p.Sinks {
		found := p.Found.Prior[address]
		if len(found.Damaged)+len(found.Broken) > 0 {
			return "Files in " + address + " were changed by somebody else."
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

// eraser takes a prospect out of the partitions of one job.
type eraser struct {
	*Session
	prospect string
	block    jobs.Block
	owned    *state.Job
	prior    map[string]*plan.Refreshed
	sinks    []string
	dir      string
}

// outcome makes the partition's file without the prospect's rows. Where there are
// none, nothing is removed by it.
func (e *eraser) outcome(ctx context.Context, path string, number int) (o plan.Outcome, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, partition %s: %w", e.block.Address, path, err)
		}
	}()
	in, published, _ := plan.Published(e.sinks, e.prior, path)
	table, err := reconcile.PublishedSchema(e.block, e.owned, published.SchemaFingerprint)
	if err != nil {
		return o, err
	}
	if _, err := sink.ParsePartition(table, path); err != nil { // an older prospector has left it
		return o, e.block.Diagnose("partition_by", "A rewrite was interrupted", "Run prospector apply first, which completes it, and then erase.")
	}
	rows, err := e.count(ctx, in, published, table, e.prospect)
	if err != nil || rows == 0 {
		return o, err
	}
	o = plan.Outcome{Partition: path, SchemaFingerprint: published.SchemaFingerprint,
		Rows: plan.Rows{Before: published.Rows, After: published.Rows - rows, Removed: rows, Unchanged: published.Rows - rows}}
	if o.Rows.After == 0 {
		return o, nil
	}
	options := parquetfile.Options{Job: e.owned.TableName, CreatedBy: jobs.CreatedBy(), Compression: string(jobs.Snappy), TargetSize: jobs.DefaultTargetFileSize}
	if declared, ok := e.Config.Job(e.block.Address); ok {
		options.Compression, options.TargetSize = string(declared.Compression), declared.TargetFileSize
	}
	from := reconcile.Published{Stores: e.stores, Dir: e.dir}
	kept := reconcile.WithoutProspect(table, from.Rows(ctx, in, published.Files, table), e.prospect)
	built, err := e.files.Build(ctx, filepath.Join(e.dir, fmt.Sprintf("%05d", number)), path, table, options, kept)
	var r *reconcile.Rejection
	if errors.As(err, &r) {
		return o, r.Diagnose(e.block.Address, path, "Nothing was erased. Erase the same prospect again.")
	}
	if err == nil && built.Rows != o.Rows.After {
		err = fmt.Errorf("%d rows were expected, but %d were written; nothing was published, and this is a bug in prospector: please report it", o.Rows.After, built.Rows)
	}
	o.Content, o.Staged = built.Content, built.Staged(published.SchemaFingerprint)
	return o, err
}

// count has the second reader count a prospect's rows in a published partition.
func (s *Session) count(ctx context.Context, in string, published state.Partition, table schemas.Table, prospect string) (rows int64, err error) {
	for _, f := range published.Files {
		n, err := s.countIn(ctx, in, f, table, prospect)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

func (s *Session) countIn(ctx context.Context, in string, f state.File, table schemas.Table, prospect string) (int64, error) {
	r, err := store.OpenFile(ctx, s.stores[in], f.Stored(), s.stageDir())
	if err != nil {
		return 0, fmt.Errorf("reading the published file %s: %w", s.stores[in].URI(f.Key), err)
	}
	defer r.Close()
	return verify.Count(ctx, r, f.Size, table, table.Roles().Entity, prospect)
}

// listWithout stages the last list of prospects without the one, or gives nil
// when it is not there. A list that cannot be read is removed later, as an object
// that cannot be searched is.
func (w *planning) listWithout(ctx context.Context, owned *state.Job, path string) (*plan.List, error) {
	if owned.Prospects == nil {
		return nil, nil
	}
	ids, err := w.lists().Prospects(ctx, *owned.Prospects)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil || !slices.Contains(ids, w.options.Prospect) {
		return nil, nil
	}
	return lists.StageProspects(slices.DeleteFunc(ids, func(id string) bool { return id == w.options.Prospect }), path)
}

// waitingWithout stages the list of empty prospects without the one that is being
// erased. It returns nil if the list does not name that prospect. A list that cannot
// be read is dropped.
func (w *planning) waitingWithout(ctx context.Context, owned *state.Job, path string) (*plan.Waiting, error) {
	if owned.Empty == nil {
		return nil, nil
	}
	waiting, err := w.lists().ReadWaiting(ctx, *owned.Empty, w.Now())
	if named := waiting.Remove(w.options.Prospect); err == nil && !named {
		return nil, nil
	}
	return waiting.Stage(owned.Empty, path)
}

// ProveErased removes a prospect from everything that prospector keeps, after a plan
// to erase it was applied. It fails if anything of the prospect is left.
func (s *Session) ProveErased(ctx context.Context, prospect string) (erase.Result, error) {
	dir, err := s.makeStageDir("")
	if err != nil {
		return erase.Result{}, err
	}
	beside, prefix := s.Backend.Beside()
	result, err := erase.Proof{
		Prospect: prospect, State: s.state, Discard: []string{journals, rejects}, Limit: s.memory().Width(), SchemaOf: reconcile.PublishedSchema,
		Places: erase.Places{
			Beside: beside, Prefix: prefix, WorkDir: s.WorkDir, Stores: s.stores, Data: s.data, DataDir: s.DataDir, StageDir: dir,
		},
		CountQuarantined: quarantine.Count,
	}.Run(ctx)
	if err != nil {
		return result, err
	}
	saver, err := state.NewSaver(s.state, s.Backend.Write)
	if err == nil {
		s.state.Erasing = false
		err = saver.Save(ctx)
	}
	return result, err
}
