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

	"prospector/internal/nolink"
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
	rel, name, err := split(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	// install checks the condition again. Checking it here avoids copying in vain.
	if err := check(func() (nolink.Info, error) { return s.lookUp(rel, name) }, cond); err != nil {
		return store.Object{}, err
	}
	tmp, f, err := s.createTemporary(s.dirs.isPrivate(key))
	if err != nil {
		return store.Object{}, err
	}
	defer tmp.Close()
	temporary := filepath.Base(f.Name())
	defer func() { _ = tmp.Remove(temporary) }() // it is gone after a rename
	info, err := s.fill(ctx, tmp, f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return store.Object{}, err
	}
	if err := s.install(ctx, tmp, temporary, rel, name, cond); err != nil {
		return store.Object{}, err
	}
	return store.Object{Entry: entryOf(key, info), CRC32C: content.CRC32C}, nil
}

// fill writes content to f, a file in dir, makes it durable, and returns a description
// that stays true when the file is moved.
func (s *Store) fill(ctx context.Context, dir *nolink.Dir, f *os.File, content store.Content) (info nolink.Info, err error) {
	size, crc, err := transfer(ctx, f, content.Stream())
	if err != nil {
		return info, err
	}
	if err := content.Check(size, crc); err != nil {
		return info, err
	}
	// The kernel's own timestamps change only every few milliseconds, and inodes are
	// reused. Without this, two writes could have the same generation.
	if err := dir.SetModTime(filepath.Base(f.Name()), s.stamp()); err != nil {
		return info, err
	}
	if err := f.Sync(); err != nil {
		return info, err
	}
	return nolink.Fstat(f)
}

// stamp returns the current time, but always a later one than before.
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

// maxAttempts limits the attempts to move a file into a directory that other writers
// keep removing.
const maxAttempts = 100

// install moves the finished file to its name in the directory rel if cond holds, and
// makes the move durable.
func (s *Store) install(ctx context.Context, tmp *nolink.Dir, file, rel, name string, cond store.Condition) error {
	var err error
	for range maxAttempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		var dir *nolink.Dir
		if dir, err = s.dirs.open(rel); err == nil {
			if err = s.move(tmp, file, dir, name, cond); err == nil {
				err = dir.Sync()
			}
			dir.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.dirs.forget(rel) // a Delete, here or in another process, has removed it because it was empty
	}
	return err
}

// move makes the object appear or change in a single step.
func (s *Store) move(tmp *nolink.Dir, file string, dir *nolink.Dir, name string, cond store.Condition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cond.Absent() {
		return link(tmp, file, dir, name)
	}
	seen, err := dir.Regular(name)
	if _, isLink := errors.AsType[*nolink.LinkError](err); isLink {
		return err // a rename would replace the link
	}
	if err := check(func() (nolink.Info, error) { return seen, notExist(err) }, cond); err != nil {
		return err
	}
	return tmp.Rename(file, dir, name)
}

// link adds a second name to a file. Unlike a rename, it never replaces a file.
func link(tmp *nolink.Dir, file string, dir *nolink.Dir, name string) error {
	err := tmp.Link(file, dir, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		switch _, err := dir.Regular(name); {
		case errors.Is(err, fs.ErrNotExist):
			return errors.New("something that is not a file has this name; remove it")
		case err != nil:
			return err
		}
		return store.ErrCondition
	case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM):
		return fmt.Errorf("the file system must support hard links: %w", err)
	}
	return err
}

// check returns store.ErrCondition if cond does not hold for the object that lookUp
// describes. It returns errors of lookUp, except store.ErrNotExist.
func check(lookUp func() (nolink.Info, error), cond store.Condition) error {
	if cond == (store.Condition{}) {
		return nil
	}
	info, err := lookUp()
	switch {
	case errors.Is(err, store.ErrNotExist) && cond.Absent():
		return nil
	case errors.Is(err, store.ErrNotExist) || err == nil && cond.Generation() != entryOf("", info).Generation:
		return store.ErrCondition
	}
	return err
}

// Delete implements store.Store. It also removes directories that become empty, up to
// the root, because people and query engines would mistake them for partitions. It does
// so even if the object does not exist, because the process that deleted it may have been
// killed before it removed the directories. If a concurrent Put has just created one of
// them, that Put creates it again.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	rel, name, err := split(ctx, key)
	if err == nil {
		if rel, err = s.remove(rel, name, cond); err == nil {
			err = s.dirs.sync(rel)
		}
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", s.URI(key), err)
	}
	return nil
}

// remove removes a file and returns the directory to sync, so that the removal is
// durable.
func (s *Store) remove(rel, name string, cond store.Condition) (left string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.root.Open(rel)
	if err == nil {
		defer dir.Close()
		err = removeFile(dir, name, cond)
	}
	if err = notExist(err); err != nil && !errors.Is(err, store.ErrNotExist) {
		return "", err
	}
	return s.dirs.prune(rel), err
}

func removeFile(dir *nolink.Dir, name string, cond store.Condition) error {
	info, err := dir.Regular(name)
	if err != nil {
		return err
	}
	if err := check(func() (nolink.Info, error) { return info, nil }, cond); err != nil {
		return err
	}
	return dir.Remove(name)
}

// buffers holds *[]byte. They are large enough that system calls cost little, and small
// enough for many writers.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 256<<10)
	return &b
}}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// transfer copies r to w until r or the context ends, and returns the length and the
// CRC32C of the copied bytes.
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
