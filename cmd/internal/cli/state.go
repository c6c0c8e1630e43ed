package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/cli"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// stateCommand only has subcommands.
type stateCommand struct{ *env }

func (stateCommand) Synopsis() string { return "Look at the state, and mend it" }
func (s stateCommand) Run(args []string) int {
	if len(args) > 0 {
		s.view.Errorf("Error: state: there is no subcommand %q; prospector state lists those that there are\n", args[0])
		return 1
	}
	return cli.RunResultHelp
}
func (stateCommand) Help() string {
	return `Usage: prospector [global options] state <subcommand> [options] [args]

  Looks at the state, and mends it when it is not what it should be. What
  changes it keeps the state before as a backup beside it.`
}

func stateListCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "List the addresses in the state",
		args:     "[ADDRESS ...]",
		about: `Lists the address of every job in the state and of each of its partitions, or
of those that the ADDRESSes name. See: prospector help addresses`,
		flags: v.register,
		run: func(c *command, args []string) int {
			wanted, err := parseAddresses(args)
			if err != nil {
				return c.usage("%v", err)
			}
			return e.reading(&v, func(_ context.Context, s *state.State) error {
				found := false
				for _, a := range s.List() {
					if selects(wanted, a) {
						found = true
						e.view.Printf("%s\n", a)
					}
				}
				if !found && len(wanted) > 0 {
					return notInState(args[0])
				}
				return nil
			})
		},
	}
}

func parseAddresses(args []string) (all []jobs.Address, err error) {
	for _, arg := range args {
		a, err := jobs.ParseAddress(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// selects reports whether any of the addresses, or none at all, holds a.
func selects(wanted []jobs.Address, a jobs.Address) bool {
	for _, w := range wanted {
		if w.Contains(a) {
			return true
		}
	}
	return len(wanted) == 0
}

func notInState(address string) error {
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "Not in the state", Address: address,
		Detail: "prospector state list shows what is."}
}

func stateShowCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Show one job or partition of the state",
		args:     "ADDRESS",
		about:    `Shows what the state says of a job or a partition. See: prospector help addresses`,
		flags:    v.register,
		run: func(c *command, args []string) int {
			wanted, err := parseAddresses(args)
			switch {
			case err != nil:
				return c.usage("%v", err)
			case len(args) != 1:
				return c.usage("needs one address, such as job.prospect_events")
			}
			return e.reading(&v, func(_ context.Context, s *state.State) error {
				if !e.view.Resource(s, wanted[0]) {
					return notInState(args[0])
				}
				return nil
			})
		},
	}
}

