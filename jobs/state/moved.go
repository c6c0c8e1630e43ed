package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"prospector/jobs"
)

// movedVersion is the version of the note that takes the place of a state that was moved
// to another backend. No state has this version. Programs that do not know the note
// refuse it as the state of a newer version, and so do not begin a new lake.
const movedVersion = 6

// Moved describes where a state was moved to.
type Moved struct {
	To string    `json:"to"` // the path of the backend, as shown to the user
	At time.Time `json:"at"`
	By string    `json:"by"` // user@host, process
	// Lineage and Serial are those of the state.
	Lineage string `json:"lineage"`
	Serial  int64  `json:"serial"`
}

type fileMoved struct {
	Version int    `json:"version"`
	Moved   *Moved `json:"moved"`
}

// MovedError reports that a backend has no state, because it was moved.
type MovedError struct {
	Path  string // of the backend, or "" if it is not known
	Moved Moved
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("the state%s was moved to %s at %s by %s", strings.TrimRight(" "+e.Path, " "), e.Moved.To, e.Moved.At.Format(time.RFC3339), e.Moved.By)
}

// As lets errors.As find a jobs.Diagnostic in the error.
func (e *MovedError) As(target any) bool {
	d, ok := target.(*jobs.Diagnostic)
	if !ok {
		return false
	}
	*d = jobs.Diagnostic{Severity: jobs.Error, Summary: "The state was moved", Detail: fmt.Sprintf(
		"%s was moved to\n\n    %s\n\nat %s by %s. Another run may use it there, so this configuration must too: change its backend block.\n\n"+
			"The former state is in %[1]s.backup. If you are sure that the moved state is lost, push a copy of it:\n\n    prospector state push -force FILE",
		e.Path, e.Moved.To, e.Moved.At.Format(time.RFC3339), e.Moved.By)}
	return true
}

// MarkMoved replaces the state that was read or written last by a note of where it was
// moved to, and keeps the state as the backup. From then on, Read returns a *MovedError.
// If another program has replaced the state in the meantime, MarkMoved returns
// store.ErrCondition and changes nothing.
func (o *storage) MarkMoved(ctx context.Context, m Moved) error {
	if o.seen == "" {
		return errors.New("there is no state that could be moved")
	}
	b, err := json.MarshalIndent(fileMoved{movedVersion, &m}, "", "  ")
	if err != nil {
		return err
	}
	return o.put(ctx, append(b, '\n'), true)
}

// MarkMoved is storage.MarkMoved under the lock. It returns the errors of Write.
func (r *Remote) MarkMoved(ctx context.Context, m Moved) error {
	moved := &State{Serial: m.Serial}
	return r.whileLocked(ctx, moved, func(ctx context.Context) error { return r.storage.MarkMoved(ctx, m) })
}
