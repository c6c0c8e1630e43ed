package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
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
	// Asked again when it matters; asked now to spare the copying.
	if err := check(func() (nolink.Info, error) { return s.lookUp(rel, name) }, cond); err != nil {
		return store.Object{}, err
	}
	tmp, f, err := s.createTemporary(s.isPrivate(key))
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

// fill writes content into f, which is in the directory, so that it survives a
// power cut, and describes it. The description stays true when the file is moved.
func (s *Store) fill(ctx context.Context, dir *nolink.Dir, f *os.File, content store.Content) (info nolink.Info, err error) {
	size, crc, err := transfer(ctx, f, io.LimitReader(content.Reader, content.Size+1))
	if err != nil {
		return info, err
	}
	if size != content.Size || crc != content.CRC32C {
		return info, fmt.Errorf("%w: announced were %d bytes with CRC32C %08x, read were %d with %08x",
			store.ErrCorrupt, content.Size, content.CRC32C, size, crc)
	}
	// The kernel's own time stamps are some milliseconds apart, and inodes are
	// used again: without this two writes could have one generation.
	if err := dir.SetModTime(filepath.Base(f.Name()), s.stamp()); err != nil {
		return info, err
	}
	if err := f.Sync(); err != nil {
		return info, err
	}
	return nolink.Fstat(f)
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

// install moves the finished file to its name in the directory rel if cond holds,
// durably.
func (s *Store) install(ctx context.Context, tmp *nolink.Dir, file, rel, name string, cond store.Condition) error {
	var err error
	for range maxAttempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		var dir *nolink.Dir
		if dir, err = s.makeDir(rel); err == nil {
			if err = s.move(tmp, file, dir, name, cond); err == nil {
				err = dir.Sync()
			}
			dir.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.forget(rel) // a Delete, here or in another process, has removed it as empty
	}
	return err
}

// move is the one step in which an object appears.
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

// link gives a file a second name, which unlike a rename never replaces.
func link(tmp *nolink.Dir, file string, dir *nolink.Dir, name string) error {
	err := tmp.Link(file, dir, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		switch _, err := dir.Regular(name); {
		case errors.Is(err, fs.ErrNotExist):
			return errors.New("something that is not a file has that name; remove it")
		case err != nil:
			return err
		}
		return store.ErrCondition
	case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM):
		return fmt.Errorf("creating only what is absent takes a file system with hard links: %w", err)
	}
	return err
}

// check gives store.ErrCondition when cond is not true of the object that lookUp
// describes, and the errors of lookUp but store.ErrNotExist.
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

// makeDir makes the directory and its parents below the root, and opens it. Each
// is made durable once, even when it was there: who made it may have died before
// that.
func (s *Store) makeDir(rel string) (*nolink.Dir, error) {
	s.mu.Lock()
	durable, removals := s.durable[rel], s.removals
	s.mu.Unlock()
	if durable || rel == "." {
		return s.root.Open(rel)
	}
	parent, err := s.makeDir(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := parent.Make(path.Base(rel), s.isPrivate(rel))
	if err != nil {
		return nil, err
	}
	if err := parent.Sync(); err != nil {
		dir.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removals == removals { // else it may be this one that was removed
		s.durable[rel] = true
	}
	return dir, nil
}

// forget makes makeDir look again at the directory and its parents.
func (s *Store) forget(rel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; rel != "."; rel = path.Dir(rel) {
		delete(s.durable, rel)
	}
}

// Delete implements store.Store. It also removes the directories that it leaves
// empty, up to the root: people, and readers that discover partitions, would
// take them for partitions. It does so even where there is no object: whoever
// deleted it may have been killed before it came to the directories. A Put that
// had just made one of them makes it again.
func (s *Store) Delete(ctx context.Context, key string, cond store.Condition) error {
	rel, name, err := split(ctx, key)
	if err == nil {
		if rel, err = s.remove(rel, name, cond); err == nil {
			err = s.sync(rel)
		}
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", s.URI(key), err)
	}
	return nil
}

// remove gives the directory that must be synchronised for the removal to last.
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
	return s.prune(rel), err
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

// prune removes the directory and its parents as far as they are empty, and
// gives the first that stays. The kernel refuses the others. The caller holds
// the lock.
func (s *Store) prune(rel string) string {
	for ; rel != "."; rel = path.Dir(rel) {
		parent, err := s.root.Open(path.Dir(rel))
		if err == nil {
			err = parent.RemoveDir(path.Base(rel))
			parent.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		delete(s.durable, rel)
		s.removals++
	}
	return rel
}

// sync makes a removal from the directory durable. A directory that was removed
// meanwhile has nothing left that could be lost.
func (s *Store) sync(rel string) error {
	dir, err := s.root.Open(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
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
