// Package parallel calls a function for many items concurrently.
package parallel

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Each calls f for every item, for at most limit items at a time. It waits for
// all calls and returns the first error. After an error, or when ctx ends, it
// cancels the context of the calls in progress and does not start others.
func Each[T any](ctx context.Context, limit int, items []T, f func(context.Context, T) error) error {
	return Range(ctx, limit, len(items), func(ctx context.Context, i int) error { return f(ctx, items[i]) })
}

// Range calls f for the numbers from 0 to n-1, like Each.
func Range(ctx context.Context, limit, n int, f func(context.Context, int) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error {
			if err := context.Cause(groupCtx); err != nil {
				return err
			}
			return f(groupCtx, i)
		})
	}
	return group.Wait()
}
