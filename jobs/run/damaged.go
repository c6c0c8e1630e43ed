package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/sink/verify"
	"prospector/transform"
)

// A damaged file of a table may hold rows that no source gives any more. So apply
// copies it within its sink before it replaces or deletes it, to a key that no
// reader of the table sees. The copies are private, and erase removes them.

// planCopies plans the copies of damaged files, and notes in the drift where they
// will be.
func (s *Session) planCopies(ctx context.Context, p *plan.Job) error {
	for _, at := range p.Damaged() {
		from := s.stores[at.Sink]
		o, err := from.Stat(ctx, at.Key)
		if err == nil && o.Generation != p.Prior[at.Sink].Damaged[at.Key] || errors.Is(err, store.ErrNotExist) {
			return fmt.Errorf("planning a copy of the damaged file %s: it has changed since the sink was listed; run again", from.URI(at.Key))
		}
		if err != nil {
			return fmt.Errorf("planning a copy of the damaged file %s: %w", from.URI(at.Key), err)
		}
		to := plan.DamagedKey(at.Key, o.CRC32C)
		p.Aside = append(p.Aside, plan.Copy{Sink: at.Sink, Key: at.Key, To: to, Sum: plan.Sum{Size: o.Size, CRC32C: o.CRC32C}})
		i := slices.IndexFunc(p.Drift, func(d plan.Drift) bool { return d.Sink == at.Sink && d.Key == at.Key })
		if i >= 0 {
			p.Drift[i].KeptAs = to
		}
	}
	return nil
}

// keepDamaged makes the planned copies, before anything is written.
func (a *applying) keepDamaged(ctx context.Context) error {
	for _, c := range a.plan.Aside {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		in := a.session.stores[c.Sink]
		if err := copyAside(ctx, in, c); err != nil {
			return fmt.Errorf("%s: copying the damaged file %s to %s before it is replaced: %w", a.plan.Address, in.URI(c.Key), in.URI(c.To), err)
		}
	}
	return nil
}

// copyAside copies one object. A copy that is there already, from an apply that was
// killed, is enough: the original may be replaced by now.
func copyAside(ctx context.Context, in store.Store, c plan.Copy) error {
	switch there, err := in.Stat(ctx, c.To); {
	case err == nil && there.Size == c.Sum.Size && there.CRC32C == c.Sum.CRC32C:
		return nil
	case err != nil && !errors.Is(err, store.ErrNotExist):
		return err
	}
	r, err := in.Open(ctx, c.Key)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = in.Put(ctx, c.To, store.Content{Reader: r, Size: c.Sum.Size, CRC32C: c.Sum.CRC32C, Type: "application/octet-stream"}, store.Condition{})
	return err
}

// recoverRows stages what can be read of the partitions that no sink has intact,
// where files of them are damaged: the rows of intact files, and the coherent rows
// of damaged ones. It gives nil where there are no such partitions. The rows of a
// table that is rewritten are not recovered.
func (w *planning) recoverRows(ctx context.Context, job jobs.Job, p *plan.Job, rewritten bool, dir string) (*sink.Stage, error) {
	var r *recovery
	for _, path := range plan.Partitions(p.Prior) {
		partition, err := sink.ParsePartition(job.Table, path)
		files := damagedFiles(p, path)
		if err != nil || len(files) == 0 || rewritten {
			continue
		}
		if r == nil {
			r = &recovery{planning: w, job: job, plan: p, stage: sink.NewStage(job.Table, dir, w.rowMemory()/8)}
			w.stages = append(w.stages, r.stage)
		}
		if err := r.partition(ctx, partition, files); err != nil {
			return nil, err
		}
	}
	if r == nil {
		return nil, nil
	}
	return r.stage, nil
}

// damagedFile is a damaged file, as the state knows it, and its sink.
type damagedFile struct {
	sink string
	state.File
	proven bool // its rows are those that were written
}

// damagedFiles are those of a partition that no sink has intact.
func damagedFiles(p *plan.Job, path string) (files []damagedFile) {
	for _, address := range p.Sinks {
		found := p.Prior[address]
		if _, intact := found.Partitions[path]; intact {
			return nil
		}
		broken := found.Broken[path]
		for _, f := range broken.Files {
			if found.Damaged[f.Key] != "" && broken.Schema == p.Schema {
				files = append(files, damagedFile{sink: address, File: f})
			}
		}
	}
	return files
}

