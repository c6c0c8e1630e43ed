package run

import (
	"context"
	"fmt"
	"path/filepath"

	"prospector/extract"
	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
	"prospector/jobs/read"
	"prospector/jobs/state"
	"prospector/sink/stage"
	"prospector/transform"
)

// source is the open source of a job, with the prospects to read from it.
type source struct {
	extract.Source
	prospects []string
	erased    []string // those of the list that were erased; prospects has them only if the job exports them
	repeated  int      // IDs that the list has again
}

// loadProspects reads a list of prospects, and counts the repeated IDs in it.
func (s *Session) loadProspects(from jobs.Prospects) (ids []string, repeated int, err error) {
	return read.LoadProspects(from, s.Stdin)
}

// openSource reads the list of prospects and opens the source. It requests nothing.
func (s *Session) openSource(ctx context.Context, job jobs.Job) (_ *source, err error) {
	out := new(source)
	if job.Prospects != nil {
		if out.prospects, out.repeated, err = s.loadProspects(*job.Prospects); err != nil {
			return nil, err
		}
	}
	if out.Source, err = read.Open(ctx, s.Sources, job.Source, s.UserAgent, s.Logger); err != nil {
		return nil, err
	}
	if lister, ok := out.Source.(extract.Lister); ok && job.Prospects == nil {
		out.prospects = lister.Prospects()
	}
	out.prospects, out.erased = erase.Requested(job, out.prospects, s.tombstones)
	return out, nil
}

// reading is what was read of a job, and what depends on earlier runs.
type reading struct {
	*read.Result
	quarantine *quarantine.Quarantine
	waiting    *lists.Waiting
	// unavailable counts the prospects that the last apply had in its list, too.
	unavailable state.Unavailable
}

// readSource reads all prospects of a source into a stage.
func (s *Session) readSource(ctx context.Context, job jobs.Job, from *source, into *stage.Stage, rejected *quarantine.Quarantine, known func(string) bool, waiting *lists.Waiting) (*reading, error) {
	journal, err := s.openJournal(job, read.Binding(job.Address, from))
	if err != nil {
		return nil, fmt.Errorf("opening the journal of pages: %w", err)
	}
	defer journal.Close()
	out := &reading{quarantine: rejected, waiting: waiting}
	concurrency := job.Source.Concurrency
	if s.Concurrency > 0 {
		concurrency = min(concurrency, s.Concurrency)
	}
	out.Result, err = read.Run(ctx, read.Input{
		Job: job, Source: from, Prospects: from.prospects, Journal: journal,
		Rows: into.Add, Observer: s.Observer, Now: s.Now, Concurrency: concurrency,
		Rejected: func(e transform.Rejected) error { return rejected.Add(quarantine.Event(e)) },
		Visited: func(v read.Visit) {
			waiting.Visited(v.Prospect, v.Events)
			if v.Pages > 0 {
				rejected.CountBefore(v.Prospect)
			}
			switch {
			case v.ReadCompletely():
				rejected.Replace(v.Prospect)
			case v.Outcome == read.NotFound && known(v.Prospect):
				out.unavailable.NotFound++
			case v.Outcome == read.Forbidden && known(v.Prospect):
				out.unavailable.Forbidden++
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return out, rejected.Finish()
}

// ownedBy returns what the state has of a job. It is empty for a new job.
func (w *planning) ownedBy(job jobs.Job) *state.Job {
	if owned := w.prior.Jobs[job.Address]; owned != nil {
		return owned
	}
	return new(state.Job)
}

// lists are the lists of prospects next to the state.
func (s *Session) lists() lists.Lists { return lists.Beside(s.Backend.Beside()) }

// compareProspects compares the prospects that a job reads with those of the last
// apply. Known reports whether the last apply had a prospect in its list.
func (w *planning) compareProspects(ctx context.Context, job jobs.Job, into *plan.Job, ids []string, dir string) (known func(string) bool, err error) {
	list, known, problem, err := w.lists().Compare(ctx, w.ownedBy(job).Prospects, ids, filepath.Join(dir, "prospects.jsonl"))
	if err != nil {
		return nil, err
	}
	if problem != nil {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "The previous list of prospects cannot be read",
			Detail: fmt.Sprintf("So the plan does not show which prospects are new in the list: %s. The next apply replaces the list.", problem)})
	}
	into.Source.Reading.List = list
	return known, nil
}

// waitingProspects reads the list of empty prospects that the last apply left, if the
// job deletes missing rows.
func (w *planning) waitingProspects(ctx context.Context, job jobs.Job, into *plan.Job) *lists.Waiting {
	named := w.ownedBy(job).Empty
	if !job.DeleteMissing || named == nil {
		return lists.NewWaiting(w.Now())
	}
	waiting, err := w.lists().ReadWaiting(ctx, *named, w.Now())
	if err != nil {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "The list of empty prospects cannot be read",
			Detail: fmt.Sprintf("So the time that their published rows wait starts again: %s. The next apply replaces the list.", err)})
	}
	return waiting
}

// planWaiting plans what happens to the published rows of prospects that returned no
// event.
func (w *planning) planWaiting(job jobs.Job, into *plan.Job, waiting *lists.Waiting, contents map[string]read.Content, dir string) (err error) {
	waiting.Finish(func(prospect string) (complete, emptyNow bool) {
		content, complete := contents[prospect]
		return complete, content == read.EmptyNow
	}, w.options.target(job.Address).whole)
	if into.Source.Waiting, err = waiting.Stage(w.ownedBy(job).Empty, filepath.Join(dir, "empty.jsonl")); err != nil {
		return err
	}
	rows, prospects, after := waiting.Kept()
	if rows == 0 {
		return nil
	}
	into.Source.Missing.Waiting = rows
	into.Problems.Warnings = append(into.Problems.Warnings, plan.WarnWaiting(job.Address, prospects, rows, after))
	return nil
}
