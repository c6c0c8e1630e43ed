// Package run joins the stages of a run. It is the only package that imports all of
// them.
//
// A Session holds the lock of the state. Session.Plan refreshes, reads, reconciles and
// stages; it does not change a sink. Session.Apply publishes a plan of the same
// session, or one that another session has saved, and saves the state. If a session
// is killed, the next one continues from the journal of pages and from the pending
// changes in the state.
//
// The package prints nothing. It reports progress to an Observer.
package run

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"prospector/extract"
	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/publish"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
)

// Backend stores the state.
type Backend interface {
	// Lock takes the lock of the state for one run, or returns state.ErrLocked. The
	// context that it returns ends when the lock is lost, with a cause that wraps
	// state.ErrLockLost.
	Lock(context.Context, state.LockInfo) (context.Context, error)
	// CheckLock returns an error if the lock is lost, or may be lost. It makes no request,
	// and may be called concurrently.
	CheckLock() error
	// Unlock releases the lock. It returns a *state.UnlockError if the lock was lost or
	// cannot be released.
	Unlock() error
	Read(context.Context) (*state.State, error)
	// Write replaces the state that was last read or written, and raises its serial.
	Write(context.Context, *state.State) error
	// Push replaces any state with one that has its own lineage and serial, if
	// state.CheckPush or force allows it.
	Push(ctx context.Context, s *state.State, force bool) error
	// ForceUnlock releases the lock with an ID. Its run must not be alive.
	ForceUnlock(ctx context.Context, id string) error
	// Store returns the store that has the state, and the prefix of the keys of
	// objects next to it.
	Store() (store.Store, string)
	// Path returns the name of the state in messages.
	Path() string
}

// Observer receives the progress of a session. Its methods may be called
// concurrently, and must return quickly.
type Observer interface {
	// Waiting reports that this run waits for the lock of the state, which another run
	// holds.
	Waiting(*state.LockedError)
	read.Observer
	// Staged reports that a job was read and its files are staged.
	Staged(job string)
	publish.Observer
}

// Options configure a session.
type Options struct {
	Config *jobs.Configuration
	// DataDir is the private directory for files of the runs of one state. All of them
	// are disposable. DataDir is below DataRoot, a directory that the user has named;
	// "" is the parent of DataDir. Symbolic links between the two are not followed.
	DataDir  string
	DataRoot string
	Backend  Backend
	Sources  extract.Kinds
	OpenSink func(context.Context, jobs.Sink) (store.Store, error)
	Observer Observer
	Logger   *slog.Logger // nil discards
	// Stdin has the list of prospects if its file is "-".
	Stdin     io.Reader
	Now       func() time.Time
	UserAgent string
	// WorkDir receives the state if the backend cannot write it.
	WorkDir store.Store
	// LockTimeout is how long to wait for the lock; 0 does not wait.
	LockTimeout time.Duration
	// Parallelism limits how many objects of each sink are written at once, in addition
	// to the limit of the sink; 0 means no limit.
	Parallelism int
	// Concurrency limits how many prospects are read at once, in addition to the limit
	// of their source; 0 means no limit.
	Concurrency int
}

// Session is one run. Its methods must not be called concurrently.
type Session struct {
	options   Options
	info      state.LockInfo // of this run
	serial    int64          // of the state when the run began
	state     *state.State
	sinks     *sinks
	workspace *workspace
	files     *reconcile.FileBuilder
	// published counts, by job address, what Apply has published so far.
	published map[string]plan.Summary
	// tombstones are those of the state and of every open sink, after readTombstones.
	tombstones tombstone.Set
}

// Open locks and reads the state, and opens the sinks of every job. The context that
// it returns is for the session. It is canceled when ctx is, or when the lock is lost.
func Open(ctx context.Context, o Options, operation string) (_ context.Context, _ *Session, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Session{options: o, info: state.NewLockInfo(operation, o.Now()), sinks: newSinks(o.Config.Sinks, o.OpenSink)}
	ctx, err = state.LockWithin(ctx, o.Backend, s.info, o.LockTimeout, o.Observer.Waiting)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.state, err = o.Backend.Read(ctx); err != nil {
		return nil, nil, err
	}
	s.serial = s.state.Serial
	for _, job := range o.Config.Jobs {
		for _, sink := range job.Sinks {
			if _, err := s.sinks.open(ctx, sink); err != nil {
				return nil, nil, err
			}
		}
	}
	if s.workspace, err = openWorkspace(o.DataRoot, o.DataDir, s.info.ID, o.Now); err != nil {
		return nil, nil, err
	}
	s.files = s.workspace.fileBuilder()
	return ctx, s, nil
}

// State returns the state as the session has last read or changed it.
func (s *Session) State() *state.State { return s.state }

// Close deletes the staged files, closes the sinks and releases the lock.
func (s *Session) Close() error {
	var errs []error
	if s.workspace != nil {
		errs = append(errs, s.workspace.close())
	}
	return errors.Join(append(errs, s.sinks.close(), s.options.Backend.Unlock())...)
}

// memory returns the memory limit of the run.
func (s *Session) memory() reconcile.Memory {
	return reconcile.Memory(cmp.Or(s.options.Config.MemoryLimit, jobs.DefaultMemoryLimit))
}

// lists returns the lists of prospects next to the state.
func (s *Session) lists() lists.Lists { return lists.New(s.options.Backend.Store()) }
