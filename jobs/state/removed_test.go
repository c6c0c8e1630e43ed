package state_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// A lock can be removed or replaced at any time. Then a run reports that it has lost
// the lock, and which state it has written. If another run has fenced it off, it writes
// nothing more.
func TestRemovedLock(t *testing.T) {
	for _, test := range []struct {
		name   string
		remove func(t *testing.T, files store.Store, id string)
		fences bool
		why    string
	}{
		{"deleted by hand", func(t *testing.T, files store.Store, _ string) {
			if err := files.Delete(t.Context(), lockKey, store.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, false, "it was removed"},
		{"deleted by hand, and taken by another run", func(t *testing.T, files store.Store, _ string) {
			if err := files.Delete(t.Context(), lockKey, store.Condition{}); err != nil {
				t.Fatal(err)
			}
			mustLock(t, remote(files, clockAt(noon)), "destroy")
		}, false, "(destroy since"},
		{"replaced by an object that is not a lock", func(t *testing.T, files store.Store, _ string) {
			put(t, files, lockKey, "garbage")
		}, false, "replaced by an object that prospector has not written"},
		{"released by force", func(t *testing.T, files store.Store, id string) {
			if err := remote(files, clockAt(noon)).ForceUnlock(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, true, "it was removed"},
		{"taken over", func(t *testing.T, files store.Store, _ string) {
			mustLock(t, remote(files, clockAt(noon.Add(time.Hour))), "destroy")
		}, true, "(destroy since"},
	} {
		for before := range 3 {
			for after := range 2 {
				files := memory.New()
				r := remote(files, clockAt(noon))
				info := state.NewLockInfo("apply", noon)
				ctx, err := r.Lock(t.Context(), info)
				if err != nil {
					t.Fatal(err)
				}
				s := read(t, r)
				for range before {
					write(t, r, s)
				}
				test.remove(t, files, info.ID)
				left := stored(t, files, remoteKey)
				written := int64(before)
				for range after {
					switch err := r.Write(t.Context(), s); {
					case test.fences:
						if !errors.Is(err, state.ErrLockLost) || !errors.Is(err, store.ErrCondition) || stored(t, files, remoteKey) != left {
							t.Errorf("%s after %d writes: Write returned %v", test.name, before, err)
						}
						if ctx.Err() == nil || !errors.Is(r.CheckLock(), state.ErrLockLost) {
							t.Errorf("%s after %d writes: the run continues after a write was refused", test.name, before)
						}
					case err != nil:
						t.Errorf("%s after %d writes: Write returned %v", test.name, before, err)
					default:
						written++
					}
				}
				if unlocked := unlockLost(t, r, written); !strings.Contains(unlocked.Error(), test.why) || unlocked.Unknown || unlocked.ID != info.ID {
					t.Errorf("%s after %d writes: Unlock returned %+v", test.name, before, unlocked)
				}
			}
		}
	}
}

// A write of the state can succeed without an answer, before another run takes over the
// lock and fences off this one. Then the run does not claim that it has written nothing.
func TestWrittenBeforeTheFence(t *testing.T) {
	files := memory.New()
	network := &faulty{Store: files}
	r, next := remote(network, clockAt(noon)), remote(files, clockAt(noon.Add(time.Hour)))
	mustLock(t, r, "apply")
	network.after = keyed(remoteKey, func() error {
		mustLock(t, next, "destroy")
		return fmt.Errorf("%w; %w", store.ErrCondition, store.ErrOutcomeUnknown)
	})
	if err := r.Write(t.Context(), read(t, r)); !errors.Is(err, state.ErrLockLost) {
		t.Errorf("Write returned %v", err)
	}
	if s := read(t, next); s.Serial != 1 {
		t.Errorf("the state has serial %d", s.Serial)
	}
	if unlocked := unlockLost(t, r, 0); !unlocked.Unknown {
		t.Errorf("Unlock returned %+v", unlocked)
	}
}

// released calls then when a lock has been deleted, and returns the error of a driver that
// repeats the delete because its answer is lost.
type released struct {
	store.Store
	then func()
}

func (s *released) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := s.Store.Delete(ctx, key, cond); err != nil || key != lockKey {
		return err
	}
	s.then()
	return store.ErrCondition
}

// A run whose lock is released without an answer, and taken by the next run, has not
// lost it.
func TestReleasedWithoutAnswer(t *testing.T) {
	files := memory.New()
	next := remote(files, clockAt(noon))
	r := remote(&released{files, func() { mustLock(t, next, "destroy") }}, clockAt(noon))
	mustLock(t, r, "apply")
	write(t, r, read(t, r))
	unlock(t, r)
	write(t, next, read(t, next))
	unlock(t, next)
}

// If the state was replaced by hand, the lock remains with its run.
func TestStateReplacedByHand(t *testing.T) {
	files := memory.New()
	r := remote(files, clockAt(noon))
	mustLock(t, r, "apply")
	s := read(t, r)
	put(t, files, remoteKey, encode(t, owning("a", 4, 1)))
	if err := r.Write(t.Context(), s); !errors.Is(err, store.ErrCondition) || errors.Is(err, state.ErrLockLost) {
		t.Errorf("Write returned %v", err)
	}
	unlock(t, r)
	if stored(t, files, lockKey) != "" {
		t.Error("the lock is still there")
	}
}

// A store may repeat the creation or the takeover of a lock for longer than its lease.
// Then the run takes its own lock again.
func TestLockTakesLongerThanTheLease(t *testing.T) {
	for _, dead := range []bool{false, true} {
		files, clock := memory.New(), clockAt(noon)
		if dead {
			mustLock(t, remote(files, clockAt(noon.Add(-time.Hour))), "apply")
		}
		slow := &faulty{Store: files}
		slow.after = keyed(lockKey, func() error {
			if slow.puts.Load() < 4 {
				clock.advance(2 * time.Minute)
			}
			return nil
		})
		r := remote(slow, clock)
		mustLock(t, r, "apply")
		s := read(t, r)
		if fenced := s.Serial == 1; fenced != dead {
			t.Errorf("dead %t: the state has serial %d", dead, s.Serial)
		}
		write(t, r, s)
		unlock(t, r)
	}
}

// A run that was paused before it writes the backup does not replace the backup of the
// run that has taken over.
func TestBackupOfALosingRun(t *testing.T) {
	files := memory.New()
	paused := &faulty{Store: files}
	r, next := remote(paused, clockAt(noon)), remote(files, clockAt(noon.Add(time.Hour)))
	mustLock(t, r, "apply")
	s := read(t, r)
	write(t, r, s)
	write(t, r, s)
	backup := ""
	paused.before = keyed(remoteKey+".backup", func() error {
		mustLock(t, next, "apply")
		now := read(t, next)
		write(t, next, now)
		write(t, next, now)
		backup = stored(t, files, remoteKey+".backup")
		return nil
	})
	if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrLockLost) || !errors.Is(err, store.ErrCondition) {
		t.Errorf("Write returned %v", err)
	}
	if got := stored(t, files, remoteKey+".backup"); got != backup || backup == "" {
		t.Errorf("the backup is\n%s, want\n%s", got, backup)
	}
	unlockLost(t, r, 2)
	unlock(t, next)
}
