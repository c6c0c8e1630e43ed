package state_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

var errNetwork = errors.New("no network")

// faulty is a store on an unreliable network. The function before may prevent a Put, and
// after may lose its response.
type faulty struct {
	store.Store
	before, after func(ctx context.Context, key string) error
	puts          atomic.Int64
}

func (f *faulty) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	f.puts.Add(1)
	if f.before != nil {
		if err := f.before(ctx, key); err != nil {
			return store.Object{}, err
		}
	}
	o, err := f.Store.Put(ctx, key, c, cond)
	if err == nil && f.after != nil {
		if err := f.after(ctx, key); err != nil {
			return store.Object{}, err
		}
	}
	return o, err
}

// keyed returns a function for a faulty that calls fault for one key.
func keyed(key string, fault func() error) func(context.Context, string) error {
	return func(_ context.Context, of string) error {
		if of != key {
			return nil
		}
		return fault()
	}
}

// held locks r, and returns the context of the lock.
func held(t *testing.T, r *state.Remote) context.Context {
	t.Helper()
	ctx, err := r.Lock(t.Context(), state.NewLockInfo("apply", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func defaultRemote(files store.Store) *state.Remote {
	return state.NewRemote(files, remoteKey, state.RemoteOptions{})
}

// These tests use a simulated clock, which advances when all goroutines wait.

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := &faulty{Store: memory.New()}
		r, other := defaultRemote(files), defaultRemote(files)
		ctx := held(t, r)
		s := read(t, r)
		for range 60 {
			time.Sleep(time.Minute)
			if err := lock(t, other, state.NewLockInfo("plan", time.Now())); !errors.Is(err, state.ErrLocked) {
				t.Fatalf("another run took the lock while its holder was alive: %v", err)
			}
		}
		if ctx.Err() != nil {
			t.Errorf("the lock is lost: %v", context.Cause(ctx))
		}
		write(t, r, s)
		if n := files.puts.Load(); n < 180 || n > 250 { // one every 20 s, and one for each attempt of the other run
			t.Errorf("the store had %d writes in an hour", n)
		}
		unlock(t, r)
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), state.ErrLockLost) {
			t.Errorf("after Unlock, the context ends with %v", context.Cause(ctx))
		}
		mustLock(t, other, "plan")
		unlock(t, other)
	})
}

// An interrupted run keeps its lock until it has saved the state.
func TestHeartbeatOutlivesTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := memory.New()
		r, other := defaultRemote(files), defaultRemote(files)
		run, stop := context.WithCancel(t.Context())
		ctx, err := r.Lock(run, state.NewLockInfo("apply", time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		s := read(t, r)
		stop()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("the context ends with %v", context.Cause(ctx))
		}
		time.Sleep(time.Hour)
		if err := lock(t, other, state.NewLockInfo("plan", time.Now())); !errors.Is(err, state.ErrLocked) {
			t.Errorf("the lock has ended with the context: %v", err)
		}
		write(t, r, s)
		unlock(t, r)
	})
}

