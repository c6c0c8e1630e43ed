package gcs

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cloud.google.com/go/storage"

	"prospector/sink/store"
)

// Put implements store.Store. If another writer writes the same key in the meantime, a
// Put without a condition starts again.
func (s *Store) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if err := checkInput(key, content); err != nil {
		return store.Object{}, s.failure(ctx, writing, key, err)
	}
	ctx, watch := s.patient(ctx)
	defer watch.stop()
	o, err := s.put(ctx, key, content, cond, newTries(watch))
	if err != nil {
		return store.Object{}, s.failure(ctx, writing, key, err)
	}
	return o, nil
}

// checkInput checks the key and the content before anything is sent.
func checkInput(key string, content store.Content) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	size, crc, err := store.ChecksumReader(content.Stream())
	if err != nil {
		return fmt.Errorf("reading the content: %w", err)
	}
	return content.Check(size, crc)
}

func (s *Store) put(ctx context.Context, key string, content store.Content, cond store.Condition, tries *tries) (store.Object, error) {
	for {
		generation, err := s.expect(ctx, key, cond)
		if err != nil {
			return store.Object{}, err
		}
		o, err := s.upload(ctx, key, content, generation, tries)
		if !refusesCondition(err) || cond != (store.Condition{}) {
			return o, err
		}
		if err := tries.wait(ctx, err); err != nil {
			return store.Object{}, err
		}
	}
}

// expect returns the precondition for a write: the generation that the object must have,
// or 0 for no object. Without a condition of the caller, the object must not change until
// the write.
func (s *Store) expect(ctx context.Context, key string, cond store.Condition) (generation int64, err error) {
	if cond.Absent() {
		return 0, nil
	}
	if cond.Generation() != "" {
		generation, err := strconv.ParseInt(cond.Generation(), 10, 64)
		if err != nil || generation <= 0 {
			return 0, store.ErrCondition // no object has such a generation
		}
		return generation, nil
	}
	attrs, err := s.object(key).Attrs(ctx)
	if errors.Is(err, storage.ErrObjectNotExist) && !saysBucket(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return attrs.Generation, nil
}

// Delete implements store.Store. Some emulators ignore the precondition of a delete, so
// the package also compares the generation itself.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	ctx, watch := s.patient(ctx)
	defer watch.stop()
	if err := s.delete(ctx, key, cond, watch); err != nil {
		return s.failure(ctx, deleting, key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string, cond store.Condition, watch *watch) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	tries := newTries(watch)
	attrs, err := s.object(key).Attrs(ctx)
	for err == nil {
		if cond.Absent() || cond.Generation() != "" && cond.Generation() != s.describe(attrs).Generation {
			return store.ErrCondition
		}
		err = s.object(key).If(storage.Conditions{GenerationMatch: attrs.Generation}).Delete(ctx)
		if err == nil || errors.Is(err, storage.ErrObjectNotExist) && !saysBucket(err) {
			return nil // this attempt or an earlier one has deleted it
		}
		if !refusesCondition(err) {
			return err
		}
		refusal := err // another writer has replaced it, or an earlier attempt has deleted it
		attrs, err = s.object(key).Attrs(ctx)
		if errors.Is(err, storage.ErrObjectNotExist) {
			return nil
		}
		if err == nil {
			err = tries.wait(ctx, refusal)
		}
	}
	return err
}
