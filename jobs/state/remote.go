package state

import (
	"cmp"
	"context"
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
	skewAllowance = 20 * time.Minute

	// unlockTimeout limits the release of a lock, which does not end with the
	// context of the run. A store can repeat several requests that stall.
	unlockTimeout = 2 * time.Minute

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
		err = fmt.Errorf("locking the state %s: %w", r.path, err)
		if unlocked := r.Unlock(); !errors.Is(unlocked, ErrLockLost) {
			err = errors.Join(err, unlocked)
		}
		return nil, err
	}
	return heldCtx, nil
}

// CheckLock returns ErrLockLost if the lock is lost or its lease may have ended, and
// ErrNotLocked without a lock. It makes no request. Goroutines may call it
// concurrently, but not during Lock or Unlock.
func (r *Remote) CheckLock() error {
	if r.held == nil {
		return ErrNotLocked
	}
	return r.held.check(r.now())
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
	_, _, err := r.own(ctx, h.info.ID)
	return err
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
		if !isRefused(err) {
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
	return r.whileLocked(ctx, s, func(ctx context.Context) error { return r.storage.Write(ctx, s) })
}

// Push replaces the state with s, which keeps its lineage and serial. It
// returns the errors of Write and, unless force is set, those of CheckPush.
// With force, it also replaces a damaged state, but does not back it up, so
// that the intact backup remains. Push adds the tombstones of the replaced
// state to s.
func (r *Remote) Push(ctx context.Context, s *State, force bool) error {
	return r.whileLocked(ctx, s, func(ctx context.Context) error {
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

// whileLocked calls write, which writes s, under the lock. The context of write ends
// when the lock is lost.
func (r *Remote) whileLocked(ctx context.Context, s *State, write func(context.Context) error) error {
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
		h.state, h.written = r.seen, s.Serial
		return nil
	}
	if errors.Is(err, store.ErrCondition) { // probably because of the run that has the lock now
		if _, _, err := r.own(ctx, h.info.ID); errors.Is(err, ErrLockLost) {
			h.lose(err)
		}
	}
	if lost := h.check(r.now()); lost != nil {
		return fmt.Errorf("%w: %w", lost, err)
	}
	return err
}

// Unlock releases the lock. It returns an *UnlockError if the lock was lost, or cannot
// be released.
func (r *Remote) Unlock() error {
	h := r.held
	if h == nil {
		return nil
	}
	r.held = nil
	h.end()
	end := r.deleteLock
	lost := h.check(r.now())
	if lost != nil || h.unfenced || r.writeOutcomeUnknown {
		end = r.expireLock
	}
	err := end(context.Background(), h.info.ID)
	if lost != nil {
		err = lost
	}
	if err == nil {
		return nil
	}
	return &UnlockError{Path: r.path, ID: h.info.ID, Why: err, Serial: h.written, Unknown: r.writeOutcomeUnknown}
}
