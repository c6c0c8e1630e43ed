package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

const (
	remoteKey = "prospector.state.json"
	lockKey   = remoteKey + ".lock"
)

// stopped is a clock that only a test advances, so that there are no heartbeats.
type stopped struct {
	mu  sync.Mutex
	now time.Time
}

func clockAt(now time.Time) *stopped { return &stopped{now: now} }

func (c *stopped) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stopped) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func never(time.Duration) <-chan time.Time { return nil }

func remote(files store.Store, c *stopped) *state.Remote {
	return state.NewRemote(files, remoteKey, state.RemoteOptions{Now: c.Now, After: never})
}

func unlock(t testing.TB, r interface{ Unlock() error }) {
	t.Helper()
	if err := r.Unlock(); err != nil {
		t.Error(err)
	}
}

// unlockLost calls Unlock for a run that has lost its lock. The error has the serial of
// the state that the run has written last.
func unlockLost(t testing.TB, r *state.Remote, serial int64) *state.UnlockError {
	t.Helper()
	err := r.Unlock()
	unlocked, ok := errors.AsType[*state.UnlockError](err)
	if !ok || !errors.Is(err, state.ErrLockLost) || unlocked.Path != r.Path() || unlocked.ID == "" || unlocked.Serial != serial {
		t.Fatalf("Unlock returned %+v, want the loss of the lock and serial %d", err, serial)
	}
	return unlocked
}

func mustLock(t testing.TB, l state.Locker, operation string) state.LockInfo {
	t.Helper()
	info := state.NewLockInfo(operation, noon)
	if err := lock(t, l, info); err != nil {
		t.Fatal(err)
	}
	return info
}

