package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/config"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// locking are the flags of commands that lock the state.
type locking struct{ timeout time.Duration }

func (l *locking) register(fs *flag.FlagSet) {
	fs.DurationVar(&l.timeout, "lock-timeout", 0, "Wait this `duration`, such as 10m, for another run to end. By default its lock is an error.")
}

// sessionOptions say how to open a session.
type sessionOptions struct {
	variables
	locking
	parallelism int
	operation   string // for the lock and the ledger
}

// observed is a view that a session reports its progress to.
type observed interface {
	view.Diagnoser
	run.Observer
}

var errDeclined = errors.New("apply cancelled")

// session runs f in a session on the configuration. It returns the exit code of f, or
// 1 if there is an error.
func (e *env) session(o sessionOptions, v observed, f func(context.Context, *jobs.Configuration, *run.Session) (int, error)) int {
	c, ok := e.load(&o.variables)
	if !ok {
		return 1
	}
	boundMemory(c.MemoryLimit)
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := backendsOf(e).open(ctx, c.Backend)
	if err != nil {
		return e.failed(err)
	}
	workDir, err := local.OpenPrivate(c.Dir)
	if err != nil {
		return e.failed(err)
	}
	dataRoot, dataDir := e.dataDir()
	ctx, s, err := run.Open(ctx, run.Options{
		Config: c, DataDir: dataDir, DataRoot: dataRoot, Backend: backend, Sources: e.Sources, OpenSink: sinkOpener(dataDir), WorkDir: workDir,
		Observer: v, Logger: e.logger(), Stdin: e.Stdin, Now: time.Now,
		UserAgent:   "prospector/" + jobs.Version,
		LockTimeout: o.timeout, Parallelism: o.parallelism, Concurrency: o.parallelism,
	}, o.operation)
	if err != nil {
		return e.failed(lockedDiagnostic(err))
	}
	code := 1
	if err = backendsOf(e).record(c.Backend); err == nil {
		code, err = f(ctx, c, s)
	}
	declined := errors.Is(err, errDeclined)
	if declined { // the view has printed it
		code, err = 1, nil
	}
	if err = unlocked(e.diagnoser, err, s.Close()); err != nil {
		return e.failed(err)
	}
	return code
}

// boundMemory makes the garbage collector respect the limit, and run less often below
// it. The user's environment takes precedence.
func boundMemory(limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(limit, jobs.DefaultMemoryLimit))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// sinkOpener returns a function that opens a sink for runs with a data directory.
func sinkOpener(dataDir string) func(context.Context, jobs.Sink) (store.Store, error) {
	return func(ctx context.Context, sink jobs.Sink) (store.Store, error) {
		return sink.Open(ctx, store.Access{Uploads: filepath.Join(dataDir, run.UploadsDir)})
	}
}

// withBackend runs f on the backend that open opens, for commands that need no other part
// of the configuration.
func (e *env) withBackend(v *variables, open opener, f func(context.Context, run.Backend) error) int {
	b, ds := config.LoadBackend(e.dir, e.configOptions(v))
	e.diagnoser.Diagnostics(ds)
	if ds.HasErrors() {
		return 1
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := open(ctx, *b)
	if err == nil {
		err = f(ctx, backend)
	}
	switch {
	case errors.Is(err, errDeclined): // f has printed it
		return 1
	case err != nil:
		return e.failed(err)
	}
	return 0
}

// reading runs f on the current state without locking it.
func (e *env) reading(v *variables, f func(context.Context, *state.State) error) int {
	return e.withBackend(v, backendsOf(e).open, func(ctx context.Context, backend run.Backend) error {
		s, err := backend.Read(ctx)
		if err != nil {
			return err
		}
		return f(ctx, s)
	})
}

// editing runs f on the backend while holding its lock.
func (e *env) editing(v *variables, l locking, operation string, f func(context.Context, run.Backend) error) int {
	return e.withBackend(v, backendsOf(e).open, func(ctx context.Context, backend run.Backend) error {
		ctx, err := state.LockWithin(ctx, backend, state.NewLockInfo(operation, time.Now()), l.timeout, e.view.Waiting)
		if err != nil {
			return lockedDiagnostic(err)
		}
		ignoreClosedPipe()
		return unlocked(e.diagnoser, f(ctx, backend), backend.Unlock())
	})
}

// shown returns a path as the user would write it.
func (e *env) shown(path string) string {
	if rel, err := filepath.Rel(e.dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
