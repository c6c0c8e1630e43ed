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

// planning are the flags of plan and apply.
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
	fs.BoolVar(&p.refreshOnly, "refresh-only", false, "Only bring the state up to what the sinks really hold: forget files that are gone. Nothing is read from the source. Goes with neither -target nor -replace.")
	fs.Func("accept", "Accept what these `guards`, separated by commas, find in the run. May be given several times. See: prospector help guards", func(s string) error {
		guards, err := plan.ParseGuards(s)
		p.Accept = append(p.Accept, guards...)
		return err
	})
	addressFlag(fs, "replace", "Write the files of this job or partition, an `address`, anew, even if their rows are right. May be given several times.", &p.Replace)
	p.registerCommon(fs)
}

// registerCommon declares those that destroy has, too.
func (p *planning) registerCommon(fs *flag.FlagSet) {
	addressFlag(fs, "target", "Keep to this job or partition, an `address`. Partitions between which events have moved are included. May be given several times.", &p.Targets)
	fs.IntVar(&p.parallelism, "parallelism", 0, "Read at most this `number` of prospects, and write so many files, at\nonce. Otherwise the source's concurrency, and 16.")
	fs.BoolVar(&p.json, "json", false, "Print one JSON object a line. See: prospector help json")
	p.locking.register(fs)
	p.variables.register(fs)
}

// check finds flags that do not go together.
func (p *planning) check() error {
	p.Mode = plan.Normal
	switch {
	case p.destroy && p.refreshOnly:
		return errors.New("-destroy and -refresh-only do not go together")
	case len(p.Replace) > 0 && (p.destroy || p.refreshOnly):
		return errors.New("-replace goes neither with -destroy nor with -refresh-only")
	case len(p.Accept) > 0 && (p.destroy || p.refreshOnly):
		return errors.New("-accept goes neither with -destroy nor with -refresh-only, which read nothing from the source")
	case len(p.Targets) > 0 && p.refreshOnly:
		return errors.New("-target does not go with -refresh-only")
	case p.parallelism < 0:
		return errors.New("-parallelism is at least 1")
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
		about: `Reads all events of every prospect, and shows which partitions of the lake
would change, and by how many rows. Nothing in the lake is touched.

With -out, apply can later do exactly what was shown, also on another machine.

With -detailed-exitcode, the exit code is 0 when nothing would change, 1 on an
error, and 2 when something would.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&p.out, "out", "", "Save the plan to a `file`, for: prospector apply FILE")
			fs.BoolVar(&p.destroy, "destroy", false, "Plan to delete everything that the state owns.")
			fs.BoolVar(&p.detailed, "detailed-exitcode", false, "Tell by the exit code whether something would change.")
			p.register(fs)
		},
		run: func(c *command, _ []string) int {
			if err := p.check(); err != nil {
				return c.usage("%v", err)
			}
			p.operation = "plan"
			v := e.operation(p.json)
			if p.out != "" { // said now, rather than when everything is read
				if err := e.canSave(e.resolve(p.out)); err != nil {
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
					e.view.Hint("\nNothing was changed. With -out=FILE the plan is saved, and prospector apply FILE\ndoes exactly this; prospector apply with the same options plans anew.\n")
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

// canSave reports whether a file can be made there.
func (e *env) canSave(path string) error {
	if err := planfile.CheckWritable(path); err != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan cannot be saved there", Detail: fmt.Sprintf("-out=%s: %s.", path, err)}
	}
	return nil
}

func applyCommand(e *env) *command {
	var p planning
	return &command{
		synopsis: "Export, and make the lake hold what the source has",
		args:     "[PLAN]",
		about: `Reads all events of every prospect, shows which partitions of the lake
change, asks for approval, and publishes them. Interrupted or killed at any
instant, the next apply goes on from there.

With PLAN, a file that plan -out has saved, it does exactly what that plan shows,
without asking; or refuses to, when anything has changed since that the plan
depends on.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&p.destroy, "destroy", false, "Delete everything that the state owns. The same as: prospector destroy")
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before publishing.")
			p.register(fs)
		},
		run: func(c *command, args []string) int { return e.apply(c, &p, args) },
	}
}

