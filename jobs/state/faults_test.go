package state_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"golang.org/x/sync/errgroup"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
)

// bucket is a bucket of an emulator, behind a proxy that disturbs one request.
type bucket struct {
	store.Store
	proxy    *gcsfault.Proxy
	requests atomic.Int64
}

// newBucket opens a bucket. Then a fault disturbs the nth request.
func newBucket(ctx context.Context, t *testing.T, nth int64, fault gcsfault.Fault) (*bucket, error) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		return nil, err
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	b := &bucket{proxy: gcsfault.New(&gcsfault.Faithful{Service: server.HTTPHandler()}, gcsfault.Options{})}
	front := httptest.NewServer(b.proxy)
	t.Cleanup(front.Close)
	t.Cleanup(b.proxy.Close)
	if b.Store, err = gcs.Open(ctx, "acme", "", gcs.Options{Endpoint: front.URL, Timeout: 500 * time.Millisecond}); err != nil {
		return nil, err
	}
	t.Cleanup(func() { b.Close() })
	b.proxy.Next(func(gcsfault.Request) bool { return b.requests.Add(1) == nth }, fault)
	return b, nil
}

// useState makes every kind of request for a state. It takes over the lock of a dead
// run, writes, pushes, unlocks, and releases a lock by force.
func useState(ctx context.Context, files store.Store) error {
	dead := state.NewRemote(files, remoteKey, state.RemoteOptions{Now: clockAt(noon).Now, After: never})
	if _, err := dead.Lock(ctx, state.NewLockInfo("apply", noon)); err != nil {
		return fmt.Errorf("the first lock: %w", err)
	}
	abandoned, err := dead.Read(ctx)
	if err == nil {
		err = dead.Write(ctx, abandoned)
	}
	if err != nil {
		return err
	}
	later := clockAt(noon.Add(time.Hour))
	r := state.NewRemote(files, remoteKey, state.RemoteOptions{Now: later.Now, After: never})
	held, err := r.Lock(ctx, state.NewLockInfo("apply", noon))
	if err != nil {
		return fmt.Errorf("the takeover: %w", err)
	}
	s, err := r.Read(held)
	if err == nil {
		err = r.Write(held, s)
	}
	if err == nil {
		err = r.Write(held, s)
	}
	if err == nil {
		err = r.Push(held, owning("b", 9, 1), true)
	}
	if err := errors.Join(err, r.Unlock()); err != nil {
		return err
	}
	if err := dead.Write(ctx, abandoned); !errors.Is(err, state.ErrLockLost) {
		return fmt.Errorf("the write of the dead run returned %w", err)
	}
	info := state.NewLockInfo("plan", noon)
	if _, err := r.Lock(ctx, info); err != nil {
		return fmt.Errorf("the last lock: %w", err)
	}
	if err := dead.ForceUnlock(ctx, info.ID); err != nil {
		return err
	}
	if err := r.Unlock(); !errors.Is(err, state.ErrLockLost) {
		return fmt.Errorf("after it was unlocked by force, Unlock returned %w", err)
	}
	return nil
}

var thorough = flag.Bool("thorough", false, "disturb each request with each kind of fault, instead of one kind")

// Each request for a state survives each kind of fault.
func TestSingleFaults(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	undisturbed, err := newBucket(t.Context(), t, 0, gcsfault.None)
	if err != nil {
		t.Fatal(err)
	}
	if err := useState(t.Context(), undisturbed); err != nil {
		t.Fatal(err)
	}
	requests := undisturbed.requests.Load()
	want := stored(t, undisturbed, remoteKey)
	var group errgroup.Group
	group.SetLimit(32)
	faults := []gcsfault.Fault{gcsfault.Lost, gcsfault.ResetBefore, gcsfault.StallAnswer, gcsfault.Unavailable, gcsfault.PerformedUnavailable}
	for i, fault := range faults {
		for nth := range requests {
			if !*thorough && int(nth+1)%len(faults) != i {
				continue
			}
			group.Go(func() error {
				b, err := newBucket(t.Context(), t, nth+1, fault)
				if err == nil {
					err = useState(t.Context(), b)
				}
				if err != nil {
					t.Errorf("request %d, %s: %v", nth+1, fault, err)
					return nil
				}
				if b.proxy.Counts().Total() != 1 {
					t.Errorf("request %d, %s: there was no fault", nth+1, fault)
				}
				var keys []string
				for entry, err := range b.List(t.Context(), "") {
					if err != nil {
						t.Error(err)
					}
					keys = append(keys, entry.Key)
				}
				if left := []string{remoteKey, remoteKey + ".backup"}; !slices.Equal(keys, left) || stored(t, b, remoteKey) != want {
					t.Errorf("request %d, %s: the bucket has %q, and the state is\n%s", nth+1, fault, keys, stored(t, b, remoteKey))
				}
				return nil
			})
		}
	}
	_ = group.Wait() // the goroutines report their errors
	t.Logf("%d requests", requests)
}
