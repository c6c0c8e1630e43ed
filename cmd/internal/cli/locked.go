package cli

import (
	"errors"
	"fmt"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/state"
)

// lockedDiagnostic describes the holder of the lock, if the error reports one.
func lockedDiagnostic(err error) error {
	locked, ok := errors.AsType[*state.LockedError](err)
	if !ok {
		return err
	}
	detail := err.Error() + ".\n\nOnly one run at a time can change the lake. Wait until that run ends; with -lock-timeout=10m, this command waits."
	switch {
	case locked.Holder.Lease > 0 && locked.Holder.ID == "":
		detail += " If you are sure that no run is in progress, delete the object by hand."
	case locked.Holder.Lease > 0:
		detail += fmt.Sprintf(" If you are sure that the run is dead, release its lock:\n\n    prospector force-unlock %s", locked.Holder.ID)
	default:
		detail += " If the run dies, its lock ends with it."
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state is locked by another run", Detail: detail}
}

// unlocked returns the error of a command that held the lock on the state. ended is the
// error of the command itself, and released the error of what followed. A command that
// is complete stays complete if its lock is lost or cannot be released: that is a
// warning.
func unlocked(to view.Diagnoser, ended, released error) error {
	u, ok := errors.AsType[*state.UnlockError](released)
	if !ok || released.Error() != u.Error() || errors.Is(u, state.ErrLockLost) && errors.Is(ended, state.ErrLockLost) {
		return errors.Join(ended, released)
	}
	wrote := describeWrites(u)
	if ended == nil {
		wrote = "This run is complete. " + wrote
	}
	d := jobs.Diagnostic{Severity: jobs.Warning, Summary: "The lock on the state was not released",
		Detail: fmt.Sprintf("%s.\n\n%s Other runs cannot start until the lock expires. To release it now, run:\n\n    prospector force-unlock %s", u, wrote, u.ID)}
	if errors.Is(u, state.ErrLockLost) {
		d.Summary = "The lock on the state was lost before this run ended"
		d.Detail = fmt.Sprintf("%s.\n\n%s Another run may have started in the meantime. To see whether there is anything left to do, run:\n\n    prospector plan\n\nDo not delete a lock by hand, because its run does not notice that at once. To release the lock of a dead run, use prospector force-unlock.", u, wrote)
	}
	to.Diagnostics(jobs.Diagnostics{d})
	return ended
}

// lostDiagnostic describes an error of a run that stopped because it lost its lock.
func lostDiagnostic(err error) jobs.Diagnostic {
	why, wrote := err.Error(), ""
	if u, ok := errors.AsType[*state.UnlockError](err); ok {
		why, wrote = u.Error(), " "+describeWrites(u)
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "The lock on the state was lost",
		Detail: fmt.Sprintf("%s.\n\nAnother run may hold the lock now, so this run stopped.%s The next run finds what this one published.", why, wrote)}
}

// describeWrites describes what a run has written under its lock.
func describeWrites(u *state.UnlockError) string {
	switch {
	case u.Unknown && u.Serial > 0:
		return fmt.Sprintf("It wrote the state with serial %d. A later write got no answer, and may have succeeded.", u.Serial)
	case u.Unknown:
		return "Its write of the state got no answer, and may have succeeded."
	case u.Serial > 0:
		return fmt.Sprintf("It wrote the state last with serial %d.", u.Serial)
	}
	return "It did not write the state."
}
