package extract

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"
)

// Each calls visit for every prospect, for at most concurrency prospects at once. Each
// worker is one goroutine. It passes its number, from 0, so that visit can keep state for
// each worker without locks.
//
// visit returns nil for problems that concern only its prospect. The first error, of a
// visit or of the sequence, cancels the context of the other visits, and Each returns
// it when they have ended. Each also returns the error of ctx, even if all visits in
// progress succeed. No visit begins after the context has ended.
//
// A single goroutine takes prospects from the sequence, one by one as workers become
// free. A sequence that can block must itself end with ctx.
func Each(ctx context.Context, concurrency int, prospects iter.Seq2[string, error], visit func(ctx context.Context, worker int, prospect string) error) error {
	if concurrency < 1 {
		return fmt.Errorf("prospects cannot be read by %d workers: set concurrency to 1 or more", concurrency)
	}
	group, within := errgroup.WithContext(ctx)
	next := make(chan string)
	group.Go(func() error {
		defer close(next)
		for prospect, err := range prospects {
			if err != nil {
				return fmt.Errorf("reading the list of prospects: %w", err)
			}
			select {
			case next <- prospect:
			case <-within.Done():
				return within.Err()
			}
		}
		return nil
	})
	for worker := range concurrency {
		group.Go(func() error {
			for prospect := range next {
				if err := within.Err(); err != nil { // select may have chosen to send
					return err
				}
				if err := visit(within, worker, prospect); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
