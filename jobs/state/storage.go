package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"prospector/jobs"
	"prospector/sink/store"
)

const mediaType = "application/json"

// storage keeps the state in one object of a store, and the previous state in a
// backup next to it. It replaces the object only if it is the one that it read
// or wrote last. It does not lock: Local and Remote do.
type storage struct {
	files store.Store
	key   string
	path  string // shown to the user
	// seen is the generation that was read or written last, or "" if there was no
	// object.
	seen string
	// kept is the content of one generation, so that backUp need not read it again. A
	// large state is not kept.
	kept struct {
		generation string
		content    []byte
	}
	// backedUp is the generation of the backup that was written last, or "".
	backedUp string
	// writeOutcomeUnknown is true if a write of the state ended without a
	// response and may still take effect.
	writeOutcomeUnknown bool
}

// Path returns the location of the state, as shown to the user.
func (o *storage) Path() string { return o.path }

// Store returns the store that contains the state, and the key prefix of the
// other objects that belong to the state.
func (o *storage) Store() (files store.Store, prefix string) { return o.files, o.key + ".d/" }

// Read returns the state, or a new one if there is none.
func (o *storage) Read(ctx context.Context) (*State, error) {
	b, generation, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	s, err := o.decode(ctx, b, generation)
	if err != nil {
		return nil, err
	}
	o.seen = generation
	return s, nil
}

// load returns the content and the generation of the object. Both are empty if
// there is none. If the object is replaced between the two requests, the
// content is newer than the generation, and a write conditional on that
// generation is refused.
func (o *storage) load(ctx context.Context) (b []byte, generation string, err error) {
	entry, err := o.files.Stat(ctx, o.key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, "", nil
	}
	if err == nil {
		b, err = store.Fetch(ctx, o.files, o.key, MaxSize)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the state: %w", err)
	}
	o.keep(entry.Generation, b)
	return b, entry.Generation, nil
}

func (o *storage) decode(ctx context.Context, b []byte, generation string) (*State, error) {
	if generation == "" {
		return New(), nil
	}
	s, err := Decode(b)
	var moved *MovedError
	switch {
	case errors.As(err, &moved):
		moved.Path = o.path
		return nil, moved
	case errors.Is(err, ErrNewer):
		return nil, fmt.Errorf("reading the state %s: %w", o.path, err)
	case err != nil:
		return nil, &DamagedError{Path: o.path, Why: err, Backup: o.describeBackup(ctx)}
	}
	return s, nil
}

// DamagedError reports that a state cannot be used, and whether its backup can
// be used.
type DamagedError struct {
	Path   string
	Why    error  // returned by Decode
	Backup string // describes the backup, in sentences
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("reading the state %s: %v. %s", e.Path, e.Why, e.Backup)
}

func (e *DamagedError) Unwrap() error { return e.Why }

// As lets errors.As find a jobs.Diagnostic in the error.
func (e *DamagedError) As(target any) bool {
	d, ok := target.(*jobs.Diagnostic)
	if !ok {
		return false
	}
	*d = jobs.Diagnostic{Severity: jobs.Error, Summary: "The state is damaged",
		Detail: fmt.Sprintf("Reading %s: %v.\n\n%s", e.Path, e.Why, e.Backup)}
	if errors.Is(e.Why, ErrDamaged) {
		d.Detail += "\n\nIf you edited the file by hand, push it:\n\n    prospector state push -force FILE"
	}
	return true
}

// BackupKey returns the key of the backup in the store of the state.
func (o *storage) BackupKey() string { return o.key + ".backup" }

