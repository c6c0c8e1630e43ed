// Package run carries a configuration out: it is the only package that knows
// every stage, and it joins them.
//
// A Session holds the state's lock. Plan refreshes, extracts, flattens and
// stages; it touches nothing in a lake. Apply publishes what a plan of the same
// session has staged, or one that another has saved, and records it. Killed at
// any instant, the next session goes on from the journal of pages and from what
// the state says was pending.
//
// It prints nothing: an Observer is told what happens.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"time"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/publish"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// Backend is where the state is kept.
type Backend interface {
	// Lock takes the state for one run, or gives state.ErrLocked. The context
	// that it gives ends, with a cause that wraps state.ErrLockLost, when the
	// lock is lost.
	Lock(context.Context, state.LockInfo) (context.Context, error)
	Unlock() error
	Read(context.Context) (*state.State, error)
	// Write replaces what was read or written last, and raises the serial.
	Write(context.Context, *state.State) error
	// Push replaces whatever is there by a state with its own lineage and
	// serial, if state.CheckPush or force allows it.
	Push(ctx context.Context, s *state.State, force bool) error
	// ForceUnlock takes the lock with that ID from a run that is known to be
	// dead.
	ForceUnlock(ctx context.Context, id string) error
	// Beside is the store that the state is in, and the prefix of the keys for
	// what is kept beside it.
	Beside() (store.Store, string)
	// Path names the state for people.
	Path() string
}

// Observer is told what happens in a session. Its methods may be called
// concurrently, and should return at once.
type Observer interface {
	// Waiting: another run holds the state, and this one waits for it.
	Waiting(*state.LockedError)
	read.Observer
	// Staged: the job is read to its end, and its files are ready.
	Staged(job string)
	publish.Observer
}

// Options are what a session needs from the outside.
type Options struct {
	Config *jobs.Configuration
	// DataDir is where the sessions of one state keep their own files, all of
	// them disposable. Nothing else is kept there. It is private to its user, and
	// no symbolic link is followed from DataRoot on, which is the directory that
	// the user has named; "" is the parent of DataDir.
	DataDir   string
	DataRoot  string
	Backend   Backend
	Sources   extract.Kinds
	OpenSink  func(context.Context, jobs.Sink) (store.Store, error)
	Observer  Observer
	Logger    *slog.Logger
	Stdin     io.Reader
	Now       func() time.Time
	UserAgent string
	// WorkDir is where a state goes that could not be written to its place.
	WorkDir store.Store
	// LockTimeout is how long another run is waited for; 0 is not at all.
	LockTimeout time.Duration
	// Parallelism is how many objects are written at once; 0 is enough to hide
	// the latency of a remote store.
	Parallelism int
	// Concurrency limits how many prospects are read at once, whatever their
	// source allows; 0 does not.
	Concurrency int
}

const defaultParallelism = 16

// Session is one run. It is for one goroutine.
type Session struct {
	Options
	info   state.LockInfo // of this run
	serial int64          // of the state as it was
	data   *nolink.Dir    // DataDir
	state  *state.State
	stores map[string]store.Store  // by sink address
	done   map[string]plan.Summary // what was published so far, by job address
	stages []io.Closer
	files  *reconcile.FileBuilder
	// keepJournals is true until a plan is complete and, if it is applied,
	// applied to its end; read are the journals that it has used, by their paths
	// in the data directory.
	keepJournals bool
	read         []string
	// tombstones are those of the state and of every open sink, once they are read.
	tombstones tombstone.Set
}

