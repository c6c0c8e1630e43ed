package extract

import (
	"context"
	"sync"
	"time"
)

// largePage is the size in bytes above which a page waits for its turn. A Client holds
// one larger page at a time, from before it is read until the next page is requested.
// The rows of a page take several times its size. So turns limit the memory to that of a
// few pages, however many requests are in progress. Nearly all pages are far smaller,
// and do not wait.
const largePage = 4 << 20

// IsLarge reports whether a page of that many bytes waits for a turn.
func IsLarge(bytes int) bool { return bytes > largePage }

// Turn waits for the turn of a large page that does not come from Pages. The caller
// must call done when it no longer needs the page.
func (c *Client) Turn(ctx context.Context) (done func(), err error) {
	t := turn{of: c.turns}
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	return t.end, nil
}

// turn is the turn of one page.
type turn struct {
	of    chan struct{} // has room for one
	taken bool
	ended sync.Once
	// clock is the timeout of the request. It stops while the page waits, because the
	// API is not the cause of the delay.
	clock *clock
}

// take waits for the turn, unless the page already has it.
func (t *turn) take(ctx context.Context) error {
	if t.taken {
		return nil
	}
	t.clock.pause()
	defer t.clock.resume()
	select {
	case t.of <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end gives the turn to the next page.
func (t *turn) end() {
	if t == nil {
		return
	}
	t.ended.Do(func() {
		if t.taken {
			<-t.of
		}
	})
}

// clock limits the time of a request.
type clock struct {
	timer *time.Timer
	limit time.Duration
}

func (c *clock) pause() {
	if c != nil {
		c.timer.Stop()
	}
}

func (c *clock) resume() {
	if c != nil {
		c.timer.Reset(c.limit)
	}
}
