package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/stage"
	"prospector/sink/store"
	"prospector/sink/verify"
	"prospector/transform"
)

// Damaged describes a table that may have damaged files.
type Damaged struct {
	Table     Table
	Published Published
	Memory    Memory
	Dir       string
}

// Recovered describes the rows that could be read from a damaged file.
type Recovered struct {
	Sink, Key string
	Rows      int64
	Proven    bool // the rows are exactly those that were written
}

// Recover stages the readable rows of every partition that has damaged files and is
// intact in no sink: the rows of its intact files, and the coherent rows of damaged
// ones. The stage is nil if there is no such partition.
func (d Damaged) Recover(ctx context.Context) (rows *stage.Stage, files []Recovered, err error) {
	r := recovery{Damaged: d, fingerprint: d.Table.Schema.Fingerprint(), ids: newIDMemory(d.Memory.partitionIDs(), filepath.Join(d.Dir, "ids"))}
	for _, path := range plan.Partitions(d.Published.Prior) {
		partition, err := sink.ParsePartition(d.Table.Schema, path)
		damaged := r.damagedFiles(path)
		if err != nil || len(damaged) == 0 {
			continue
		}
		if r.stage == nil {
			r.stage = stage.New(d.Table.Schema, d.Dir, d.Memory.recoveredRows())
		}
		if err := r.recoverPartition(ctx, partition, damaged); err != nil {
			_ = r.stage.Close() // the first error counts
			return nil, nil, err
		}
	}
	return r.stage, r.files, nil
}

// recovery stages the rows of damaged partitions.
type recovery struct {
	Damaged
	fingerprint string
	ids         *idMemory
	stage       *stage.Stage
	files       []Recovered
}

// damagedFile is a damaged file as the state describes it.
type damagedFile struct {
	sink string
	state.File
	rows    verify.Salvaged
	proven  bool               // rows are exactly those that were written
	flipped *store.FlippedByte // what to undo before reading them, or nil
}

// damagedFiles returns the damaged files of a partition that no sink has intact.
func (r *recovery) damagedFiles(path string) (files []damagedFile) {
	for _, address := range r.Published.Sinks {
		found := r.Published.Prior[address]
		if _, intact := found.Partitions[path]; intact {
			return nil
		}
		broken := found.Broken[path]
		for _, f := range broken.Files {
			if found.Damaged[f.Key] != "" && broken.SchemaFingerprint == r.fingerprint {
				files = append(files, damagedFile{sink: address, File: f})
			}
		}
	}
	return files
}

// recoverPartition stages each readable row of a partition once. It prefers intact
// files, then files whose rows are proven.
func (r *recovery) recoverPartition(ctx context.Context, partition sink.Partition, files []damagedFile) (err error) {
	seen := &idSet{ids: r.ids.newLimitedMap(r.Memory.missingIDs())}
	defer closeMaps(&err, seen.ids)
	from, intact, ok := r.Published.Find(partition.Path)
	if ok {
		rows := r.Published.Rows(ctx, from, intact.Files, r.Table.Schema)
		if _, err := r.add(ctx, partition, rows, true, seen); err != nil {
			return err
		}
	}
	var proven, unproven []damagedFile
	for _, f := range files {
		if err := r.check(ctx, &f); err != nil {
			return err
		}
		switch {
		case f.rows.Rows == 0:
		case f.proven:
			proven = append(proven, f)
		default:
			unproven = append(unproven, f)
		}
	}
	for _, f := range slices.Concat(proven, unproven) {
		if err := r.recoverFile(ctx, partition, f, seen); err != nil {
			return err
		}
	}
	return nil
}

// check finds the readable rows of a file. If these differ from what was written, it
// looks for a change of one byte that explains the file's checksum.
func (r *recovery) check(ctx context.Context, f *damagedFile) error {
	return r.withFile(ctx, *f, func(file io.ReaderAt, now store.Object) (err error) {
		salvage := func(file io.ReaderAt) (rows verify.Salvaged, proven bool, err error) {
			rows, err = verify.Salvage(ctx, file, now.Size, r.Table.Schema, f.Rows)
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

// recoverFile stages the readable rows of a file: all of them if they are proven,
// otherwise the coherent ones.
func (r *recovery) recoverFile(ctx context.Context, partition sink.Partition, f damagedFile, seen *idSet) error {
	var rows int64
	err := r.withFile(ctx, f, func(file io.ReaderAt, _ store.Object) (err error) {
		rows, err = r.add(ctx, partition, records.Batches(r.Table.Schema.Columns, f.rows.Read(ctx, file)), f.proven, seen)
		return err
	})
	if err != nil {
		return err
	}
	r.files = append(r.files, Recovered{Sink: f.sink, Key: f.Key, Rows: rows, Proven: f.proven})
	return context.Cause(ctx)
}

// withFile calls use with the damaged file as it is now. It does nothing if the file
// no longer exists.
func (r *recovery) withFile(ctx context.Context, f damagedFile, use func(io.ReaderAt, store.Object) error) error {
	from := r.Published.Stores[f.sink]
	now, err := from.Stat(ctx, f.Key)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	var file store.File
	if err == nil {
		file, err = store.OpenFile(ctx, from, now, r.Published.Dir)
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

// add stages the rows of a partition whose IDs are not in seen, and adds their IDs to
// it. It drops incoherent rows unless all are proven. The count that it returns
// includes the rows in seen.
func (r *recovery) add(ctx context.Context, partition sink.Partition, rows records.Rows, proven bool, seen *idSet) (count int64, err error) {
	table := r.Table.Schema
	rows = stage.Reshape(rows, table, partition, table)
	if !proven {
		isCoherent := transform.Coherent(table, partition.HoldsDay)
		rows = dropRows(rows, func(batch arrow.Record) func(int) bool {
			return func(row int) bool { return !isCoherent(batch, row) }
		})
	}
	fresh, release, err := r.ids.without(ctx, table, countRows(rows, &count), seen.source())
	if err != nil {
		return 0, err
	}
	defer release()
	for batch, err := range fresh {
		if err == nil {
			err = r.stage.Add(batch)
		}
		if err != nil {
			return count, err
		}
		for _, i := range rowIDs(table, batch) {
			if err := seen.add(i); err != nil {
				return count, err
			}
		}
	}
	return count, nil
}

// countRows sets count to the number of rows each time they are read to the end.
func countRows(rows records.Rows, count *int64) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		*count = 0
		for batch, err := range rows {
			if err == nil {
				*count += batch.NumRows()
			}
			if !yield(batch, err) {
				return
			}
		}
	}
}
