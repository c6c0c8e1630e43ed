package store

import "context"

// waitingKey is the key of a context's function for Waiting.
type waitingKey struct{}

// WithWaiting returns a context whose calls report to f while they wait for a service that
// does not work. f may be called by several goroutines at the same time, and often.
func WithWaiting(ctx context.Context, f func(why error)) context.Context {
	return context.WithValue(ctx, waitingKey{}, f)
}

// Waiting reports that a call with that context has made no progress for some seconds, and
// makes another attempt. why has the place, and the reason why the last attempt failed.
func Waiting(ctx context.Context, why error) {
	if f, ok := ctx.Value(waitingKey{}).(func(error)); ok {
		f(why)
	}
}
