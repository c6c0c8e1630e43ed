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
		synopsis: "Prepare the directory, and lock the schemas of its tables",
		about: `Checks the configuration, prepares the directory for prospector's own files,
and sees that the state can be read and every sink opened. It may be repeated at
any time.

It also writes the schema lock, .prospector.lock.hcl, which says what tables have
been accepted, and is committed with the configuration. New jobs and new columns
are added to it. A column that is replaced or gone would break who reads the
table, so that asks for -upgrade. prospector schema diff shows what differs.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&upgrade, "upgrade", false, "Accept every table as it is declared now, replaced columns included.")
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
			s, err := e.prepare(ctx, c)
			if err == nil {
				err = e.lockSchemas(ctx, c, s, upgrade)
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

// prepare makes and looks at what a run needs, and gives the state.
func (e *env) prepare(ctx context.Context, c *jobs.Configuration) (*state.State, error) {
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
