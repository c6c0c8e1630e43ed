package local

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"prospector/internal/nolink"
	"prospector/sink/store"
)

// List implements store.Store. It opens only directories that can hold a key with that
// prefix, and reads no file. If there are links among those keys, it yields one error
// for all of them at the end.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if dir != "" && store.CheckKey(strings.TrimSuffix(dir, "/")) != nil {
			return // no key begins like this, and such a path could leave the root
		}
		w := walk{prefix: prefix, yield: yield}
		err := w.below(ctx, s.root, dir)
		if err == nil && w.link != nil {
			err = w.link
		}
		if err != nil && err != errStopped {
			yield(store.Entry{}, fmt.Errorf("listing %s: %w", s.URI(prefix), err))
		}
	}
}

// errStopped ends a walk when the caller stops iterating.
var errStopped = errors.New("stopped")

// walk is one List.
type walk struct {
	prefix string
	yield  func(store.Entry, error) bool
	link   *nolink.LinkError // the first link that the walk has found
}

// below yields the objects in the directory at key below the root. Key is empty or ends
// with a slash.
func (w *walk) below(ctx context.Context, root *nolink.Dir, key string) error {
	dir, err := root.Open(strings.TrimSuffix(key, "/"))
	if err != nil {
		return w.skip(err)
	}
	defer dir.Close()
	return w.in(ctx, dir, key)
}

// in yields the objects in an open directory, whose keys begin with dir.
func (w *walk) in(ctx context.Context, from *nolink.Dir, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.HasPrefix(dir, temporaries+"/") {
		return nil
	}
	entries, err := from.Names()
	if err != nil {
		return err
	}

	// The keys are in order if every directory sorts as the common prefix of its
	// keys, which is its name and a slash.
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = dir + e.Name()
		if e.IsDir() {
			keys[i] += "/"
		}
	}
	slices.Sort(keys)

	for _, key := range keys {
		if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key) {
			continue
		}
		name, isDir := strings.CutSuffix(key[len(dir):], "/")
		if isDir {
			err = w.directory(ctx, from, name, key)
		} else {
			err = w.file(from, name, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) directory(ctx context.Context, from *nolink.Dir, name, key string) error {
	dir, err := from.Open(name)
	if err != nil {
		return w.skip(err)
	}
	defer dir.Close()
	return w.in(ctx, dir, key)
}

func (w *walk) file(from *nolink.Dir, name, key string) error {
	if !strings.HasPrefix(key, w.prefix) {
		return nil
	}
	info, err := from.Regular(name)
	if err != nil {
		return w.skip(err)
	}
	if !w.yield(entryOf(key, info), nil) {
		return errStopped
	}
	return nil
}

// skip records a link. It ignores entries that were deleted in the meantime or are not
// files, and returns every other error.
func (w *walk) skip(err error) error {
	link, ok := errors.AsType[*nolink.LinkError](err)
	switch {
	case ok && w.link == nil:
		w.link = link
	case ok:
		w.link.More++
	case !errors.Is(notExist(err), store.ErrNotExist):
		return err
	}
	return nil
}
