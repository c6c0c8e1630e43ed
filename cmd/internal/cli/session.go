package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
)

// locking are the flags of commands that lock the state.
type locking struct{ timeout time.Duration }

func (l *locking) register(fs *flag.FlagSet) {
	fs.DurationVar(&l.timeout, "lock-timeout", 0, "Wait this `long` for another run to end, such as 10m. Otherwise its\nlock is an error.")
}

// sessionOptions say how a session is opened.
type sessionOptions struct {
	variables
	locking
	parallelism int
	operation   string // for the lock and the record of runs
}

// observed is a view that a session can tell what happens.
type observed interface {
	view.Diagnoser
	run.Observer
}

var errDeclined = errors.New("apply cancelled")

// session runs f in a session on the configuration, and gives the exit code that
// f gives, or 1 with an error.
func (e *env) session(o sessionOptions, v observed, f func(context.Context, *jobs.Configuration, *run.Session) (int, error)) int {
	c, ok := e.load(&o.variables)
	if !ok {
		return 1
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := e.backend(ctx, c)
	if err != nil {
		return e.failed(err)
	}
	workDir, err := e.OpenDir(c.Dir)
	if err != nil {
		return e.failed(err)
	}
	ctx, s, err := run.Open(ctx, run.Options{
		Config: c, DataDir: e.dataDir(), Backend: backend, OpenSink: e.OpenSink, WorkDir: workDir,
		Observer: v, Logger: e.logger(), Stdin: e.Stdin, Now: time.Now,
		UserAgent:   "prospector/" + jobs.Version,
		LockTimeout: o.timeout, Parallelism: o.parallelism, Concurrency: o.parallelism,
	}, o.operation)
	if err != nil {
		return e.failed(lockedDiagnostic(err))
	}
	code, err := f(ctx, c, s)
	switch err = errors.Join(err, s.Close()); {
	case errors.Is(err, errDeclined):
		return 1
	case err != nil:
		return e.failed(err)
	}
	return code
}

// backend opens the place of the state.
func (e *env) backend(ctx context.Context, c *jobs.Configuration) (run.Backend, error) {
	backend, err := e.OpenBackend(ctx, c.Backend)
	if err != nil {
		attribute := "path"
		if c.Backend.Kind == "gcs" {
			attribute = "bucket"
		}
		return nil, c.Backend.Diagnose(attribute, "State cannot be kept there", err.Error()+".")
	}
	return backend, nil
}

func lockedDiagnostic(err error) error {
	locked, ok := errors.AsType[*state.LockedError](err)
	if !ok {
		return err
	}
	detail := err.Error() + ".\n\nprospector changes a lake from one place at a time. Wait for that run to end, which -lock-timeout=10m does for you."
	if locked.Holder.Lease > 0 {
		detail += fmt.Sprintf(" Should it be dead, and you are sure of it:\n\n    prospector force-unlock %s", locked.Holder.ID)
	} else {
		detail += " Should it die, its lock ends with it."
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "Another run holds the state", Detail: detail}
}

// editing runs f on the state under its lock, without a session: for commands
// that look at no sink. f says whether the state is to be written.
func (e *env) editing(o sessionOptions, f func(context.Context, run.Backend, *state.State) (write bool, err error)) int {
	c, ok := e.load(&o.variables)
	if !ok {
		return 1
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := e.backend(ctx, c)
	if err != nil {
		return e.failed(err)
	}
	ctx, err = state.LockWithin(ctx, backend, state.NewLockInfo(o.operation, time.Now()), o.timeout, e.view.Waiting)
	if err != nil {
		return e.failed(lockedDiagnostic(err))
	}
	err = func() error {
		s, err := backend.Read(ctx)
		if err != nil {
			return err
		}
		write, err := f(ctx, backend, s)
		if err != nil || !write {
			return err
		}
		return backend.Write(ctx, s)
	}()
	if err = errors.Join(err, backend.Unlock()); err != nil {
		return e.failed(err)
	}
	return 0
}

// reading gives the state as it is now, without its lock.
func (e *env) reading(v *variables, f func(context.Context, *jobs.Configuration, run.Backend, *state.State) error) int {
	c, ok := e.load(v)
	if !ok {
		return 1
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := e.backend(ctx, c)
	if err != nil {
		return e.failed(err)
	}
	s, err := backend.Read(ctx)
	if err == nil {
		err = f(ctx, c, backend, s)
	}
	if err != nil {
		return e.failed(err)
	}
	return 0
}

// shown is a path as the user would write it.
func (e *env) shown(path string) string {
	if rel, err := filepath.Rel(e.dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
