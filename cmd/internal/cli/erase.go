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
		synopsis: "Remove one person's events from everywhere",
		about: `Removes the rows of one prospect from every partition of every job in the
state, and from the quarantine, after asking for approval. Then it removes the
ID from everything that prospector keeps next to the state, in the sinks below
.prospector/ and in the data directory. It deletes objects there that it cannot
search, such as copies of damaged files. Finally it searches all of these places,
and the second reader searches every published file. Anything of the prospect
that is left is an error. It lists other places where the ID occurs, such as a
message of another prospect.

A tombstone, which is a keyed hash of the ID, stays in the state and in every
sink. While a list of prospects contains an erased prospect, plans warn and skip
it, unless the job has on_erased = "export".

Erase neither reads nor changes the source. It does not find plans that plan -out
has saved, or copies of the lake: delete those yourself. It cannot delete older
versions and soft-deleted objects of a bucket. If a bucket keeps them, erase
warns before it asks, and shows the commands that delete them.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&p.Prospect, "prospect", "", "Erase the prospect with this `ID`. Required.")
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before deleting.")
			fs.BoolVar(&p.json, "json", false, "Print one JSON object on each line. See: prospector help json")
			p.locking.register(fs)
			p.variables.register(fs)
		},
		run: func(c *command, _ []string) int {
			switch {
			case p.Prospect == "":
				return c.usage("needs -prospect=ID")
			case p.json && !p.approved:
				return c.usage("-json needs -auto-approve, since it cannot ask for approval")
			}
			return erase(e, &p)
		},
	}
}

func erase(e *env, p *planning) int {
	p.operation = "erase"
	v := e.operation(p.json)
	return e.session(p.sessionOptions, v, func(ctx context.Context, _ *jobs.Configuration, s *run.Session) (int, error) {
		made, err := planAndApply(ctx, e, s, p, v, func() (*plan.Plan, error) { return s.Plan(ctx, p.PlanOptions) }, true)
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
