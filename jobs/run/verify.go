package run

import (
	"context"

	"prospector/jobs/audit"
)

// Verify re-reads every published file and compares it with the state. It calls
// progress after each file.
func (s *Session) Verify(ctx context.Context, progress func(done, of int)) (audit.Result, error) {
	dir, err := s.workspace.makeStageDir("")
	if err != nil {
		return audit.Result{}, err
	}
	return audit.Audit{
		State: s.state, Jobs: s.options.Config.Jobs, Dir: dir, Open: s.sinks.openAddress,
		Downloads: s.memory().Downloads(), Width: s.memory().Width(), Memory: s.memory().Quarantine(false),
	}.Run(ctx, progress)
}