func destroyCommand(e *env) *command {
	var p planning
	return &command{
		synopsis: "Delete what prospector has published",
		about: `Deletes every file that the state owns, and nothing else, after asking for
approval. It is the same as: prospector apply -destroy

A job with lifecycle { prevent_destroy = true } refuses. To forget a job and keep
its files, use a removed block or: prospector state rm ADDRESS`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&p.approved, "auto-approve", false, "Do not ask before deleting.")
			p.registerCommon(fs)
		},
		run: func(c *command, args []string) int {
			p.destroy = true
			return e.apply(c, &p, args)
		},
	}
}

// apply is apply and destroy: it plans, or takes a saved plan, asks, and applies.
func (e *env) apply(c *command, p *planning, args []string) int {
	if err := p.check(); err != nil {
		return c.usage("%v", err)
	}
	saved := ""
	switch {
	case len(args) > 1:
		return c.usage("takes one plan, but got %q", args)
	case len(args) == 1 && (p.Mode != plan.Normal || len(p.Targets)+len(p.Replace)+len(p.Accept) > 0):
		return c.usage("a saved plan says itself what it is for: -destroy, -refresh-only, -target, -replace and -accept are given to plan")
	case len(args) == 1:
		saved = args[0]
	case p.json && !p.approved:
		return c.usage("-json needs a saved plan or -auto-approve, since nobody could be asked")
	}
	p.operation = "apply"
	if p.Mode == plan.Destroy {
		p.operation = "destroy"
	}
	v := e.operation(p.json)
	return e.session(p.sessionOptions, v, func(ctx context.Context, config *jobs.Configuration, s *run.Session) (int, error) {
		make := func() (*plan.Plan, error) {
			if saved != "" {
				return s.LoadPlan(ctx, e.resolve(saved))
			}
			return s.Plan(ctx, p.PlanOptions)
		}
		made, err := e.makeSo(ctx, s, p, v, make, saved == "")
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

// makeSo makes a plan, shows it, asks for approval unless it was given, applies
// the plan, and records the run. A plan that was saved, and so is not new, was
// shown and approved before.
func (e *env) makeSo(ctx context.Context, s *run.Session, p *planning, v view.Operation, make func() (*plan.Plan, error), isNew bool) (made *plan.Plan, err error) {
	ignoreClosedPipe()
	err = func() (err error) {
		if made, err = make(); err != nil {
			return err
		}
		if isNew || p.json {
			v.Plan(made)
		}
		if err := made.Blocked().Err(); err != nil {
			return err
		}
		if isNew && !p.approved && (!made.Empty() || made.Mode == plan.Erase) { // which is not in the lake alone
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
		v.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "The run could not be recorded",
			Detail: recorded.Error() + ".\n\nThe lake and the state are as they should be; only prospector show -runs lacks this run."}})
	}
	return made, err
}

// questions are what a user approves, by mode.
var questions = map[plan.Mode]string{
	plan.Normal: "Do you want to perform these actions?\n  Only 'yes' will be accepted to approve.",
	plan.Destroy: "Do you really want to destroy what is shown above?\n  Prospector will delete these files. There is no undo.\n" +
		"  Only 'yes' will be accepted to confirm.",
	plan.Erase: "Do you really want to erase the prospect?\n  Prospector will write the partitions that are shown anew without it. There is no undo.\n" +
		"  Only 'yes' will be accepted to confirm.",
	plan.RefreshOnly: "Would you like to update the state to reflect what was found?\n  Nothing in a sink changes, and what is forgotten is planned anew by the next run.\n" +
		"  Only 'yes' will be accepted to confirm.",
}

// ask asks a question. Only "yes" is a yes; anything else is errDeclined.
func (e *env) ask(ctx context.Context, question string) error {
	e.view.Printf("\n%s\n\n  Enter a value: ", question)
	if e.out.failure() != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "Nothing was changed",
			Detail: "What the question is about could not be printed, so an answer would not count."}
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
