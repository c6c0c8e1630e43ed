package state

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"prospector/sink/store"
)

// hold is a lock with a lease that this process holds.
type hold struct {
	info LockInfo
	// gone is closed when the lock is lost.
	gone chan struct{}
	// end stops the heartbeat and waits until it has stopped.
	end func()

	mu         sync.Mutex
	generation string
	until      time.Time // the end of the lease by the clock of this machine
	lost       error     // why the lock is lost, or nil

	// The heartbeat does not use the fields below.

	// state is the generation of the state that this run has seen or written under
	// the lock, or "" if there is no state.
	state string
	// unfenced is true if the previous holder of the lock may still write.
	unfenced bool
}

func (h *hold) holder() LockInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.info
}

// expired reports whether the lease may have ended. It uses the monotonic clock and
// the wall clock, because the monotonic clock stops while a machine sleeps, and the
// wall clock can be set back.
func (h *hold) expired(now time.Time) bool {
	return !now.Before(h.until) || !now.Round(0).Before(h.until.Round(0))
}

// check returns an error if the lock is lost, or may be lost.
func (h *hold) check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil && h.expired(now) {
		return fmt.Errorf("%w: it was not renewed before its lease ended, at %s", ErrLockLost, h.info.Expires.Format(time.RFC3339))
	}
	return h.lost
}

// startHeartbeat renews the lease in the background until h.end, or until the lock
// is lost. It returns a context that ends with ctx or when the lock is lost. The
// heartbeat continues after ctx has ended, because an interrupted run still saves the
// state.
func (r *Remote) startHeartbeat(ctx context.Context, h *hold) context.Context {
	heldCtx, cancel := context.WithCancelCause(ctx)
	beatCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.heartbeat(beatCtx, h); err != nil {
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

// heartbeat renews the lease after each third of its duration, and more often after
// a failure. It returns nil when ctx ends, or an error when the lock is lost.
func (r *Remote) heartbeat(ctx context.Context, h *hold) error {
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

// renewInTime renews the lease, and gives up when the lease ends.
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
		return fmt.Errorf("%w: its lease ended before it was renewed", ErrLockLost)
	case <-ctx.Done():
		return nil
	}
}

// renew rewrites the lock if this run still holds it.
func (r *Remote) renew(ctx context.Context, h *hold) error {
	generation := h.generation // only the heartbeat changes it
	for range 2 {
		next, err := r.putLock(ctx, h.info, store.IfGeneration(generation))
		if err == nil {
			h.mu.Lock()
			h.info.Expires, h.generation, h.until = next.info.Expires, next.generation, next.until
			h.mu.Unlock()
			return nil
		}
		if !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		// An earlier renewal that ended without a response may have taken effect.
		// Then this run holds the lock, with a generation that it has not seen.
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
	return fmt.Errorf("%w: another program writes it", ErrLockLost)
}
