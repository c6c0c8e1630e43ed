package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store"
)

// publishedIn is what a partition holds already, and the first of the sinks in
// which it was found whole.
func publishedIn(sinks []string, prior map[string]*plan.Refreshed, path string) (sink string, p state.Partition, ok bool) {
	for _, sink := range sinks {
		if p, ok := prior[sink].Partitions[path]; ok {
			return sink, p, true
		}
	}
	return "", state.Partition{}, false
}

// readPublished reads the rows of a published file.
func readPublished(ctx context.Context, from store.Store, object state.Object, table schemas.Table, dir string, use func(sink.Rows) error) error {
	err := func() error {
		r, err := openPublished(ctx, from, object, dir)
		if err != nil {
			return err
		}
		defer r.Close()
		return use(sink.Read(ctx, r, object.Size, table))
	}()
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", from.URI(object.Key), err)
	}
	return nil
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
