package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
)

func stateListCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "List the addresses in the state",
		args:     "[ADDRESS ...]",
		about: `Lists the addresses of all jobs in the state and of their partitions, or only
those that the ADDRESSes contain. See: prospector help addresses`,
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

// selects reports whether one of the addresses contains a. No addresses select
// everything.
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
		Detail: "For a list of addresses in the state, run: prospector state list"}
}

func stateShowCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Show one job or partition of the state",
		args:     "ADDRESS",
		about:    `Shows a job or a partition in the state. See: prospector help addresses`,
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
		synopsis: "Forget a job, a partition or a sink and keep the files",
		args:     "ADDRESS ...",
		about: `Removes jobs or partitions from the state. An ADDRESS such as sink.gcs.lake
removes everything that jobs have in that sink. The files stay in place, but
prospector no longer owns them: a plan reports them as foreign and refuses to
overwrite them. To forget a job permanently, use a removed block instead.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&dry, "dry-run", false, "Only show what would be forgotten.")
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
		about:    `Prints the state file in the newest format.`,
		flags:    v.register,
		run: func(*command, []string) int {
			return e.reading(&v, func(_ context.Context, s *state.State) error {
				if s.Serial == 0 {
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "There is no state", Detail: "Nothing has been published yet."}
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
		synopsis: "Replace the state",
		args:     "FILE",
		about: `Replaces the state with the one in FILE ("-" is standard input). The previous
state becomes the backup. A state with another lineage or an older serial is
refused.

To edit the state by hand, pull it, edit the file, raise its serial, and push it.
The push computes the checksum of the edited state. A state file that is edited
in place is refused, since its checksum does not match.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&force, "force", false, "Push a state even if its lineage differs or its serial is older, or if the current state is damaged.")
			l.register(fs)
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) != 1 {
				return c.usage("needs one file")
			}
			b, err := readFile(e, args[0])
			if err != nil {
				return e.failed(unreadable(err))
			}
			next, changed, err := state.DecodeEdited(b)
			if err != nil {
				return e.failed(jobs.Diagnostic{Severity: jobs.Error, Summary: "Not a state", Detail: fmt.Sprintf("%s: %s.", args[0], err)})
			}
			if changed != nil {
				e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "The state was changed after prospector wrote it",
					Detail: fmt.Sprintf("%s: %s. This is expected if the file was edited by hand. Otherwise the file is damaged: push its backup instead.", args[0], changed)}})
			}
			return e.editing(&v, l, "state push", func(ctx context.Context, backend run.Backend) error {
				err := backend.Push(ctx, next, force)
				if _, damaged := errors.AsType[*state.DamagedError](err); damaged {
					return err
				}
				if err != nil {
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state was not pushed", Detail: err.Error() + "."}
				}
				e.view.Printf("Pushed the state with serial %d.\n", next.Serial)
				return nil
			})
		},
	}
}

// unreadable makes an error about a file that the user named.
func unreadable(err error) error {
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "A file cannot be read", Detail: err.Error() + "."}
}

// readFile reads a state or standard input.
func readFile(e *env, name string) ([]byte, error) {
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
		synopsis: "Release the lock of a dead run",
		args:     "LOCK_ID",
		about: `Releases the lock with that ID, which is in the error about a locked state. Do so
only if you are sure that the run is dead. A run that loses its lock stops and
cannot write the state, but it may have published only some of its changes.

The lock of a state on this machine ends with the process that holds it, so there
is nothing to release. The lock of a remote state expires by itself.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&force, "force", false, "Do not ask.")
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) != 1 {
				return c.usage("needs the ID of the lock")
			}
			return e.withBackend(&v, backendsOf(e).openLocked, func(ctx context.Context, backend run.Backend) error {
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
					return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state was not unlocked", Detail: err.Error() + "."}
				}
				e.view.Printf("The state has been unlocked.\n")
				return nil
			})
		},
	}
}
