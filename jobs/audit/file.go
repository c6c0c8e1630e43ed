package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/quarantine"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// checkFiles checks all files, and calls progress after each of them. It reads the files
// that are unchanged as far as the listing shows, which takes one request for each. It
// only describes the others.
func (r *running) checkFiles(ctx context.Context, progress func(done, of int)) error {
	var readable []published
	others := make(map[string][]published) // by sink
	for _, f := range r.files {
		if f.hasReadableRows() {
			readable = append(readable, f)
		} else {
			others[f.sink] = append(others[f.sink], f)
		}
	}
	done := 0
	count := func(f published, problem string, err error) error {
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Files, r.result.Rows, r.result.Bytes = r.result.Files+1, r.result.Rows+f.tableRows(), r.result.Bytes+f.Size
		if problem != "" {
			r.add(f.job, f.sink, f.Key, problem)
		}
		done++
		progress(done, len(r.files))
		return nil
	}
	for in, files := range others {
		err := parallel.Each(ctx, store.Concurrency(r.stores[in]), files, func(ctx context.Context, f published) error {
			problem, err := r.describe(ctx, f)
			return count(f, problem, err)
		})
		if err != nil {
			return err
		}
	}
	ahead := r.openAhead(ctx, readable)
	defer ahead.Close()
	return parallel.Each(ctx, r.Width, readable, func(ctx context.Context, f published) error {
		problem, err := r.checkRows(ctx, ahead, f)
		return count(f, problem, err)
	})
}

// openAhead starts to open the files.
func (r *running) openAhead(ctx context.Context, files []published) *store.Ahead {
	var all []store.Located
	for _, f := range files {
		all = append(all, r.locate(f))
	}
	return store.OpenAhead(ctx, r.Dir, r.Downloads, all)
}

func (r *running) locate(f published) store.Located {
	return store.Located{From: r.stores[f.sink], Object: f.Stored()}
}

// hasReadableRows reports whether the rows of a file can be read, as far as its
// description in the state and in the listing shows.
func (p published) hasReadableRows() bool {
	if p.path == "" || p.listed == nil || p.listed.Size != p.Size || len(p.table.Columns) == 0 {
		return false
	}
	_, err := sink.ParsePartition(p.table, p.path)
	return err == nil
}

// describe compares the size and checksum of an object with the state. It returns the
// problem that it finds, or that the rows of an unchanged file cannot be read, or "".
func (r *running) describe(ctx context.Context, f published) (problem string, err error) {
	if problem, err = r.compareSum(ctx, f); problem != "" || err != nil || f.path == "" {
		return problem, err
	}
	if len(f.table.Columns) == 0 {
		return "It is unchanged, but its rows were not read: the state does not have its schema.", nil
	}
	if _, err := sink.ParsePartition(f.table, f.path); err != nil {
		return "Its partition does not match the schema of the table: " + err.Error() + ".", nil
	}
	return "", nil
}

// compareSum compares the size and checksum of an object with the state, and returns
// the difference, or "".
func (r *running) compareSum(ctx context.Context, f published) (problem string, err error) {
	from := r.stores[f.sink]
	object, err := from.Stat(ctx, f.Key)
	switch {
	case errors.Is(err, store.ErrNotExist) && f.path == "":
		return fmt.Sprintf("It was deleted. It had %s.", jobs.Count(f.Rows, "quarantined event")), nil
	case errors.Is(err, store.ErrNotExist):
		return "It was deleted.", nil
	case err != nil:
		return "", err
	case object.Size == f.Size && object.CRC32C == f.CRC32C:
		return "", nil
	}
	problem = fmt.Sprintf("It was changed: it has %d bytes with CRC32C %08x, but the state has %d bytes with %08x.",
		object.Size, object.CRC32C, f.Size, f.CRC32C)
	if f.path == "" {
		var left int64
		left, err = r.countReadable(ctx, from, f.Key)
		problem += fmt.Sprintf(" %d of its %s can still be read.", min(left, f.Rows), jobs.Count(f.Rows, "event"))
	}
	return problem, err
}

// countReadable counts the events of a damaged quarantine that can be read.
func (r *running) countReadable(ctx context.Context, from store.Store, key string) (int64, error) {
	r.quarantine.Lock()
	defer r.quarantine.Unlock()
	dir, err := os.MkdirTemp(r.Dir, "quarantine-")
	if err != nil {
		return 0, err
	}
	return quarantine.CountReadable(ctx, from, key, dir, r.Memory)
}

// checkRows reads a file, and returns the problem that it finds, or "".
func (r *running) checkRows(ctx context.Context, ahead *store.Ahead, f published) (problem string, err error) {
	file, err := ahead.Open(ctx, r.locate(f))
	if err == nil {
		defer file.Close()
		if err = checkSum(file, f); err != nil {
			err = fmt.Errorf("reading %s: %w", r.stores[f.sink].URI(f.Key), err)
		}
	}
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrCorrupt) {
		// It has changed, unless the store has returned other bytes than it has.
		if problem, described := r.compareSum(ctx, f); problem != "" || described != nil {
			return problem, described
		}
	}
	if err != nil {
		return "", err
	}
	partition, err := sink.ParsePartition(f.table, f.path)
	if err == nil {
		err = verify.Published(ctx, file, f.Size, f.table, partition, f.Rows, f.Content)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "The second reader finds: " + err.Error(), nil
	}
	return "", nil
}

// checkSum compares the bytes of a file with the state.
func checkSum(file store.File, f published) error {
	size, crc, err := store.ChecksumReader(io.NewSectionReader(file, 0, f.Size+1))
	if err == nil && (size != f.Size || crc != f.CRC32C) {
		err = store.ErrCorrupt
	}
	return err
}
