package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"prospector/sink/store"
)

// List implements store.Store. It opens only directories that can hold a key
// with that prefix, and reads no file.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if dir != "" && store.CheckKey(strings.TrimSuffix(dir, "/")) != nil {
			return // no key begins so, and a path that does could leave the root
		}
		if err := s.walk(ctx, dir, prefix, yield); err != nil && err != errStopped {
			yield(store.Entry{}, fmt.Errorf("listing %s: %w", s.URI(prefix), err))
		}
	}
}

// errStopped ends a walk whose receiver wants no more.
var errStopped = errors.New("stopped")

// walk yields the objects below dir, which is "" or ends with a slash.
func (s *Store) walk(ctx context.Context, dir, prefix string, yield func(store.Entry, error) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.HasPrefix(dir, temporaries+"/") {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	if gone && dir != "" {
		return nil
	}
	if err != nil {
		return err
	}

	// Keys are in order when every directory sorts as what its keys have in
	// common, its name and a slash.
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = dir + e.Name()
		if e.IsDir() {
			keys[i] += "/"
		}
	}
	slices.Sort(keys)

	for _, key := range keys {
		if strings.HasSuffix(key, "/") {
			if strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key) {
				if err := s.walk(ctx, key, prefix, yield); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		info, err := lookUp(filepath.Join(s.root, key))
		if errors.Is(err, store.ErrNotExist) {
			continue // deleted meanwhile, or not a file
		}
		if err != nil {
			return err
		}
		if !yield(entryOf(key, info), nil) {
			return errStopped
		}
	}
	return nil
}