// Open locks and reads the state, and opens every sink. What an earlier, killed
// session has left in the data directory is removed, except for the journals of
// pages. The context that it gives is the session's: it ends with ctx, and when
// the lock is lost.
func Open(ctx context.Context, o Options, operation string) (_ context.Context, _ *Session, err error) {
	if o.Parallelism == 0 {
		o.Parallelism = defaultParallelism
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Session{Options: o, stores: make(map[string]store.Store), done: make(map[string]plan.Summary), keepJournals: true}
	s.info = state.NewLockInfo(operation, o.Now())
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
		for _, to := range job.Sinks {
			if _, err := s.open(ctx, to); err != nil {
				return nil, nil, err
			}
		}
	}
	if s.data, err = MakeDataDir(o.DataRoot, o.DataDir); err != nil {
		return nil, nil, err
	}
	s.files = &reconcile.FileBuilder{
		Verify: verify.Check, Rejected: reconcile.NewRejectedFiles(s.data, o.DataDir, path.Join(stages, s.info.ID), rejects),
	}
	if err := s.data.RemoveAll(stages); err != nil {
		return nil, nil, fmt.Errorf("clearing what an earlier run has staged: %w", err)
	}
	return ctx, s, nil
}

// MakeDataDir makes and opens the data directory, as Options describes it.
func MakeDataDir(root, dir string) (*nolink.Dir, error) {
	root = cmp.Or(root, filepath.Dir(dir))
	rel, err := filepath.Rel(root, dir)
	var made *nolink.Dir
	if err == nil {
		made, err = nolink.MakePrivate(root, filepath.ToSlash(rel))
	}
	if link, ok := errors.AsType[*nolink.LinkError](err); ok {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The data directory is a symbolic link",
			Detail: link.Error() + ". To keep prospector's own files elsewhere, set PROSPECTOR_DATA_DIR to that directory."}
	}
	if err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	return made, nil
}

// The directories in the data directory.
const (
	stages   = "stage"
	journals = "journal"
	rejects  = "rejected" // the files that the second reader has rejected last
)

// stageDir is this run's own, so that a run which comes back after it has lost its
// lock does not remove what its successor has staged.
func (s *Session) stageDir() string { return filepath.Join(s.DataDir, stages, s.info.ID) }

// makeStageDir makes a directory in stageDir, or that one with "", and gives its
// path.
func (s *Session) makeStageDir(name string) (string, error) {
	made, err := s.data.Make(path.Join(stages, s.info.ID, name), true)
	if err != nil {
		return "", fmt.Errorf("making the staging directory: %w", err)
	}
	return filepath.Join(s.stageDir(), name), made.Close()
}

// openJournal opens the journal of a job's pages.
func (s *Session) openJournal(job jobs.Job, binding string) (*spool.Journal, error) {
	name := path.Join(journals, fileName(job.Address))
	parent, err := s.data.Make(journals, true)
	if err != nil {
		return nil, fmt.Errorf("making the directory of page journals: %w", err)
	}
	parent.Close()
	s.read = append(s.read, name)
	dir := filepath.Join(s.DataDir, name)
	j, err := spool.Open(dir, binding, read.JournalAge, s.Now)
	if err != nil && !errors.Is(err, spool.ErrLocked) {
		return nil, job.Diagnose("", "The journal of pages cannot be used", fmt.Sprintf(
			"%s.\n\nThe journal holds pages of an interrupted run, so that they are not requested again. Remove it if it cannot be repaired:\n\n    %s", err, dir))
	}
	return j, err
}

// fileName makes a file's name of an address: jobs may share the name of their
// tables, when these are in different sinks.
func fileName(address string) string { return url.PathEscape(address) }

// memory is the memory limit of the run.
func (s *Session) memory() reconcile.Memory {
	return reconcile.Memory(cmp.Or(s.Config.MemoryLimit, jobs.DefaultMemoryLimit))
}

// State is what the session knows prospector to own.
func (s *Session) State() *state.State { return s.state }

// Close gives everything back, the lock last. What was staged is gone
// afterwards.
func (s *Session) Close() error {
	var errs []error
	for _, c := range s.stages {
		errs = append(errs, c.Close())
	}
	if s.data != nil {
		errs = append(errs, s.data.RemoveAll(path.Join(stages, s.info.ID)))
		_ = s.data.RemoveDir(stages) // unless another run is there
		if !s.keepJournals {
			for _, dir := range s.read {
				errs = append(errs, s.data.RemoveAll(dir))
			}
		}
		errs = append(errs, s.data.Close())
	}
	for _, opened := range s.stores {
		errs = append(errs, opened.Close())
	}
	errs = append(errs, s.Backend.Unlock())
	return errors.Join(errs...)
}
