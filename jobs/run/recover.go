package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/stage"
	"prospector/sink/store"
	"prospector/sink/verify"
	"prospector/transform"
)

// recoverRows stages what can be read of the partitions that no sink has intact,
// where files of them are damaged: the rows of intact files, and the coherent rows
// of damaged ones. It gives nil where there are no such partitions. The rows of a
// table that is rewritten are not recovered.
func (w *planning) recoverRows(ctx context.Context, job jobs.Job, p *plan.Job, rewritten bool, dir string) (*stage.Stage, error) {
	var r *recovery
	for _, path := range plan.Partitions(p.Found.Prior) {
		partition, err := sink.ParsePartition(job.Schema, path)
		files := damagedFiles(p, path)
		if err != nil || len(files) == 0 || rewritten {
			continue
		}
		if r == nil {
			r = &recovery{planning: w, job: job, plan: p, stage: stage.New(job.Schema, dir, w.rowMemory()/8)}
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
	rows    verify.Salvaged
	proven  bool               // rows are those that were written
	flipped *store.FlippedByte // what to undo before reading them, or nil
}

// damagedFiles are those of a partition that no sink has intact.
func damagedFiles(p *plan.Job, path string) (files []damagedFile) {
	for _, address := range p.Sinks {
		found := p.Found.Prior[address]
		if _, intact := found.Partitions[path]; intact {
			return nil
		}
		broken := found.Broken[path]
		for _, f := range broken.Files {
			if found.Damaged[f.Key] != "" && broken.SchemaFingerprint == p.SchemaFingerprint {
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
	stage *stage.Stage
}

// partition stages one partition: each row once, from an intact file if there is
// one that has it, else from a file whose rows are proven, else from another one.
func (r *recovery) partition(ctx context.Context, partition sink.Partition, files []damagedFile) error {
	seen := make(transform.IDs)
	in, intact, ok := plan.Published(r.plan.Sinks, r.plan.Found.Prior, partition.Path)
	if ok {
		rows := readPublished(ctx, r.stores[in], intact.Files, r.job.Schema, r.stageDir())
		if _, err := r.add(partition, rows, true, seen); err != nil {
			return err
		}
	}
	readable := files[:0]
	for _, f := range files {
		if err := r.check(ctx, &f); err != nil {
			return err
		}
		if f.rows.Rows > 0 {
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

// check finds the readable rows of a file. If they are not all, or not right, it looks
// for a change of one byte that explains the file's checksum.
func (r *recovery) check(ctx context.Context, f *damagedFile) error {
	return r.withFile(ctx, *f, func(file io.ReaderAt, now store.Object) (err error) {
		salvage := func(file io.ReaderAt) (rows verify.Salvaged, proven bool, err error) {
			rows, err = verify.Salvage(ctx, file, now.Size, r.job.Schema, f.Rows)
			return rows, err == nil && rows.Rows == f.Rows && rows.Content == f.Content, err
		}
		f.rows, f.proven, err = salvage(file)
		if err != nil || f.proven || now.Size != f.Size {
			return err
		}
		for flipped := range store.FlippedBytes(now.Size, f.CRC32C, now.CRC32C) {
			rows, proven, err := salvage(flipped.Undo(file))
			if err != nil {
				return err
			}
			if proven {
				f.rows, f.proven, f.flipped = rows, true, &flipped
				return nil
			}
		}
		return nil
	})
}

// file stages the readable rows of a file: all if they are proven, else those that are
// coherent.
func (r *recovery) file(ctx context.Context, partition sink.Partition, f damagedFile, seen transform.IDs) error {
	var recovered int64
	err := r.withFile(ctx, f, func(file io.ReaderAt, _ store.Object) (err error) {
		recovered, err = r.add(partition, records.Batches(r.job.Schema.Columns, f.rows.Read(ctx, file)), f.proven, seen)
		return err
	})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.plan.Found.Drift, func(d plan.Drift) bool { return d.Sink == f.sink && d.Key == f.Key })
	if i >= 0 {
		r.plan.Found.Drift[i].Recovered, r.plan.Found.Drift[i].Proven = recovered, f.proven
	}
	return context.Cause(ctx)
}

// withFile calls use with the damaged file as it is now, unless it is gone.
func (r *recovery) withFile(ctx context.Context, f damagedFile, use func(io.ReaderAt, store.Object) error) error {
	from := r.stores[f.sink]
	now, err := from.Stat(ctx, f.Key)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	var file store.File
	if err == nil {
		file, err = store.OpenFile(ctx, from, now, r.stageDir())
	}
	if err == nil {
		defer file.Close()
		if f.flipped == nil {
			err = use(file, now)
		} else {
			err = use(f.flipped.Undo(file), now)
		}
	}
	if err != nil {
		return fmt.Errorf("recovering rows of %s: %w", from.URI(f.Key), err)
	}
	return nil
}

// add stages rows of a partition that are not seen yet and, unless they are proven,
// coherent. It gives the number of rows, seen ones included.
func (r *recovery) add(partition sink.Partition, rows records.Rows, proven bool, seen transform.IDs) (count int64, err error) {
	table := r.job.Schema
	added := make(transform.IDs)
	rows = stage.Reshape(rows, table, partition, table)
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

func one(batch arrow.Record) records.Rows {
	return func(yield func(arrow.Record, error) bool) { yield(batch, nil) }
}
