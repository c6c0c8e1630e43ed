package run

import (
	"context"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
)

// readTombstones reads the tombstones in the state and in every open sink.
func (s *Session) readTombstones(ctx context.Context) (warnings jobs.Diagnostics, err error) {
	s.tombstones, warnings, err = erase.ReadTombstones(ctx, s.state.Tombstones, s.sinks.stores)
	return warnings, err
}

// keepTombstones writes all tombstones to the state and to every open sink, before
// anything else changes. A plan that erases a prospect adds one, so that no later run
// exports the prospect again even if this run is killed.
func (s *Session) keepTombstones(ctx context.Context, p *plan.Plan, save func(context.Context) error) error {
	all := s.tombstones.Merge(s.state.Tombstones)
	if p.Mode == plan.Erase {
		all = all.Add(s.state.Lineage, p.Prospect)
	}
	if all.Len() == 0 {
		return nil
	}
	if s.state.Tombstones = all; p.Mode == plan.Erase || s.state.Serial > 0 {
		if err := save(ctx); err != nil {
			return err
		}
	}
	return erase.WriteTombstones(ctx, all, s.sinks.stores)
}
