// Package local stores objects as files below a directory. The key of an object is the
// path of its file, so that every tool can read it.
//
// A file appears, changes and disappears atomically, whatever kills the process or the
// machine. Put writes a temporary file, checks it, syncs it, and only then moves it to
// its name. Every file below the root is an object, except for the temporary files in
// .prospector/tmp/.
//
// # Symbolic links
//
// The root may be a symbolic link, or be reached through links, since the user chose
// it. Below the root the package follows no link. That includes links to other places
// below the root, which would show the same rows twice. A link at a key, or in place of
// a directory on the way to it, is a nolink.LinkError in every operation. List returns
// that error as well if it finds a link among the keys with its prefix. If a link
// replaces a directory during an operation, the operation fails, because package nolink
// opens one path element at a time. The same rule applies to everything that prospector
// keeps on this machine: the files next to a local state, and the data directory.
//
// # Modes
//
// Objects whose keys begin with .prospector/ hold personal data, so they are private:
// files have the mode 0600 and directories 0700, whatever the umask. The package narrows
// directories that an earlier version has created with a wider mode. In a store of
// OpenPrivate every object is private. All other files and directories have the modes
// that the umask allows, since readers of the lake may be other users. The package does
// not change the mode of the root.
//
// # Generations
//
// The generation of an object consists of the inode, size and modification time of its
// file, which List learns without reading the file. Every Put creates a new file and
// sets a modification time that no other Put of this process has set. Equal generations
// therefore mean equal content, unless something changes a file in place and then sets
// its modification time back. Generations do not change when the complete tree is moved or
// permissions change. A copy of a file has a new generation. The inode's change time
// would reveal even a modification time that was set back, but then chmod, and hard links
// that backup tools create, would look like writes.
//
// IfAbsent holds against every writer, since it is one system call. IfGeneration is
// checked under the lock of the Store, right before the file is moved. Another process
// could write in between. The lock on the state prevents that, not this package.
//
// The file system must support hard links, and modification times that are finer than
// the time between two writes of one object.
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
	// ownDir is the directory below the root for objects that belong to no table.
	ownDir = ".prospector"

	// temporaries is the directory for files before they are moved to their names.
	// It is below the root, since a move is atomic only within one file system. It
	// is apart from the objects, since a single stray file below a table's prefix
	// makes every query of the table fail.
	temporaries = ownDir + "/tmp"

	// abandoned is the age after which a temporary file must belong to a dead
	// process. If a living process was suspended for longer, its Put fails, and
	// nothing is lost.
	abandoned = 24 * time.Hour
)

// Store is a store.Store. Open and OpenPrivate make one.
type Store struct {
	path string // of the root, absolute
	root *nolink.Dir
	dirs *directories

	// mu makes checking a condition and acting on it one step. It also guards
	// lastWrite.
	mu sync.Mutex
	// lastWrite is the newest modification time given to a file.
	lastWrite time.Time
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.CaseFolder = (*Store)(nil)
	_ store.Sweeper    = (*Store)(nil)
	_ store.Dated      = (*Store)(nil)
)

// Open opens the directory root, and creates it if it does not exist. It removes
// temporary files that a killed process left there more than a day ago.
func Open(root string) (*Store, error) { return open(root, store.Access{}) }

// OpenPrivate is Open for a store all of whose objects are private.
func OpenPrivate(root string) (*Store, error) { return open(root, store.Access{Private: true}) }

func open(root string, access store.Access) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	s := &Store{path: root}
	if err := s.prepare(access.Private); err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	return s, nil
}

func (s *Store) prepare(private bool) (err error) {
	if err := makeRoot(s.path); err != nil {
		return err
	}
	s.root, err = nolink.Open(s.path)
	if errors.Is(err, syscall.ENOTDIR) {
		return errors.New("it is not a directory; use another path")
	}
	if err != nil {
		return err
	}
	s.dirs = &directories{root: s.root, private: private, durable: make(map[string]bool)}
	if err := s.probe(); err != nil {
		s.root.Close()
		return err
	}
	return nil
}

// probe checks that the store is writable, so that a run fails at its beginning and not
// after an hour of work.
func (s *Store) probe() error {
	tmp, f, err := s.createTemporary(true)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("this user cannot write to it; change its permissions or use another path: %w", err)
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

// makeRoot creates dir and its parents and makes them durable.
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
		return fmt.Errorf("it cannot be created: %w", err)
	}
	parent, err := nolink.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// createTemporary creates an empty file and returns it with its directory.
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

// FoldsCase implements store.CaseFolder. It creates a temporary file and looks for it
// under a name in lower case.
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

// Sweep implements store.Sweeper.
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
			continue // removed already, or possibly in use
		}
		if err := dir.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a temporary file: %w", err)
		}
	}
	return nil
}

// URI implements store.Store: file:///lake/key, percent-encoded where necessary.
func (s *Store) URI(key string) string {
	return uri(s.path, key)
}

// split returns the directory of an object below the root, and its name there.
func split(ctx context.Context, key string) (dir, name string, err error) {
	if err := store.CheckKey(key); err != nil {
		return "", "", err
	}
	if strings.HasPrefix(key+"/", temporaries+"/") {
		return "", "", fmt.Errorf("object keys below %s/ are reserved", temporaries)
	}
	return path.Dir(key), path.Base(key), ctx.Err()
}

// Stat implements store.Store. It reads the complete file.
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
		return store.Object{}, fmt.Errorf("its size changed from %d to %d bytes during the read; another program writes to the file", info.Size, size)
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
	// Check the type first, since opening a pipe would wait for its writer.
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

// notExist returns store.ErrNotExist for errors that mean that no object exists.
func notExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return store.ErrNotExist
	}
	return err
}

// lookUp describes the object with that name in a directory below the root, or returns
// store.ErrNotExist.
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
