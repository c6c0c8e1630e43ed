package state

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"prospector/sink/store"
)

const (
	// DefaultLease is how long a dead run blocks others, at the least. A third
	// of it is far more than a store takes to answer, and far less often than
	// the one write a second that Cloud Storage grants an object.
	DefaultLease = time.Minute

	// skewAllowance is by how much the clocks of two machines may differ. See
	// Remote.dead.
	skewAllowance = 10 * time.Minute

	// unlockTimeout bounds giving a lock back, which has no context: it is also
	// done when the run's has ended.
	unlockTimeout = 30 * time.Second

	// rivals is how often an attempt begins again because somebody else was
	// faster.
	rivals = 10
)

// Remote keeps the state in a store that several machines share. Its lock is an
// object beside the state, with a lease that a heartbeat renews.
//
// That the lock excludes is a matter of clocks, and so it is only what keeps
// runs from wasting each other's work. That no update is lost does not depend on
// any clock: every write of the state is conditional on the generation that this
// run has seen last, and the first that it has seen is from a time when the lock
// was its own. Whoever takes a lock over rewrites the state before anything else.
// The state then has a generation that the previous holder, should it live after
// all, has never seen, so that nothing it still writes is accepted.
type Remote struct {
	storage
	lease time.Duration
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	held  *hold // nil when this backend does not hold the lock

	// watched is the generation of somebody else's lock, and when it was seen
	// first.
	watched struct {
		generation string
		since      time.Time
	}
}

// RemoteOptions are optional. The zero value has sensible ones.
type RemoteOptions struct {
	Lease time.Duration // 0 is DefaultLease
	// Now and After are the clock: time.Now and time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// NewRemote is the backend of the state that is, or will be, the object with that
// key.
func NewRemote(files store.Store, key string, o RemoteOptions) *Remote {
	r := &Remote{
		storage: storage{files: files, key: key, path: files.URI(key)},
		lease:   cmp.Or(o.Lease, DefaultLease), now: o.Now, after: o.After,
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.after == nil {
		r.after = time.After
	}
	return r
}

func (r *Remote) lockKey() string { return r.key + ".lock" }

// Lock takes the state for one run, or gives ErrLocked. The context that it gives
// ends, with a cause that wraps ErrLockLost, when the lock is lost; the lock does
// not end with it, but with Unlock.
func (r *Remote) Lock(ctx context.Context, info LockInfo) (context.Context, error) {
	if r.held != nil {
		return nil, &LockedError{r.held.holder()}
	}
	info.Path, info.Lease = r.path, r.lease
	h, takenOver, err := r.acquire(ctx, info)
	if err != nil {
		if errors.Is(err, ErrLocked) {
			return nil, err
		}
		return nil, fmt.Errorf("locking the state %s: %w", r.path, err)
	}
	heldCtx := r.keep(ctx, h)
	r.held, r.seen, r.unheard = h, "", false
	if err := r.begin(heldCtx, h, takenOver); err != nil {
		if lost := h.check(r.now()); lost != nil {
			err = lost
		}
		return nil, errors.Join(fmt.Errorf("locking the state %s: %w", r.path, err), r.Unlock())
	}
	return heldCtx, nil
}

// acquire makes the lock's object, or takes a dead run's.
func (r *Remote) acquire(ctx context.Context, info LockInfo) (_ *hold, takenOver bool, err error) {
	var holder LockInfo
	for range rivals {
		h, err := r.put(ctx, info, store.IfAbsent())
		if err == nil {
			return h, false, nil
		}
		if !errors.Is(err, store.ErrCondition) {
			// It may have been made all the same. Nothing was done under it
			// yet, so that it can go.
			_ = r.drop(ctx, info.ID)
			return nil, false, err
		}
		asked := r.now()
		var generation string
		holder, generation, err = r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			continue // given back meanwhile
		case err != nil:
			return nil, false, err
		case !r.dead(holder, generation, asked, r.now()):
			return nil, false, &LockedError{holder}
		}
		h, err = r.put(ctx, info, store.IfGeneration(generation))
		switch {
		case err == nil:
			return h, true, nil
		case !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist):
			_ = r.abandon(ctx, info.ID) // it may have been taken all the same
			return nil, false, err
		}
	}
	return nil, false, &LockedError{holder}
}

// put writes the lock. The lease begins before it is sent, for that is the only
// time that is surely not after the one at which it arrives.
func (r *Remote) put(ctx context.Context, info LockInfo, cond store.Condition) (*hold, error) {
	until := r.now().Add(r.lease)
	info.Expires = until.UTC().Round(0)
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, err
	}
	o, err := r.files.Put(ctx, r.lockKey(), store.ContentOf(b, mediaType), cond)
	if err != nil {
		return nil, err
	}
	return &hold{info: info, generation: o.Generation, until: until, gone: make(chan struct{})}, nil
}

