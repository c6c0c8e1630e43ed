// Package migrate moves a state, and the objects next to it, from one backend to another.
//
// At every moment, one of the two backends has the complete state: the objects next to
// the state are copied first, then the state, and every copy is read back. Then a note
// replaces the former state, so that no run continues with it by accident. The former
// state becomes the backup there. Last, the former objects next to the state are deleted,
// since they can name prospects, and an erase does not find them there.
//
// A move that was interrupted is repeated. It never replaces a state of another lineage,
// or a newer one.
//
// The package neither locks the backends nor asks for approval. The caller does.
package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Backend is a backend of package state, whose lock the caller holds.
type Backend interface {
	Read(context.Context) (*state.State, error)
	Push(ctx context.Context, s *state.State, force bool) error
	MarkMoved(context.Context, state.Moved) error
	// Store returns the store that has the state, and the prefix of the keys of
	// objects next to it.
	Store() (store.Store, string)
	BackupKey() string
	// Path returns the name of the state in messages.
	Path() string
}

// Move is a move of a state between two backends.
type Move struct {
	From, To Backend
	// By describes this process, for the note in place of the former state.
	By  string
	Now func() time.Time
}

// ErrNothing reports that the former backend has no state.
var ErrNothing = errors.New("there is no state to move")

// ConflictError reports that the new backend has a state that a move does not replace: it
// belongs to another lake, or it is not older.
type ConflictError struct {
	// From and To are the states in the two backends.
	From, To         *state.State
	FromPath, ToPath string
}

func (e *ConflictError) Error() string {
	why := "the state in the new backend is not older"
	if e.From.Lineage != e.To.Lineage {
		why = "the state in the new backend belongs to another lake"
	}
	describe := func(path string, s *state.State) string {
		return fmt.Sprintf("  %s\n  lineage %s, serial %d, %s", path, s.Lineage, s.Serial, jobs.Count(int64(len(s.Jobs)), "job"))
	}
	return fmt.Sprintf("%s:\n\n%s\n\n%s", why, describe(e.FromPath, e.From), describe(e.ToPath, e.To))
}

// Preview is what a Move will do.
type Preview struct {
	State *state.State // nil if it was moved before
	// Objects are next to the former state.
	Objects int
	// Replaces is the state in the new backend, or nil if it has none. It is an older
	// version of the same state, or owns nothing.
	Replaces *state.State
}

// Preview returns what Run will do, or why it cannot: ErrNothing, a *ConflictError, or a
// *state.MovedError if the state was moved to another place than To. If it was moved to
// To, but is not there, Preview returns another error. It changes nothing.
func (m Move) Preview(ctx context.Context) (Preview, error) {
	s, err := m.source(ctx)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{State: s}
	if s != nil {
		if p.Replaces, _, err = m.replaced(ctx, s); err != nil {
			return p, err
		}
	}
	files, prefix := m.From.Store()
	keys, err := list(ctx, files, prefix)
	p.Objects = len(keys)
	return p, err
}

// Run moves the state. If it was moved before, Run only deletes what is left in the
// former place.
func (m Move) Run(ctx context.Context) error {
	s, err := m.source(ctx)
	if err != nil {
		return err
	}
	if s != nil {
		if err := m.copyObjects(ctx); err != nil {
			return err
		}
		if err := m.copyState(ctx, s); err != nil {
			return err
		}
		if err := m.copyBackup(ctx); err != nil {
			return err
		}
		moved := state.Moved{To: m.To.Path(), At: m.Now().UTC(), By: m.By, Lineage: s.Lineage, Serial: s.Serial}
		if err := m.From.MarkMoved(ctx, moved); err != nil {
			return fmt.Errorf("the state is now at %s, but the former state %s could not be marked as moved: %w", m.To.Path(), m.From.Path(), err)
		}
	}
	return m.clean(ctx)
}

// source returns the state as it will be in the new backend, or nil if it was moved there
// before.
func (m Move) source(ctx context.Context) (*state.State, error) {
	s, err := m.From.Read(ctx)
	if moved, ok := errors.AsType[*state.MovedError](err); ok && moved.Moved.To == m.To.Path() {
		return nil, m.checkArrived(ctx, moved.Moved)
	}
	if err != nil {
		return nil, err
	}
	if s.Serial == 0 {
		return nil, ErrNothing
	}
	_, from := m.From.Store()
	_, to := m.To.Store()
	for _, j := range s.Jobs {
		for _, named := range []*state.ProspectList{j.Prospects, j.Empty} {
			if named == nil {
				continue
			}
			if key, ok := strings.CutPrefix(named.Key, from); ok {
				named.Key = to + key
			}
		}
	}
	return s, nil
}