func TestHeartbeatOnABadNetwork(t *testing.T) {
	for _, test := range []struct {
		name string
		// lasts is the duration of a network outage that begins after 30 s.
		// Renewals happen after 20, 40, 45, 50 … s, and the lease ends after 80
		// s.
		lasts time.Duration
		// unanswered lets a Put take effect, and loses its response.
		unanswered bool
		// hangs lets a Put wait until its context ends or, with deaf, forever.
		hangs, deaf bool
		lost        bool
	}{
		{name: "a short outage", lasts: 15 * time.Second},
		{name: "an outage shorter than the lease", lasts: 44 * time.Second},
		{name: "an outage as long as the lease", lasts: 52 * time.Second, lost: true},
		{name: "a long outage", lasts: time.Hour, lost: true},
		{name: "a short outage of responses", lasts: 15 * time.Second, unanswered: true},
		{name: "an outage of responses shorter than the lease", lasts: 44 * time.Second, unanswered: true},
		{name: "hanging until the context ends", lasts: time.Hour, hangs: true, lost: true},
		{name: "hanging after the context has ended", lasts: time.Hour, hangs: true, deaf: true, lost: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				inOutage := func() bool {
					since := time.Since(began)
					return since >= 30*time.Second && since < 30*time.Second+test.lasts
				}
				fault := func(ctx context.Context, _ string) error {
					switch {
					case !inOutage():
						return nil
					case test.deaf:
						time.Sleep(test.lasts)
					case test.hangs:
						<-ctx.Done()
					}
					return errNetwork
				}
				files := &faulty{Store: memory.New()}
				if test.unanswered {
					files.after = fault
				} else {
					files.before = fault
				}
				r := defaultRemote(files)
				ctx := held(t, r)
				s := read(t, r)
				write(t, r, s)
				if test.lost {
					<-ctx.Done()
					if err := context.Cause(ctx); !errors.Is(err, state.ErrLockLost) || !test.deaf && !errors.Is(err, errNetwork) {
						t.Errorf("the context ends with %v", err)
					}
					// Another run may consider it dead after it has watched it for
					// a lease.
					if after := time.Since(began); after != 80*time.Second {
						t.Errorf("the run gave up the lock after %s", after)
					}
					if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrLockLost) {
						t.Errorf("Write returned %v", err)
					}
				} else {
					time.Sleep(10 * time.Minute)
					if ctx.Err() != nil {
						t.Fatalf("the lock is lost: %v", context.Cause(ctx))
					}
					write(t, r, s)
				}
				if test.deaf {
					time.Sleep(2 * time.Hour)
				}
				if test.lost {
					unlockLost(t, r, 1)
				} else {
					unlock(t, r)
				}
				if test.lost && !test.deaf {
					return // the loss could not be reported
				}
				next := defaultRemote(files)
				mustLock(t, next, "apply")
				unlock(t, next)
			})
		})
	}
}

// If another run has taken the lock, the next heartbeat detects that, and a
// write in progress ends.
func TestHeartbeatAfterReplacement(t *testing.T) {
	for _, test := range []struct {
		name     string
		replace  func(t *testing.T, files store.Store, id string)
		contains string
	}{
		{"by force", func(t *testing.T, files store.Store, id string) {
			if err := defaultRemote(files).ForceUnlock(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, "it was removed"},
		{"by another run", func(t *testing.T, files store.Store, id string) {
			other := remote(files, clockAt(time.Now().Add(time.Hour)))
			mustLock(t, other, "destroy")
			t.Cleanup(func() { unlock(t, other) })
		}, "destroy since"},
		{"by hand", func(t *testing.T, files store.Store, id string) {
			if err := files.Delete(t.Context(), lockKey, store.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, "it was removed"},
		{"by an object that is not a lock", func(t *testing.T, files store.Store, id string) { put(t, files, lockKey, "{") }, "replaced by an object that prospector has not written"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				files := memory.New()
				slow := &faulty{Store: files, before: func(ctx context.Context, key string) error {
					if key == remoteKey {
						<-ctx.Done()
					}
					return ctx.Err()
				}}
				r := defaultRemote(slow)
				info := state.NewLockInfo("apply", time.Now())
				ctx, err := r.Lock(t.Context(), info)
				if err != nil {
					t.Fatal(err)
				}
				s := read(t, r)
				test.replace(t, files, info.ID)
				if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrLockLost) {
					t.Errorf("Write returned %v", err)
				}
				if after := time.Since(began); after != 20*time.Second {
					t.Errorf("the context ends after %s", after)
				}
				if err := context.Cause(ctx); !errors.Is(err, state.ErrLockLost) || !strings.Contains(err.Error(), test.contains) {
					t.Errorf("the context ends with %v, which does not contain %q", err, test.contains)
				}
				if unlocked := unlockLost(t, r, 0); !unlocked.Unknown {
					t.Error("the write of the state has no response, but its outcome is called known")
				}
			})
		})
	}
}

