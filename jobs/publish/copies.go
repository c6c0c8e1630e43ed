package publish

import (
	"context"
	"errors"
	"fmt"

	"prospector/internal/parallel"
	"prospector/jobs/plan"
	"prospector/sink/store"
)

// A damaged file of a table may have rows that the source no longer returns. So
// it is copied within its sink before it is replaced or deleted. Readers of the
// table do not see the copy. An erase deletes it. The copy passes through a local
// file, so that the store can repeat an attempt to write it.

// copyDamaged makes the copies in the sink that the plan lists.
func (s *inSink) copyDamaged(ctx context.Context) error {
	return parallel.Each(ctx, s.width, s.plan.Output.Copies, func(ctx context.Context, c plan.Copy) error {
		if c.Sink != s.address {
			return nil
		}
		err := s.request(ctx, func() error { return copyObject(ctx, s.store, c, s.TempDir) })
		if err != nil {
			return fmt.Errorf("%s: copying the damaged file %s to %s before it is replaced: %w", s.plan.Address, s.store.URI(c.Key), s.store.URI(c.To), err)
		}
		return nil
	})
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