// describeBackup describes whether the backup of a damaged state can replace it.
func (o *storage) describeBackup(ctx context.Context) string {
	path := o.path + ".backup"
	b, err := store.Fetch(ctx, o.files, o.BackupKey(), MaxSize)
	if errors.Is(err, store.ErrNotExist) {
		return fmt.Sprintf("There is no backup at %s.", path)
	}
	var s *State
	if err == nil {
		s, err = Decode(b)
	}
	if err != nil {
		return fmt.Sprintf("Its backup %s cannot be used either: %v.", path, err)
	}
	written := ""
	if at, ok := o.written(ctx, o.BackupKey()); ok {
		written = ", written at " + at.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("Its backup %s is intact: it has serial %d%s. To restore it, push the backup, or a local copy of it:\n\n    prospector state push -force FILE", path, s.Serial, written)
}

// written returns when an object was written, if its store can report it.
func (o *storage) written(ctx context.Context, key string) (at time.Time, ok bool) {
	files, ok := o.files.(store.Dated)
	if !ok {
		return at, false
	}
	at, err := files.Written(ctx, key)
	return at, err == nil
}

// Write replaces the state that was read or written last, keeps that state as
// the backup, and increments the serial. If another program has replaced or
// deleted the state in the meantime, Write returns store.ErrCondition and
// changes nothing.
func (o *storage) Write(ctx context.Context, s *State) error {
	next := *s
	next.Serial++
	if err := o.replace(ctx, &next, true); err != nil {
		return err
	}
	s.Serial = next.Serial
	return nil
}

// Push replaces the state with s, which keeps its lineage and serial. s is a
// state that was pulled, or one that an apply could not write. Unless force is
// set, Push returns the errors of CheckPush. With force, it also replaces a
// damaged state, but does not back it up, so that the intact backup remains.
// Push adds the tombstones of the replaced state to s.
func (o *storage) Push(ctx context.Context, s *State, force bool) error {
	b, generation, err := o.load(ctx)
	if err != nil {
		return err
	}
	return o.push(ctx, s, force, b, generation)
}

func (o *storage) push(ctx context.Context, s *State, force bool, current []byte, generation string) error {
	if s.Serial < 1 || s.Lineage == "" {
		return errors.New("pushing a state: it has no lineage or serial, so no backend has written it")
	}
	before, err := o.decode(ctx, current, generation)
	damaged := err != nil
	switch {
	case damaged && (!force || errors.Is(err, ErrNewer)):
		return err
	case !force:
		if err := CheckPush(before, s); err != nil {
			return fmt.Errorf("replacing the state %s: %w", o.path, err)
		}
	}
	if !damaged { // an older state must not bring an erased prospect back
		s.Tombstones = before.Tombstones.Merge(s.Tombstones)
	}
	o.seen = generation
	return o.replace(ctx, s, !damaged)
}

// replace writes s, which keeps its serial, in place of the state that was seen
// last.
func (o *storage) replace(ctx context.Context, s *State, backup bool) error {
	b, err := Encode(s)
	if err != nil {
		return err
	}
	return o.put(ctx, b, backup)
}

// put writes b in place of the object that was seen last.
func (o *storage) put(ctx context.Context, b []byte, backup bool) error {
	cond := store.IfAbsent()
	if o.seen != "" {
		cond = store.IfGeneration(o.seen)
		if backup {
			if err := o.backUp(ctx); err != nil {
				return fmt.Errorf("backing up the state %s: %w", o.path, err)
			}
		}
	}
	written, err := o.files.Put(ctx, o.key, store.ContentOf(b, mediaType), cond)
	if err != nil {
		refused := errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrOutcomeUnknown)
		o.writeOutcomeUnknown = o.writeOutcomeUnknown || !refused
		return fmt.Errorf("writing the state: %w", err)
	}
	// An earlier write with the same condition can no longer take effect.
	o.seen, o.writeOutcomeUnknown = written.Generation, false
	o.keep(o.seen, b)
	return nil
}

// maxKept is the size in bytes of the largest state that is kept in memory for the backup.
const maxKept = 4 << 20

// keep remembers the content of a generation.
func (o *storage) keep(generation string, content []byte) {
	o.kept.generation, o.kept.content = generation, content
	if len(content) > maxKept {
		o.kept.generation, o.kept.content = "", nil
	}
}

// backUp copies the state that was seen last to the backup. If another program
// has replaced the state, perhaps with a damaged one, or has replaced the backup
// and is about to replace the state, backUp returns store.ErrCondition and the
// other backup remains.
func (o *storage) backUp(ctx context.Context) error {
	if o.backedUp != "" { // the generation of the backup is known, which saves a request
		if err := o.putBackup(ctx, store.IfGeneration(o.backedUp)); !isRefused(err) {
			return err
		}
	}
	cond := store.IfAbsent()
	switch former, err := o.files.Stat(ctx, o.BackupKey()); {
	case err == nil:
		cond = store.IfGeneration(former.Generation)
	case !errors.Is(err, store.ErrNotExist):
		return err
	}
	return o.putBackup(ctx, cond)
}

// putBackup writes the backup if the state is still the one that was seen last. The
// condition is that the backup has not changed since before that check.
func (o *storage) putBackup(ctx context.Context, cond store.Condition) error {
	o.backedUp = ""
	b := o.kept.content
	now, err := o.files.Stat(ctx, o.key)
	if err == nil && now.Generation == o.seen && o.kept.generation != o.seen {
		b, err = store.Fetch(ctx, o.files, o.key, MaxSize)
	}
	switch {
	case errors.Is(err, store.ErrNotExist) || err == nil && now.Generation != o.seen:
		return store.ErrCondition
	case err != nil:
		return err
	}
	written, err := o.files.Put(ctx, o.BackupKey(), store.ContentOf(b, mediaType), cond)
	if err == nil {
		o.backedUp = written.Generation
	}
	return err
}
