package cli

import (
	"context"
	"errors"
	"flag"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/planfile"
	"prospector/jobs/run"
	"prospector/jobs/state"
)

// runsShown is the number of runs that show -runs lists.
const runsShown = 30

func showCommand(e *env) *command {
	var v variables
	var asJSON, runs bool
	return &command{
		synopsis: "Show the state, a saved plan, or the last runs",
		args:     "[PLAN]",
		about: `Shows the state: every table that prospector owns, its location, and its
partitions. With PLAN, a file that plan -out has saved, it shows that plan. With
-runs, it lists the last runs: who ran which command, when, and how it ended.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print one JSON document. See: prospector help json")
			fs.BoolVar(&runs, "runs", false, "List the last runs, newest first.")
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			switch {
			case len(args) > 1 || len(args) == 1 && runs:
				return c.usage("takes one plan, or -runs")
			case len(args) == 1:
				return showPlan(e, e.resolve(args[0]), asJSON)
			case runs:
				return e.withBackend(&v, backendsOf(e).open, func(ctx context.Context, b run.Backend) error {
					files, prefix := b.Store()
					records, err := ledger.List(ctx, files, prefix, runsShown)
					if skipped, ok := errors.AsType[*ledger.SkippedError](err); ok {
						e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "Some runs are not listed", Detail: skipped.Error() + "."}})
						err = nil
					}
					if err != nil {
						return err
					}
					if asJSON {
						return e.document(view.RunsJSON(records))
					}
					e.view.Runs(records)
					return nil
				})
			}
			return e.reading(&v, func(_ context.Context, s *state.State) error {
				if asJSON {
					return e.document(view.StateJSON(s))
				}
				e.view.State(s)
				return nil
			})
		},
	}
}

func showPlan(e *env, path string, asJSON bool) int {
	p, err := planfile.Read(path)
	if err == nil {
		if asJSON {
			err = e.document(view.PlanJSON(p))
		} else {
			e.view.Plan(p)
			e.view.Diagnostics(append(p.Blocked(), p.Rejected()...))
		}
	}
	if err != nil {
		return e.failed(err)
	}
	return 0
}

// document prints an encoded document. It returns err unchanged.
func (e *env) document(b []byte, err error) error {
	if err == nil {
		e.view.Printf("%s\n", view.Document(b))
	}
	return err
}