// holder reads the lock: who has it, nobody known when it is not a lock that
// prospector has written, and its generation. Should it be renewed in between,
// the holder is newer than the generation, and whatever is then done on the
// condition of that generation is refused.
func (r *Remote) holder(ctx context.Context) (info LockInfo, generation string, err error) {
	o, err := r.files.Stat(ctx, r.lockKey())
	if err != nil {
		return info, "", err
	}
	b, err := fetch(ctx, r.files, r.lockKey())
	if err != nil {
		return info, "", err
	}
	if json.Unmarshal(b, &info) != nil {
		info = LockInfo{}
	}
	return info, o.Generation, nil
}

// dead reports whether the holder of the lock is, which was asked for and came
// back at those times of our clock.
//
// A holder renews its lease when two thirds of it are left, and stops by itself
// when none is left by its own clock. So it is dead, or has stopped, when
//
//   - its lease has ended by our clock, and by more than two clocks may differ:
//     a night later nobody needs to wait. Clocks that are set by NTP differ by
//     milliseconds, and ones that differ by minutes break other things first
//     (Kerberos allows five, signed requests fifteen);
//   - or the lock was not renewed for a whole lease that we have watched. That
//     compares no two clocks, only how fast they go.
//
// What is true of the lock was true at some time between asking and answer, so
// that a lease was watched from the first answer to the last question.
func (r *Remote) dead(holder LockInfo, generation string, asked, answered time.Time) bool {
	if !holder.Expires.IsZero() && asked.Sub(holder.Expires) > skewAllowance {
		return true
	}
	if r.watched.generation != generation {
		r.watched.generation, r.watched.since = generation, answered
		return false
	}
	return asked.Sub(r.watched.since) >= max(holder.Lease, r.lease)
}

// begin makes the lock good for the state. The order counts: first whoever held
// the lock before is fenced off, then it is seen which state is there, then that
// the lock was still ours after that. So whoever takes the lock from us rewrites
// the state later than we have seen it.
func (r *Remote) begin(ctx context.Context, h *hold, takenOver bool) error {
	if takenOver {
		h.unfenced = true
		if err := r.fence(ctx); err != nil {
			return fmt.Errorf("fencing off the run that held it before: %w", err)
		}
		h.unfenced = false
	}
	switch o, err := r.files.Stat(ctx, r.key); {
	case err == nil:
		h.state = o.Generation
	case !errors.Is(err, store.ErrNotExist):
		return err
	}
	holder, _, err := r.holder(ctx)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return fmt.Errorf("%w: it was removed", ErrLockLost)
	case err != nil:
		return err
	case holder.ID != h.info.ID:
		return fmt.Errorf("%w to %s", ErrLockLost, holder)
	}
	return nil
}

