package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"cloud.google.com/go/storage"

	"prospector/sink/store"
)

// Put implements store.Store. Without a condition it starts over when a rival
// writes the same key meanwhile, for which content.Reader must be an io.Seeker.
func (s *Store) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Object{}, s.failure(ctx, writing, key, err)
	}
	ctx, cancel := s.deadline(ctx, content.Size)
	defer cancel()
	rewind := rewinder(content.Reader)
	for {
		current, err := s.expect(ctx, key, cond)
		if err != nil {
			return store.Object{}, s.failure(ctx, writing, key, err)
		}
		o, err := s.write(ctx, key, content, current)
		if err == nil {
			return o, nil
		}
		if status(err) != http.StatusPreconditionFailed || cond != (store.Condition{}) {
			return store.Object{}, s.failure(ctx, writing, key, err)
		}
		if err := rewind(); err != nil {
			return store.Object{}, s.failure(ctx, writing, key,
				fmt.Errorf("somebody else writes it at the same time, and the content cannot be sent again: %w", err))
		}
	}
}

// rewinder gives what moves r back to where it is now.
func rewinder(r io.Reader) func() error {
	seeker, ok := r.(io.Seeker)
	if !ok {
		return func() error { return errors.New("its reader does not seek") }
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	return func() error {
		if err == nil {
			_, err = seeker.Seek(start, io.SeekStart)
		}
		return err
	}
}

// expect is the precondition that a write is sent with: the caller's, or else
// that nothing happens between now and then.
func (s *Store) expect(ctx context.Context, key string, cond store.Condition) (storage.Conditions, error) {
	if cond.Absent() {
		return storage.Conditions{DoesNotExist: true}, nil
	}
	if cond.Generation() != "" {
		generation, err := strconv.ParseInt(cond.Generation(), 10, 64)
		if err != nil || generation <= 0 {
			return storage.Conditions{}, store.ErrCondition // no object ever had it
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

// write sends content once, as far as its reader is concerned.
func (s *Store) write(ctx context.Context, key string, content store.Content, current storage.Conditions) (store.Object, error) {
	// Only Close makes an object of what was sent, and so it is never called
	// after a fault: cancelling the context is what gives up.
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	var repeated atomic.Bool
	w := s.object(key).If(current).Retryer(noting(&repeated)).NewWriter(ctx)
	w.ContentType = content.Type
	if w.ContentType == "" {
		w.ContentType = "application/octet-stream" // or the library would guess
	}
	w.CRC32C = content.CRC32C
	w.SendCRC32C = true
	w.ChunkSize = chunkSize(content.Size)
	w.ChunkRetryDeadline = s.putTimeout(content.Size) // let the context decide

	source := &source{r: io.LimitReader(content.Reader, content.Size+1)}
	size, crc, err := store.ChecksumReader(io.TeeReader(source, w))
	switch {
	case source.err != nil:
		return store.Object{}, fmt.Errorf("reading the content: %w", source.err)
	case err != nil:
		return s.settle(ctx, key, content, repeated.Load(), err)
	case size != content.Size || crc != content.CRC32C:
		return store.Object{}, fmt.Errorf("%w: announced were %d bytes with CRC32C %08x, read were %d with %08x",
			store.ErrCorrupt, content.Size, content.CRC32C, size, crc)
	case ctx.Err() != nil:
		return store.Object{}, ctx.Err()
	}
	if err := w.Close(); err != nil {
		return s.settle(ctx, key, content, repeated.Load(), err)
	}
	o := s.describe(w.Attrs())
	if o.Size != size || o.CRC32C != crc {
		return store.Object{}, fmt.Errorf("the service has stored %d bytes with CRC32C %08x, sent were %d with %08x; write it again",
			o.Size, o.CRC32C, size, crc)
	}
	return o, nil
}

// settle turns a refusal of our own repetition into the success that it is.
func (s *Store) settle(ctx context.Context, key string, content store.Content, repeated bool, err error) (store.Object, error) {
	if status(err) != http.StatusPreconditionFailed || !repeated {
		return store.Object{}, err
	}
	attrs, attrsErr := s.object(key).Attrs(ctx)
	switch {
	case errors.Is(attrsErr, storage.ErrObjectNotExist):
		return store.Object{}, err
	case attrsErr != nil:
		return store.Object{}, attrsErr // whose write it was stays unknown
	case attrs.Size != content.Size || attrs.CRC32C != content.CRC32C:
		return store.Object{}, err
	}
	return s.describe(attrs), nil
}

// noting makes the library note that it repeats a request which may have been
// carried out.
func noting(repeated *atomic.Bool) storage.RetryOption {
	return storage.WithErrorFunc(func(err error) bool {
		again := err != nil && storage.ShouldRetry(err)
		if again {
			repeated.Store(true)
		}
		return again
	})
}

// chunkSize is the size of the one buffer that a writer keeps, to send it again
// after a fault. An object that is smaller than it takes a single request; 0
// would mean no buffer and no repetition.
func chunkSize(size int64) int {
	const unit, most = 256 << 10, 16 << 20
	return int(min((size/unit+1)*unit, most))
}

// source remembers the error of its own reader, as against the writer's.
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

// Delete implements store.Store. Not every emulator heeds the precondition of a
// delete, so that the generation is compared here as well.
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
		if status(err) != http.StatusPreconditionFailed || cond != (store.Condition{}) {
			return s.failure(ctx, deleting, key, err)
		}
	}
}

// delete removes the object of the current generation.
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
