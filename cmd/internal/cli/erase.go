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
state, and from the quarantine, after asking for approval. Then it removes the
ID from everything that prospector keeps next to the state, in the sinks below
.prospector/ and in the data directory. Objects there that cannot be searched,
such as copies of damaged files, are deleted. Finally it searches all of that,
and the second reader searches every published file. It is an error if anything
is still the prospect's. Other places where the ID occurs, such as a message of
another prospect, are listed.

A tombstone, which is a keyed hash of the ID, stays in the state and in every
sink. While a list of prospects names an erased prospect, plans warn and skip
it, unless the job has on_erased = "export".

It does not ask the source, and cannot change it. It does not know plans that
plan -out has saved, copies of the lake, or older versions and soft-deleted
objects of a bucket: delete those yourself.`,
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
