package state

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"prospector/sink/store"
)

// hold is a lock that this process has, and the lease on it.
type hold struct {
	info LockInfo
	// gone is closed when the lock is lost.
	gone chan struct{}
	// end stops the heartbeat, and waits until it has.
	end func()

	mu         sync.Mutex
	generation string
	until      time.Time // the end of the lease, by our clock
	lost       error     // why, once it is

	// What follows is the run's, and not the heartbeat's.

	// state is the generation of the state, "" for none, since the lock was
	// taken, as this run has seen or written it.
	state string
	// unfenced says that the run that held the lock before could still write.
	unfenced bool
}

func (h *hold) holder() LockInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.info
}

// expired reports whether the lease could have ended. It believes whichever of
// the monotonic clock and the wall clock is further: the first stands still while
// a machine sleeps, and the second can be set back.
func (h *hold) expired(now time.Time) bool {
	return !now.Before(h.until) || !now.Round(0).Before(h.until.Round(0))
}

// check gives an error when the lock is lost, or could be.
func (h *hold) check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil && h.expired(now) {
		return fmt.Errorf("%w: it was not renewed before its lease ended, at %s", ErrLockLost, h.info.Expires.Format(time.RFC3339))
	}
	return h.lost
}

// keep renews the lease in the background until h.end, or until the lock is lost.
// The context that it gives is derived from ctx, but the heartbeat goes on when
// ctx ends: a run that is being stopped still records what it has done.
func (r *Remote) keep(ctx context.Context, h *hold) context.Context {
	heldCtx, cancel := context.WithCancelCause(ctx)
	beatCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.beat(beatCtx, h); err != nil {
			h.mu.Lock()
			h.lost = err
			h.mu.Unlock()
			cancel(err)
			close(h.gone)
		}
	}()
	h.end = func() {
		stop()
		<-done
		cancel(context.Canceled)
	}
	return heldCtx
}

// beat renews the lease every third of it, and more often while that fails. It
// ends with ctx, or with the error by which the lock is lost.
func (r *Remote) beat(ctx context.Context, h *hold) error {
	var failed error
	wait := r.lease / 3
	for {
		select {
		case <-r.after(wait):
		case <-ctx.Done():
			return nil
		}
		if err := h.check(r.now()); err != nil {
			if failed != nil {
				err = fmt.Errorf("%w; the last attempt: %w", err, failed)
			}
			return err
		}
		failed = r.renewInTime(ctx, h)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(failed, ErrLockLost):
			return failed
		case failed != nil:
			wait = min(r.lease/12, max(h.until.Sub(r.now()), 0))
		default:
			wait = r.lease / 3
		}
	}
}

// renewInTime renews the lease, and waits for that no longer than the lease lasts.
func (r *Remote) renewInTime(ctx context.Context, h *hold) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := r.after(h.until.Sub(r.now()))
	renewed := make(chan error, 1)
	go func() { renewed <- r.renew(ctx, h) }()
	select {
	case err := <-renewed:
		return err
	case <-ends:
		return fmt.Errorf("%w: renewing it took until its lease had ended", ErrLockLost)
	case <-ctx.Done():
		return nil
	}
}

// renew writes the lock again, if it is still ours.
func (r *Remote) renew(ctx context.Context, h *hold) error {
	generation := h.generation // only the heartbeat changes it
	for range 2 {
		next, err := r.put(ctx, h.info, store.IfGeneration(generation))
		if err == nil {
			h.mu.Lock()
			h.info.Expires, h.generation, h.until = next.info.Expires, next.generation, next.until
			h.mu.Unlock()
			return nil
		}
		if !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		// An earlier renewal that ended without an answer may have arrived:
		// then the lock is ours, with a generation that we have not heard of.
		var holder LockInfo
		holder, generation, err = r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			return fmt.Errorf("%w: it was removed", ErrLockLost)
		case err != nil:
			return err
		case holder.ID != h.info.ID:
			return fmt.Errorf("%w to %s", ErrLockLost, holder)
		}
	}
	return fmt.Errorf("%w: somebody else writes it", ErrLockLost)
}