// fence gives the state another generation, whatever it holds, so that no write
// which depends on an earlier one is accepted any more.
func (o *storage) fence(ctx context.Context) error {
	for range rivals {
		b, generation, err := o.load(ctx)
		if err != nil {
			return err
		}
		cond := store.IfGeneration(generation)
		if generation == "" {
			cond = store.IfAbsent()
			fresh := New()
			fresh.Serial = 1
			if b, err = Encode(fresh); err != nil {
				return err
			}
		}
		_, err = o.files.Put(ctx, o.key, store.ContentOf(b, mediaType), cond)
		if !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("somebody else keeps writing it: %w", store.ErrCondition)
}

// Read gives the state, or a new one where there is none. Under a lock it is the
// state that was there when the lock was taken, or that was written since.
func (r *Remote) Read(ctx context.Context) (*State, error) {
	b, generation, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.unchanged(generation); err != nil {
		return nil, fmt.Errorf("reading the state %s: %w", r.path, err)
	}
	s, err := r.decode(ctx, b, generation)
	if err != nil {
		return nil, err
	}
	r.seen = generation
	return s, nil
}

// unchanged reports whether the state still is what was seen under the lock.
// Taking another generation for granted would undo the fence.
func (r *Remote) unchanged(generation string) error {
	if r.held == nil || generation == r.held.state {
		return nil
	}
	return fmt.Errorf("somebody has written it since this run took the lock, by hand or because the lock is another's by now; run again: %w", store.ErrCondition)
}

// Write replaces the state that was read or written last, keeping that one as a
// backup, and raises its serial. It gives store.ErrCondition when somebody else
// has replaced it meanwhile, ErrLockLost when the lock is lost or its lease could
// have ended, and ErrNotLocked without a lock.
func (r *Remote) Write(ctx context.Context, s *State) error {
	return r.guarded(ctx, func(ctx context.Context) error { return r.storage.Write(ctx, s) })
}

// Push replaces the state by one that was pulled, or left by an apply that could
// not write it, with its own lineage and serial. Unless force is set it gives the
// errors of CheckPush; otherwise those of Write. force also replaces a damaged
// state, of which no backup is made: it would take the place of a good one.
func (r *Remote) Push(ctx context.Context, s *State, force bool) error {
	return r.guarded(ctx, func(ctx context.Context) error {
		b, generation, err := r.load(ctx)
		if err == nil {
			err = r.unchanged(generation)
		}
		if err != nil {
			return fmt.Errorf("replacing the state %s: %w", r.path, err)
		}
		return r.push(ctx, s, force, b, generation)
	})
}

// guarded writes while the lock is held. The write ends with the lock.
func (r *Remote) guarded(ctx context.Context, write func(context.Context) error) error {
	h := r.held
	if h == nil {
		return fmt.Errorf("writing the state %s: %w by this run", r.path, ErrNotLocked)
	}
	if err := h.check(r.now()); err != nil {
		return fmt.Errorf("writing the state %s: %w", r.path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-h.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := write(ctx)
	if err == nil {
		h.state = r.seen
		return nil
	}
	if lost := h.check(r.now()); lost != nil {
		return fmt.Errorf("%w: %w", lost, err)
	}
	return err
}

// Unlock gives the state back. A lock that was lost is not there to be given
// back, which is no error: the context of Lock has told.
func (r *Remote) Unlock() error {
	h := r.held
	if h == nil {
		return nil
	}
	r.held = nil
	h.end()
	ctx := context.Background()
	if lost := h.check(r.now()); lost != nil || h.unfenced || r.unheard {
		if err := r.abandon(ctx, h.info.ID); err != nil && lost == nil {
			return fmt.Errorf("unlocking the state %s: %w; the lock ends by itself", r.path, err)
		}
		return nil
	}
	switch err := r.drop(ctx, h.info.ID); {
	case errors.Is(err, store.ErrNotExist):
		return fmt.Errorf("unlocking the state %s: %w: it was removed", r.path, ErrLockLost)
	case errors.Is(err, ErrLockLost):
		return fmt.Errorf("unlocking the state %s: %w", r.path, err)
	case err != nil:
		return fmt.Errorf("unlocking the state %s: %w; the lock ends by itself", r.path, err)
	}
	return nil
}

// drop deletes the lock with that ID. It gives store.ErrNotExist when there is
// none, and ErrLockLost when there is another.
func (r *Remote) drop(ctx context.Context, id string) error {
	return r.ifOurs(ctx, id, func(ctx context.Context, _ LockInfo, generation string) error {
		return r.files.Delete(ctx, r.lockKey(), store.IfGeneration(generation))
	})
}

// abandon leaves the lock with that ID as one that has expired long ago, for the
// next run to take over at once. It does then what it would not do for a lock
// that was given back: fence off whatever we, or the run before us, may have on
// the way. It gives the errors of drop.
func (r *Remote) abandon(ctx context.Context, id string) error {
	return r.ifOurs(ctx, id, func(ctx context.Context, info LockInfo, generation string) error {
		info.Expires = time.Unix(0, 0).UTC()
		b, err := json.MarshalIndent(info, "", "  ")
		if err == nil {
			_, err = r.files.Put(ctx, r.lockKey(), store.ContentOf(b, mediaType), store.IfGeneration(generation))
		}
		return err
	})
}

// ifOurs ends the lock with that ID. It asks for the lock's generation, for a
// renewal that ended without an answer may have arrived; one that arrives in
// between is the last.
func (r *Remote) ifOurs(ctx context.Context, id string, end func(context.Context, LockInfo, string) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		holder, generation, err := r.holder(ctx)
		if err != nil {
			return err
		}
		if holder.ID != id {
			return fmt.Errorf("%w to %s", ErrLockLost, holder)
		}
		if err = end(ctx, holder, generation); !errors.Is(err, store.ErrCondition) || attempt == rivals {
			return err
		}
	}
}

// ForceUnlock takes the lock with that ID from its holder, and gives it back.
// Should the holder live after all, it can write nothing any more.
func (r *Remote) ForceUnlock(ctx context.Context, id string) error {
	if err := r.forceUnlock(ctx, id); err != nil {
		return fmt.Errorf("unlocking the state %s: %w", r.path, err)
	}
	return nil
}

func (r *Remote) forceUnlock(ctx context.Context, id string) error {
	for range rivals {
		holder, generation, err := r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			return ErrNotLocked
		case err != nil:
			return err
		case holder.ID == "":
			return fmt.Errorf("%s is no lock that prospector has written; if no run is going on, remove it by hand", r.files.URI(r.lockKey()))
		case holder.ID != id:
			return fmt.Errorf("%w by %s, not with the lock ID %q", ErrLocked, holder, id)
		}
		info := NewLockInfo("force-unlock", r.now())
		info.Path, info.Lease = r.path, r.lease
		_, err = r.put(ctx, info, store.IfGeneration(generation))
		switch {
		case errors.Is(err, store.ErrCondition), errors.Is(err, store.ErrNotExist):
			continue // it lives, and has renewed or given back its lock
		case err != nil:
			return err
		}
		if err := r.fence(ctx); err != nil {
			return errors.Join(fmt.Errorf("fencing off the run that held it: %w", err), r.abandon(ctx, info.ID))
		}
		return r.drop(ctx, info.ID)
	}
	return fmt.Errorf("%w by a run that keeps renewing it", ErrLocked)
}
