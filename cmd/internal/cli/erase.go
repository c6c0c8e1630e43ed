package cli

import (
	"context"
	"flag"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/run"
)

func eraseCommand(e *env) *command {
	p := planning{PlanOptions: run.PlanOptions{Mode: plan.Erase}}
	return &command{
		synopsis: "Remove one person's events from everything",
		about: `Removes the rows of one prospect from every partition of every job in the
state, and from the quarantine, after asking for approval. Then it takes the
prospect out of prospector's own files: the journals of pages, the last list of
prospects, the record of runs. At last the second reader looks for the prospect
in every published file, and it is an error if it finds any.

It does not ask the source, and cannot change it: take the prospect out of the
list of prospects, or the next run exports it again. Nor does it know of plans
that plan -out has saved, of copies of the lake, or of what the versions and
backups of a bucket keep.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&p.Prospect, "prospect", "", "Erase the prospect with this `ID`. Required.")
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before deleting.")
			fs.BoolVar(&p.json, "json", false, "Print one JSON object a line. See: prospector help json")
			p.locking.register(fs)
			p.variables.register(fs)
		},
		run: func(c *command, _ []string) int {
			switch {
			case p.Prospect == "":
				return c.usage("needs -prospect=ID")
			case p.json && !p.approved:
				return c.usage("-json needs -auto-approve, since nobody could be asked")
			}
			return e.erase(&p)
		},
	}
}

func (e *env) erase(p *planning) int {
	p.operation = "erase"
	v := e.operation(p.json)
	return e.session(p.sessionOptions, v, func(ctx context.Context, _ *jobs.Configuration, s *run.Session) (int, error) {
		made, err := e.makeSo(ctx, s, p, v, func() (*plan.Plan, error) { return s.Plan(ctx, p.PlanOptions) }, true)
		if err != nil {
			return 1, err
		}
		found, err := s.ProveErased(ctx, p.Prospect)
		if err != nil {
			return 1, err
		}
		if !made.Empty() || p.json {
			v.Applied(made)
		}
		v.Erased(found)
		return 0, nil
	})
}
