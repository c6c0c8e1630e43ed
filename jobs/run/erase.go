package run

import (
	"context"

	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// planErase plans to erase a prospect from every job in the state.
func (w *planning) planErase(ctx context.Context, p *plan.Plan) (err error) {
	listed, err := erase.WarnStillListed(w.Config.Jobs, w.options.Prospect, w.loadProspects)
	if err != nil {
		return err
	}
	p.Warnings = append(p.Warnings, listed...)
	planned, err := erase.Planner{
		Prospect: w.options.Prospect, Config: w.Config, State: w.prior, Open: w.open, Stores: w.stores, Lists: w.lists(),
		Files: w.files, Memory: w.memory(), Now: w.Now(),
		StageDir: func(job string) (string, error) { return w.makeStageDir(fileName(job)) },
	}.Plan(ctx)
	p.Jobs = append(p.Jobs, planned...)
	return err
}

// ProveErased removes a prospect from everything that prospector keeps, after a plan
// to erase it was applied. It fails if anything of the prospect is left.
func (s *Session) ProveErased(ctx context.Context, prospect string) (erase.Result, error) {
	dir, err := s.makeStageDir("")
	if err != nil {
		return erase.Result{}, err
	}
	beside, prefix := s.Backend.Beside()
	result, err := erase.Proof{
		Prospect: prospect, State: s.state, Discard: []string{journals, rejects}, Limit: s.memory().Width(),
		Places: erase.Places{
			Beside: beside, Prefix: prefix, WorkDir: s.WorkDir, Stores: s.stores, Data: s.data, DataDir: s.DataDir, StageDir: dir,
		},
	}.Run(ctx)
	if err != nil {
		return result, err
	}
	saver, err := state.NewSaver(s.state, s.Backend.Write)
	if err == nil {
		s.state.Erasing = false
		err = saver.Save(ctx)
	}
	return result, err
}
