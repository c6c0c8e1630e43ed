package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// unsteady is a store that disturbs attempts to renew a lock. Every request of an
// attempt has the same context.
type unsteady struct {
	store.Store
	rng *rand.Rand

	mu       sync.Mutex
	attempts map[context.Context]*disturbance
	failed   int  // how many attempts in a row were disturbed
	steady   bool // disturbs nothing
	broken   bool // disturbs every attempt
	stalls   int
	// lastPut is when the last write of the lock began, and lastGood when the last one
	// began that succeeded.
	lastPut, lastGood time.Time
}

func (u *unsteady) set(steady, broken bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steady, u.broken = steady, broken
}

// disturbance is what happens to one attempt.
type disturbance struct {
	requests int // how many requests pass before the fault
	fault    func(ctx context.Context, perform func() error) error
}

// A fault either performs the request or not, and either fails at once, when the
// context ends, or much later.
func faults(u *unsteady) []func(ctx context.Context, perform func() error) error {
	stall := func(ctx context.Context) error {
		u.mu.Lock()
		u.stalls++
		u.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	return []func(ctx context.Context, perform func() error) error{
		func(context.Context, func() error) error { return errNetwork },
		func(_ context.Context, perform func() error) error { _ = perform(); return errNetwork },
		func(ctx context.Context, _ func() error) error { return stall(ctx) },
		func(ctx context.Context, perform func() error) error { _ = perform(); return stall(ctx) },
		func(_ context.Context, perform func() error) error { // which ignores its context
			time.Sleep(time.Duration(11+u.random(80)) * time.Second)
			return perform()
		},
	}
}

func (u *unsteady) random(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rng.IntN(n)
}

// disturb performs a request that belongs to an attempt, or a fault instead.
func (u *unsteady) disturb(ctx context.Context, key string, perform func() error) error {
	if key != lockKey {
		return perform()
	}
	u.mu.Lock()
	if u.steady {
		u.mu.Unlock()
		return perform()
	}
	d, ok := u.attempts[ctx]
	if !ok {
		d = &disturbance{requests: 1 << 30}
		if u.broken || u.failed < 3 && u.rng.IntN(3) > 0 {
			all := faults(u)
			d.requests, d.fault = u.rng.IntN(2), all[u.rng.IntN(len(all))]
			if u.broken { // a later request may not follow
				d.requests = 0
			}
			u.failed++
		} else {
			u.failed = 0
		}
		u.attempts[ctx] = d
	}
	d.requests--
	faulty := d.requests < 0
	took := time.Duration(u.rng.IntN(500)) * time.Millisecond
	u.mu.Unlock()
	time.Sleep(took)
	if faulty {
		return d.fault(ctx, perform)
	}
	return perform()
}

func (u *unsteady) Stat(ctx context.Context, key string) (o store.Object, err error) {
	err = u.disturb(ctx, key, func() (err error) { o, err = u.Store.Stat(ctx, key); return err })
	return o, err
}

func (u *unsteady) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	err = u.disturb(ctx, key, func() (err error) { r, err = u.Store.Open(ctx, key); return err })
	return r, err
}

func (u *unsteady) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (o store.Object, err error) {
	began := time.Now()
	err = u.disturb(ctx, key, func() (err error) { o, err = u.Store.Put(context.WithoutCancel(ctx), key, c, cond); return err })
	if key == lockKey {
		u.mu.Lock()
		defer u.mu.Unlock()
		if began.After(u.lastPut) {
			u.lastPut = began
		}
		if err == nil && time.Since(began) < 10*time.Second {
			u.lastGood = began
		}
	}
	return o, err
}

// If at least one of any four attempts to renew the lock succeeds, the run keeps it. If
// no attempt succeeds for a lease, the run ends, and writes nothing more.
func TestRenewalsAreRepeated(t *testing.T) {
	stalls := 0
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &unsteady{Store: memory.New(), rng: rand.New(rand.NewPCG(seed, 13)), attempts: make(map[context.Context]*disturbance), steady: true}
				r := defaultRemote(u)
				ctx := held(t, r)
				s := read(t, r)
				u.set(false, false)
				for range 120 {
					time.Sleep(time.Duration(u.random(60)) * time.Second)
					if ctx.Err() != nil {
						t.Fatalf("the lock is lost: %v", context.Cause(ctx))
					}
				}
				u.set(true, false)
				write(t, r, s)
				if ctx.Err() != nil {
					t.Fatalf("after a write, the lock is lost: %v", context.Cause(ctx))
				}
				time.Sleep(40 * time.Second) // one undisturbed renewal, and faults that take long
				u.set(false, true)
				<-ctx.Done()
				u.mu.Lock()
				since := time.Since(u.lastGood)
				u.mu.Unlock()
				if since != time.Minute || !errors.Is(context.Cause(ctx), state.ErrLockLost) {
					t.Errorf("%s after the last renewal, the context ends with %v", since, context.Cause(ctx))
				}
				lost, before := time.Now(), stored(t, u.Store, remoteKey)
				time.Sleep(time.Hour)
				if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrLockLost) || stored(t, u.Store, remoteKey) != before {
					t.Errorf("Write returned %v", err)
				}
				if err := r.CheckLock(); !errors.Is(err, state.ErrLockLost) {
					t.Errorf("CheckLock returned %v", err)
				}
				u.set(true, false)
				u.mu.Lock()
				if u.lastPut.After(lost) {
					t.Error("the run renews a lock that it has lost")
				}
				stalls += u.stalls
				u.mu.Unlock()
				unlockLost(t, r, 1)
			})
		})
	}
	if stalls < 1000 {
		t.Errorf("there were only %d stalls: the test is ineffective", stalls)
	}
}
