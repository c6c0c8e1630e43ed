package run

import (
	"context"
	"errors"
	"fmt"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/publish"
	"prospector/jobs/state"
)

// Apply publishes the staged files of a plan, and saves the state. The plan was made
// or loaded by this session.
//
// If the second reader has rejected files, Apply publishes everything else and then
// returns an error that names them.
func (s *Session) Apply(ctx context.Context, p *plan.Plan) error {
	if err := s.apply(ctx, p); err != nil {
		return err
	}
	return p.Rejected().Err()
}

func (s *Session) apply(ctx context.Context, p *plan.Plan) (err error) {
	defer func() {
		err = withCause(ctx, err)
		s.workspace.keepJournals = err != nil
	}()
	if err := p.Blocked().Err(); err != nil {
		return err
	}
	if err := s.current().CheckPlaces(p); err != nil {
		return err
	}
	saver, err := state.NewSaver(s.state, s.options.Backend.Write)
	if err != nil {
		return err
	}
	s.state.Erasing = s.state.Erasing || p.Mode == plan.Erase // until ProveErased succeeds
	if err := s.keepTombstones(ctx, p, saver.Save); err != nil {
		return err
	}
	dir, err := s.workspace.makeStageDir("")
	if err != nil {
		return err
	}
	publisher := publish.Publisher{
		State: s.state, Save: saver.Save, CheckLock: s.options.Backend.CheckLock, Rescue: s.rescueState, Open: s.sinks.openAddress, Lists: s.lists(),
		Parallelism: s.options.Parallelism, TempDir: dir, Observer: s.options.Observer, Logger: s.options.Logger, Now: s.options.Now,
	}
	s.published, err = publisher.Publish(ctx, p)
	return err
}

// withCause adds the loss of the lock to an error that it may have caused, so that the
// error is not mistaken for an interrupt.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, state.ErrLockLost) && !errors.Is(err, state.ErrLockLost) {
		return errors.Join(cause, err)
	}
	return err
}

// rescueState writes a state that could not be saved to the working directory. After
// the loss of the lock it does not: the next run finds out what was published.
func (s *Session) rescueState(ctx context.Context, why error) error {
	if errors.Is(why, state.ErrLockLost) {
		return why
	}
	if err := state.WriteErrored(context.WithoutCancel(ctx), s.options.WorkDir, s.state); err != nil {
		return errors.Join(why, err)
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state could not be written",
		Detail: fmt.Sprintf("%s.\n\nThe apply may have published files. To allow for recovery, the updated state was written to %s in the working directory. After fixing the cause, push it:\n\n    prospector state push %[2]s\n\nOtherwise, the next apply finds out what was published.",
			why, state.ErroredName)}
}
