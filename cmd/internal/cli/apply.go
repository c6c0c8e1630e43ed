package cli

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/planfile"
	"prospector/jobs/run"
)

// planning holds the flags of plan, apply, destroy and erase.
type planning struct {
	sessionOptions
	run.PlanOptions
	out         string
	destroy     bool
	refreshOnly bool
	detailed    bool
	json        bool
	approved    bool
}

// register declares the flags that plan and apply share.
func (p *planning) register(fs *flag.FlagSet) {
	fs.BoolVar(&p.refreshOnly, "refresh-only", false, "Only update the state to match the sinks: forget files that are gone. This reads nothing from the source, and cannot be combined with -target or -replace.")
	fs.Func("accept", "Accept what these `guards`, separated by commas, find in the run. May be given several times. See: prospector help guards", func(s string) error {
		guards, err := plan.ParseGuards(s)
		p.Accept = append(p.Accept, guards...)
		return err
	})
	addressFlag(fs, "replace", "Rewrite the files of this job or partition, an `address`, even if their rows are right. May be given several times.", &p.Replace)
	p.registerCommon(fs)
}

// registerCommon declares the flags that destroy has as well.
func (p *planning) registerCommon(fs *flag.FlagSet) {
	addressFlag(fs, "target", "Limit the plan to this job or partition, an `address`. It includes partitions between which events have moved. May be given several times.", &p.Targets)
	fs.IntVar(&p.parallelism, "parallelism", 0, "Read at most this `number` of prospects at once, and write at most as many files to each sink at once. The default is the concurrency of the source, and the parallelism of the sink.")
	fs.BoolVar(&p.json, "json", false, "Print one JSON object on each line. See: prospector help json")
	p.locking.register(fs)
	p.variables.register(fs)
}

// check returns an error for flags that cannot be combined.
func (p *planning) check() error {
	p.Mode = plan.Normal
	switch {
	case p.destroy && p.refreshOnly:
		return errors.New("-destroy and -refresh-only cannot be combined")
	case len(p.Replace) > 0 && (p.destroy || p.refreshOnly):
		return errors.New("-replace cannot be combined with -destroy or -refresh-only")
	case len(p.Accept) > 0 && (p.destroy || p.refreshOnly):
		return errors.New("-accept cannot be combined with -destroy or -refresh-only, which read nothing from the source")
	case len(p.Targets) > 0 && p.refreshOnly:
		return errors.New("-target cannot be combined with -refresh-only")
	case p.parallelism < 0:
		return errors.New("-parallelism must be at least 1")
	case p.destroy:
		p.Mode = plan.Destroy
	case p.refreshOnly:
		p.Mode = plan.RefreshOnly
	}
	return nil
}

func planCommand(e *env) *command {
	var p planning
	return &command{
		synopsis: "Show what apply would change",
		about: `Reads all events of every prospect and shows which partitions of the lake would
change, and by how many rows. It changes nothing in the lake.

With -out, apply can later perform exactly the actions shown, also on another
machine.

With -detailed-exitcode, the exit code is 0 if nothing would change, 1 for an
error, and 2 if something would change.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&p.out, "out", "", "Save the plan to a `file`, for: prospector apply FILE")
			fs.BoolVar(&p.destroy, "destroy", false, "Plan to delete everything that the state owns.")
			fs.BoolVar(&p.detailed, "detailed-exitcode", false, "Show in the exit code whether something would change.")
			p.register(fs)
		},
		run: func(c *command, _ []string) int {
			if err := p.check(); err != nil {
				return c.usage("%v", err)
			}
			p.operation = "plan"
			v := e.operation(p.json)
			if p.out != "" { // before reading everything
				if err := canSave(e.resolve(p.out)); err != nil {
					return e.failed(err)
				}
			}
			return e.session(p.sessionOptions, v, func(ctx context.Context, _ *jobs.Configuration, s *run.Session) (int, error) {
				made, err := s.Plan(ctx, p.PlanOptions)
				if err != nil {
					return 1, err
				}
				v.Plan(made)
				if err := made.Blocked().Err(); err != nil {
					return 1, err
				}
				switch {
				case p.out != "":
					if err := s.SavePlan(made, e.resolve(p.out)); err != nil {
						return 1, err
					}
					v.Saved(p.out)
				case !made.Empty() && !p.json:
					e.view.Hint("\nNothing was changed. To perform exactly these actions later, save the plan with\n-out=FILE and run: prospector apply FILE\n")
				}
				if err := made.Rejected().Err(); err != nil {
					return 1, err
				}
				if p.detailed && !made.Empty() {
					return 2, nil
				}
				return 0, nil
			})
		},
	}
}

// canSave returns an error if no plan can be saved there.
func canSave(path string) error {
	if err := planfile.CheckWritable(path); err != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan cannot be saved there", Detail: fmt.Sprintf("-out=%s: %s.", path, err)}
	}
	return nil
}

func applyCommand(e *env) *command {
	var p planning
	return &command{
		synopsis: "Export the events of the source to the lake",
		args:     "[PLAN]",
		about: `Reads all events of every prospect, shows which partitions of the lake change,
asks for approval, and publishes them. After an interrupt or a kill at any
instant, the next apply continues from there.

With PLAN, a file that plan -out has saved, it performs exactly the actions of
that plan without asking. It refuses if anything that the plan depends on has
changed since.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&p.destroy, "destroy", false, "Delete everything that the state owns. The same as: prospector destroy")
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before publishing.")
			p.register(fs)
		},
		run: func(c *command, args []string) int { return apply(e, c, &p, args) },
	}
}

