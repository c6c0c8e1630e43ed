package cli

import (
	"context"
	"fmt"
	"os"

	"prospector/jobs"
)

func initCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Prepare the directory, and see that state and sinks can be used",
		about: `Checks the configuration, prepares the directory for prospector's own files,
and sees that the state can be read and every sink opened. It may be repeated at
any time. apply does the same, so init is only there to find out early.`,
		flags: v.register,
		run: func(*command, []string) int {
			c, ok := e.load(&v)
			if !ok {
				return 1
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			if err := e.prepare(ctx, c); err != nil {
				return e.failed(err)
			}
			e.view.Printf("\nProspector has been initialized.\n")
			e.view.Hint("\nNext, see what would be exported: prospector plan\n")
			return 0
		},
	}
}

func (e *env) prepare(ctx context.Context, c *jobs.Configuration) error {
	if err := os.MkdirAll(e.dataDir(), 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	backend, err := e.backend(ctx, c.Backend)
	if err != nil {
		return err
	}
	if _, err := backend.Read(ctx); err != nil {
		return err
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
			opened, err := e.OpenSink(ctx, sink)
			if err != nil {
				errs = append(errs, sink.Unusable("Sink cannot be opened", err))
				continue
			}
			e.view.Printf("%s: %s\n", sink.Address, opened.URI(""))
			errs = append(errs, jobs.Diagnose(opened.Close(), "Sink cannot be closed")...)
		}
	}
	return errs.Err()
}
