package run

import (
	"context"

	"prospector/jobs/audit"
	"prospector/sink/store"
)

// Verify re-reads every published file and compares it with the state. It calls
// progress after each file.
func (s *Session) Verify(ctx context.Context, progress func(done, of int)) (audit.Result, error) {
	dir, err := s.makeStageDir("")
	if err != nil {
		return audit.Result{}, err
	}
	return audit.Audit{
		State: s.state, Jobs: s.Config.Jobs, Dir: dir, Limit: s.width(),
		Open: s.openByAddress,
		CountQuarantined: func(ctx context.Context, from store.Store, key string) (events int64, err error) {
			err = salvage(ctx, from, key, func(quarantined) { events++ })
			return events, err
		},
	}.Run(ctx, progress)
}
