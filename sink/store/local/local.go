// Package local keeps objects as files below a directory, so that a key's path
// is its name and every tool can read them.
//
// A file appears, changes and disappears whole, whatever kills the process or
// the machine: Put writes aside, checks, synchronises, and only then moves the
// file to its name. Every file below the root is an object, except for those in
// .prospector/tmp/, which holds what is being written.
//
// # Symbolic links
//
// The root may be a symbolic link, or be reached through links: its user chose
// it. Below the root no link is ever followed, not even one that leads to another
// place below the root, which would show the same rows twice. A link at a key, or
// in place of a directory on the way to it, is a nolink.LinkError in every
// operation, and so is one that List meets among the keys with its prefix. A
// directory that is replaced by a link during an operation leads nowhere either:
// package nolink opens one path element at a time. The same rule holds for all
// that prospector keeps on this machine: the files next to a local state and the
// data directory of a run.
//
// # Modes
//
// Objects whose keys begin with .prospector/ hold personal data: they are private,
// files with the mode 0600 in directories with 0700, whatever the umask, and
// directories that an earlier version has made with a wider mode are narrowed. In
// a store of OpenPrivate that is true of every object. All other files and
// directories have the modes that the umask allows, since the lake's readers may be
// other users. The mode of the root is its user's.
//
// # Generations
//
// The generation of an object is its file's inode, size and modification time,
// which List learns without reading it. Every Put makes a new file and gives it
// a time that no other Put of this process has given, so equal generations mean
// equal content unless somebody changes a file in place and then turns its clock
// back. Moving the whole tree or changing permissions keeps generations; a file
// that was copied back is a new one. The time of the last change of the inode
// would betray even the clock, but every chmod and every new hard link, as
// backup tools make, would look like a write.
//
// Conditions hold against every writer for IfAbsent, which is one system call.
// IfGeneration is checked under the Store's own lock right before the file is
// moved: another process could write in between, and what keeps that from
// happening is the lock on the state, not this package.
//
// It needs a file system with hard links, and modification times finer than the
// time between two writes of one object.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"prospector/internal/nolink"
	"prospector/sink/store"
)

const (
	// ours is the directory below the root for what is not part of any table.
	ours = ".prospector"

	// temporaries is where files are written before they are moved to their
	// names: below the root, since only within one file system is a move
	// atomic, and away from the objects, since one stray file below a table's
	// prefix makes every query of the table fail.
	temporaries = ours + "/tmp"

	// abandoned is the age after which a temporary file is a dead process's.
	// Nothing else is needed to tell: should a living process be suspended for
	// longer, its Put fails, and nothing is lost.
	abandoned = 24 * time.Hour
)

// Store is a store.Store. Open and OpenPrivate make one.
type Store struct {
	path    string // of the root, absolute
	root    *nolink.Dir
	private bool // every object, and not only those below ours

	// mu makes checking a condition and acting on it one step, and guards what
	// follows.
	mu sync.Mutex
	// durable are the directories known to survive a power cut, by path below
	// the root.
	durable map[string]bool
	// removals counts the directories that this Store has removed.
	removals int
	// lastWrite is the newest modification time given to a file.
	lastWrite time.Time
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.CaseFolder = (*Store)(nil)
	_ store.Sweeper    = (*Store)(nil)
	_ store.Dated      = (*Store)(nil)
)

// Open prepares the directory root, and makes it where it is missing. It removes
// temporary files that a killed process left there more than a day ago.
func Open(root string) (*Store, error) { return open(root, store.Shared) }

// OpenPrivate is Open for a store all of whose objects are private.
func OpenPrivate(root string) (*Store, error) { return open(root, store.Private) }

func open(root string, access store.Access) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	s := &Store{path: root, private: access == store.Private, durable: make(map[string]bool)}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	return s, nil
}

func (s *Store) prepare() (err error) {
	if err := makeRoot(s.path); err != nil {
		return err
	}
	s.root, err = nolink.Open(s.path)
	if errors.Is(err, syscall.ENOTDIR) {
		return errors.New("it is not a directory; name another path")
	}
	if err != nil {
		return err
	}
	if err := s.probe(); err != nil {
		s.root.Close()
		return err
	}
	return nil
}

// probe sees that the store can be written: better to learn that now than after
// an hour of work.
func (s *Store) probe() error {
	tmp, f, err := s.createTemporary(true)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("it is not writable for this user; change its permissions or name another path: %w", err)
	}
	if err != nil {
		return err
	}
	defer tmp.Close()
	if err := errors.Join(f.Close(), tmp.Remove(filepath.Base(f.Name()))); err != nil {
		return err
	}
	return s.removeAbandoned(time.Now())
}

// makeRoot makes dir and its parents, durably.
func makeRoot(dir string) error {
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeRoot(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o777)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("it cannot be made: %w", err)
	}
	parent, err := nolink.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// isPrivate reports whether only this user may read the object, or use the
