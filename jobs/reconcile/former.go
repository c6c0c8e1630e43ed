package reconcile

import (
	"context"
	"path/filepath"
	"slices"

	"prospector/internal/parallel"
	"prospector/internal/spill"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/stage"
	"prospector/sink/store"
	"prospector/transform"
)

// Readers see one schema: every file has the declared columns. So the files of a
// table whose schema has changed are rewritten. Their rows are read into a stage that
// has the new schema. From there on they are handled like all published rows.
//
// A file with the new schema replaces the old one, and the state records the schema
// of each partition. If the partition keys change, the new file has another key.
// Then all new files are published before any old one is deleted, so that an
// interrupted apply loses nothing. Until the old files are deleted, the state names
// the old schema.

// Former describes a table whose schema has changed.
type Former struct {
	Table     Table
	Published Published
	// Schema is the schema before the change, and Schemas returns the schema with a
	// fingerprint: an interrupted apply may have left files with another one.
	Schema  schemas.Table
	Schemas func(fingerprint string) (schemas.Table, error)
	Memory  Memory
	Dir     string
}

// IsOutdated reports whether a sink has a readable file whose schema has another
// fingerprint.
func IsOutdated(found *plan.Refreshed, fingerprint string) bool {
	for _, path := range plan.Partitions(map[string]*plan.Refreshed{"": found}) {
		if p := found.Intact(path); len(p.Files) > 0 && p.SchemaFingerprint != fingerprint {
			return true
		}
	}
	return false
}

// Stage reads the published rows into a stage that has the new schema. It returns
// how many files and rows it has read.
func (f Former) Stage(ctx context.Context) (rows *stage.Stage, files, count int64, err error) {
	r := formerReader{Former: f, stage: stage.New(f.Table.Schema, f.Dir, f.Memory.formerRows())}
	paths := r.listPaths()
	for _, path := range paths {
		_, p, _ := f.Published.Find(path)
		files += int64(len(p.Files))
	}
	if err := r.readAll(ctx, paths); err != nil {
		_ = r.stage.Close() // the first error counts
		return nil, 0, 0, err
	}
	return r.stage, files, r.stage.Facts().Rows, nil
}

// formerReader reads the rows of a former schema.
type formerReader struct {
	Former
	stage *stage.Stage
	// interrupted says that an interrupted apply may have left a row in two
	// partitions. The partitions that it was about to remove rows from come last, and
	// only those of their rows are staged that no earlier partition has.
	interrupted bool
}

// listPaths lists the partitions in the order in which they are read. Partitions that
// an interrupted apply was about to change come after the others. Partitions with
// other keys, which an interrupted rewrite has published, come last, since most of
// their rows are also in former partitions.
func (r *formerReader) listPaths() []string {
	var finished, unfinished, rewritten []string
	for _, path := range plan.Partitions(r.Published.Prior) {
		from, _, ok := r.Published.Find(path)
		if !ok {
			continue
		}
		_, interrupted := r.Published.Prior[from].Unfinished[path]
		_, err := sink.ParsePartition(r.Schema, path)
		switch {
		case err != nil:
			rewritten = append(rewritten, path)
		case interrupted:
			unfinished = append(unfinished, path)
		default:
			finished = append(finished, path)
		}
	}
	r.interrupted = len(unfinished)+len(rewritten) > 0
	return slices.Concat(finished, unfinished, rewritten)
}

func (r *formerReader) readAll(ctx context.Context, paths []string) error {
	defer r.openAhead(ctx, paths)()
	if !r.interrupted {
		return parallel.Each(ctx, r.Memory.Width(), paths, func(ctx context.Context, path string) error { return r.read(ctx, path, nil) })
	}
	duplicates, err := r.findDuplicates(ctx, paths)
	if err != nil {
		return err
	}
	defer r.openAhead(ctx, paths)() // they are read again
	for number, path := range paths {
		if err := r.read(ctx, path, duplicates[number]); err != nil {
			return err
		}
	}
	return nil
}

// openAhead starts to open the files of partitions. The caller calls done when it has
// read them.
func (r *formerReader) openAhead(ctx context.Context, paths []string) (done func()) {
	var ahead *store.Ahead
	r.Published, ahead = r.Published.Ahead(ctx, paths)
	return ahead.Close
}

// findDuplicates returns, for each partition, the numbers of the rows that an earlier
// partition also has.
func (r *formerReader) findDuplicates(ctx context.Context, paths []string) (duplicates []bitmap, err error) {
	// The upper half of a key's number is the partition, the lower half is the row.
	const half = 32
	all := spill.NewMap(filepath.Join(r.Dir, "ids"), r.Memory.partitionIDs())
	defer closeMaps(&err, all)
	for number, path := range paths {
		table, rows, err := r.open(ctx, path)
		if err != nil {
			return nil, err
		}
		row := 0
		for i, err := range idsOf(table, rows, 0).all {
			if err == nil {
				_, err = all.Put(i.numberedKey(number<<half|row), nil)
			}
			if err != nil {
				return nil, err
			}
			row++
		}
	}
	duplicates = make([]bitmap, len(paths))
	err = joinByID(all.All(), noEntries, func(entries, _ []spill.Entry) error {
		first := keyNumber(entries[0].Key) >> half
		for _, e := range entries {
			if number := keyNumber(e.Key); number>>half != first {
				duplicates[number>>half].set(number & (1<<half - 1))
			}
		}
		return nil
	})
	return duplicates, err
}

func noEntries(func(spill.Entry, error) bool) {}

// open returns the rows of a partition, and their schema.
func (r *formerReader) open(ctx context.Context, path string) (table schemas.Table, rows records.Rows, err error) {
	from, published, _ := r.Published.Find(path)
	table, err = r.Schemas(published.SchemaFingerprint)
	return table, r.Published.Rows(ctx, from, published.Files, table), err
}

// read stages the rows of a partition without its duplicates.
func (r *formerReader) read(ctx context.Context, path string, duplicates bitmap) error {
	table, rows, err := r.open(ctx, path)
	if err != nil {
		return err
	}
	partition, err := sink.ParsePartition(table, path)
	if err != nil {
		return err
	}
	if len(duplicates) > 0 {
		rows = withoutNumbered(rows, duplicates)
	}
	for batch, err := range conform(rows, table, partition, r.Table.Schema) {
		if err == nil {
			err = r.stage.Add(batch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conform converts the rows of a published file to another schema.
func conform(rows records.Rows, from schemas.Table, partition sink.Partition, to schemas.Table) records.Rows {
	if len(schemas.Diff(from, to)) == 0 {
		return stage.Reshape(rows, from, partition, to)
	}
	return transform.Conform(stage.Reshape(rows, from, partition, from), from, to)
}
