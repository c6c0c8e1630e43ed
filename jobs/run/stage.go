package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/transform"
)

// stager plans one job: it reads the source, and stages the files that change. Each
// step adds to the plan of the job.
type stager struct {
	*planner
	job   jobs.Job
	owned *state.Job // the job's entry in the state
	plan  *plan.Job
	dir   string // of staged files

	source     *source
	wasListed  func(prospect string) bool // whether the list of the last apply has it
	waiting    *lists.Waiting
	stages     reconcile.Stages
	quarantine *quarantine.Quarantine
	read       *read.Result
	// unavailable counts the prospects in the list of the last apply that were not found
	// or forbidden now.
	unavailable state.Unavailable
	found       reconcile.Result
}

// stage plans one job.
func (p *planner) stage(ctx context.Context, job jobs.Job) (plan.Job, error) {
	s := &stager{planner: p, job: job, owned: p.ownedBy(job.Address), plan: &plan.Job{
		Address: job.Address, TableName: job.TableName, SchemaFingerprint: job.Schema.Fingerprint(), Schema: &job.Schema,
		PreventDestroy: job.PreventDestroy, Sinks: addresses(job.Sinks),
	}}
	if err := p.refresh(ctx, s.plan, job.Sinks); err != nil {
		return *s.plan, err
	}
	var err error
	if s.source, err = p.sources.open(ctx, job); err != nil {
		return *s.plan, err
	}
	defer s.source.Close()
	s.warn(erase.WarnListed(job, s.source.erased)...)
	if s.dir, err = p.workspace.makeStageDir(fileName(job.Address)); err != nil {
		return *s.plan, err
	}
	for _, step := range []func(context.Context) error{
		s.readLists, s.openStages, s.openQuarantine, s.readSource, s.reconcile, s.planChanges, s.planWaiting, s.judge, s.planDeletions, s.finish,
	} {
		if err := step(ctx); err != nil {
			return *s.plan, err
		}
	}
	p.observer.Staged(job.Address)
	return *s.plan, nil
}

func (s *stager) warn(warnings ...jobs.Diagnostic) {
	s.plan.Problems.Warnings = append(s.plan.Problems.Warnings, warnings...)
}

// readLists compares the prospects that the job reads with those of the last apply,
// and reads the list of empty prospects if the job deletes missing rows.
func (s *stager) readLists(ctx context.Context) (err error) {
	warn := func(summary, detail string, problem error) {
		s.warn(jobs.Diagnostic{Severity: jobs.Warning, Address: s.job.Address, Summary: summary,
			Detail: fmt.Sprintf("%s: %s. The next apply replaces the list.", detail, problem)})
	}
	var problem error
	s.plan.Source.Reading.List, s.wasListed, problem, err = s.lists.Compare(ctx, s.owned.Prospects, s.source.prospects, filepath.Join(s.dir, "prospects.jsonl"))
	if err != nil {
		return err
	}
	if problem != nil {
		warn("The previous list of prospects cannot be read", "The plan does not show which prospects are new in the list", problem)
	}
	if !s.job.DeleteMissing || s.owned.Empty == nil {
		s.waiting = lists.NewWaiting(s.now())
		return nil
	}
	s.waiting, problem = s.lists.ReadWaiting(ctx, *s.owned.Empty, s.now())
	if problem != nil {
		warn("The list of empty prospects cannot be read", "The waiting time of their published rows starts again", problem)
	}
	return nil
}

// openQuarantine opens a quarantine with the published events of the job.
func (s *stager) openQuarantine(ctx context.Context) (err error) {
	s.quarantine, err = quarantine.Open(ctx, s.sinks.stores, s.plan, filepath.Join(s.dir, "quarantine"), s.memory.Quarantine(s.stages.Former != nil))
	if err != nil {
		return err
	}
	if policies := s.job.Schema.Protection(); policies != "" {
		s.quarantine.Protect(policies, transform.NewProtector(s.job.Schema))
	}
	return nil
}

// readSource reads all prospects into the stage of new rows.
func (s *stager) readSource(ctx context.Context) error {
	journal, err := s.workspace.openJournal(s.job, read.Binding(s.job.Address, s.source))
	if err != nil {
		return fmt.Errorf("opening the journal of pages: %w", err)
	}
	defer journal.Close()
	s.read, err = read.Run(ctx, read.Input{
		Job: s.job, Source: s.source, Prospects: s.source.prospects, Journal: journal,
		Rows: s.stages.New.Add, Observer: s.observer, Now: s.now, Concurrency: s.source.concurrency,
		Rejected: func(e transform.Rejected) error { return s.quarantine.Add(quarantine.Event(e)) },
		Visited:  s.visited,
	})
	if err != nil {
		return err
	}
	s.waiting.ReadEnded(s.now())
	list := s.plan.Source.Reading.List
	s.plan.Source.Reading = s.read.Reading
	s.plan.Source.Reading.List = list
	return s.quarantine.Finish()
}

// visited records the outcome of a prospect.
func (s *stager) visited(v read.Visit) {
	s.waiting.Visited(v.Prospect, v.Events)
	if v.Pages > 0 {
		s.quarantine.CountBefore(v.Prospect)
	}
	switch {
	case v.ReadCompletely():
		s.quarantine.Replace(v.Prospect)
	case v.Outcome == read.NotFound && s.wasListed(v.Prospect):
		s.unavailable.NotFound++
	case v.Outcome == read.Forbidden && s.wasListed(v.Prospect):
		s.unavailable.Forbidden++
	}
}