// directory, at a path below the root.
func (s *Store) isPrivate(path string) bool {
	return s.private || path == ours || strings.HasPrefix(path, ours+"/")
}

// createTemporary makes an empty file in the directory that it also gives.
func (s *Store) createTemporary(private bool) (dir *nolink.Dir, f *os.File, err error) {
	if dir, err = s.root.Make(temporaries, true); err != nil {
		return nil, nil, err
	}
	name := rand.Text()
	if private {
		f, err = dir.Create(name)
	} else {
		f, err = dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return dir, f, nil
}

// FoldsCase reports whether the file system takes names for one that differ only in
// the case of letters: it looks for a temporary file by another name.
func (s *Store) FoldsCase() (folds bool, err error) {
	tmp, f, err := s.createTemporary(true)
	if err != nil {
		return false, fmt.Errorf("probing the file system of %s: %w", s.path, err)
	}
	defer tmp.Close()
	name := filepath.Base(f.Name()) // of capital letters and digits
	_, err = tmp.Lstat(strings.ToLower(name))
	if folds = err == nil; errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, f.Close(), tmp.Remove(name)); err != nil {
		return false, fmt.Errorf("probing the file system of %s: %w", s.path, err)
	}
	return folds, nil
}

// Sweep removes what killed processes have left, however lately. A Put that is
// under way, of this process or another, fails by it.
func (s *Store) Sweep() error {
	return s.removeTemporaries(func(nolink.Info) bool { return true })
}

func (s *Store) removeAbandoned(now time.Time) error {
	return s.removeTemporaries(func(f nolink.Info) bool { return now.Sub(f.ModTime) >= abandoned })
}

func (s *Store) removeTemporaries(which func(nolink.Info) bool) error {
	dir, err := s.root.Open(temporaries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.Names()
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := dir.Lstat(e.Name())
		if err != nil || !which(info) {
			continue // gone already, or perhaps in use
		}
		if err := dir.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what a killed process left: %w", err)
		}
	}
	return nil
}

// URI implements store.Store: file:///lake/key, percent-encoded where a URI
// must be.
func (s *Store) URI(key string) string {
	return uri(s.path, key)
}

// split gives the directory of an object, below the root, and its name there.
func split(ctx context.Context, key string) (dir, name string, err error) {
	if err := store.CheckKey(key); err != nil {
		return "", "", err
	}
	if strings.HasPrefix(key+"/", temporaries+"/") {
		return "", "", fmt.Errorf("object keys below %s/ are reserved", temporaries)
	}
	return path.Dir(key), path.Base(key), ctx.Err()
}

// Stat implements store.Store. It reads the whole file.
func (s *Store) Stat(ctx context.Context, key string) (store.Object, error) {
	o, err := s.stat(ctx, key)
	if err != nil {
		return store.Object{}, fmt.Errorf("describing %s: %w", s.URI(key), err)
	}
	return o, nil
}

func (s *Store) stat(ctx context.Context, key string) (store.Object, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	defer f.Close()
	size, crc, err := transfer(ctx, io.Discard, f)
	if err != nil {
		return store.Object{}, err
	}
	if size != info.Size {
		return store.Object{}, fmt.Errorf("its size went from %d to %d bytes while it was read; something writes it in place", info.Size, size)
	}
	return store.Object{Entry: entryOf(key, info), CRC32C: crc}, nil
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	f, _, err := s.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.URI(key), err)
	}
	return f, nil
}

func (s *Store) open(ctx context.Context, key string) (*os.File, nolink.Info, error) {
	rel, name, err := split(ctx, key)
	if err != nil {
		return nil, nolink.Info{}, err
	}
	dir, err := s.root.Open(rel)
	if err != nil {
		return nil, nolink.Info{}, notExist(err)
	}
	defer dir.Close()
	// First looked at, for opening a pipe would wait for its writer.
	if _, err := dir.Regular(name); err != nil {
		return nil, nolink.Info{}, notExist(err)
	}
	f, err := dir.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, nolink.Info{}, notExist(err)
	}
	info, err := nolink.Fstat(f)
	if err != nil {
		f.Close()
		return nil, nolink.Info{}, err
	}
	return f, info, nil
}

// Close implements store.Store.
func (s *Store) Close() error { return s.root.Close() }

// notExist gives store.ErrNotExist where no object can be.
func notExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return store.ErrNotExist
	}
	return err
}

// lookUp describes the object of that name in a directory below the root, or
// gives store.ErrNotExist.
func (s *Store) lookUp(rel, name string) (nolink.Info, error) {
	dir, err := s.root.Open(rel)
	if err != nil {
		return nolink.Info{}, notExist(err)
	}
	defer dir.Close()
	info, err := dir.Regular(name)
	if err != nil {
		return info, notExist(err)
	}
	return info, nil
}

func entryOf(key string, info nolink.Info) store.Entry {
	return store.Entry{
		Key:        key,
		Size:       info.Size,
		Generation: fmt.Sprintf("%x-%x-%x", info.Inode, info.Size, info.ModTime.UnixNano()),
	}
}
