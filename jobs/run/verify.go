package run

import (
	"context"
	"path/filepath"

	"prospector/jobs/audit"
	"prospector/jobs/quarantine"
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
		State: s.state, Jobs: s.Config.Jobs, Dir: dir, Limit: s.memory().Width(),
		Open: s.openByAddress,
		CountQuarantined: func(ctx context.Context, from store.Store, key string) (int64, error) {
			return quarantine.CountReadable(ctx, from, key, filepath.Join(dir, "quarantine"), s.memory().Quarantine(false))
		},
	}.Run(ctx, progress)
}
