package cli

import (
	"context"
	"flag"

	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
)

func initCommand(e *env) *command {
	var v variables
	var upgrade bool
	return &command{
		synopsis: "Prepare the directory and lock the schemas of its tables",
		about: `Checks the configuration, prepares the directory for prospector's own files, and
checks that it can read the state and open every sink. It may be repeated at any
time.

It also writes the schema lock, .prospector.lock.hcl. The lock contains the
accepted tables; commit it with the configuration. Init adds new jobs and new
columns to it. Replacing or removing a column would break queries, so it requires
-upgrade. To see the differences, run: prospector schema diff`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&upgrade, "upgrade", false, "Accept every table as it is declared now, including replaced columns.")
			v.register(fs)
		},
		run: func(*command, []string) int {
			o := e.configOptions(&v)
			o.ReplaceLock = upgrade
			c, ok := e.loadWith(o)
			if !ok {
				return 1
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			s, err := prepare(ctx, e, c)
			if err == nil {
				err = lockSchemas(ctx, e, c, s, upgrade)
			}
			if err != nil {
				return e.failed(err)
			}
			e.view.Printf("\nProspector has been initialized.\n")
			e.view.Hint("\nNext, see what would be exported: prospector plan\n")
			return 0
		},
	}
}

// prepare creates and checks what a run needs, and returns the state.
func prepare(ctx context.Context, e *env, c *jobs.Configuration) (*state.State, error) {
	data, err := run.MakeDataDir(e.dataDir())
	if err != nil {
		return nil, err
	}
	data.Close()
	backend, err := openBackend(ctx, c.Backend)
	if err != nil {
		return nil, err
	}
	s, err := backend.Read(ctx)
	if err != nil {
		return nil, err
	}
	e.view.Printf("State: %s\n", backend.Path())
	var errs jobs.Diagnostics
	seen := make(map[string]bool)
	for _, job := range c.Jobs {
		for _, sink := range job.Sinks {
			if seen[sink.Address] {
				continue
			}
			seen[sink.Address] = true
			opened, err := sink.Open(ctx, store.Shared)
			if err != nil {
				errs = append(errs, sink.Unusable("Sink cannot be opened", err))
				continue
			}
			e.view.Printf("%s: %s\n", sink.Address, opened.URI(""))
			errs = append(errs, jobs.Diagnose(opened.Close(), "Sink cannot be closed")...)
		}
	}
	return s, errs.Err()
}