// A write of the state that ended without a response may still take effect. The next
// run fences it off, and need not wait.
func TestWriteOutcomeUnknown(t *testing.T) {
	files := memory.New()
	var sent func()
	network := &faulty{Store: files}
	r := remote(network, clockAt(noon))
	mustLock(t, r, "apply")
	s := read(t, r)
	write(t, r, s)
	generation := must(files.Stat(t.Context(), remoteKey)).Generation
	s.Job("job.late")
	network.before = func(_ context.Context, key string) error {
		if key != remoteKey {
			return nil
		}
		late := encode(t, s)
		sent = func() {
			_, err := files.Put(t.Context(), remoteKey, store.ContentOf([]byte(late), ""), store.IfGeneration(generation))
			if !errors.Is(err, store.ErrCondition) {
				t.Errorf("the late write succeeded: %v", err)
			}
		}
		return errNetwork
	}
	if err := r.Write(t.Context(), s); !errors.Is(err, errNetwork) {
		t.Fatalf("Write returned %v", err)
	}
	unlock(t, r)
	next := remote(files, clockAt(noon))
	mustLock(t, next, "apply")
	now := read(t, next)
	sent()
	write(t, next, now)
	unlock(t, next)
}

// A run that cannot complete the acquisition of a lock does not hold it, and other runs
// need not wait.
func TestLockFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		dead    bool // whether a dead run has left a lock
		network func(files store.Store) *faulty
	}{
		{"creating the lock", false, func(files store.Store) *faulty {
			return &faulty{Store: files, before: func(context.Context, string) error { return errNetwork }}
		}},
		{"creating the lock, without a response", false, func(files store.Store) *faulty {
			return &faulty{Store: files, after: func(context.Context, string) error { return errNetwork }}
		}},
		{"taking over the lock", true, func(files store.Store) *faulty {
			return &faulty{Store: files, before: func(context.Context, string) error { return errNetwork }}
		}},
		{"taking over the lock, without a response", true, func(files store.Store) *faulty {
			taken := false // only the first response is lost
			return &faulty{Store: files, after: func(context.Context, string) error {
				if taken {
					return nil
				}
				taken = true
				return errNetwork
			}}
		}},
		{"fencing", true, func(files store.Store) *faulty {
			return &faulty{Store: files, before: func(_ context.Context, key string) error {
				if key == remoteKey {
					return errNetwork
				}
				return nil
			}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := memory.New()
			zombie := remote(files, clockAt(noon))
			var s *state.State
			if test.dead {
				mustLock(t, zombie, "apply")
				s = read(t, zombie)
			}
			// Just late enough to take over the lock of a dead run. If this attempt
			// left the lock of a live run, the next one would have to wait.
			clock := clockAt(noon.Add(22 * time.Minute))
			r := remote(test.network(files), clock)
			if err := lock(t, r, state.NewLockInfo("apply", noon)); !errors.Is(err, errNetwork) {
				t.Fatalf("Lock returned %v", err)
			}
			if err := r.Write(t.Context(), state.New()); !errors.Is(err, state.ErrNotLocked) {
				t.Errorf("Write returned %v", err)
			}
			next := remote(files, clock)
			mustLock(t, next, "apply")
			if test.dead {
				if err := zombie.Write(t.Context(), s); !errors.Is(err, store.ErrCondition) {
					t.Errorf("the write of the previous run returned %v", err)
				}
			}
			write(t, next, read(t, next))
			unlock(t, next)
		})
	}
}

// A dead run with a lease of hours blocks others for hours, even if their own lease is
// shorter.
func TestLeaseIsThatOfTheHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := memory.New()
		dead := state.NewRemote(files, remoteKey, state.RemoteOptions{Lease: time.Hour, After: never})
		mustLock(t, dead, "apply")
		defer dead.Unlock() // fails, but ends its goroutines
		next := defaultRemote(files)
		defer unlock(t, next)
		began := time.Now()
		var waited []string
		_, err := state.LockWithin(t.Context(), next, state.NewLockInfo("plan", time.Now()), 3*time.Hour,
			func(e *state.LockedError) { waited = append(waited, e.Holder.Operation) })
		if took := time.Since(began); err != nil || took < time.Hour || took > time.Hour+5*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		if !slices.Equal(waited, []string{"apply"}) {
			t.Errorf("onWait was called for %q", waited)
		}
	})
}