// checkArrived returns an error unless the new backend has the state that was moved there.
// A directory of another machine can have the same path.
func (m Move) checkArrived(ctx context.Context, moved state.Moved) error {
	there, err := m.To.Read(ctx)
	if err == nil && there.Lineage != moved.Lineage {
		err = fmt.Errorf("the state was moved to %s at %s by %s, but it is not there; if that is a place on another machine, configure a backend that both machines can use",
			moved.To, moved.At.Format(time.RFC3339), moved.By)
	}
	return err
}

// replaced returns the state in the new backend that s replaces, or nil. It adds the
// tombstones of that state to s, as Push does. returns is true if a note there says that
// the state was moved away: now it comes back.
func (m Move) replaced(ctx context.Context, s *state.State) (there *state.State, returns bool, err error) {
	there, err = m.To.Read(ctx)
	if _, moved := errors.AsType[*state.MovedError](err); moved {
		return nil, true, nil
	}
	if err != nil || there.Serial == 0 {
		return nil, false, err
	}
	s.Tombstones = there.Tombstones.Merge(s.Tombstones)
	if state.CheckPush(there, s) != nil {
		return nil, false, &ConflictError{s, there, m.From.Path(), m.To.Path()}
	}
	return there, false, nil
}

// copyObjects copies the objects next to the state.
func (m Move) copyObjects(ctx context.Context) error {
	from, fromPrefix := m.From.Store()
	to, toPrefix := m.To.Store()
	keys, err := list(ctx, from, fromPrefix)
	if err != nil {
		return err
	}
	atOnce := min(store.Concurrency(from), store.Concurrency(to))
	return parallel.Each(ctx, atOnce, keys, func(ctx context.Context, key string) error {
		return copyObject(ctx, from, key, to, toPrefix+strings.TrimPrefix(key, fromPrefix))
	})
}

// copyBackup copies the backup of the state. It comes after the state, because Push has
// backed up the state that it replaced.
func (m Move) copyBackup(ctx context.Context) error {
	from, _ := m.From.Store()
	to, _ := m.To.Store()
	err := copyObject(ctx, from, m.From.BackupKey(), to, m.To.BackupKey())
	if errors.Is(err, store.ErrNotExist) { // a first state has no backup
		return nil
	}
	return err
}

// copyState writes the state to the new backend and reads it back.
func (m Move) copyState(ctx context.Context, s *state.State) error {
	_, returns, err := m.replaced(ctx, s)
	if err != nil {
		return err
	}
	if err := m.To.Push(ctx, s, returns); err != nil { // only force replaces the note
		return err
	}
	written, err := m.To.Read(ctx)
	if err != nil {
		return err
	}
	want, err := state.Encode(s)
	if err != nil {
		return err
	}
	got, err := state.Encode(written)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("reading back the state %s: it is not the state that was written", m.To.Path())
	}
	return err
}

// clean deletes the objects next to the former state.
func (m Move) clean(ctx context.Context) error {
	files, prefix := m.From.Store()
	keys, err := list(ctx, files, prefix)
	if err != nil {
		return err
	}
	return parallel.Each(ctx, store.Concurrency(files), keys, func(ctx context.Context, key string) error {
		err := files.Delete(ctx, key, store.Condition{})
		if errors.Is(err, store.ErrNotExist) {
			return nil
		}
		return err
	})
}

func list(ctx context.Context, files store.Store, prefix string) (keys []string, err error) {
	for entry, err := range files.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, entry.Key)
	}
	return keys, nil
}

// copyObject copies one object and reads the copy back.
func copyObject(ctx context.Context, from store.Store, key string, to store.Store, toKey string) error {
	b, err := store.Fetch(ctx, from, key, state.MaxSize)
	if err != nil {
		return err
	}
	if _, err := to.Put(ctx, toKey, store.ContentOf(b, mediaType(key)), store.Condition{}); err != nil {
		return err
	}
	written, err := store.Fetch(ctx, to, toKey, state.MaxSize)
	if err == nil && !bytes.Equal(b, written) {
		err = fmt.Errorf("reading back %s: it does not have the bytes that were written: %w", to.URI(toKey), store.ErrCorrupt)
	}
	return err
}

// mediaType returns the media type of an object next to the state.
func mediaType(key string) string {
	if strings.HasSuffix(key, ".jsonl") {
		return "application/jsonl"
	}
	return "application/json"
}
