package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store"
)

// publishedIn is what a partition holds already, and the first of the sinks in
// which it was found whole; or where none has it so, the one in which most of it
// is left.
func publishedIn(sinks []string, prior map[string]*plan.Refreshed, path string) (sink string, p state.Partition, ok bool) {
	for _, sink := range sinks {
		if p, ok := prior[sink].Partitions[path]; ok {
			return sink, p, true
		}
	}
	for _, at := range sinks {
		if left := prior[at].Sound(path); left.Rows > p.Rows {
			sink, p, ok = at, left, true
		}
	}
	return sink, p, ok
}

// readPublished gives the rows of published files, one after the other. Each is
// opened when it is its turn.
func readPublished(ctx context.Context, from store.Store, files []state.File, table schemas.Table, dir string) sink.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, f := range files {
			if !readFile(ctx, from, f, table, dir, yield) {
				return
			}
		}
	}
}

// readFile reports whether more is wanted.
func readFile(ctx context.Context, from store.Store, f state.File, table schemas.Table, dir string, yield func(arrow.Record, error) bool) bool {
	r, err := openPublished(ctx, from, f.Object, dir)
	if err != nil {
		yield(nil, fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err))
		return false
	}
	defer r.Close()
	for batch, err := range sink.Read(ctx, r, f.Size, table) {
		if err != nil {
			err = fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err)
		}
		if !yield(batch, err) || err != nil {
			return false
		}
	}
	return true
}

type randomReader interface {
	io.ReaderAt
	io.Closer
}

// openPublished opens a published object to be read at random. One in a store
// that cannot is copied into dir, and gone when it is closed.
func openPublished(ctx context.Context, from store.Store, object state.Object, dir string) (randomReader, error) {
	r, err := from.Open(ctx, object.Key)
	if err != nil {
		return nil, err
	}
	if at, ok := r.(randomReader); ok {
		return at, nil
	}
	defer r.Close()
	return download(r, object, dir)
}

// download copies an object to where it can be read at random, as Parquet needs
// it. The file is gone when it is closed.
func download(r io.Reader, object state.Object, dir string) (*os.File, error) {
	temp, err := os.CreateTemp(dir, "published-*.parquet")
	if err != nil {
		return nil, err
	}
	size, crc, err := store.ChecksumReader(io.TeeReader(r, temp))
	if err == nil && (size != object.Size || crc != object.CRC32C) {
		err = store.ErrCorrupt
	}
	if err = errors.Join(err, os.Remove(temp.Name())); err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return temp, nil
}
