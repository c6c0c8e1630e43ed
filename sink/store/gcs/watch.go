package gcs

import (
	"context"
	"sync"
	"time"
)

// minMoved is how many bytes must move within the limit of a watch.
const minMoved = 4 << 10

// watch ends a context when data moves too slowly: fewer than minMoved bytes within the
// limit. It can be paused, so that only the time that the service takes counts.
type watch struct {
	limit  time.Duration
	cause  error
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	moved   int           // bytes since the limit began
	left    time.Duration // of the limit, at the time resumed
	resumed time.Time     // zero while the watch is paused
	began   time.Time     // when the limit began
}

// newWatch returns a context that ends with cause when the watch does not see enough
// progress. The watch runs at once.
func newWatch(ctx context.Context, limit time.Duration, cause error) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{limit: limit, cause: cause, cancel: cancel, left: limit, resumed: time.Now(), began: time.Now()}
	w.timer = time.AfterFunc(limit, w.expire)
	return ctx, w
}

// move records that n bytes have moved.
func (w *watch) move(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moved += n; w.moved >= minMoved {
		w.begin()
	}
}

// renew records progress other than bytes.
func (w *watch) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
}

// begin lets the limit begin again.
func (w *watch) begin() {
	w.moved, w.left, w.began = 0, w.limit, time.Now()
	if !w.resumed.IsZero() {
		w.resumed = time.Now()
		w.timer.Reset(w.limit)
	}
}

// pause stops the clock, and resume lets it continue.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer.Stop() {
		w.left -= time.Since(w.resumed)
	}
	w.resumed = time.Time{}
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resumed = time.Now()
	w.timer.Reset(w.left)
}

// idle returns the time since the last progress, even if the watch was paused.
func (w *watch) idle() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.began)
}

// expire ends the context.
func (w *watch) expire() { w.cancel(w.cause) }

// stop ends the watch and its context.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.resumed = time.Time{} // a late call of move starts no timer
	w.cancel(context.Canceled)
}
