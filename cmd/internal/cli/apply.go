package cli

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
)

func planCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Show what apply would change",
		about: `Reads all events of every prospect, and shows which partitions of the lake
would change, and by how many rows. Nothing in the lake is touched.`,
		flags: v.register,
		run: func([]string) int {
			return e.session(&v, "plan", func(ctx context.Context, _ *jobs.Configuration, s *run.Session) error {
				p, err := s.Plan(ctx)
				if err != nil {
					return err
				}
				e.view.Plan(p)
				if !p.Summary().Empty() {
					e.view.Printf("\nNothing was changed. To make it so, run: prospector apply\n")
				}
				return nil
			})
		},
	}
}

var errDeclined = errors.New("apply cancelled")

func applyCommand(e *env) *command {
	var v variables
	var approved bool
	return &command{
		synopsis: "Export, and make the lake hold what the source has",
		about: `Reads all events of every prospect, shows which partitions of the lake
change, asks for approval, and publishes them. Interrupted or killed at any
instant, the next apply goes on from there.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&approved, "auto-approve", false, "Do not ask before publishing.")
			v.register(fs)
		},
		run: func([]string) int {
			return e.session(&v, "apply", func(ctx context.Context, c *jobs.Configuration, s *run.Session) error {
				p, err := s.Plan(ctx)
				if err != nil {
					return err
				}
				e.view.Plan(p)
				summary := p.Summary()
				if !approved && !summary.Empty() {
					if err := e.approve(ctx); err != nil {
						return err
					}
				}
				e.view.Applying(p)
				if err := s.Apply(ctx, p); err != nil {
					return err
				}
				if !summary.Empty() {
					e.view.Applied(p)
				}
				e.view.Outputs(c.Outputs)
				return nil
			})
		},
	}
}

// session runs f in a session on the configuration.
func (e *env) session(v *variables, operation string, f func(context.Context, *jobs.Configuration, *run.Session) error) int {
	c, ok := e.load(v)
	if !ok {
		return 1
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	backend, err := e.OpenBackend(ctx, c.Backend)
	if err != nil {
		return e.failed(c.Backend.Diagnose("path", "State cannot be kept there", err.Error()+"."))
	}
	s, err := run.Open(ctx, run.Options{
		Config: c, DataDir: e.dataDir(), Backend: backend, OpenSink: e.OpenSink,
		Observer: e.view, Logger: e.logger(), Stdin: e.Stdin, Now: time.Now,
		UserAgent: "prospector/" + jobs.Version,
	}, operation)
	if err != nil {
		return e.failed(lockedDiagnostic(err))
	}
	err = errors.Join(f(ctx, c, s), s.Close())
	switch {
	case errors.Is(err, errDeclined):
		e.view.Printf("\nApply cancelled. Nothing was changed.\n")
		return 1
	case err != nil:
		return e.failed(err)
	}
	return 0
}

func lockedDiagnostic(err error) error {
	if !errors.Is(err, state.ErrLocked) {
		return err
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "Another run holds the state", Detail: err.Error() +
		".\n\nprospector changes a lake from one place at a time. Wait for that run to end; should it die, its lock ends with it."}
}

// approve asks. Only "yes" approves.
func (e *env) approve(ctx context.Context) error {
	e.view.Printf("\nDo you want to perform these actions?\n  Only 'yes' will be accepted to approve.\n\n  Enter a value: ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(e.Stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answer:
		if a != "yes" {
			return errDeclined
		}
		return nil
	}
}
