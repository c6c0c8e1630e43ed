package parallel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	var running, most, sum atomic.Int64
	err := Each(t.Context(), 3, []int64{1, 2, 3, 4, 5, 6, 7, 8}, func(_ context.Context, n int64) error {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		sum.Add(n)
		running.Add(-1)
		return nil
	})
	if err != nil || sum.Load() != 36 || most.Load() > 3 {
		t.Errorf("the sum is %d, with up to %d calls at a time: %v", sum.Load(), most.Load(), err)
	}
}

func TestEachStops(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	err := Each(t.Context(), 1, make([]int, 10), func(ctx context.Context, _ int) error {
		calls++
		return broken
	})
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("after an error there are %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	err = Each(ctx, 1, make([]int, 10), func(context.Context, int) error { calls++; return nil })
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("after the context has ended there are %d calls: %v", calls, err)
	}
}
