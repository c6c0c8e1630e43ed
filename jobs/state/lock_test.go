package state_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prospector/jobs/state"
)

// taken is a lock that the holders have in turn.
type taken struct {
	holders []string
	each    time.Duration
	began   time.Time
	tried   int
}

func (l *taken) Lock(ctx context.Context, info state.LockInfo) (context.Context, error) {
	l.tried++
	if i := int(time.Since(l.began) / l.each); i < len(l.holders) {
		return nil, &state.LockedError{Holder: state.LockInfo{ID: l.holders[i], Lease: time.Minute, Expires: time.Now()}}
	}
	return context.WithValue(ctx, key{}, info.ID), nil
}

type key struct{}

func TestLockWithin(t *testing.T) {
	for _, test := range []struct {
		name      string
		holders   []string
		timeout   time.Duration
		took      time.Duration // the longest wait, or 0 if it fails
		waitedFor []string
	}{
		{"free", nil, 0, time.Nanosecond, nil},
		{"free, with time", nil, time.Hour, time.Nanosecond, nil},
		{"held", []string{"a"}, 0, 0, nil},
		{"held for less than the timeout", []string{"a"}, 2 * time.Minute, time.Minute + 5*time.Second, []string{"a"}},
		{"held for exactly the timeout", []string{"a"}, time.Minute, time.Minute, []string{"a"}},
		{"held for longer than the timeout", []string{"a"}, 59 * time.Second, 0, []string{"a"}},
		{"held by two runs in turn", []string{"a", "b"}, time.Hour, 2*time.Minute + 5*time.Second, []string{"a", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				l := &taken{holders: test.holders, each: time.Minute, began: began}
				var waitedFor []string
				ctx, err := state.LockWithin(t.Context(), l, state.LockInfo{ID: "mine"}, test.timeout,
					func(e *state.LockedError) { waitedFor = append(waitedFor, e.Holder.ID) })
				took := time.Since(began)
				switch {
				case test.took == 0 && (!errors.Is(err, state.ErrLocked) || took != test.timeout):
					t.Errorf("after %s: %v", took, err)
				case test.took == 0 && !strings.Contains(err.Error(), "-lock-timeout=2m waits"):
					t.Errorf("the error does not suggest how long to wait: %v", err)
				case test.took > 0 && (err != nil || took > test.took || ctx.Value(key{}) != "mine"):
					t.Errorf("after %s: %v", took, err)
				}
				if !slices.Equal(waitedFor, test.waitedFor) {
					t.Errorf("onWait was called for %q, want %q", waitedFor, test.waitedFor)
				}
				if most := 10 + int(took/time.Second)/5; l.tried > most {
					t.Errorf("Lock was called %d times in %s", l.tried, took)
				}
			})
		})
	}
}

func TestLockWithinEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		began := time.Now()
		l := &taken{holders: []string{"a"}, each: time.Hour, began: began}
		_, err := state.LockWithin(ctx, l, state.LockInfo{}, time.Hour, nil)
		if !errors.Is(err, context.Canceled) || time.Since(began) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
	gone := errors.New("no network")
	_, err := state.LockWithin(t.Context(), failing{gone}, state.LockInfo{}, time.Hour, nil)
	if !errors.Is(err, gone) {
		t.Errorf("LockWithin waited although no other run holds the lock: %v", err)
	}
}

type failing struct{ error }

func (f failing) Lock(context.Context, state.LockInfo) (context.Context, error) { return nil, f.error }

// An interrupt does not end the context, and the loss of the lock does.
func TestWithoutInterrupt(t *testing.T) {
	for _, cause := range []error{context.Canceled, fmt.Errorf("renewing it: %w", state.ErrLockLost)} {
		parent, end := context.WithCancelCause(t.Context())
		ctx, cancel := state.WithoutInterrupt(parent)
		end(cause)
		if errors.Is(cause, state.ErrLockLost) {
			<-ctx.Done()
			if context.Cause(ctx) != cause {
				t.Errorf("the cause is %v", context.Cause(ctx))
			}
		} else if ctx.Err() != nil {
			t.Errorf("%v has ended the context", cause)
		}
		if cancel(); ctx.Err() == nil {
			t.Error("cancelling does not end the context")
		}
	}
}
