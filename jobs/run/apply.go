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

// Apply publishes what a plan has staged, and saves the state. The plan is one of
// this session, or was loaded by it.
//
// If the second reader has rejected files, Apply publishes everything else and then
// returns them as its error.
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
	s.state.Erasing = s.state.Erasing || p.Mode == plan.Erase // until it is proved
	if err := s.keepTombstones(ctx, p, saver.Save); err != nil {
		return err
	}
	publisher := publish.Publisher{
		State: s.state, Save: saver.Save, Rescue: s.rescueState, Open: s.sinks.openAddress, Lists: s.lists(),
		Parallelism: s.options.Parallelism, Observer: s.options.Observer, Logger: s.options.Logger, Now: s.options.Now,
	}
	s.published, err = publisher.Publish(ctx, p)
	return err
}

// withCause adds the loss of the lock to an error that it has caused, so that the
// error does not look like an interrupt.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, state.ErrLockLost) && !errors.Is(err, state.ErrLockLost) {
		return errors.Join(cause, err)
	}
	return err
}

// rescueState keeps a state that could not be saved in the working directory. If
// the lock is lost, it keeps none: the next run finds out what was published.
func (s *Session) rescueState(ctx context.Context, why error) error {
	if errors.Is(why, state.ErrLockLost) {
		return why
	}
	if err := state.WriteErrored(context.WithoutCancel(ctx), s.options.WorkDir, s.state); err != nil {
		return errors.Join(why, err)
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state could not be written",
		Detail: fmt.Sprintf("%s.\n\nWhat was published is published, and the state that says so is in %s. Once the cause is fixed, this recovers it:\n\n    prospector state push %[2]s\n\nWithout it, the next apply finds out by itself what was published.",
			why, state.ErroredName)}
}
