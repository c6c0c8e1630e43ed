package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"prospector/sink/store"
)

// ErrLocked says that another run holds the state. errors.As finds the
// *LockedError that says which.
var ErrLocked = errors.New("the state is locked")

// LockInfo says who holds the state, since when and what for.
type LockInfo struct {
	ID        string    `json:"id"`
	Operation string    `json:"operation"` // "apply", "plan"
	Who       string    `json:"who"`       // user@host, process
	Created   time.Time `json:"created"`
	Path      string    `json:"path"`
}

// NewLockInfo describes this process.
func NewLockInfo(operation string, now time.Time) LockInfo {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return LockInfo{
		ID: uuid.NewString(), Operation: operation, Created: now.UTC(),
		Who: fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid()),
	}
}

// LockedError is the ErrLocked of a lock whose holder has said who it is.
type LockedError struct{ Holder LockInfo }

func (e *LockedError) Error() string {
	h := e.Holder
	if h.ID == "" {
		return ErrLocked.Error() + " by another run that is just beginning or ending"
	}
	return fmt.Sprintf("%s by %s (%s since %s, lock %s)", ErrLocked, h.Who, h.Operation, h.Created.Format(time.RFC3339), h.ID)
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// Local keeps the state in a file of this machine. Its lock is the operating
// system's (flock), so it ends with the process that holds it, however it ends.
type Local struct {
	files store.Store // rooted at the file's directory
	path  string
	// seen is the generation last read or written, "" for no file.
	seen string
	lock *flock.Flock
}

// NewLocal is the backend of the state file at path. files is a store rooted at
// its directory, which makes every write atomic and durable.
func NewLocal(files store.Store, path string) *Local {
	return &Local{files: files, path: path}
}

func (l *Local) key() string      { return filepath.Base(l.path) }
func (l *Local) lockPath() string { return filepath.Join(filepath.Dir(l.path), "."+l.key()+".lock") }
func (l *Local) infoPath() string { return l.lockPath() + ".info" }

// Path names the state for people.
func (l *Local) Path() string { return l.path }

// Lock takes the state for one run, or gives ErrLocked.
func (l *Local) Lock(info LockInfo) error {
	lock := flock.New(l.lockPath())
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking the state %s: %w", l.path, err)
	}
	if !locked {
		var holder LockInfo
		if b, err := os.ReadFile(l.infoPath()); err == nil {
			_ = json.Unmarshal(b, &holder) // half written: nothing to tell
		}
		return &LockedError{holder}
	}
	info.Path = l.path
	b, err := json.MarshalIndent(info, "", "  ")
	if err == nil {
		err = os.WriteFile(l.infoPath(), b, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("locking the state %s: %w", l.path, err), lock.Unlock())
	}
	l.lock = lock
	return nil
}

// Unlock gives the state back. The lock's file stays: removing it would let two
// runs hold locks on files of the same name.
func (l *Local) Unlock() error {
	if l.lock == nil {
		return nil
	}
	err := os.Remove(l.infoPath())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, l.lock.Unlock())
	l.lock = nil
	return err
}

// Read gives the state, or a new one where there is none.
func (l *Local) Read(ctx context.Context) (*State, error) {
	entry, err := l.files.Stat(ctx, l.key())
	if errors.Is(err, store.ErrNotExist) {
		l.seen = ""
		return New(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w", err)
	}
	b, err := l.bytes(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w", err)
	}
	s, err := Decode(b)
	if errors.Is(err, ErrNewer) {
		return nil, fmt.Errorf("reading the state %s: %w", l.path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state %s: %w; the one before it is in %s.backup", l.path, err, l.path)
	}
	l.seen = entry.Generation
	return s, nil
}

// Write replaces the state that was read or written last, keeping that one as a
// backup, and raises its serial. It gives store.ErrCondition, and leaves both
// files alone, when somebody else has replaced or deleted it meanwhile.
func (l *Local) Write(ctx context.Context, s *State) error {
	next := *s
	next.Serial++
	b, err := Encode(&next)
	if err != nil {
		return err
	}
	cond := store.IfAbsent()
	if l.seen != "" {
		cond = store.IfGeneration(l.seen)
		if err := l.backUp(ctx); err != nil {
			return fmt.Errorf("backing up the state %s: %w", l.path, err)
		}
	}
	written, err := l.files.Put(ctx, l.key(), store.ContentOf(b, "application/json"), cond)
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	l.seen = written.Generation
	s.Serial = next.Serial
	return nil
}

// backUp copies the state that was seen last. What somebody else has put in its
// place, perhaps damaged, must not cost the good backup.
func (l *Local) backUp(ctx context.Context) error {
	now, err := l.files.Stat(ctx, l.key())
	switch {
	case errors.Is(err, store.ErrNotExist) || err == nil && now.Generation != l.seen:
		return store.ErrCondition
	case err != nil:
		return err
	}
	b, err := l.bytes(ctx)
	if err != nil {
		return err
	}
	_, err = l.files.Put(ctx, l.key()+".backup", store.ContentOf(b, "application/json"), store.Condition{})
	return err
}

func (l *Local) bytes(ctx context.Context) ([]byte, error) {
	r, err := l.files.Open(ctx, l.key())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
