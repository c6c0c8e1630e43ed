package extract

import (
	"context"
	"sync"
	"time"
)

// largePage is the size in bytes above which a page waits for its turn: one page of
// a Client can be larger at a time, from before it is read until the next page is
// requested. What is made of a page takes several times its size, so that memory is
// bounded by a few pages, however many requests are under way. Nearly all pages are
// far smaller, and wait for nothing.
const largePage = 4 << 20

// IsLarge reports whether a page of that many bytes has a turn.
func IsLarge(bytes int) bool { return bytes > largePage }

// Turn waits for the turn of a large page that does not come from Pages. The caller
// must call done once it does not need the page any more.
func (c *Client) Turn(ctx context.Context) (done func(), err error) {
	t := turn{of: c.turns}
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	return t.end, nil
}

// turn is that of one page.
type turn struct {
	of    chan struct{} // has room for one
	taken bool
	ended sync.Once
	// clock is that of the request. It stands still while the page waits: the
	// answer is there, and only the memory for it is not.
	clock *clock
}

// take waits for the turn, unless the page has it.
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

// end lets the next page have its turn.
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

// clock ends a request after some time.
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
