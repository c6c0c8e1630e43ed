package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"prospector/sink/store"
)

// Local keeps the state in a file of this machine. Its lock is the operating
// system's (flock), so it ends with the process that holds it, however it ends,
// and not before.
type Local struct {
	storage
	lock *flock.Flock
}

// NewLocal is the backend of the state file at path. files is a store rooted at
// its directory, which makes every write atomic and durable.
func NewLocal(files store.Store, path string) *Local {
	return &Local{storage: storage{files: files, key: filepath.Base(path), path: path}}
}

func (l *Local) lockPath() string { return filepath.Join(filepath.Dir(l.path), "."+l.key+".lock") }
func (l *Local) infoPath() string { return l.lockPath() + ".info" }

// Lock takes the state for one run, or gives ErrLocked. The context that it gives
// is ctx: such a lock is not lost.
func (l *Local) Lock(ctx context.Context, info LockInfo) (context.Context, error) {
	lock := flock.New(l.lockPath())
	// A holder that is just beginning says who it is in a moment, and one that
	// is just ending has gone then.
	for attempt := 0; ; attempt++ {
		locked, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking the state %s: %w", l.path, err)
		}
		if locked {
			break
		}
		if holder := l.holder(); holder.ID != "" || attempt == 50 {
			return nil, &LockedError{holder}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	info.Path = l.path
	b, err := json.MarshalIndent(info, "", "  ")
	if err == nil {
		err = os.WriteFile(l.infoPath(), b, 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the state %s: %w", l.path, err), lock.Unlock())
	}
	l.lock = lock
	return ctx, nil
}

// holder is who says that it holds the lock.
func (l *Local) holder() (info LockInfo) {
	if b, err := os.ReadFile(l.infoPath()); err == nil {
		_ = json.Unmarshal(b, &info) // half written: nothing to tell
	}
	return info
}

// Unlock gives the state back. The lock's file stays: removing it would let two
// runs hold locks on files of the same name.
func (l *Local) Unlock() error {
	if l.lock == nil {
		return nil
	}
	err := errors.Join(l.removeInfo(), l.lock.Unlock())
	l.lock = nil
	return err
}

func (l *Local) removeInfo() error {
	if err := os.Remove(l.infoPath()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ForceUnlock always fails, and says what to do instead: a lock that a process
// holds cannot be taken from it, and one that nobody holds hinders nobody.
func (l *Local) ForceUnlock(_ context.Context, _ string) error {
	lock := flock.New(l.lockPath())
	locked, err := lock.TryLock()
	switch {
	case err != nil:
		return fmt.Errorf("unlocking the state %s: %w", l.path, err)
	case !locked:
		return fmt.Errorf("unlocking the state %s: %w: the operating system keeps this lock until that process ends, so end it instead", l.path, &LockedError{l.holder()})
	}
	// What a dead holder has said of itself would mislead people.
	if err := errors.Join(l.removeInfo(), lock.Unlock()); err != nil {
		return fmt.Errorf("unlocking the state %s: %w", l.path, err)
	}
	return fmt.Errorf("unlocking the state %s: %w", l.path, ErrNotLocked)
}
