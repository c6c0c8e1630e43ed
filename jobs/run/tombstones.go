package run

import (
	"context"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
)

// readTombstones reads the tombstones in the state and in every open sink.
func (s *Session) readTombstones(ctx context.Context) (warnings jobs.Diagnostics, err error) {
	s.tombstones, warnings, err = erase.ReadTombstones(ctx, s.state.Tombstones, s.stores)
	return warnings, err
}

// keepTombstones makes the state and every open sink have all tombstones, before
// anything else changes. A plan that erases a prospect adds one: killed at any
// later instant, no run brings the prospect back. It returns the state as it is
// written.
func (s *Session) keepTombstones(ctx context.Context, p *plan.Plan, before []byte) (after []byte, err error) {
	all := s.tombstones.Merge(s.state.Tombstones)
	if p.Mode == plan.Erase {
		all = all.Add(s.state.Lineage, p.Prospect)
	}
	if all.Len() == 0 {
		return before, nil
	}
	if s.state.Tombstones = all; p.Mode == plan.Erase || s.state.Serial > 0 {
		if before, err = s.record(ctx, before); err != nil {
			return nil, err
		}
	}
	if err := erase.WriteTombstones(ctx, all, s.stores); err != nil {
		return nil, err
	}
	return before, nil
}
