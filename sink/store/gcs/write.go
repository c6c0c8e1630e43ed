package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"cloud.google.com/go/storage"

	"prospector/sink/store"
)

// Put implements store.Store. If another writer writes the same key in the meantime, a
// Put without a condition starts again.
func (s *Store) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Object{}, s.failure(ctx, writing, key, err)
	}
	ctx, cancel := s.deadline(ctx, content.Size)
	defer cancel()
	for {
		current, err := s.expect(ctx, key, cond)
		if err != nil {
			return store.Object{}, s.failure(ctx, writing, key, err)
		}
		o, err := s.write(ctx, key, content, current)
		if err == nil {
			return o, nil
		}
		if !refusesCondition(err) || cond != (store.Condition{}) {
			return store.Object{}, s.failure(ctx, writing, key, err)
		}
	}
}

// expect returns the precondition for a write: the caller's condition, or that the
// object does not change until the write.
func (s *Store) expect(ctx context.Context, key string, cond store.Condition) (storage.Conditions, error) {
	if cond.Absent() {
		return storage.Conditions{DoesNotExist: true}, nil
	}
	if cond.Generation() != "" {
		generation, err := strconv.ParseInt(cond.Generation(), 10, 64)
		if err != nil || generation <= 0 {
			return storage.Conditions{}, store.ErrCondition // no object has such a generation
		}
		return storage.Conditions{GenerationMatch: generation}, nil
	}
	attrs, err := s.object(key).Attrs(ctx)
	if errors.Is(err, storage.ErrObjectNotExist) && !saysBucket(err) {
		return storage.Conditions{DoesNotExist: true}, nil
	}
	if err != nil {
		return storage.Conditions{}, err
	}
	return storage.Conditions{GenerationMatch: attrs.Generation}, nil
}

// write reads and sends the content once.
func (s *Store) write(ctx context.Context, key string, content store.Content, current storage.Conditions) (store.Object, error) {
	// Only Close creates the object, so write never calls it after a fault. It cancels
	// the context instead.
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	var repeated atomic.Bool
	w := s.object(key).If(current).Retryer(noting(&repeated)).NewWriter(ctx)
	w.ContentType = content.Type
	if w.ContentType == "" {
		w.ContentType = "application/octet-stream" // otherwise the library would guess
	}
	w.KMSKeyName, w.StorageClass, w.Metadata = s.options.KMSKeyName, s.options.StorageClass, s.options.Metadata
	w.CRC32C = content.CRC32C
	w.SendCRC32C = true
	w.ChunkSize = chunkSize(content.Size)
	w.ChunkRetryDeadline = s.putTimeout(content.Size) // the deadline of the context

	source := &source{r: content.Stream()}
	size, crc, err := store.ChecksumReader(io.TeeReader(source, w))
	switch {
	case source.err != nil:
		return store.Object{}, fmt.Errorf("reading the content: %w", source.err)
	case err != nil:
		return s.resolveRefusal(ctx, key, content, repeated.Load(), err)
	case ctx.Err() != nil:
		return store.Object{}, ctx.Err()
	}
	if err := content.Check(size, crc); err != nil {
		return store.Object{}, err
	}
	if err := w.Close(); err != nil {
		return s.resolveRefusal(ctx, key, content, repeated.Load(), err)
	}
	o := s.describe(w.Attrs())
	if o.Size != size || o.CRC32C != crc {
		return store.Object{}, fmt.Errorf("the service has stored %d bytes with CRC32C %08x, but %d with %08x were sent; write it again",
			o.Size, o.CRC32C, size, crc)
	}
	return o, nil
}

// resolveRefusal returns success if a retry was refused because of the object that an
// earlier attempt of the same write has created. Otherwise it returns err.
func (s *Store) resolveRefusal(ctx context.Context, key string, content store.Content, repeated bool, err error) (store.Object, error) {
	if !refusesCondition(err) || !repeated {
		return store.Object{}, err
	}
	attrs, attrsErr := s.object(key).Attrs(ctx)
	switch {
	case errors.Is(attrsErr, storage.ErrObjectNotExist):
		return store.Object{}, err
	case attrsErr != nil:
		return store.Object{}, attrsErr // the writer of the object remains unknown
	case attrs.Size != content.Size || attrs.CRC32C != content.CRC32C:
		return store.Object{}, err
	}
	return s.describe(attrs), nil
}

// noting returns an option that sets repeated when the library retries a request that
// may have succeeded.
func noting(repeated *atomic.Bool) storage.RetryOption {
	return storage.WithErrorFunc(func(err error) bool {
		again := err != nil && storage.ShouldRetry(err)
		if again {
			repeated.Store(true)
		}
		return again
	})
}

// chunkSize returns the size of the buffer that a writer keeps for a retry. An object
// that is smaller takes a single request. 0 would mean no buffer and no retry.
func chunkSize(size int64) int {
	const unit, most = 256 << 10, 16 << 20
	return int(min((size/unit+1)*unit, most))
}

// source remembers the error of its reader, to distinguish it from errors of the writer.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != io.EOF {
		s.err = err
	}
	return n, err
}

// Delete implements store.Store. Some emulators ignore the precondition of a delete, so
// the package also compares the generation itself.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := store.CheckKey(key); err != nil {
		return s.failure(ctx, deleting, key, err)
	}
	ctx, cancel := s.deadline(ctx, 0)
	defer cancel()
	for {
		err := s.delete(ctx, key, cond)
		if err == nil {
			return nil
		}
		if !refusesCondition(err) || cond != (store.Condition{}) {
			return s.failure(ctx, deleting, key, err)
		}
	}
}

// delete removes the object with its current generation.
func (s *Store) delete(ctx context.Context, key string, cond store.Condition) error {
	attrs, err := s.object(key).Attrs(ctx)
	if err != nil {
		return err
	}
	if cond.Absent() || cond.Generation() != "" && cond.Generation() != s.describe(attrs).Generation {
		return store.ErrCondition
	}
	var repeated atomic.Bool
	current := storage.Conditions{GenerationMatch: attrs.Generation}
	err = s.object(key).If(current).Retryer(noting(&repeated)).Delete(ctx)
	if errors.Is(err, storage.ErrObjectNotExist) && repeated.Load() {
		return nil
	}
	return err
}