func stored(t testing.TB, files store.Store, key string) string {
	t.Helper()
	r, err := files.Open(t.Context(), key)
	if errors.Is(err, store.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t testing.TB, files store.Store, key, text string) {
	t.Helper()
	if _, err := files.Put(t.Context(), key, store.ContentOf([]byte(text), ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// TestRemote tests a Remote on every kind of store. The function open returns a new
// store twice, as two machines see it.
func TestRemote(t *testing.T) {
	kinds := map[string]func(t *testing.T) (here, there store.Store){
		"memory": func(t *testing.T) (here, there store.Store) {
			s := memory.New()
			return s, s
		},
		"local": func(t *testing.T) (here, there store.Store) {
			dir := t.TempDir()
			return must(local.Open(dir)), must(local.Open(dir))
		},
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL())
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	buckets := 0
	kinds["gcs"] = func(t *testing.T) (here, there store.Store) {
		buckets++
		open := func() store.Store {
			s, err := gcs.Open(t.Context(), "acme", fmt.Sprint("states/", buckets), gcs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		return open(), open()
	}
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, test := range remoteTests {
				t.Run(test.name, func(t *testing.T) {
					here, there := open(t)
					test.run(t, here, there)
				})
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var remoteTests = []struct {
	name string
	run  func(t *testing.T, here, there store.Store)
}{
	{"it keeps the state and a backup", func(t *testing.T, here, there store.Store) {
		r := remote(here, clockAt(noon))
		if want := here.URI(remoteKey); r.Path() != want {
			t.Errorf("the path is %q, want %q", r.Path(), want)
		}
		mustLock(t, r, "apply")
		s := read(t, r)
		for serial := int64(1); serial <= 3; serial++ {
			before := stored(t, there, remoteKey)
			s.Job("job.a").Sink("sink.b").Partitions["p"] = partition(serial, 1)
			write(t, r, s)
			if s.Serial != serial {
				t.Errorf("after write %d the serial is %d", serial, s.Serial)
			}
			if got := stored(t, there, remoteKey); got != encode(t, s) {
				t.Errorf("write %d: the object contains\n%s", serial, got)
			}
			if got := stored(t, there, remoteKey+".backup"); got != before {
				t.Errorf("write %d: the backup contains\n%s, want\n%s", serial, got, before)
			}
		}
		unlock(t, r)
		if diff := cmp.Diff(s, read(t, remote(there, clockAt(noon))), same); diff != "" {
			t.Errorf("the state that was read differs from the one that was written (-want +got):\n%s", diff)
		}
	}},
	{"its lock excludes others and describes its holder", func(t *testing.T, here, there store.Store) {
		first, second := remote(here, clockAt(noon)), remote(there, clockAt(noon))
		info := mustLock(t, first, "apply")
		info.Path, info.Lease, info.Expires = here.URI(remoteKey), time.Minute, noon.Add(time.Minute)
		for _, other := range []*state.Remote{second, first, second} {
			err := lock(t, other, state.NewLockInfo("plan", noon))
			locked, ok := errors.AsType[*state.LockedError](err)
			if !errors.Is(err, state.ErrLocked) || !ok {
				t.Fatalf("the second lock returned %v", err)
			}
			if diff := cmp.Diff(info, locked.Holder); diff != "" {
				t.Errorf("the holder differs (-want +got):\n%s", diff)
			}
			for _, contains := range []string{info.Who, info.ID, "lease until 2022-01-13T12:01:00Z", "-lock-timeout=2m waits"} {
				if !strings.Contains(err.Error(), contains) {
					t.Errorf("the error does not contain %q: %v", contains, err)
				}
			}
		}
		unlock(t, second) // it does not hold the lock, so it cannot release it
		if stored(t, there, lockKey) == "" {
			t.Error("a backend that does not hold the lock has released it")
		}
		unlock(t, first)
		unlock(t, first)
		if got := stored(t, there, lockKey); got != "" {
			t.Errorf("the released lock is %s", got)
		}
		mustLock(t, second, "plan")
		unlock(t, first) // again, now that another backend holds it
		if stored(t, there, lockKey) == "" {
			t.Error("a former holder has released the lock of another")
		}
		unlock(t, second)
		if got := stored(t, there, remoteKey); got != "" {
			t.Errorf("Lock has created a state: %s", got)
		}
	}},
	{"it writes only under its lock", func(t *testing.T, here, there store.Store) {
		r := remote(here, clockAt(noon))
		s := read(t, r)
		if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrNotLocked) {
			t.Errorf("without a lock, Write returned %v", err)
		}
		if err := r.Push(t.Context(), owning("a", 4, 1), true); !errors.Is(err, state.ErrNotLocked) {
			t.Errorf("without a lock, Push returned %v", err)
		}
		mustLock(t, r, "apply")
		write(t, r, s)
		unlock(t, r)
		if err := r.Write(t.Context(), s); !errors.Is(err, state.ErrNotLocked) {
			t.Errorf("after the lock, Write returned %v", err)
		}
		mustLock(t, r, "apply")
		if err := r.Write(t.Context(), state.New()); !errors.Is(err, store.ErrCondition) {
			t.Errorf("a state that was never read is replaced: %v", err)
		}
		unlock(t, r)
		if got := stored(t, there, remoteKey); got != encode(t, s) {
			t.Errorf("the object contains\n%s", got)
		}
	}},
	{"a lease that may have ended counts as ended", func(t *testing.T, here, there store.Store) {
		clock := clockAt(noon)
		r := remote(here, clock)
		mustLock(t, r, "apply")
		s := read(t, r)
		clock.advance(time.Minute - 1)
		write(t, r, s)
		clock.advance(1)
		before := stored(t, there, remoteKey)
		err := r.Write(t.Context(), s)
		if !errors.Is(err, state.ErrLockLost) || s.Serial != 1 || stored(t, there, remoteKey) != before {
			t.Errorf("Write returned %v and serial %d", err, s.Serial)
		}
		unlockLost(t, r, 1)
		// The run is known to be dead, so no other run waits.
		mustLock(t, remote(there, clockAt(noon)), "apply")
	}},
	{"a run that died hours ago blocks no other", func(t *testing.T, here, there store.Store) {
		mustLock(t, remote(here, clockAt(noon)), "apply")
		for _, test := range []struct {
			later time.Duration
			free  bool
		}{
			{-3 * time.Hour, false}, // the other clock is slow
			{0, false},
			{time.Minute, false},
			{21 * time.Minute, false}, // the lease has ended, unless this clock is wrong
			{21*time.Minute + 1, true},
		} {
			err := lock(t, remote(there, clockAt(noon.Add(test.later))), state.NewLockInfo("apply", noon))
			if test.free != (err == nil) || err != nil && !errors.Is(err, state.ErrLocked) {
				t.Errorf("after %s: %v", test.later, err)
			}
		}
	}},
	{"a lock that is not renewed while it is watched belongs to a dead run", func(t *testing.T, here, there store.Store) {
		for _, skew := range []time.Duration{0, -5 * time.Hour, 19 * time.Minute} {
			holder := remote(here, clockAt(noon))
			mustLock(t, holder, "apply")
			clock := clockAt(noon.Add(skew))
			watcher := remote(there, clock)
			for range 4 {
				if err := lock(t, watcher, state.NewLockInfo("apply", noon)); !errors.Is(err, state.ErrLocked) {
					t.Fatalf("skew %s: the lock is taken over too early: %v", skew, err)
				}
				clock.advance(19 * time.Second)
			}
			mustLock(t, watcher, "apply")
			unlock(t, watcher)
			if err := holder.Unlock(); !errors.Is(err, state.ErrLockLost) {
				t.Errorf("skew %s: for the run whose lock was taken over, Unlock returned %v", skew, err)
			}
		}
	}},
	{"a lock that changes between two attempts belongs to a live run", func(t *testing.T, here, there store.Store) {
		clock := clockAt(noon)
		watcher := remote(there, clock)
		for range 5 {
			holder := remote(here, clockAt(noon))
			mustLock(t, holder, "apply")
			if err := lock(t, watcher, state.NewLockInfo("apply", noon)); !errors.Is(err, state.ErrLocked) {
				t.Fatalf("the lock is taken over: %v", err)
			}
			unlock(t, holder)
			clock.advance(50 * time.Second)
		}
	}},
	{"an unreadable lock is taken over after a lease", func(t *testing.T, here, there store.Store) {
		for _, text := range []string{"", "{", "[]", "{}", `{"expires":"0001-01-01T00:00:00Z"}`} {
			put(t, here, lockKey, text)
			clock := clockAt(noon)
			r := remote(there, clock)
			if err := r.ForceUnlock(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "by hand") {
				t.Errorf("%q: ForceUnlock returned %v", text, err)
			}
			for range 2 {
				if err := lock(t, r, state.NewLockInfo("apply", noon)); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), "an object that prospector has not written ("+here.URI(lockKey)) {
					t.Fatalf("%q: Lock returned %v", text, err)
				}
				clock.advance(30 * time.Second)
			}
			mustLock(t, r, "apply")
			unlock(t, r)
		}
	}},
	{"a zombie cannot commit", func(t *testing.T, here, there store.Store) {
		for _, test := range []struct {
			name   string
			exists bool // whether there is a state before
			zombie func(r *state.Remote) *state.State
		}{
			{"that has read", true, func(r *state.Remote) *state.State { return read(t, r) }},
			{"that has read, without a state", false, func(r *state.Remote) *state.State { return read(t, r) }},
			{"that has written", true, func(r *state.Remote) *state.State {
				s := read(t, r)
				write(t, r, s)
				return s
			}},
			{"that has written the first state", false, func(r *state.Remote) *state.State {
				s := read(t, r)
				write(t, r, s)
				return s
			}},
			{"that has not read yet", true, nil},
			{"that has not read yet, without a state", false, nil},
		} {
			for _, how := range []string{"taken over", "unlocked by force", "taken over, and given back"} {
				for _, key := range []string{remoteKey, lockKey, remoteKey + ".backup"} {
					if err := here.Delete(t.Context(), key, store.Condition{}); err != nil && !errors.Is(err, store.ErrNotExist) {
						t.Fatal(err)
					}
				}
				if test.exists {
					put(t, here, remoteKey, encode(t, owning("a", 4, 1)))
				}
				zombie := remote(here, clockAt(noon)) // whose clock does not advance
				info := mustLock(t, zombie, "apply")
				s := state.New()
				if test.zombie != nil {
					s = test.zombie(zombie)
				}
				serial := s.Serial
				before := stored(t, there, remoteKey)

				r := remote(there, clockAt(noon.Add(time.Hour)))
				if how == "unlocked by force" {
					if err := r.ForceUnlock(t.Context(), info.ID); err != nil {
						t.Fatal(err)
					}
				} else {
					mustLock(t, r, "apply")
				}
				if how == "taken over, and given back" {
					unlock(t, r)
				}
				fenced := stored(t, there, remoteKey)
				if before != "" && fenced != before {
					t.Errorf("%s, %s: the fence changes the state from\n%s to\n%s", test.name, how, before, fenced)
				}
				if _, err := zombie.Read(t.Context()); !errors.Is(err, store.ErrCondition) {
					t.Errorf("%s, %s: the zombie's Read returned %v", test.name, how, err)
				}
				writes := []func() error{
					func() error { return zombie.Push(t.Context(), owning("b", 9, 1), true) },
					func() error { return zombie.Write(t.Context(), s) },
				}
				if test.exists {
					slices.Reverse(writes)
				}
				// The store refuses the first one. Then the zombie looks at its lock.
				if err := writes[0](); !errors.Is(err, store.ErrCondition) || !errors.Is(err, state.ErrLockLost) {
					t.Errorf("%s, %s: the zombie's first write returned %v", test.name, how, err)
				}
				if err := writes[1](); !errors.Is(err, state.ErrLockLost) || s.Serial != serial {
					t.Errorf("%s, %s: the zombie's second write returned %v", test.name, how, err)
				}
				if got := stored(t, there, remoteKey); got != fenced {
					t.Errorf("%s, %s: the zombie has written\n%s", test.name, how, got)
				}
				if how == "taken over" {
					now := read(t, r)
					write(t, r, now)
					unlock(t, r)
					if now.Serial != max(serial, 4*int64(b2i(test.exists)), 1)+1 {
						t.Errorf("%s: the successor has written serial %d", test.name, now.Serial)
					}
				}
				if err := zombie.Unlock(); !errors.Is(err, state.ErrLockLost) {
					t.Errorf("%s, %s: the zombie's Unlock returned %v", test.name, how, err)
				}
			}
		}
	}},
	{"force-unlock", func(t *testing.T, here, there store.Store) {
		holder, other := remote(here, clockAt(noon)), remote(there, clockAt(noon))
		if err := other.ForceUnlock(t.Context(), "x"); !errors.Is(err, state.ErrNotLocked) {
			t.Errorf("without a lock, ForceUnlock returned %v", err)
		}
		info := mustLock(t, holder, "apply")
		err := other.ForceUnlock(t.Context(), "x")
		if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), info.ID) || !strings.Contains(err.Error(), info.Who) {
			t.Errorf("with another ID, ForceUnlock returned %v", err)
		}
		if err := other.ForceUnlock(t.Context(), info.ID); err != nil {
			t.Error(err)
		}
		if got := stored(t, there, lockKey); got != "" {
			t.Errorf("the lock is still there: %s", got)
		}
		mustLock(t, other, "apply")
		if err := holder.Unlock(); !errors.Is(err, state.ErrLockLost) || !strings.Contains(err.Error(), "(apply") {
			t.Errorf("for the run whose lock was removed, Unlock returned %v", err)
		}
		unlock(t, other)
	}},
	{"a state is pushed under the lock", func(t *testing.T, here, there store.Store) {
		r := remote(here, clockAt(noon))
		mustLock(t, r, "state push")
		for _, test := range []struct {
			next  *state.State
			force bool
			want  error
		}{
			{owning("a", 4, 1), false, nil},
			{owning("a", 3, 1), false, state.ErrSerial},
			{owning("b", 5, 1), false, state.ErrLineage},
			{owning("b", 5, 1), true, nil},
			{owning("b", 7, 2), false, nil},
		} {
			before := stored(t, there, remoteKey)
			err := r.Push(t.Context(), test.next, test.force)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("Push returned %v, want %v", err, test.want)
			}
			if want := encode(t, test.next); err == nil && stored(t, there, remoteKey) != want {
				t.Errorf("the object is not\n%s", want)
			}
			if err == nil && stored(t, there, remoteKey+".backup") != before {
				t.Errorf("the backup is not\n%s", before)
			}
		}
		unlock(t, r)
		if stored(t, there, lockKey) != "" { // a refused push leaves no lock
			t.Error("the lock is still there")
		}
	}},
	{"the lock is readable JSON", func(t *testing.T, here, there store.Store) {
		info := mustLock(t, remote(here, clockAt(noon)), "apply")
		var got map[string]any
		if err := json.Unmarshal([]byte(stored(t, there, lockKey)), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"id": info.ID, "operation": "apply", "who": info.Who, "created": "2022-01-13T12:00:00Z",
			"path": here.URI(remoteKey), "lease": 60e9, "expires": "2022-01-13T12:01:00Z",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the lock differs (-want +got):\n%s", diff)
		}
	}},
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
