package cli

import (
	"context"
	"errors"
	"flag"

	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
)

func initCommand(e *env) *command {
	var v variables
	var m moving
	var upgrade bool
	return &command{
		synopsis: "Prepare the directory and lock the schemas of its tables",
		about: `Checks the configuration, prepares the directory for prospector's own files, and
reads the state. It may be repeated at any time.

It proves that prospector can create, read, replace, list and delete objects next
to the state and in every sink, with a small object that it deletes again. Other
commands do not, so run init with the account of the nightly run. It also warns
about settings of a bucket that keep deleted data or prevent changes.

It also writes the schema lock, .prospector.lock.hcl. The lock contains the
accepted tables; commit it with the configuration. Init adds new jobs and new
columns to it. Replacing or removing a column would break queries, so it requires
-upgrade. To see the differences, run: prospector schema diff

If the backend block has changed, init does not continue until you decide what
happens to the state. With -migrate-state, it moves the state, its backup, the lists
of prospects and the records of runs to the configured backend, in any direction. It
locks both backends. The configured one must have no state, one that owns nothing, or
an older version of the same state. A move that was interrupted is completed by
running it again. The former backend keeps the state as a backup, and a note that
makes other runs refuse to use it. With -reconfigure, init leaves the former backend as it is.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&upgrade, "upgrade", false, "Accept every table as it is declared now, including replaced columns.")
			m.register(fs)
			v.register(fs)
		},
		run: func(c *command, _ []string) int {
			if err := m.check(); err != nil {
				return c.usage("%v", err)
			}
			o := e.configOptions(&v)
			o.ReplaceLock = upgrade
			config, ok := e.loadWith(o)
			if !ok {
				return 1
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			s, err := prepare(ctx, e, config, &m)
			if err == nil {
				err = lockSchemas(ctx, e, config, s, upgrade)
			}
			switch {
			case errors.Is(err, errDeclined): // move has printed it
				return 1
			case err != nil:
				return e.failed(err)
			}
			e.view.Printf("\nProspector has been initialized.\n")
			e.view.Hint("\nNext, see what would be exported: prospector plan\n")
			return 0
		},
	}
}

// prepare creates and checks what a run needs, moves the state if the flags say so, and
// returns the state.
func prepare(ctx context.Context, e *env, c *jobs.Configuration, m *moving) (*state.State, error) {
	data, err := run.MakeDataDir(e.dataDir())
	if err != nil {
		return nil, err
	}
	data.Close()
	opened, err := openBackend(ctx, c.Backend)
	if err == nil {
		err = m.settle(ctx, e, c.Backend, opened)
	}
	if err != nil {
		return nil, err
	}
	s, err := opened.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := backendsOf(e).record(c.Backend); err != nil {
		return nil, err
	}
	e.view.Printf("State: %s\n", opened.Path())
	return s, checkPlaces(ctx, e, c, opened)
}

// checkPlaces proves that a run can create, read, replace, list and delete objects in
// every sink and next to the state. It prints what users should know about the settings
// of these places.
func checkPlaces(ctx context.Context, e *env, c *jobs.Configuration, backend run.Backend) error {
	var errs jobs.Diagnostics
	stateStore, prefix := backend.Store()
	places := []store.Store{stateStore}
	if err := store.Probe(ctx, stateStore, prefix); err != nil {
		errs = append(errs, c.Backend.Unusable("The state cannot be kept there", err))
	}
	for _, sink := range usedSinks(c) {
		opened, err := sink.Open(ctx, store.Access{})
		if ctx.Err() != nil { // an interrupt says nothing about the sink
			break
		}
		if err != nil {
			errs = append(errs, sink.Unusable("Sink cannot be opened", err))
			continue
		}
		places = append(places, opened)
		if err := store.Probe(ctx, opened, sinkPrefix); err != nil {
			errs = append(errs, sink.Unusable("Sink cannot be used", err))
			continue
		}
		e.view.Printf("%s: %s\n", sink.Address, opened.URI(""))
	}
	advice := store.Advise(ctx, places...)
	for _, a := range advice {
		if a.Note {
			e.view.Note(a.Summary, a.Detail)
			continue
		}
		e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: a.Summary, Detail: a.Detail}})
	}
	if len(advice) > 0 && errs == nil {
		e.view.Printf("\n")
	}
	for _, opened := range places[1:] {
		errs = append(errs, jobs.Diagnose(opened.Close(), "Sink cannot be closed")...)
	}
	if errs == nil {
		return ctx.Err()
	}
	return errs.Err()
}

// sinkPrefix begins the keys of the objects in a sink that belong to no table.
const sinkPrefix = ".prospector/"

// usedSinks returns the sinks that jobs write to.
func usedSinks(c *jobs.Configuration) (used []jobs.Sink) {
	seen := make(map[string]bool)
	for _, job := range c.Jobs {
		for _, sink := range job.Sinks {
			if !seen[sink.Address] {
				seen[sink.Address] = true
				used = append(used, sink)
			}
		}
	}
	return used
}
