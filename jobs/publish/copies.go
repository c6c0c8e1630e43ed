package publish

import (
	"context"
	"errors"
	"fmt"

	"prospector/jobs/plan"
	"prospector/sink/store"
)

// A damaged file of a table may have rows that the source no longer returns. So
// it is copied within its sink before it is replaced or deleted. Readers of the
// table do not see the copy. An erase deletes it. The copy passes through a local
// file, so that the store can repeat an attempt to write it.

// copyDamaged makes the copies that the plan lists.
func (j *job) copyDamaged(ctx context.Context) error {
	for _, c := range j.plan.Output.Copies {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		in := j.stores[c.Sink]
		if err := copyObject(ctx, in, c, j.TempDir); err != nil {
			return fmt.Errorf("%s: copying the damaged file %s to %s before it is replaced: %w", j.plan.Address, in.URI(c.Key), in.URI(c.To), err)
		}
	}
	return nil
}

// copyObject copies one object through a temporary file in dir, unless an interrupted
// apply has already copied it. In that case, the original may already be replaced.
func copyObject(ctx context.Context, in store.Store, c plan.Copy, dir string) error {
	switch there, err := in.Stat(ctx, c.To); {
	case err == nil && there.Size == c.Sum.Size && there.CRC32C == c.Sum.CRC32C:
		return nil
	case err != nil && !errors.Is(err, store.ErrNotExist):
		return err
	}
	damaged := store.Object{Entry: store.Entry{Key: c.Key, Size: c.Sum.Size}, CRC32C: c.Sum.CRC32C}
	f, err := store.OpenFile(ctx, in, damaged, dir)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = in.Put(ctx, c.To, store.Content{Reader: f, Size: c.Sum.Size, CRC32C: c.Sum.CRC32C, Type: "application/octet-stream"}, store.Condition{})
	return err
}