// recovery stages the rows of damaged partitions.
type recovery struct {
	*planning
	job   jobs.Job
	plan  *plan.Job
	stage *sink.Stage
}

// partition stages one partition: each row once, from an intact file if there is
// one that has it, else from a file whose rows are proven, else from another one.
func (r *recovery) partition(ctx context.Context, partition sink.Partition, files []damagedFile) error {
	seen := make(transform.IDs)
	in, intact, ok := publishedIn(r.plan.Sinks, r.plan.Prior, partition.Path)
	if ok {
		rows := readPublished(ctx, r.stores[in], intact.Files, r.job.Table, r.stageDir())
		if _, err := r.add(partition, rows, true, seen); err != nil {
			return err
		}
	}
	readable := files[:0]
	for _, f := range files {
		ok, err := r.check(ctx, &f)
		if err != nil {
			return err
		}
		if ok {
			readable = append(readable, f)
		}
	}
	slices.SortStableFunc(readable, func(a, b damagedFile) int {
		switch {
		case a.proven == b.proven:
			return 0
		case a.proven:
			return -1
		}
		return 1
	})
	for _, f := range readable {
		if err := r.file(ctx, partition, f, seen); err != nil {
			return err
		}
	}
	return nil
}

// check has the second reader read the file, which unlike Arrow's takes no harm
// from what is damaged, and reports whether that can be done to its end.
func (r *recovery) check(ctx context.Context, f *damagedFile) (readable bool, err error) {
	err = r.withFile(ctx, *f, func(file randomReader, size int64) error {
		found, err := verify.Read(ctx, file, size, r.job.Table)
		readable = err == nil
		f.proven = readable && found.Content == f.Content
		return nil
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	return readable, err
}

// file stages the coherent rows of a file.
func (r *recovery) file(ctx context.Context, partition sink.Partition, f damagedFile, seen transform.IDs) error {
	var recovered int64
	err := r.withFile(ctx, f, func(file randomReader, size int64) (err error) {
		rows := untilError(sink.ReadUnproven(ctx, file, size, r.job.Table))
		recovered, err = r.add(partition, rows, f.proven, seen)
		return err
	})
	if err != nil {
		return fmt.Errorf("recovering rows of %s: %w", r.stores[f.sink].URI(f.Key), err)
	}
	i := slices.IndexFunc(r.plan.Drift, func(d plan.Drift) bool { return d.Sink == f.sink && d.Key == f.Key })
	if i >= 0 {
		r.plan.Drift[i].Recovered, r.plan.Drift[i].Proven = recovered, f.proven
	}
	return context.Cause(ctx)
}

// withFile calls use with the damaged file as it is now, unless it is gone.
func (r *recovery) withFile(ctx context.Context, f damagedFile, use func(randomReader, int64) error) error {
	from := r.stores[f.sink]
	now, err := from.Stat(ctx, f.Key)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := openPublished(ctx, from, state.Object{Key: f.Key, Size: now.Size, CRC32C: now.CRC32C}, r.stageDir())
	if err != nil {
		return err
	}
	defer file.Close()
	return use(file, now.Size)
}

// add stages rows of a partition that are not seen yet and, unless they are proven,
// coherent. It gives the number of rows, seen ones included.
func (r *recovery) add(partition sink.Partition, rows sink.Rows, proven bool, seen transform.IDs) (count int64, err error) {
	table := r.job.Table
	added := make(transform.IDs)
	rows = sink.Reshape(rows, table, partition, table)
	if !proven {
		rows = transform.Coherent(table, rows, partition.HoldsDay)
	}
	for batch, err := range rows {
		if err != nil {
			return count, err
		}
		ids, err := transform.CollectIDs(table, one(batch))
		if err != nil {
			return count, err
		}
		count += batch.NumRows()
		for batch, err := range transform.Without(table, one(batch), seen) {
			if err == nil {
				err = r.stage.Add(batch)
			}
			if err != nil {
				return count, err
			}
		}
		maps.Copy(added, ids)
	}
	maps.Copy(seen, added)
	return count, nil
}

func one(batch arrow.Record) sink.Rows {
	return func(yield func(arrow.Record, error) bool) { yield(batch, nil) }
}

// untilError ends rows at the first error.
func untilError(rows sink.Rows) sink.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil || !yield(batch, nil) {
				return
			}
		}
	}
}
