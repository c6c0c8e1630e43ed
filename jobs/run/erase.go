package run

import (
	"context"
	"maps"
	"slices"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// planErase plans to erase a prospect from every job in the state.
func (p *planner) planErase(ctx context.Context, into *plan.Plan) error {
	listed, err := erase.WarnStillListed(ctx, p.config.Jobs, p.options.Prospect, p.sources.lists.Load)
	if err != nil {
		return err
	}
	into.Warnings = append(into.Warnings, listed...)
	planned, err := erase.Planner{
		Prospect: p.options.Prospect, Config: p.config, State: p.prior, Open: p.sinks.open, Stores: p.sinks.stores, Lists: p.lists,
		Files: p.files, Memory: p.memory, Now: p.now(),
		StageDir: func(job string) (string, error) { return p.workspace.makeStageDir(fileName(job)) },
	}.Plan(ctx)
	into.Jobs = append(into.Jobs, planned...)
	return err
}

// warnRetained warns of places that may keep what an erase deletes.
func (s *Session) warnRetained(ctx context.Context) jobs.Diagnostics {
	stateStore, _ := s.options.Backend.Store()
	places := []store.Store{stateStore}
	for _, address := range slices.Sorted(maps.Keys(s.sinks.stores)) {
		places = append(places, s.sinks.stores[address])
	}
	return erase.WarnRetained(store.Advise(ctx, places...))
}

// ProveErased removes a prospect from everything else that prospector keeps, after a
// plan to erase it was applied. It returns an error if it still finds the prospect.
func (s *Session) ProveErased(ctx context.Context, prospect string) (erase.Result, error) {
	dir, err := s.workspace.makeStageDir("")
	if err != nil {
		return erase.Result{}, err
	}
	backend := s.options.Backend
	stateStore, prefix := backend.Store()
	result, err := erase.Proof{
		Prospect: prospect, State: s.state, Discard: []string{journalsDir, rejectedDir, UploadsDir}, Memory: s.memory(),
		Places: erase.Places{
			StateStore: stateStore, Prefix: prefix, WorkDir: s.options.WorkDir, Stores: s.sinks.stores,
			Data: s.workspace.dir, DataDir: s.workspace.path, StageDir: dir,
		},
	}.Run(ctx)
	if err != nil {
		return result, err
	}
	saver, err := state.NewSaver(s.state, backend.Write)
	if err == nil {
		s.state.Erasing = false
		err = saver.Save(ctx)
	}
	return result, err
}
