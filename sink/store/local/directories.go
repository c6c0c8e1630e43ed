package local

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"

	"prospector/internal/nolink"
)

// directories creates and removes the directories of a store, below its root.
type directories struct {
	root    *nolink.Dir
	private bool // whether every directory is private, and not only those in ownDir

	mu sync.Mutex // guards the fields below
	// durable holds the directories that are known to survive a power cut, by their
	// path below the root.
	durable map[string]bool
	// removals counts the directories that were removed.
	removals int
}

// isPrivate reports whether only the current user may read the object, or use the
// directory, at a path below the root.
func (d *directories) isPrivate(path string) bool {
	return d.private || path == ownDir || strings.HasPrefix(path, ownDir+"/")
}

// open creates the directory and its parents, and opens it. It makes each of them durable
// once, even if it existed before, because the process that created it may have died
// before making it durable.
func (d *directories) open(rel string) (*nolink.Dir, error) {
	d.mu.Lock()
	durable, removals := d.durable[rel], d.removals
	d.mu.Unlock()
	if durable || rel == "." {
		return d.root.Open(rel)
	}
	parent, err := d.open(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := parent.Make(path.Base(rel), d.isPrivate(rel))
	if err != nil {
		return nil, err
	}
	if err := parent.Sync(); err != nil {
		dir.Close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.removals == removals { // otherwise this directory may have been removed
		d.durable[rel] = true
	}
	return dir, nil
}

// forget makes open check the directory and its parents again.
func (d *directories) forget(rel string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; rel != "."; rel = path.Dir(rel) {
		delete(d.durable, rel)
	}
}

// prune removes the directory and its parents as long as they are empty, and returns
// the first one that remains. The kernel refuses to remove a directory that is not
// empty.
func (d *directories) prune(rel string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; rel != "."; rel = path.Dir(rel) {
		parent, err := d.root.Open(path.Dir(rel))
		if err == nil {
			err = parent.RemoveDir(path.Base(rel))
			parent.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		delete(d.durable, rel)
		d.removals++
	}
	return rel
}

// sync makes removals from the directory durable. If the directory itself was removed
// in the meantime, nothing in it can be lost.
func (d *directories) sync(rel string) error {
	dir, err := d.root.Open(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
