package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"prospector/jobs"
	"prospector/jobs/config"
	"prospector/jobs/migrate"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// backend is a place of the state. A run uses it, and init moves the state from one to
// another.
type backend interface {
	run.Backend
	migrate.Backend
}

// openBackend opens the place of the state. On this machine the operating system
// locks the state's file. Elsewhere the lock is an object with a lease.
func openBackend(ctx context.Context, b jobs.Backend) (backend, error) {
	files, err := b.Open(ctx, store.Access{Private: true})
	switch {
	case errors.Is(err, context.Canceled): // an interrupt says nothing about the place
		return nil, err
	case err != nil:
		return nil, b.Unusable("The state cannot be kept there", err)
	}
	if dir, ok := b.Directory(); ok {
		return state.NewLocal(files, filepath.Join(dir, b.Key)), nil
	}
	return state.NewRemote(files, b.Key, state.RemoteOptions{}), nil
}

// backends know where the state of a directory is, and where it was.
type backends struct {
	dir               string // of the configuration, absolute
	dataRoot, dataDir string
	kinds             store.Kinds
}

func backendsOf(e *env) backends {
	b := backends{dir: e.dir, kinds: e.Stores}
	if abs, err := filepath.Abs(e.dir); err == nil {
		b.dir = abs
	}
	b.dataRoot, b.dataDir = e.dataDir()
	return b
}

// open opens the configured backend for a command other than init. It returns an error if
// the state may be in another place, where the last run in this directory kept it.
func (b backends) open(ctx context.Context, configured jobs.Backend) (backend, error) {
	former, err := b.former(configured)
	switch {
	case err != nil:
		return nil, err
	case former != nil && former.recorded:
		return nil, former.changed(configured)
	}
	opened, err := openBackend(ctx, configured)
	if err != nil || former == nil {
		return opened, err
	}
	return opened, former.unused(ctx, configured, opened)
}

// opener opens the configured backend.
type opener func(context.Context, jobs.Backend) (backend, error)

// openLocked opens the configured backend for force-unlock. A killed init can leave a lock
// there and in the former backend, so ForceUnlock releases the lock in either of them.
func (b backends) openLocked(ctx context.Context, configured jobs.Backend) (backend, error) {
	opened, err := openBackend(ctx, configured)
	if err != nil {
		return nil, err
	}
	former, err := b.former(configured)
	return lockedPlaces{opened, former}, err
}

type lockedPlaces struct {
	backend
	former *former // or nil
}

// ForceUnlock releases the lock with the ID.
func (l lockedPlaces) ForceUnlock(ctx context.Context, id string) error {
	err := l.backend.ForceUnlock(ctx, id)
	elsewhere := errors.Is(err, state.ErrNotLocked) || errors.Is(err, state.ErrLocked)
	if !elsewhere || l.former == nil {
		return err
	}
	from, openErr := l.former.open(ctx)
	if openErr == nil && from != nil && from.ForceUnlock(ctx, id) == nil {
		return nil
	}
	return err
}

// former is a backend that is not the configured one, and may have the state.
type former struct {
	jobs.Backend
	// recorded is true if the last run in this directory used the backend. Otherwise it
	// is the default backend.
	recorded bool
}

// former returns the backend of the last init or run in this directory. Without a record
// it returns the default backend if that has a state file. It returns nil if that is the
// configured backend, or if there is none.
func (b backends) former(configured jobs.Backend) (*former, error) {
	at, err := b.recorded(configured)
	if err != nil {
		return nil, err
	}
	f := former{recorded: at != nil}
	if f.recorded {
		f.Backend = *at
	} else if f.Backend = config.DefaultBackend(b.dir, b.kinds); f.Kind == nil || !f.hasFile() {
		return nil, nil
	}
	if f.URI(f.Key) == configured.URI(configured.Key) {
		return nil, nil
	}
	return &f, nil
}

// hasFile reports whether a backend on this machine has a file with the name of the
// state.
func (f *former) hasFile() bool {
	dir, ok := f.Directory()
	if !ok {
		return false
	}
	_, err := os.Lstat(filepath.Join(dir, f.Key))
	return err == nil
}

// open opens the former backend, or returns nil if it is a directory that no longer
// exists.
func (f *former) open(ctx context.Context) (backend, error) {
	if dir, ok := f.Directory(); ok {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return nil, nil
		}
	}
	opened, err := openBackend(ctx, f.Backend)
	if d, ok := errors.AsType[jobs.Diagnostic](err); ok {
		d.Summary = "The former backend cannot be opened"
		return nil, d
	}
	return opened, err
}

// shown returns the place of the state for messages.
func shown(b jobs.Backend) string {
	if dir, ok := b.Directory(); ok {
		return filepath.Join(dir, b.Key)
	}
	return b.URI(b.Key)
}

const movingAdvice = "To move the state to the configured backend:\n\n    prospector init -migrate-state\n\n" +
	"To use the configured backend as it is, without moving anything:\n\n    prospector init -reconfigure"

// changed returns the error that the last run used another backend.
func (f *former) changed(configured jobs.Backend) error {
	return configured.Diagnose("", "Backend configuration changed", fmt.Sprintf(
		"The last run in this directory kept the state in\n\n    %s\n\nbut the configuration names\n\n    %s\n\n"+
			"%s\n\nIf another machine has already moved it:\n\n    prospector init", shown(f.Backend), shown(configured), movingAdvice))
}

// unused returns an error if a directory without a record has a state in the default
// backend, and the configured one has none, or one that owns nothing, as a killed move
// leaves. With it, a plan would create everything again.
func (f *former) unused(ctx context.Context, configured jobs.Backend, opened run.Backend) error {
	from, err := f.open(ctx)
	if err != nil || from == nil {
		return nil
	}
	if s, err := from.Read(ctx); err != nil || s.Empty() {
		return nil // there is nothing that could be lost
	}
	s, err := opened.Read(ctx)
	if err != nil || !s.Empty() {
		return nil // the command reports the error
	}
	summary, which := "The configured backend has no state", "has none"
	if s.Serial > 0 {
		summary, which = "The configured backend has an empty state", "has an empty one"
	}
	return configured.Diagnose("", summary, fmt.Sprintf(
		"There is a state in\n\n    %s\n\nbut the configuration names\n\n    %s\n\nwhich %s. A run would create everything again.\n\n%s",
		shown(f.Backend), shown(configured), which, movingAdvice))
}
