// Package memory stores objects in the process's memory, for tests of code that uses a
// store. It fulfils all duties of a driver, except that objects do not outlive the
// process.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"prospector/sink/store"
)

// Store is a store.Store. Its zero value is not usable; New makes one.
type Store struct {
	mu      sync.Mutex
	objects map[string]object
	writes  int64 // the generation of the newest object
}

var _ store.Store = (*Store)(nil)

// An object in the map never changes, so that readers share its content.
type object struct {
	store.Object
	content []byte
}

// New returns an empty store.
func New() *Store { return &Store{objects: map[string]object{}} }

// URI implements store.Store. No other program reads the scheme.
func (s *Store) URI(key string) string {
	if key == "" {
		return "memory://store"
	}
	return "memory://store/" + key
}

// List implements store.Store. It shows the store at the beginning of the iteration.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		s.mu.Lock()
		objects := maps.Clone(s.objects)
		s.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if err := ctx.Err(); err != nil {
				yield(store.Entry{}, fmt.Errorf("listing %s: %w", s.URI(prefix), err))
				return
			}
			if strings.HasPrefix(key, prefix) && !yield(objects[key].Entry, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(store.Entry{}, fmt.Errorf("listing %s: %w", s.URI(prefix), err))
		}
	}
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Object, error) {
	o, err := s.get(ctx, key)
	if err != nil {
		return store.Object{}, fmt.Errorf("describing %s: %w", s.URI(key), err)
	}
	return o.Object, nil
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	o, err := s.get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.URI(key), err)
	}
	return io.NopCloser(bytes.NewReader(o.content)), nil
}

func (s *Store) get(ctx context.Context, key string) (object, error) {
	if err := ready(ctx, key); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, store.ErrNotExist
	}
	return o, nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	o, err := s.put(ctx, key, content, cond)
	if err != nil {
		return store.Object{}, fmt.Errorf("writing %s: %w", s.URI(key), err)
	}
	return o, nil
}

func (s *Store) put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if err := ready(ctx, key); err != nil {
		return store.Object{}, err
	}
	var b bytes.Buffer
	size, crc, err := store.ChecksumReader(io.TeeReader(content.Stream(), &b))
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = content.Check(size, crc)
	}
	if err != nil {
		return store.Object{}, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(key, cond) {
		return store.Object{}, store.ErrCondition
	}
	s.writes++
	entry := store.Entry{Key: key, Size: size, Generation: strconv.FormatInt(s.writes, 10)}
	o := object{Object: store.Object{Entry: entry, CRC32C: crc}, content: b.Bytes()}
	s.objects[key] = o
	return o.Object, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := s.delete(ctx, key, cond); err != nil {
		return fmt.Errorf("deleting %s: %w", s.URI(key), err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string, cond store.Condition) error {
	if err := ready(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; !ok {
		return store.ErrNotExist
	}
	if !s.holds(key, cond) {
		return store.ErrCondition
	}
	delete(s.objects, key)
	return nil
}

// holds reports whether cond holds for key. The caller holds s.mu.
func (s *Store) holds(key string, cond store.Condition) bool {
	o, exists := s.objects[key]
	if cond.Absent() {
		return !exists
	}
	return cond.Generation() == "" || cond.Generation() == o.Generation
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }

func ready(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	return ctx.Err()
}
