package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"prospector/extract/prospect"
	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// loadProspects reads a list of prospects, and counts the repeated IDs in it.
func (s *Session) loadProspects(from jobs.Prospects) (ids []string, repeated int, err error) {
	options := prospect.Options{Column: from.Column, Header: from.Header, Encoding: from.Encoding}
	for _, r := range from.Delimiter { // one at most
		options.Delimiter = r
	}
	list, err := prospect.Load(from.File, options, s.Stdin)
	if err == nil {
		return list.IDs, list.Duplicates, nil
	}
	attribute, summary := "file", "Prospects cannot be read"
	switch {
	case errors.Is(err, prospect.ErrColumn):
		attribute = "column"
	case errors.Is(err, prospect.ErrHeader):
		attribute = "header"
	}
	if errors.Is(err, prospect.ErrEmpty) {
		summary = "No prospects"
	}
	return nil, 0, from.Diagnose(attribute, summary, err.Error()+".")
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
func (w *planning) planWaiting(job jobs.Job, into *plan.Job, waiting *lists.Waiting, whole map[string]emptiness, dir string) (err error) {
	waiting.Finish(func(prospect string) (read, emptyNow bool) {
		e, read := whole[prospect]
		return read, e == readAsEmpty
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
