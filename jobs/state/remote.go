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
	// DefaultLease is the minimum time for which a dead run blocks others. A
	// third of it, the time between two renewals, is much longer than a store
	// needs to respond, and much longer than the one second that Cloud Storage
	// requires between two writes of an object.
	DefaultLease = time.Minute

	// skewAllowance is how far the clocks of two machines may differ. See
	// Remote.isDead.
	skewAllowance = 10 * time.Minute

	// unlockTimeout limits the release of a lock, which does not end with the
	// context of the run.
	unlockTimeout = 30 * time.Second

	// maxAttempts limits how often an operation is tried while another program
	// keeps writing the object first.
	maxAttempts = 10
)

// Remote keeps the state in a store that several machines share. Its lock is an
// object next to the state, with a lease that a heartbeat renews.
//
// Mutual exclusion depends on clocks, but only saves runs from wasted work. The
// safety of updates does not depend on clocks. Every write of the state is
// conditional on the generation that the run saw last, and the run saw the
// first of these generations while it held the lock. A run that takes over a
// lock first rewrites the state, which gives it a new generation (a fence). If
// the previous holder is still alive, it has not seen that generation, so the
// store refuses its writes.
type Remote struct {
	storage
	lease time.Duration
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	held  *hold // nil if this backend does not hold the lock

	// watched is the generation of another run's lock, and when this backend saw it
	// first.
	watched struct {
		generation string
		since      time.Time
	}
}

// RemoteOptions configure a Remote. The zero value selects the defaults.
type RemoteOptions struct {
	Lease time.Duration // if 0, DefaultLease
	// Now and After are the clock. If nil, they are time.Now and time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// NewRemote returns the backend of the state in the object with the key. The object
// need not exist.
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

// Lock takes the lock for one run, or returns ErrLocked. The returned context
// ends with ctx, or when the lock is lost, with a cause that wraps ErrLockLost.
// The lock itself remains until Unlock.
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
	heldCtx := r.startHeartbeat(ctx, h)
	r.held, r.seen, r.writeOutcomeUnknown = h, "", false
	if err := r.establish(heldCtx, h, takenOver); err != nil {
		if lost := h.check(r.now()); lost != nil {
			err = lost
		}
		return nil, errors.Join(fmt.Errorf("locking the state %s: %w", r.path, err), r.Unlock())
	}
	return heldCtx, nil
}

// acquire creates the lock, or takes over the lock of a dead run.
func (r *Remote) acquire(ctx context.Context, info LockInfo) (_ *hold, takenOver bool, err error) {
	var holder LockInfo
	for range maxAttempts {
		h, err := r.putLock(ctx, info, store.IfAbsent())
		if err == nil {
			return h, false, nil
		}
		if !errors.Is(err, store.ErrCondition) {
			// The lock may have been created. Nothing has happened under it
			// yet, so it can be deleted.
			_ = r.deleteLock(ctx, info.ID)
			return nil, false, err
		}
		asked := r.now()
		var generation string
		holder, generation, err = r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			continue // it was released in the meantime
		case err != nil:
			return nil, false, err
		case !r.isDead(holder, generation, asked, r.now()):
			return nil, false, &LockedError{holder}
		}
		h, err = r.putLock(ctx, info, store.IfGeneration(generation))
		switch {
		case err == nil:
			return h, true, nil
		case !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist):
			_ = r.expireLock(ctx, info.ID) // the takeover may have succeeded
			return nil, false, err
		}
	}
	return nil, false, &LockedError{holder}
}

