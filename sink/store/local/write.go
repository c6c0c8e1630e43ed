package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"prospector/sink/store"
)

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	o, err := s.put(ctx, key, content, cond)
	if err != nil {
		return store.Object{}, fmt.Errorf("writing %s: %w", s.URI(key), err)
	}
	return o, nil
}

func (s *Store) put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	path, err := s.path(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	// Asked again when it matters; asked now to spare the copying.
	if err := check(path, cond); err != nil {
		return store.Object{}, err
	}
	f, err := s.createTemporary()
	if err != nil {
		return store.Object{}, err
	}
	defer os.Remove(f.Name()) // after a rename it is not there any more
	info, err := s.fill(ctx, f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return store.Object{}, err
	}
	if err := s.install(ctx, f.Name(), path, cond); err != nil {
		return store.Object{}, err
	}
	return store.Object{Entry: entryOf(key, info), CRC32C: content.CRC32C}, nil
}

// fill writes content into f so that it survives a power cut, and describes it.
// The description stays true when the file is moved.
func (s *Store) fill(ctx context.Context, f *os.File, content store.Content) (fs.FileInfo, error) {
	size, crc, err := transfer(ctx, f, io.LimitReader(content.Reader, content.Size+1))
	if err != nil {
		return nil, err
	}
	if size != content.Size || crc != content.CRC32C {
		return nil, fmt.Errorf("%w: announced were %d bytes with CRC32C %08x, read were %d with %08x",
			store.ErrCorrupt, content.Size, content.CRC32C, size, crc)
	}
	// The kernel's own time stamps are some milliseconds apart, and inodes are
	// used again: without this two writes could have one generation.
	if err := os.Chtimes(f.Name(), time.Time{}, s.stamp()); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return f.Stat()
}

// stamp is the current time, and later than any that it has given before.
func (s *Store) stamp() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.lastWrite) {
		s.lastWrite = now
	} else {
		s.lastWrite = s.lastWrite.Add(time.Nanosecond)
	}
	return s.lastWrite
}

// maxAttempts at moving a file into a directory that others keep removing.
const maxAttempts = 100

// install moves the finished file to path if cond holds, durably.
func (s *Store) install(ctx context.Context, file, path string, cond store.Condition) error {
	dir := filepath.Dir(path)
	var err error
	for range maxAttempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err = s.makeDir(dir); err == nil {
			err = s.move(file, path, cond)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.forget(dir) // a Delete, here or in another process, has removed it as empty
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// move is the one step in which an object appears.
func (s *Store) move(file, path string, cond store.Condition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cond.Absent() {
		return link(file, path)
	}
	if err := check(path, cond); err != nil {
		return err
	}
	return os.Rename(file, path)
}

// link gives a file a second name, which unlike a rename never replaces.
func link(file, path string) error {
	err := os.Link(file, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			return errors.New("something that is not a file has that name; remove it")
		}
		return store.ErrCondition
	case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM):
		return fmt.Errorf("creating only what is absent takes a file system with hard links: %w", err)
	}
	return err
}

// check gives store.ErrCondition when cond is not true of the object at path.
func check(path string, cond store.Condition) error {
	if cond == (store.Condition{}) {
		return nil
	}
	info, err := lookUp(path)
	switch {
	case errors.Is(err, store.ErrNotExist) && cond.Absent():
		return nil
	case errors.Is(err, store.ErrNotExist) || err == nil && cond.Generation() != entryOf("", info).Generation:
		return store.ErrCondition
	}
	return err
}

// makeDir makes the directory and its parents below the root. Each is made
// durable once, even when it was there: who made it may have died before that.
func (s *Store) makeDir(dir string) error {
	s.mu.Lock()
	durable, removals := s.durable[dir], s.removals
	s.mu.Unlock()
	if durable {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removals == removals { // else it may be this one that was removed
		s.durable[dir] = true
	}
	return nil
}

// forget makes makeDir look again at the directory and its parents.
func (s *Store) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; dir != s.root; dir = filepath.Dir(dir) {
		delete(s.durable, dir)
	}
}

// Delete implements store.Store. It also removes the directories that it leaves
// empty, up to the root: people, and readers that discover partitions, would
// take them for partitions. It does so even where there is no object: whoever
// deleted it may have been killed before it came to the directories. A Put that
// had just made one of them makes it again.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	path, err := s.path(ctx, key)
	if err == nil {
		var dir string
		if dir, err = s.remove(path, cond); err == nil {
			err = syncDir(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", s.URI(key), err)
	}
	return nil
}

// remove gives the directory that must be synchronised for the removal to last.
func (s *Store) remove(path string, cond store.Condition) (dir string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err = lookUp(path); err == nil {
		err = check(path, cond)
	}
	if err == nil {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = store.ErrNotExist
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return "", err
	}
	return s.prune(filepath.Dir(path)), err
}

// prune removes the directory and its parents as far as they are empty, and
// gives the first that stays. The kernel refuses the others. The caller holds
// the lock.
func (s *Store) prune(dir string) string {
	for dir != s.root {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		delete(s.durable, dir)
		s.removals++
		dir = filepath.Dir(dir)
	}
	return dir
}

// syncDir makes what was created, renamed or removed in dir survive a power cut.
// A directory that was removed meanwhile has nothing left that could.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil // some network file systems cannot synchronise directories, and say so
}

// buffers hold *[]byte: large enough that system calls do not show, small enough
// for many writers.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 256<<10)
	return &b
}}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// transfer copies r to w until r ends or the context does, and gives the length
// and CRC32C of what it has copied.
func transfer(ctx context.Context, w io.Writer, r io.Reader) (size int64, crc uint32, err error) {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	buf := *pooled
	for {
		if err := ctx.Err(); err != nil {
			return size, crc, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			crc = crc32.Update(crc, castagnoli, buf[:n])
			size += int64(n)
			if _, err := w.Write(buf[:n]); err != nil {
				return size, crc, err
			}
		}
		if err == io.EOF {
			return size, crc, nil
		}
		if err != nil {
			return size, crc, err
		}
	}
}
