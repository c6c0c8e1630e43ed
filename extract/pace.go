package extract

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// pace decides when a request may be sent. The workers of a client share one pace.
type pace struct {
	limiter *rate.Limiter // or nil
	sleep   func(context.Context, time.Duration) error
	waited  atomic.Int64 // nanoseconds

	mu    sync.Mutex
	until time.Time // no request is sent before this time
}

// admit waits until a request may be sent. It fails only if ctx ends.
//
// It waits for the limiter after the hold, so that the workers do not all send at once
// when a hold ends. If another hold begins meanwhile, admit waits for that one, too.
func (p *pace) admit(ctx context.Context) error {
	for {
		until := p.held()
		if err := p.wait(ctx, time.Until(until)); err != nil {
			return err
		}
		if p.limiter != nil {
			slot := p.limiter.Reserve()
			if err := p.wait(ctx, slot.Delay()); err != nil {
				slot.Cancel()
				return err
			}
		}
		if p.held().Equal(until) {
			return nil
		}
	}
}

// hold prevents all workers from sending for at least d.
func (p *pace) hold(d time.Duration) {
	until := time.Now().Add(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.until) {
		p.until = until
	}
}

func (p *pace) held() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// wait sleeps, and counts the time.
func (p *pace) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	if err := p.sleep(ctx, d); err != nil {
		return err
	}
	p.waited.Add(int64(d))
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backoff returns the wait after an attempt, counted from 1. It is "full jitter": a
// random share of a limit that doubles from 0.5 to 30 seconds, so that workers that
// fail together do not retry together.
func backoff(attempt int, random float64) time.Duration {
	const first, most = 500 * time.Millisecond, 30 * time.Second
	bound := most
	if attempt <= 6 { // 500 ms << 6 exceeds most
		bound = min(most, first<<(attempt-1))
	}
	return time.Duration(random * float64(bound))
}

// retryAfter returns how long a response asks the client to wait, in seconds or until an
// HTTP date (RFC 9110, 10.2.3). It returns 0 if there is no such header, if its form is
// unknown, or if the time has passed.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if digits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > math.MaxInt64/int64(time.Second) {
			return math.MaxInt64
		}
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