// planChanges plans what changes in the partitions and the quarantine, and checks
// that the row counts add up.
func (s *stager) planChanges(context.Context) (err error) {
	p, rows, books := s.plan, s.found.Rows, s.read.Books
	p.Output.Changes = plan.Changes(s.job.TableName, p.Sinks, p.Found.Prior, s.found.Outcomes)
	p.Source.Books = plan.Books{
		Events: books.Events, Duplicates: books.Duplicates, Quarantined: books.Quarantined,
		Added: rows.Added, Changed: rows.Changed, Unchanged: rows.Unchanged, Rejected: s.found.Withheld,
	}
	p.Source.Missing = s.found.Missing
	p.Problems.Rejected = s.found.Rejected
	if err := p.Source.Books.Check(); err != nil {
		return err
	}
	if s.isComplete() {
		p.Output.Quarantine, err = s.quarantine.Change(s.job.TableName, p.Sinks, p.Found.Prior, filepath.Join(s.dir, "quarantine.jsonl"))
	}
	return err
}

// isComplete reports whether the plan has all partitions of the job. If it does not,
// it only changes partitions: rows of the other partitions may be in the quarantine or
// in obsolete files.
func (s *stager) isComplete() bool {
	return s.target().All && len(s.plan.Problems.Rejected) == 0
}

// target selects the partitions to which the plan is limited.
func (s *stager) target() reconcile.Selection { return s.options.target(s.job.Address) }

// planWaiting plans the list of prospects that have published rows but returned no
// events, and warns of the rows that stay for now.
func (s *stager) planWaiting(context.Context) (err error) {
	s.waiting.Finish(func(prospect string) (complete, emptyNow bool) {
		content, complete := s.read.Complete[prospect]
		return complete, content == read.EmptyNow
	}, s.target().All)
	if s.plan.Source.Waiting, err = s.waiting.Stage(s.owned.Empty, filepath.Join(s.dir, "empty.jsonl")); err != nil {
		return err
	}
	rows, prospects, after := s.waiting.Kept()
	if rows > 0 {
		s.plan.Source.Missing.Waiting = rows
		s.warn(plan.WarnWaiting(s.job.Address, prospects, rows, after))
	}
	return nil
}

// judge refuses the plan if the guards find that the run is probably wrong, unless the
// user accepts their findings. It also compares what was read with the schema.
func (s *stager) judge(context.Context) error {
	s.plan.WarnMissing(s.found.Rows.Before)
	e := s.found.Evidence
	e.Targeted = !s.target().All
	if s.plan.Source.Books.Events == 0 {
		e.Emptied = s.plan.Source.Missing.Deleted + s.plan.Source.Missing.Waiting
	}
	if list := s.plan.Source.Reading.List; list.Known {
		e.Known, e.NotFound, e.Forbidden = list.Count-list.Added, s.unavailable.NotFound, s.unavailable.Forbidden
		if before := s.owned.Unavailable; before != nil {
			e.Forget(before.NotFound, before.Forbidden, list.Removed)
		}
	}
	refused, warnings := e.Judge(s.options.Accept, func(summary, detail string) jobs.Diagnostic { return s.job.Diagnose("", summary, detail) })
	s.plan.Problems.Refused = append(s.plan.Problems.Refused, refused...)
	s.warn(warnings...)

	s.plan.CheckSchema(s.job, s.prior, s.config.Lock)
	s.plan.AddSurvey(s.job.Schema, s.owned.Survey, s.read.Survey)
	return refresh.InTheWay(s.job.Block, *s.plan, s.sinks.uri)
}

// planDeletions plans the deletion of obsolete and foreign files, and the copies of
// damaged ones.
func (s *stager) planDeletions(ctx context.Context) error {
	if s.isComplete() {
		s.plan.Output.Obsolete = s.plan.DeleteObsolete()
		if s.job.DeleteForeign {
			s.plan.Output.Foreign = plan.DeleteForeign(s.plan.Sinks, s.plan.Found.Prior)
		}
	}
	return refresh.PlanCopies(ctx, s.sinks.stores, s.plan)
}

// finish records the result for the checks, adds the remaining warnings and frees the
// memory for the next job.
func (s *stager) finish(context.Context) error {
	facts, rows := s.stages.New.Facts(), s.found.Rows
	s.results[s.job.Address] = jobs.Result{
		Rows: facts.Rows, Nulls: facts.Nulls, Newest: facts.Newest,
		TableRows: rows.After, RowsAdded: rows.Added, RowsChanged: rows.Changed, RowsRemoved: rows.Removed,
		Quarantined: s.plan.Source.Books.Quarantined,
		Prospects:   s.plan.Source.Reading.Prospects, ProspectsFailed: s.plan.Source.Reading.Incomplete(),
		Now: s.now(),
	}
	s.warn(slices.Concat(
		refresh.Warnings(s.job.Block, *s.plan, s.sinks.uri), s.found.Warnings,
		s.read.Warnings(s.job.Address, s.source.repeated, s.quarantine.Reasons()), s.plan.Advice(s.job.Schema),
	)...)
	return errors.Join(s.closeStages(), s.quarantine.Close())
}
