package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/migrate"
	"prospector/jobs/state"
	"prospector/sink/store/local"
)

// moving holds the flags of init that say what happens to the state if the configured
// backend is not the former one.
type moving struct {
	locking
	migrate     bool
	reconfigure bool
	approved    bool
}

func (m *moving) register(fs *flag.FlagSet) {
	fs.BoolVar(&m.migrate, "migrate-state", false, "Move the state from the former backend to the configured one, after asking for approval.")
	fs.BoolVar(&m.reconfigure, "reconfigure", false, "Use the configured backend as it is, and leave the state in the former backend.")
	fs.BoolVar(&m.approved, "auto-approve", false, "Do not ask before moving the state.")
	m.locking.register(fs)
}

// check returns an error for flags that cannot be combined.
func (m *moving) check() error {
	switch {
	case m.migrate && m.reconfigure:
		return errors.New("-migrate-state and -reconfigure cannot be combined")
	case m.approved && !m.migrate:
		return errors.New("-auto-approve is for -migrate-state")
	}
	return nil
}

// settle decides which backend has the state. With -migrate-state it moves the state to
// the configured backend, which is open as opened. Without a flag, it returns an error if
// the former backend has a state that was not moved.
func (m *moving) settle(ctx context.Context, e *env, configured jobs.Backend, opened backend) error {
	former, err := backendsOf(e).former(configured)
	switch {
	case err != nil:
		return err
	case former == nil && m.migrate:
		e.view.Printf("The former backend is not known, or is the configured one, so there is no state to move.\n")
		return nil
	case m.reconfigure: // recorded before the state is read, so that a push can repair it
		return backendsOf(e).record(configured)
	case former == nil:
		return nil
	case !former.recorded && !m.migrate:
		return former.unused(ctx, configured, opened)
	}
	from, err := former.open(ctx)
	switch {
	case err != nil && m.migrate:
		return err
	case err != nil:
		e.diagnoser.Diagnostics(jobs.Diagnose(err, "The former backend cannot be opened"))
		return former.changed(configured)
	case from == nil:
		return nil
	case m.migrate:
		return m.move(ctx, e, from, opened)
	}
	return m.accept(ctx, e, former, configured, from, opened)
}

// accept uses the configured backend if the state was moved there, or if there was none.
// Otherwise it returns an error.
func (m *moving) accept(ctx context.Context, e *env, f *former, configured jobs.Backend, from, to backend) error {
	s, err := from.Read(ctx)
	moved, isMoved := errors.AsType[*state.MovedError](err)
	switch {
	case isMoved && moved.Moved.To == to.Path(): // a move may have left objects behind
		return m.move(ctx, e, from, to)
	case err == nil && s.Serial == 0:
		return nil
	}
	return f.changed(configured)
}

// move locks both backends and moves the state.
func (m *moving) move(ctx context.Context, e *env, from, to backend) (err error) {
	info := state.NewLockInfo("init", time.Now())
	for _, b := range []backend{from, to} {
		ctx, err = state.LockWithin(ctx, b, info, m.timeout, e.view.Waiting)
		if err != nil {
			return lockedDiagnostic(err)
		}
		defer func() { err = unlocked(e.diagnoser, err, b.Unlock()) }()
	}
	ignoreClosedPipe()
	of := migrate.Move{From: from, To: to, By: info.Who, Now: time.Now}
	p, err := of.Preview(ctx)
	conflict, isConflict := errors.AsType[*migrate.ConflictError](err)
	switch {
	case errors.Is(err, migrate.ErrNothing):
		e.view.Printf("There is no state to move: %s has none.\n", from.Path())
		return nil
	case isConflict:
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state was not moved", Detail: "A move replaces only an older version of the same state, but " + conflict.Error() +
			"\n\nNothing was changed. If the configured backend has the right state, use it:\n\n    prospector init -reconfigure\n\n" +
			"Otherwise configure another place, or first move the state that is there to another one."}
	case err != nil:
		return err
	case p.State == nil && p.Objects == 0:
		e.view.Printf("The state was moved before, from %s.\n", from.Path())
		return nil
	}
	if p.State != nil { // otherwise the move was approved before
		if err := m.approve(ctx, e, from, to, p); err != nil {
			return err
		}
	}
	if err := of.Run(ctx); err != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The move of the state is incomplete", Detail: fmt.Sprintf(
			"%s.\n\nThe state is complete in %s or in %s. To complete the move, run the command again:\n\n    prospector init -migrate-state", err, from.Path(), to.Path())}
	}
	e.view.Printf("\nThe state has been moved to %s.\n", to.Path())
	e.view.Hint("\nRuns that still use the former backend refuse to start. Their configuration must\nname the new one.\n")
	return nil
}

// approve shows what a move does, and asks for approval unless the user has given it.
func (m *moving) approve(ctx context.Context, e *env, from, to backend, p migrate.Preview) error {
	if err := checkErrored(ctx, e, p.State); err != nil {
		return err
	}
	e.view.Printf("\n%s", describeMove(from, to, p))
	if m.approved {
		return nil
	}
	err := e.ask(ctx, "Do you want to move the state?\n  Only 'yes' will be accepted to approve.")
	if errors.Is(err, errDeclined) {
		e.view.Printf("\nInit cancelled. The state stays in %s.\n", from.Path())
	}
	return err
}

// describeMove describes what a move does.
func describeMove(from, to backend, p migrate.Preview) view.Text {
	text := view.Format("Prospector will move the state, and %s next to it:\n\n  from %s\n    serial %d, lineage %s, %s\n\n  to   %s\n",
		jobs.Count(int64(p.Objects), "object"), from.Path(), p.State.Serial, p.State.Lineage, jobs.Count(int64(len(p.State.Jobs)), "job"), to.Path())
	if p.Replaces != nil {
		text += view.Format("    replaces serial %d, lineage %s\n", p.Replaces.Serial, p.Replaces.Lineage)
	}
	return text + view.Format("\nThe former state is kept in %s.backup.\n", from.Path())
}

// checkErrored returns an error if the directory has a newer state that an apply could not
// write.
func checkErrored(ctx context.Context, e *env, s *state.State) error {
	dir, err := local.OpenPrivate(e.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	errored, err := state.ReadErrored(ctx, dir)
	if err != nil || errored.Lineage != s.Lineage || errored.Serial <= s.Serial {
		return nil
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "A newer state was not pushed", Detail: fmt.Sprintf(
		"An apply could not write its state with serial %d, and saved it in %s. Configure the former backend again, push that state, and then repeat the move:\n\n    prospector state push %[2]s",
		errored.Serial, state.ErroredName)}
}