// putLock writes the lock. The lease starts before the request is sent, and so
// no later than the store receives it.
func (r *Remote) putLock(ctx context.Context, info LockInfo, cond store.Condition) (*hold, error) {
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

// holder reads the lock. It returns the holder and the generation of the lock.
// If prospector has not written the lock, the holder is the zero value. If the
// lock is renewed between the two requests, the holder is newer than the
// generation, and a write conditional on that generation is refused.
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

// isDead reports whether the holder of the lock is dead or has stopped. The
// lock was requested at the time asked and received at the time answered, both
// by this machine's clock.
//
// A holder renews its lease when two thirds of it are left, and stops when none is
// left by its own clock. So it is dead or has stopped in two cases:
//
//   - Its lease ended more than skewAllowance ago by the clock of this machine.
//     So the run of the next night does not wait. Clocks that NTP sets differ
//     by milliseconds. Clocks that differ by minutes break other things first:
//     Kerberos allows five minutes, signed requests fifteen.
//   - This backend has watched the lock for the duration of a lease, and the
//     lock was not renewed. This depends only on the speed of the clocks.
//
// The description was true at some moment between the request and the response.
// So the watched time runs from the first response to the last request.
func (r *Remote) isDead(holder LockInfo, generation string, asked, answered time.Time) bool {
	if !holder.Expires.IsZero() && asked.Sub(holder.Expires) > skewAllowance {
		return true
	}
	if r.watched.generation != generation {
		r.watched.generation, r.watched.since = generation, answered
		return false
	}
	return asked.Sub(r.watched.since) >= max(holder.Lease, r.lease)
}

// establish connects a new lock with the state. The order matters: first it fences off
// the previous holder, then it reads the generation of the state, and then it checks
// that this run still holds the lock. So a run that takes over the lock from this one
// rewrites the state after this run has seen it.
func (r *Remote) establish(ctx context.Context, h *hold, takenOver bool) error {
	if takenOver {
		h.unfenced = true
		if err := r.fence(ctx); err != nil {
			return fmt.Errorf("fencing off the previous holder: %w", err)
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

// fence rewrites the state unchanged, so that it has a new generation. The store then
// refuses all writes that have an earlier generation as their condition.
func (o *storage) fence(ctx context.Context) error {
	for range maxAttempts {
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
	return fmt.Errorf("another program keeps writing it: %w", store.ErrCondition)
}

// Read returns the state, or a new one if there is none. Under a lock, it
// returns store.ErrCondition unless the state is the one that this run found
// when it took the lock or has written since then.
func (r *Remote) Read(ctx context.Context) (*State, error) {
	b, generation, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.checkUnchanged(generation); err != nil {
		return nil, fmt.Errorf("reading the state %s: %w", r.path, err)
	}
	s, err := r.decode(ctx, b, generation)
	if err != nil {
		return nil, err
	}
	r.seen = generation
	return s, nil
}

// checkUnchanged returns an error if the state is not the one that this run has
// seen under the lock. Accepting another generation would defeat the fence.
func (r *Remote) checkUnchanged(generation string) error {
	if r.held == nil || generation == r.held.state {
		return nil
	}
	return fmt.Errorf("it was written after this run took the lock, by hand or by another run that holds the lock now; run the command again: %w", store.ErrCondition)
}

// Write replaces the state that was read or written last, keeps that state as
// the backup, and increments the serial. It returns store.ErrCondition if
// another program has replaced the state in the meantime, ErrLockLost if the
// lock is lost or its lease may have ended, and ErrNotLocked without a lock.
func (r *Remote) Write(ctx context.Context, s *State) error {
	return r.whileLocked(ctx, func(ctx context.Context) error { return r.storage.Write(ctx, s) })
}

// Push replaces the state with s, which keeps its lineage and serial. It
// returns the errors of Write and, unless force is set, those of CheckPush.
// With force, it also replaces a damaged state, but does not back it up, so
// that the intact backup remains. Push adds the tombstones of the replaced
// state to s.
func (r *Remote) Push(ctx context.Context, s *State, force bool) error {
	return r.whileLocked(ctx, func(ctx context.Context) error {
		b, generation, err := r.load(ctx)
		if err == nil {
			err = r.checkUnchanged(generation)
		}
		if err != nil {
			return fmt.Errorf("replacing the state %s: %w", r.path, err)
		}
		return r.push(ctx, s, force, b, generation)
	})
}

// whileLocked calls write under the lock. The context of write ends when the lock is
// lost.
func (r *Remote) whileLocked(ctx context.Context, write func(context.Context) error) error {
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

// Unlock releases the lock. It does not return an error if the lock was lost
// before, because the context that Lock returned has reported that.
func (r *Remote) Unlock() error {
	h := r.held
	if h == nil {
		return nil
	}
	r.held = nil
	h.end()
	ctx := context.Background()
	if lost := h.check(r.now()); lost != nil || h.unfenced || r.writeOutcomeUnknown {
		if err := r.expireLock(ctx, h.info.ID); err != nil && lost == nil {
			return fmt.Errorf("unlocking the state %s: %w; the lock expires on its own", r.path, err)
		}
		return nil
	}
	switch err := r.deleteLock(ctx, h.info.ID); {
	case errors.Is(err, store.ErrNotExist):
		return fmt.Errorf("unlocking the state %s: %w: it was removed", r.path, ErrLockLost)
	case errors.Is(err, ErrLockLost):
		return fmt.Errorf("unlocking the state %s: %w", r.path, err)
	case err != nil:
		return fmt.Errorf("unlocking the state %s: %w; the lock expires on its own", r.path, err)
	}
	return nil
}

// deleteLock deletes the lock with the ID. It returns store.ErrNotExist if there is no
// lock, and ErrLockLost if there is another.
func (r *Remote) deleteLock(ctx context.Context, id string) error {
	return r.endLock(ctx, id, func(ctx context.Context, _ LockInfo, generation string) error {
		return r.files.Delete(ctx, r.lockKey(), store.IfGeneration(generation))
	})
}

// expireLock rewrites the lock with the ID so that its lease has ended long
// ago. The next run takes it over at once, and fences off writes of this run or
// of the previous holder that may still take effect. After a normal release,
// the next run would not fence them off. expireLock returns the errors of
// deleteLock.
func (r *Remote) expireLock(ctx context.Context, id string) error {
	return r.endLock(ctx, id, func(ctx context.Context, info LockInfo, generation string) error {
		info.Expires = time.Unix(0, 0).UTC()
		b, err := json.MarshalIndent(info, "", "  ")
		if err == nil {
			_, err = r.files.Put(ctx, r.lockKey(), store.ContentOf(b, mediaType), store.IfGeneration(generation))
		}
		return err
	})
}

// endLock calls end with the lock that has the ID. It first reads the lock,
// because a renewal that ended without a response may have changed its
// generation. It tries again if another such renewal takes effect in between.
func (r *Remote) endLock(ctx context.Context, id string, end func(context.Context, LockInfo, string) error) error {
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
		if err = end(ctx, holder, generation); !errors.Is(err, store.ErrCondition) || attempt == maxAttempts {
			return err
		}
	}
}

// ForceUnlock takes over the lock with the ID, and releases it. If the holder is still
// alive, it can no longer write the state.
func (r *Remote) ForceUnlock(ctx context.Context, id string) error {
	if err := r.forceUnlock(ctx, id); err != nil {
		return fmt.Errorf("unlocking the state %s: %w", r.path, err)
	}
	return nil
}

func (r *Remote) forceUnlock(ctx context.Context, id string) error {
	for range maxAttempts {
		holder, generation, err := r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			return ErrNotLocked
		case err != nil:
			return err
		case holder.ID == "":
			return fmt.Errorf("%s is not a lock that prospector has written; if no run is in progress, delete it by hand", r.files.URI(r.lockKey()))
		case holder.ID != id:
			return fmt.Errorf("%w by %s, not with the lock ID %q", ErrLocked, holder, id)
		}
		info := NewLockInfo("force-unlock", r.now())
		info.Path, info.Lease = r.path, r.lease
		_, err = r.putLock(ctx, info, store.IfGeneration(generation))
		switch {
		case errors.Is(err, store.ErrCondition), errors.Is(err, store.ErrNotExist):
			continue // the holder has renewed or released it
		case err != nil:
			return err
		}
		if err := r.fence(ctx); err != nil {
			return errors.Join(fmt.Errorf("fencing off the holder: %w", err), r.expireLock(ctx, info.ID))
		}
		return r.deleteLock(ctx, info.ID)
	}
	return fmt.Errorf("%w by a run that keeps renewing it", ErrLocked)
}
