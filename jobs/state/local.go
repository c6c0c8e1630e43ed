package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"prospector/internal/nolink"
	"prospector/sink/store"
)

// Local keeps the state in a file on this machine. Its lock is a lock of the operating
// system (flock), which ends exactly when the process that holds it ends.
//
// Neither the state nor a file next to it may be a symbolic link: see package
// sink/store/local.
type Local struct {
	storage
	dir  *nolink.Dir // while the lock is held
	lock *os.File
}

// NewLocal returns the backend of the state file at path. The root of the store is
// the directory of the file, and its writes are atomic and durable.
func NewLocal(files store.Store, path string) *Local {
	return &Local{storage: storage{files: files, key: filepath.Base(path), path: path}}
}

func (l *Local) lockName() string { return "." + l.key + ".lock" }
func (l *Local) infoName() string { return l.lockName() + ".info" }

// openDir opens the directory that has the state.
func (l *Local) openDir() (*nolink.Dir, error) { return nolink.Open(filepath.Dir(l.path)) }

// Lock takes the lock for one run, or returns ErrLocked. It returns ctx, because a
// local lock is never lost.
func (l *Local) Lock(ctx context.Context, info LockInfo) (context.Context, error) {
	dir, lock, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	info.Path = l.path
	b, err := json.MarshalIndent(info, "", "  ")
	if err == nil {
		err = dir.WriteFile(l.infoName(), b)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the state %s: %w", l.path, err), lock.Close(), dir.Close())
	}
	l.dir, l.lock = dir, lock
	return ctx, nil
}

// take locks the lock file. It returns the file and its directory.
func (l *Local) take(ctx context.Context) (_ *nolink.Dir, _ *os.File, err error) {
	dir, err := l.openDir()
	if err != nil {
		return nil, nil, fmt.Errorf("locking the state %s: %w", l.path, err)
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	// A holder without a description is either starting, and writes it in a
	// moment, or ending, and releases the lock.
	for attempt := 0; ; attempt++ {
		lock, err := dir.TryLock(l.lockName())
		if err != nil {
			return nil, nil, fmt.Errorf("locking the state %s: %w; if no other run is in progress, remove %s", l.path, err, filepath.Join(filepath.Dir(l.path), l.lockName()))
		}
		if lock != nil {
			return dir, lock, nil
		}
		if holder := l.holder(dir); holder.ID != "" || attempt == 50 {
			return nil, nil, &LockedError{holder}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// holder returns the description that the holder of the lock has written.
func (l *Local) holder(dir *nolink.Dir) (info LockInfo) {
	if f, err := dir.OpenFile(l.infoName(), os.O_RDONLY, 0); err == nil {
		defer f.Close()
		if b, err := store.ReadAll(f, maxLockInfo); err == nil {
			_ = json.Unmarshal(b, &info) // an incomplete description leaves the holder unknown
		}
	}
	return info
}

// CheckLock returns ErrNotLocked without a lock. A local lock is never lost.
func (l *Local) CheckLock() error {
	if l.lock == nil {
		return ErrNotLocked
	}
	return nil
}

// Unlock releases the lock. The lock file remains, because two runs could otherwise
// hold locks on different files with the same name.
func (l *Local) Unlock() error {
	if l.lock == nil {
		return nil
	}
	err := errors.Join(l.removeInfo(l.dir), l.lock.Close(), l.dir.Close())
	l.dir, l.lock = nil, nil
	return err
}

func (l *Local) removeInfo(dir *nolink.Dir) error {
	if err := dir.Remove(l.infoName()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ForceUnlock always returns an error that describes what to do instead. No
// process can take the lock from its holder, and a lock file without a holder
// does not block any run.
func (l *Local) ForceUnlock(_ context.Context, _ string) error {
	if err := l.forceUnlock(); err != nil {
		return fmt.Errorf("unlocking the state %s: %w", l.path, err)
	}
	return fmt.Errorf("unlocking the state %s: %w", l.path, ErrNotLocked)
}

func (l *Local) forceUnlock() error {
	dir, err := l.openDir()
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := dir.TryLock(l.lockName())
	switch {
	case err != nil:
		return err
	case lock == nil:
		return fmt.Errorf("%w: the operating system keeps this lock until that process ends, so end it instead", &LockedError{l.holder(dir)})
	}
	// A description left by a dead holder would mislead.
	return errors.Join(l.removeInfo(dir), lock.Close())
}
