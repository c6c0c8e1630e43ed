package extract

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ids yields n IDs: "0", "1", ….
func ids(n int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			if !yield(strconv.Itoa(i), nil) {
				return
			}
		}
	}
}

func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, prospects = 4, 1000
		seen := make([]map[string]bool, workers) // by worker
		for i := range seen {
			seen[i] = map[string]bool{}
		}
		err := Each(t.Context(), workers, ids(prospects), func(_ context.Context, worker int, prospect string) error {
			time.Sleep(time.Millisecond)
			seen[worker][prospect] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for worker, s := range seen {
			if len(s) == 0 {
				t.Errorf("worker %d got no prospect", worker)
			}
			total += len(s)
		}
		if total != prospects {
			t.Errorf("%d visits", total)
		}
	})
}

// TestEachPulls: while all workers are busy, at most one prospect is taken in advance.
func TestEachPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 4
		pulled := 0
		endless := func(yield func(string, error) bool) {
			for pulled = 1; yield("47", nil); pulled++ {
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- Each(ctx, workers, endless, func(ctx context.Context, _ int, _ string) error {
				<-ctx.Done()
				return nil
			})
		}()
		synctest.Wait()
		if pulled != workers+1 {
			t.Errorf("%d prospects were taken for %d workers", pulled, workers)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after cancellation: %v", err)
		}
	})
}

func TestEachFails(t *testing.T) {
	broken := errors.New("broken")
	t.Run("visit", func(t *testing.T) {
		var mu sync.Mutex
		visits := 0
		err := Each(t.Context(), 4, ids(1_000_000), func(ctx context.Context, _ int, prospect string) error {
			mu.Lock()
			visits++
			mu.Unlock()
			switch n, _ := strconv.Atoi(prospect); {
			case n == 10:
				return broken
			case n > 10:
				<-ctx.Done() // canceled by the failure of the other
			}
			return nil
		})
		if !errors.Is(err, broken) || visits > 20 {
			t.Errorf("%d visits, %v", visits, err)
		}
	})
	t.Run("sequence", func(t *testing.T) {
		err := Each(t.Context(), 4, func(yield func(string, error) bool) {
			_ = yield("1", nil) && yield("", broken)
		}, func(context.Context, int, string) error { return nil })
		if !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("no prospects", func(t *testing.T) {
		if err := Each(t.Context(), 4, ids(0), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("no workers", func(t *testing.T) {
		if err := Each(t.Context(), 0, ids(1), nil); err == nil {
			t.Error("no error")
		}
	})
}

// TestEachInterrupted: a visit in progress may succeed after the end of the context, but
// no other visit begins, and Each returns the error of the context.
func TestEachInterrupted(t *testing.T) {
	for _, prospects := range []int{1, 1000} { // the visit in progress is the last one, or not
		for range 50 { // select chooses at random
			ctx, cancel := context.WithCancel(t.Context())
			visits := 0
			err := Each(ctx, 1, ids(prospects), func(context.Context, int, string) error {
				visits++
				cancel()
				return nil
			})
			if !errors.Is(err, context.Canceled) || visits != 1 {
				t.Fatalf("%d of %d prospects were visited: %v", visits, prospects, err)
			}
		}
	}
}
