package cli

import (
	"context"
	"flag"
	"slices"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/planfile"
	"prospector/jobs/state"
	"prospector/schemas"
)

func schemaShowCommand(e *env) *command {
	var v variables
	var only string
	var asHCL, asJSON bool
	return &command{
		synopsis: "Show every column of the declared tables",
		about: `Shows the table of each job: every column with its type, its policy ("personal"
for unprotected personal data), and the paths in an event that its value comes
from. It also shows how the table handles unexpected fields, types and values.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&only, "job", "", "Show only the job with this `address`.")
			fs.BoolVar(&asHCL, "hcl", false, "Print complete schema blocks, which extend nothing.")
			fs.BoolVar(&asJSON, "json", false, "Print one JSON document. See: prospector help json")
			v.register(fs)
		},
		run: func(c *command, _ []string) int {
			if asHCL && asJSON {
				return c.usage("-hcl and -json cannot be combined")
			}
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			shown := slices.DeleteFunc(config.Jobs, func(j jobs.Job) bool { return only != "" && j.Address != only })
			if len(shown) == 0 && only != "" {
				return c.usage("there is no job %q", only)
			}
			if asJSON {
				if err := e.document(view.TablesJSON(shown)); err != nil {
					return e.failed(err)
				}
				return 0
			}
			for i, job := range shown {
				if i > 0 {
					e.view.Printf("\n")
				}
				if asHCL {
					e.view.Printf("# %s\n%s", job.Address, view.Program(job.Schema.Source()))
				} else {
					e.view.Table(job)
				}
			}
			return 0
		},
	}
}

func schemaDiffCommand(e *env) *command {
	var v variables
	var detailed, asJSON bool
	return &command{
		synopsis: "Show how the declared tables differ from the accepted ones",
		about: `Shows how each declared table differs from the one in the schema lock, which
prospector init writes. It reads only the configuration and the lock.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&detailed, "detailed-exitcode", false, "Exit with 0 if nothing differs, 1 after an error, 2 if something differs.")
			fs.BoolVar(&asJSON, "json", false, "Print one JSON document. See: prospector help json")
			v.register(fs)
		},
		run: func(*command, []string) int {
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			d := schemaDiff(config, state.New())
			if asJSON {
				if err := e.document(view.SchemaDiffJSON(d)); err != nil {
					return e.failed(err)
				}
			} else {
				showDiff(e, d)
			}
			if detailed && !d.Empty() {
				return 2
			}
			return 0
		},
	}
}

func showDiff(e *env, d view.SchemaDiff) {
	switch {
	case d.Empty():
		e.view.Printf("No differences. Every table is as in %s.\n", schemas.LockFile)
		return
	case !d.Locked:
		e.view.Printf("There is no schema lock yet: prospector init writes %s.\n", schemas.LockFile)
	}
	e.view.SchemaDiff(d)
}

func schemaInferCommand(e *env) *command {
	var v variables
	return &command{
		synopsis: "Propose columns for fields that have none",
		args:     "[PLAN]",
		about: `Prints column blocks, to paste into a schema, for fields without a column. It
finds the fields in the state, where the last apply has listed them, or with PLAN
in that saved plan. The values of these fields are in extra_json, so waiting
loses nothing.`,
		flags: v.register,
		run: func(c *command, args []string) int {
			if len(args) > 1 {
				return c.usage("takes one plan")
			}
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			found, err := surveys(e, config, args)
			if err != nil {
				return e.failed(err)
			}
			propose(e, config, found)
			return 0
		},
	}
}

// propose prints the columns that the surveys suggest.
func propose(e *env, c *jobs.Configuration, surveys map[string]*schemas.Survey) {
	proposed, read := false, false
	for _, job := range c.Jobs {
		survey := surveys[job.Address]
		if survey == nil {
			continue
		}
		read = true
		if p := view.ProposalsFor(job, *survey); !p.Empty() {
			if proposed {
				e.view.Printf("\n")
			}
			proposed = true
			e.view.Proposals(p)
		}
	}
	switch {
	case !read:
		e.view.Printf(`# Nothing was read yet. Run prospector apply, or run
# prospector plan -out=FILE and name that file here. If both fail because most
# events cannot become rows, run prospector plan -accept=quarantined -out=FILE.
`)
	case !proposed:
		e.view.Printf("# Nothing to propose: every field that was read has a column.\n")
	}
}

// surveys returns the fields that the last apply or the named plan has found, by
// job.
func surveys(e *env, c *jobs.Configuration, plans []string) (map[string]*schemas.Survey, error) {
	all := make(map[string]*schemas.Survey)
	if len(plans) > 0 {
		p, err := planfile.Read(e.resolve(plans[0]))
		if err != nil {
			return nil, err
		}
		for _, j := range p.Jobs {
			all[j.Address] = j.Source.Survey
		}
		return all, nil
	}
	ctx, cancel := e.interruptible()
	defer cancel()
	s, err := readState(ctx, e, c)
	if err != nil {
		return nil, err
	}
	for address, job := range s.Jobs {
		all[address] = job.Survey
	}
	return all, nil
}

func readState(ctx context.Context, e *env, c *jobs.Configuration) (*state.State, error) {
	backend, err := backendsOf(e).open(ctx, c.Backend)
	if err != nil {
		return nil, err
	}
	return backend.Read(ctx)
}
