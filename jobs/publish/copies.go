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
// table do not see the copy. An erase deletes it.

// copyDamaged makes the copies that the plan lists.
func (j *job) copyDamaged(ctx context.Context) error {
	for _, c := range j.plan.Output.Copies {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		in := j.stores[c.Sink]
		if err := copyObject(ctx, in, c); err != nil {
			return fmt.Errorf("%s: copying the damaged file %s to %s before it is replaced: %w", j.plan.Address, in.URI(c.Key), in.URI(c.To), err)
		}
	}
	return nil
}

// copyObject copies one object, unless an interrupted apply has already copied
// it. In that case, the original may already be replaced.
func copyObject(ctx context.Context, in store.Store, c plan.Copy) error {
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
