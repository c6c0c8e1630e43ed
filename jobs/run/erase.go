package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/verify"
	"prospector/transform"
)

// One prospect is erased from all that the state owns: the partitions and the
// quarantine of every job, by a plan like any other; then, once that is applied,
// from the journals, the lists of prospects, the record of runs and whatever a
// killed run has left in a sink. Finally the second reader looks for it.

// eraseAll plans to take a prospect out of every job that the state has, declared
// or not.
func (w *planning) eraseAll(ctx context.Context, p *plan.Plan) (err error) {
	if p.Warnings, err = w.stillListed(); err != nil {
		return err
	}
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
	out := plan.Job{Address: address, Table: owned.Table}
	block := jobs.Block{Address: address}
	if declared, ok := w.declared(address); ok {
		block = declared.Block
	}
	var sinks []jobs.Sink
	for _, name := range slices.Sorted(maps.Keys(owned.Sinks)) {
		i := slices.IndexFunc(w.Config.Sinks, func(s jobs.Sink) bool { return s.Address == name })
		if i < 0 {
			return out, undeclaredSink(jobs.Job{Block: block}, name, owned.Sinks[name].URI)
		}
		sinks = append(sinks, w.Config.Sinks[i])
	}
	out.Sinks = addresses(sinks)
	if err := w.refreshInto(ctx, &out, sinks); err != nil {
		return out, err
	}
	if why := unsettled(&out); why != "" {
		return out, block.Diagnose("sinks", "The lake is not in the state that is known",
			fmt.Sprintf("%s So it cannot be told whose rows are where. Run prospector apply first, and then erase.", why))
	}
	out.Warnings = append(out.Warnings, w.driftWarnings(jobs.Job{Block: block}, out)...)

	dir, err := w.makeStageDir(fileName(address))
	if err != nil {
		return out, err
	}
	paths := plan.Partitions(out.Prior)
	outcomes := make([]plan.Outcome, len(paths))
	numbers := make(map[string]int, len(paths))
	for i, path := range paths {
		numbers[path] = i
	}
	e := &eraser{Session: w.Session, prospect: w.options.Prospect, block: block, owned: owned, prior: out.Prior, sinks: out.Sinks, dir: dir}
	err = parallel(ctx, w.width(), paths, func(ctx context.Context, path string) (err error) {
		outcomes[numbers[path]], err = e.outcome(ctx, path, numbers[path])
		return err
	})
	if err != nil {
		return out, err
	}
	outcomes = slices.DeleteFunc(outcomes, func(o plan.Outcome) bool { return o.Rows.Removed == 0 })
	out.Changes = plan.Changes(owned.Table, out.Sinks, out.Prior, outcomes)
	out.Obsolete = out.DeleteObsolete()

	quarantined, err := w.publishedQuarantine(ctx, &out)
	if err != nil {
		return out, err
	}
	quarantined.replace(w.options.Prospect)
	if out.Quarantine, err = quarantined.change(owned.Table, out.Sinks, out.Prior, filepath.Join(dir, "quarantine.jsonl")); err != nil {
		return out, err
	}
	out.Reading.List, err = w.listWithout(ctx, owned, filepath.Join(dir, "prospects.jsonl"))
	return out, err
}

// unsettled says why the rows of a job's partitions cannot be known, or "".
func unsettled(p *plan.Job) string {
	if len(p.Left) > 0 {
		return "What was published at another place, " + strings.Join(p.Left, " and ") + ", is not looked after any more."
	}
	contents := make(map[string]schemas.Digest)
	for _, address := range p.Sinks {
		found := p.Prior[address]
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
	from, published, _ := publishedIn(e.sinks, e.prior, path)
	table, err := tableOf(e.block, e.owned, published.Schema)
	if err != nil {
		return o, err
	}
	if _, err := sink.ParsePartition(table, path); err != nil { // an older prospector has left it
		return o, e.block.Diagnose("partition_by", "A rewrite was interrupted", "Run prospector apply first, which completes it, and then erase.")
	}
	rows, err := e.count(ctx, from, published, table, e.prospect)
	if err != nil || rows == 0 {
		return o, err
	}
	o = plan.Outcome{Partition: path, Schema: published.Schema,
		Rows: plan.Rows{Before: published.Rows, After: published.Rows - rows, Removed: rows, Unchanged: published.Rows - rows}}
	if o.Rows.After == 0 {
		return o, nil
	}
	options := sink.WriteOptions{Job: e.owned.Table, CreatedBy: jobs.CreatedBy(), Compression: string(jobs.Snappy), TargetSize: jobs.DefaultTargetFileSize}
	if declared, ok := e.declared(e.block.Address); ok {
		options.Compression, options.TargetSize = string(declared.Compression), declared.TargetFileSize
	}
	all := readPublished(ctx, e.stores[from], published.Files, table, e.dir)
	w, err := e.write(ctx, filepath.Join(e.dir, fmt.Sprintf("%05d", number)), path, table, options, transform.WithoutProspect(table, all, e.prospect))
	var r *rejection
	if errors.As(err, &r) {
		return o, r.diagnose(e.block.Address, path, "Nothing was erased. Erase the same prospect again.")
	}
	if err == nil && w.rows != o.Rows.After {
		err = fmt.Errorf("%d rows were to stay, but %d were written; nothing was published, and this is a bug of prospector", o.Rows.After, w.rows)
	}
	o.Content, o.Staged = w.content, w.staged(published.Schema)
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
	r, err := openPublished(ctx, s.stores[in], f.Object, s.stageDir())
	if err != nil {
		return 0, fmt.Errorf("reading the published file %s: %w", s.stores[in].URI(f.Key), err)
	}
	defer r.Close()
	return verify.Count(ctx, r, f.Size, table, "prospect_id", prospect)
}

// listWithout stages the last list of prospects without the one, or gives nil
// when it is not there.
func (w *planning) listWithout(ctx context.Context, owned *state.Job, path string) (*plan.List, error) {
	if owned.Prospects == nil {
		return nil, nil
	}
	ids, err := w.publishedList(ctx, *owned.Prospects)
	if err != nil || !slices.Contains(ids, w.options.Prospect) {
		return nil, err
	}
	return stageList(slices.DeleteFunc(ids, func(id string) bool { return id == w.options.Prospect }), path)
}

// stillListed warns of lists by which the next run would bring the prospect back.
func (w *planning) stillListed() (warnings jobs.Diagnostics, err error) {
	for _, job := range w.Config.Jobs {
		if job.Prospects == nil || job.Prospects.File == "-" {
			continue
		}
		ids, _, err := w.loadProspects(*job.Prospects)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids, w.options.Prospect) {
			d := job.Prospects.Diagnose("file", "The prospect is still listed", fmt.Sprintf(
				"%s would be read and exported again by the next run. Take it out of %s.", job.Address, job.Prospects.File))
			d.Severity = jobs.Warning
			warnings = append(warnings, d)
		}
	}
	return warnings, nil
}