func destroyCommand(e *env) *command {
	var p planning
	return &command{
		synopsis: "Delete everything that prospector has published",
		about: `Deletes every file that the state owns, and nothing else, after asking for
approval. It is the same as: prospector apply -destroy

It refuses if a job has lifecycle { prevent_destroy = true }. To forget a job and
keep its files, use a removed block or: prospector state rm ADDRESS`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before deleting.")
			p.registerCommon(fs)
		},
		run: func(c *command, args []string) int {
			p.destroy = true
			return apply(e, c, &p, args)
		},
	}
}

// apply runs apply and destroy: it plans or reads a saved plan, asks, and applies.
func apply(e *env, c *command, p *planning, args []string) int {
	if err := p.check(); err != nil {
		return c.usage("%v", err)
	}
	saved := ""
	switch {
	case len(args) > 1:
		return c.usage("takes one plan, but got %q", args)
	case len(args) == 1 && (p.Mode != plan.Normal || len(p.Targets)+len(p.Replace)+len(p.Accept) > 0):
		return c.usage("-destroy, -refresh-only, -target, -replace and -accept are options of plan: a saved plan contains them")
	case len(args) == 1:
		saved = args[0]
	case p.json && !p.approved:
		return c.usage("-json needs a saved plan or -auto-approve, since it cannot ask for approval")
	}
	p.operation = "apply"
	if p.Mode == plan.Destroy {
		p.operation = "destroy"
	}
	v := e.operation(p.json)
	return e.session(p.sessionOptions, v, func(ctx context.Context, config *jobs.Configuration, s *run.Session) (int, error) {
		prepare := func() (*plan.Plan, error) {
			if saved != "" {
				return s.LoadPlan(ctx, e.resolve(saved))
			}
			return s.Plan(ctx, p.PlanOptions)
		}
		made, err := planAndApply(ctx, e, s, p, v, prepare, saved == "")
		if err != nil {
			return 1, err
		}
		if !made.Empty() || p.json {
			v.Applied(made)
		}
		if made.Mode != plan.Destroy {
			v.Outputs(config.Outputs)
		}
		return 0, nil
	})
}

// planAndApply gets a plan from prepare, shows it, asks for approval unless the user
// has given it, applies the plan, and records the run. A saved plan is not new: it
// was shown before.
func planAndApply(ctx context.Context, e *env, s *run.Session, p *planning, v view.Operation, prepare func() (*plan.Plan, error), isNew bool) (made *plan.Plan, err error) {
	ignoreClosedPipe()
	err = func() (err error) {
		if made, err = prepare(); err != nil {
			return err
		}
		if isNew || p.json {
			v.Plan(made)
		}
		if err := made.Blocked().Err(); err != nil {
			return err
		}
		if isNew && !p.approved && (!made.Empty() || made.Mode == plan.Erase) { // erase also changes what is outside the lake
			if err := e.ask(ctx, questions[made.Mode]); err != nil {
				return err
			}
		}
		v.Applying(made)
		return s.Apply(ctx, made)
	}()
	if errors.Is(err, errDeclined) {
		v.Cancelled(made.Mode)
		return made, err
	}
	if recorded := s.Record(ctx, p.operation, made, err); recorded != nil {
		d := jobs.Diagnostic{Severity: jobs.Warning, Summary: "The run could not be recorded",
			Detail: recorded.Error() + ".\n\nThe list of runs, prospector show -runs, lacks this run."}
		if err == nil {
			d.Detail += " The lake and the state are correct."
		}
		v.Diagnostics(jobs.Diagnostics{d})
	}
	return made, err
}

// questions ask the user for approval, by mode.
var questions = map[plan.Mode]view.Text{
	plan.Normal: "Do you want to perform these actions?\n  Only 'yes' will be accepted to approve.",
	plan.Destroy: "Do you really want to destroy what is shown above?\n  Prospector will delete these files. There is no undo.\n" +
		"  Only 'yes' will be accepted to confirm.",
	plan.Erase: "Do you really want to erase the prospect?\n  Prospector will rewrite the partitions shown without it. There is no undo.\n" +
		"  Only 'yes' will be accepted to confirm.",
	plan.RefreshOnly: "Would you like to update the state to match the sinks?\n  No file in a sink changes. The next plan recreates the files that the state forgets.\n" +
		"  Only 'yes' will be accepted to confirm.",
}

// ask asks a question. It returns errDeclined for every answer except "yes".
func (e *env) ask(ctx context.Context, question view.Text) error {
	e.view.Printf("\n%s\n\n  Enter a value: ", question)
	if e.out.failure() != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "Nothing was changed",
			Detail: "The plan could not be printed, so prospector did not ask for approval."}
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(e.Stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case a := <-answer:
		if a == "yes" {
			return nil
		}
		return errDeclined
	}
}
