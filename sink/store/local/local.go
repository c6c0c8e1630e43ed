// Package local keeps objects as files below a directory, so that a key's path
// is its name and every tool can read them.
//
// A file appears, changes and disappears whole, whatever kills the process or
// the machine: Put writes aside, checks, synchronises, and only then moves the
// file to its name. Whatever else is found below the root is an object like any
// other, with three exceptions: directories are none, .prospector/tmp/ holds
// what is being written, and a symbolic link to a directory is not followed by
// List (it could lead anywhere, in circles too). A link to a file is that file.
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
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"prospector/sink/store"
)

const (
	// temporaries is where files are written before they are moved to their
	// names: below the root, since only within one file system is a move
	// atomic, and away from the objects, since one stray file below a table's
	// prefix makes every query of the table fail.
	temporaries = ".prospector/tmp"

	// abandoned is the age after which a temporary file is a dead process's.
	// Nothing else is needed to tell: should a living process be suspended for
	// longer, its Put fails, and nothing is lost.
	abandoned = 24 * time.Hour
)

// Store is a store.Store. Open makes one.
type Store struct {
	root string // absolute

	// mu makes checking a condition and acting on it one step, and guards what
	// follows.
	mu sync.Mutex
	// durable are the directories known to survive a power cut.
	durable map[string]bool
	// removals counts the directories that this Store has removed.
	removals int
	// lastWrite is the newest modification time given to a file.
	lastWrite time.Time
}

var _ store.Store = (*Store)(nil)

// Open prepares the directory root, and makes it where it is missing. It removes
// temporary files that a killed process left there more than a day ago.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	s := &Store{root: root, durable: map[string]bool{root: true}}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("opening the directory %s as a store: %w", root, err)
	}
	return s, nil
}

func (s *Store) prepare() error {
	if err := makeRoot(s.root); err != nil {
		return err
	}
	if info, err := os.Stat(s.root); err != nil {
		return err
	} else if !info.IsDir() {
		return errors.New("it is not a directory; name another path")
	}
	// Better to learn now than after an hour of work that it cannot be written.
	f, err := s.createTemporary()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("it is not writable for this user; change its permissions or name another path: %w", err)
	}
	if err != nil {
		return err
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
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
	return syncDir(filepath.Dir(dir))
}

// createTemporary makes an empty file with the permissions that the umask
// allows, for the lake's readers may be other users.
func (s *Store) createTemporary() (*os.File, error) {
	dir := filepath.Join(s.root, temporaries)
	name := filepath.Join(dir, rand.Text())
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	}
	return f, err
}

// Sweep removes what killed processes have left, however lately. A Put that is
// under way, of this process or another, fails by it.
func (s *Store) Sweep() error {
	err := s.removeTemporaries(func(os.FileInfo) bool { return true })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) removeAbandoned(now time.Time) error {
	return s.removeTemporaries(func(f os.FileInfo) bool { return now.Sub(f.ModTime()) >= abandoned })
}

func (s *Store) removeTemporaries(which func(os.FileInfo) bool) error {
	dir := filepath.Join(s.root, temporaries)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !which(info) {
			continue // gone already, or perhaps in use
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what a killed process left: %w", err)
		}
	}
	return nil
}

// URI implements store.Store: file:///lake/key, percent-encoded where a URI
// must be.
func (s *Store) URI(key string) string {
	return (&url.URL{Scheme: "file", Path: filepath.Join(s.root, key)}).String()
}

// path is where the object with that key is, or would be.
func (s *Store) path(ctx context.Context, key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	if strings.HasPrefix(key+"/", temporaries+"/") {
		return "", fmt.Errorf("object keys below %s/ are reserved", temporaries)
	}
	return filepath.Join(s.root, key), ctx.Err()
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
	if size != info.Size() {
		return store.Object{}, fmt.Errorf("its size went from %d to %d bytes while it was read; something writes it in place", info.Size(), size)
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

func (s *Store) open(ctx context.Context, key string) (*os.File, fs.FileInfo, error) {
	path, err := s.path(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	// First looked at, for opening a pipe would wait for its writer.
	if _, err := lookUp(path); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, store.ErrNotExist
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }

// lookUp describes the object at path, or gives store.ErrNotExist.
func lookUp(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.Mode().IsRegular() {
		return nil, store.ErrNotExist
	}
	return info, err
}

func entryOf(key string, info fs.FileInfo) store.Entry {
	inode := info.Sys().(*syscall.Stat_t).Ino
	return store.Entry{
		Key:        key,
		Size:       info.Size(),
		Generation: fmt.Sprintf("%x-%x-%x", inode, info.Size(), info.ModTime().UnixNano()),
	}
}
