package cli

import (
	"context"
	"flag"
	"slices"

	"github.com/hashicorp/cli"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/planfile"
	"prospector/jobs/state"
	"prospector/schemas"
)

// schemaCommand only has subcommands.
type schemaCommand struct{ *env }

func (schemaCommand) Synopsis() string { return "Show what tables are, and what they could be" }
func (s schemaCommand) Run(args []string) int {
	if len(args) > 0 {
		s.view.Errorf("Error: schema: there is no subcommand %q; prospector schema lists those that there are\n", args[0])
		return 1
	}
	return cli.RunResultHelp
}
func (schemaCommand) Help() string {
	return `Usage: prospector [global options] schema <subcommand> [options] [args]

  Shows what the declared tables are, how they differ from those that were
  accepted, and what columns they could have.`
}

func schemaShowCommand(e *env) *command {
	var v variables
	var only string
	var asHCL, asJSON bool
	return &command{
		synopsis: "Show every column of the declared tables",
		about: `Shows the table of each job: every column with its type, its policy ("personal"
where it holds personal data as it came), the places in an event that its value
comes from, and what is done with what the table does not expect.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&only, "job", "", "Only of the job with this `address`.")
			fs.BoolVar(&asHCL, "hcl", false, "Print schema blocks that say it all, and so extend nothing.")
			fs.BoolVar(&asJSON, "json", false, "Print one JSON document. See: prospector help json")
			v.register(fs)
		},
		run: func(c *command, _ []string) int {
			if asHCL && asJSON {
				return c.usage("takes -hcl or -json, not both")
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
"prospector init" writes. It reads only the configuration and the lock.`,
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
				e.tellDiff(d)
			}
			if detailed && !d.Empty() {
				return 2
			}
			return 0
		},
	}
}

func (e *env) tellDiff(d view.SchemaDiff) {
	switch {
	case d.Empty():
		e.view.Printf("No differences. Every table is the one in %s.\n", schemas.LockFile)
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
		about: `Prints column blocks, ready to be pasted into a schema, for the fields that the
last apply, or with PLAN that saved plan, has found without a column. Until then
their values are in extra_json, so nothing is lost by waiting.`,
		flags: v.register,
		run: func(c *command, args []string) int {
			if len(args) > 1 {
				return c.usage("takes one plan")
			}
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			surveys, err := e.surveys(config, args)
			if err != nil {
				return e.failed(err)
			}
			found, read := false, false
			for _, job := range config.Jobs {
				survey := surveys[job.Address]
				if survey == nil {
					continue
				}
				read = true
				if p := view.ProposalsFor(job, *survey); !p.Empty() {
					if found {
						e.view.Printf("\n")
					}
					found = true
					e.view.Proposals(p)
				}
			}
			switch {
			case !read:
				e.view.Printf(`# Nothing was read yet: run prospector apply, or plan -out=FILE and name that file.
# If they fail because most events cannot become rows, run
# prospector plan -accept=quarantined -out=FILE, and name that file.
`)
			case !found:
				e.view.Printf("# Nothing to propose: every field that was read has a column.\n")
			}
			return 0
		},
	}
}

// surveys are what was found by the runs that the state or the named plan tells
// of, by job.
func (e *env) surveys(c *jobs.Configuration, plans []string) (map[string]*schemas.Survey, error) {
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
	s, err := e.stateOf(ctx, c)
	if err != nil {
		return nil, err
	}
	for address, job := range s.Jobs {
		all[address] = job.Survey
	}
	return all, nil
}

func (e *env) stateOf(ctx context.Context, c *jobs.Configuration) (*state.State, error) {
	backend, err := openBackend(ctx, c.Backend)
	if err != nil {
		return nil, err
	}
	return backend.Read(ctx)
}