func stateRmCommand(e *env) *command {
	var v variables
	var l locking
	var dry bool
	return &command{
		synopsis: "Forget a job, a partition or a sink, and keep the files",
		args:     "ADDRESS ...",
		about: `Lets the state forget jobs, partitions, or with an ADDRESS such as sink.gcs.lake
what all jobs have in a sink. The files stay where they are, and are then not
prospector's: a plan reports them as foreign, and refuses to overwrite them. To
forget a job for good, rather use a removed block.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&dry, "dry-run", false, "Only say what would be forgotten.")
			l.register(fs)
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) == 0 {
				return c.usage("needs an address, such as job.prospect_events")
			}
			for _, arg := range args {
				if _, err := jobs.ParseAddress(arg); err != nil && !strings.HasPrefix(arg, "sink.") {
					return c.usage("%v", err)
				}
			}
			return e.editing(&v, l, "state rm", func(ctx context.Context, backend run.Backend) error {
				s, err := backend.Read(ctx)
				if err != nil {
					return err
				}
				for _, arg := range args {
					forget := s.Forget
					if strings.HasPrefix(arg, "sink.") {
						forget = s.ForgetSink
					}
					if err := forget(arg); err != nil {
						return notInState(arg)
					}
				}
				if !dry {
					if err := backend.Write(ctx, s); err != nil {
						return err
					}
				}
				for _, arg := range args {
					e.view.Printf("%s %s\n", map[bool]string{true: "Would forget", false: "Forgot"}[dry], arg)
				}
				return nil
			})
		},
	}
}

func statePullCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Print the state",
		about:    `Prints the state as its file is, in the newest format.`,
		flags:    v.register,
		run: func(*command, []string) int {
			return e.reading(&v, func(_ context.Context, s *state.State) error {
				if s.Serial == 0 {
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "There is no state", Detail: "Nothing was published yet."}
				}
				b, err := state.Encode(s)
				if err == nil {
					e.view.Printf("%s", view.Document(b))
				}
				return err
			})
		},
	}
}

func statePushCommand(e *env) *command {
	var v variables
	var l locking
	var force bool
	return &command{
		synopsis: "Put a state in the place of the present one",
		args:     "FILE",
		about: `Puts the state in FILE ("-" is standard input) in the place of the present one,
which is kept as the backup. A state of another lineage, or with an older
serial, is refused.

This is how to edit the state by hand: pull it, edit the file, raise its serial,
and push it. The push computes the checksum of the edited state. A state file
that is edited in place is refused, since its checksum does not match.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&force, "force", false, "Push even a state of another lineage or with an older serial, or over a damaged state.")
			l.register(fs)
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) != 1 {
				return c.usage("needs one file")
			}
			b, err := e.readFile(args[0])
			if err != nil {
				return e.failed(unreadable(err))
			}
			next, changed, err := state.DecodeEdited(b)
			if err != nil {
				return e.failed(jobs.Diagnostic{Severity: jobs.Error, Summary: "Not a state", Detail: fmt.Sprintf("%s: %s.", args[0], err)})
			}
			if changed != nil {
				e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "The state was changed after prospector wrote it",
					Detail: fmt.Sprintf("%s: %s. That is expected of a file that was edited by hand. If nobody edited it, the file is damaged: push its backup instead.", args[0], changed)}})
			}
			return e.editing(&v, l, "state push", func(ctx context.Context, backend run.Backend) error {
				err := backend.Push(ctx, next, force)
				if _, damaged := errors.AsType[*state.DamagedError](err); damaged {
					return err
				}
				if err != nil {
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state is not pushed", Detail: err.Error() + "."}
				}
				e.view.Printf("Pushed the state with serial %d.\n", next.Serial)
				return nil
			})
		},
	}
}

// unreadable is the error of a file that the user has named.
func unreadable(err error) error {
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "A file cannot be read", Detail: err.Error() + "."}
}

func (e *env) readFile(name string) ([]byte, error) {
	if name == "-" {
		return store.ReadAll(e.Stdin, state.MaxSize)
	}
	f, err := os.Open(e.resolve(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := store.ReadAll(f, state.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, nil
}

func forceUnlockCommand(e *env) *command {
	var v variables
	var force bool
	return &command{
		synopsis: "Release a lock that a dead run has left",
		args:     "LOCK_ID",
		about: `Releases the lock with that ID, which the error of a locked state names. Do so
only if you are sure that the run is dead: a run that has lost its lock stops,
and cannot write the state, but what it was publishing may be half done.

The lock of a state on this machine ends with the process that holds it, so
there is nothing to release; that of a remote state runs out by itself.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&force, "force", false, "Do not ask.")
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) != 1 {
				return c.usage("needs the ID of the lock")
			}
			return e.withBackend(&v, func(ctx context.Context, backend run.Backend) error {
				if !force {
					err := e.ask(ctx, "Do you really want to force-unlock?\n  Only do so if the run that holds the lock is dead.\n  Only 'yes' will be accepted to confirm.")
					if errors.Is(err, errDeclined) {
						e.view.Printf("\nForce-unlock cancelled. The lock stays as it is.\n")
					}
					if err != nil {
						return err
					}
				}
				if err := backend.ForceUnlock(ctx, strings.TrimSpace(args[0])); err != nil {
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state is not unlocked", Detail: err.Error() + "."}
				}
				e.view.Printf("The state has been unlocked.\n")
				return nil
			})
		},
	}
}