// Erased is what the second reader has found, or rather not, after a prospect was
// erased.
type Erased struct {
	Files   int64 `json:"files"`   // that were read
	Records int64 `json:"records"` // of runs, that named the prospect
}

// ProveErased takes a prospect out of what is kept beside the lake, after a plan
// to erase it was applied, and has the second reader look for its rows in every
// published file. It fails when there are any.
func (s *Session) ProveErased(ctx context.Context, prospect string) (Erased, error) {
	var e Erased
	if err := s.data.RemoveAll(journals); err != nil {
		return e, fmt.Errorf("removing the journals of pages: %w", err)
	}
	beside, prefix := s.Backend.Beside()
	if err := s.data.RemoveAll(rejects); err != nil {
		return e, fmt.Errorf("removing rejected files: %w", err)
	}
	records, err := ledger.Erase(ctx, beside, prefix, prospect)
	if err != nil {
		return e, err
	}
	e.Records = int64(records)
	if err := s.dropStrayLists(ctx); err != nil {
		return e, err
	}
	for _, opened := range s.stores {
		if sweeper, ok := opened.(interface{ Sweep() error }); ok {
			if err := sweeper.Sweep(); err != nil {
				return e, err
			}
		}
	}
	if _, err := s.makeStageDir(""); err != nil { // for copies of remote files
		return e, err
	}
	var files atomic.Int64
	for _, address := range s.state.Addresses() {
		owned := s.state.Jobs[address]
		for _, in := range slices.Sorted(maps.Keys(owned.Sinks)) {
			err := parallel(ctx, s.width(), slices.Sorted(maps.Keys(owned.Sinks[in].Partitions)), func(ctx context.Context, path string) error {
				published := owned.Sinks[in].Partitions[path]
				table, err := tableOf(jobs.Block{Address: address}, owned, published.Schema)
				if err != nil {
					return err
				}
				rows, err := s.count(ctx, in, published, table, prospect)
				if err == nil && rows > 0 {
					err = fmt.Errorf("%d rows of the prospect are still in %s: this is a bug of prospector", rows, s.stores[in].URI(plan.TablePrefix(owned.Table)+path))
				}
				files.Add(int64(len(published.Files)))
				return err
			})
			if err == nil {
				err = s.notQuarantined(ctx, in, owned.Sinks[in].Quarantine, prospect)
			}
			if err != nil {
				return e, err
			}
		}
	}
	e.Files = files.Load()
	before, err := state.Encode(s.state)
	if err == nil {
		s.state.Erasing = false
		_, err = s.record(ctx, before)
	}
	return e, err
}

// eraseInterrupted is what a run finds that comes after an erase which was cut
// short.
const eraseInterrupted = "An erase was interrupted"

func (s *Session) warnOfErase() (warnings jobs.Diagnostics) {
	if !s.state.Erasing {
		return nil
	}
	return jobs.Diagnostics{{Severity: jobs.Warning, Summary: eraseInterrupted,
		Detail: "It may have erased its prospect from some files and not from others, and no other command completes it. Erase the same prospect again:\n\n    prospector erase -prospect=ID"}}
}

func (s *Session) notQuarantined(ctx context.Context, in string, published *state.Quarantine, prospect string) error {
	q, err := openQuarantine(ctx, s.stores[in], published)
	if err == nil && len(q.old[prospect]) > 0 {
		err = errors.New("events of the prospect are still in the quarantine: this is a bug of prospector")
	}
	return err
}

// dropStrayLists deletes lists of prospects that no job of the state names, as a
// killed run may have left them.
func (s *Session) dropStrayLists(ctx context.Context) error {
	beside, prefix := s.Backend.Beside()
	named := make(map[string]bool)
	for _, j := range s.state.Jobs {
		if j.Prospects != nil {
			named[j.Prospects.Key] = true
		}
	}
	for entry, err := range beside.List(ctx, prefix+"prospects/") {
		if err == nil && !named[entry.Key] {
			s.dropList(ctx, &state.ProspectList{Key: entry.Key}, nil)
		}
		if err != nil {
			return fmt.Errorf("listing the lists of prospects: %w", err)
		}
	}
	return nil
}
