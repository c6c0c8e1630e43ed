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
	// cancel ends the context of the run, with a cause.
	cancel context.CancelCauseFunc
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
	// written is the serial of the state that this run wrote last, or 0.
	written int64
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

// lose records why the lock is lost, and ends the context of the run.
func (h *hold) lose(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = why
		h.cancel(why)
		close(h.gone)
	}
}

// extend records a renewal, unless the former lease may have ended before its answer
// arrived. The run may have stopped then.
func (h *hold) extend(renewed *hold, now time.Time) error {
	if err := h.check(now); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.info.Expires, h.generation, h.until = renewed.info.Expires, renewed.generation, renewed.until
	return nil
}

// startHeartbeat renews the lease in the background until h.end, or until the lock
// is lost. It returns a context that ends with ctx or when the lock is lost. The
// heartbeat continues after ctx has ended, because an interrupted run still saves the
// state.
func (r *Remote) startHeartbeat(ctx context.Context, h *hold) context.Context {
	var heldCtx context.Context
	heldCtx, h.cancel = context.WithCancelCause(ctx)
	beatCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.heartbeat(beatCtx, h); err != nil {
			h.lose(err)
		}
	}()
	h.end = func() {
		stop()
		<-done
		h.cancel(context.Canceled)
	}
	return heldCtx
}

// heartbeat renews the lease when a third of it has passed. The rest is enough for four
// attempts that get no answer. After an attempt that fails early, the next one follows
// after a twelfth of the lease. It returns nil when ctx ends, or an error when the lock
// is lost.
func (r *Remote) heartbeat(ctx context.Context, h *hold) error {
	var failed error
	next := h.until.Add(-2 * r.lease / 3)
	for {
		select {
		case <-r.after(max(next.Sub(r.now()), 0)):
		case <-h.gone:
			return nil
		case <-ctx.Done():
			return nil
		}
		began := r.now()
		if err := h.check(began); err != nil {
			if failed != nil {
				err = fmt.Errorf("%w; the last attempt: %w", err, failed)
			}
			return err
		}
		failed = r.attemptRenewal(ctx, h)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(failed, ErrLockLost):
			return failed
		case failed == nil:
			next = h.until.Add(-2 * r.lease / 3)
		default:
			next = earlier(began.Add(r.lease/12), h.until)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// attemptRenewal makes one attempt to renew the lease. It gives up after a sixth of the
// lease, or when the lease ends. If the attempt still succeeds later, the next one
// finds that out. Its context ends a little earlier, so that the store can report what
// it was waiting for.
func (r *Remote) attemptRenewal(ctx context.Context, h *hold) error {
	limit := min(r.lease/6, h.until.Sub(r.now()))
	attemptCtx, cancel := context.WithTimeout(ctx, limit-limit/10)
	defer cancel()
	tooLate := r.after(limit)
	renewed := make(chan *hold, 1)
	failed := make(chan error, 1)
	info, generation := h.holder(), h.generation // only the heartbeat changes it
	go func() {
		if next, err := r.renew(attemptCtx, info, generation); err != nil {
			failed <- err
		} else {
			renewed <- next
		}
	}()
	select {
	case next := <-renewed:
		return h.extend(next, r.now())
	case err := <-failed:
		if attemptCtx.Err() != nil {
			err = fmt.Errorf("renewing it took longer than %s: %w", limit.Round(time.Millisecond), err)
		}
		return err
	case <-tooLate:
		return fmt.Errorf("renewing it got no answer within %s", limit.Round(time.Millisecond))
	case <-ctx.Done():
		return nil
	}
}

// renew rewrites the lock if this run still holds it. The lock may have another
// generation than this run has seen, because an earlier renewal that ended without a
// response can take effect at any time.
func (r *Remote) renew(ctx context.Context, info LockInfo, generation string) (*hold, error) {
	for range maxAttempts {
		next, err := r.putLock(ctx, info, store.IfGeneration(generation))
		if !isRefused(err) {
			return next, err
		}
		if _, generation, err = r.own(ctx, info.ID); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("another program keeps writing it")
}
