package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// world is a set of runs that use one state. Each has a clock with an arbitrary time,
// and their network fails at times. Steps are sequential, but before each request of a
// step another run may take a step, so that any two steps can be interleaved.
type world struct {
	*memory.Store
	t      *testing.T
	rng    *rand.Rand
	runs   []*runner
	inside int // the number of steps in progress
	// owner is the run that was the last to get the lock.
	owner *runner
	// committed are the writes that succeeded.
	committed                       []string
	refused, takeovers, forced, all int
}

type runner struct {
	*state.Remote
	name    string
	clock   *stopped
	info    state.LockInfo
	state   *state.State // nil until it is read
	held    bool
	writing bool
	busy    bool
}

// request simulates the network before and after a request.
func (w *world) request() error {
	if w.inside < 3 && w.rng.IntN(4) == 0 {
		w.step()
	}
	return w.mayFail()
}

func (w *world) mayFail() error {
	if w.rng.IntN(40) == 0 {
		return errNetwork
	}
	return nil
}

func (w *world) Stat(ctx context.Context, key string) (store.Object, error) {
	if err := w.request(); err != nil {
		return store.Object{}, err
	}
	return w.Store.Stat(ctx, key)
}

func (w *world) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := w.request(); err != nil {
		return nil, err
	}
	return w.Store.Open(ctx, key)
}

func (w *world) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if err := w.request(); err != nil {
		return store.Object{}, err
	}
	o, err := w.Store.Put(ctx, key, c, cond)
	if err != nil {
		return o, err
	}
	return o, w.mayFail()
}

func (w *world) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := w.request(); err != nil {
		return err
	}
	if err := w.Store.Delete(ctx, key, cond); err != nil {
		return err
	}
	return w.mayFail()
}

// watched records which run writes the state.
type watched struct {
	*world
	by *runner
}

func (w watched) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if key != remoteKey || !w.by.writing {
		return w.world.Put(ctx, key, c, cond)
	}
	if err := w.request(); err != nil {
		return store.Object{}, err
	}
	o, err := w.Store.Put(ctx, key, c, cond)
	if err != nil {
		return o, err
	}
	if w.owner != w.by {
		w.t.Errorf("%s writes the state while %s has the lock", w.by.name, w.owner.name)
	}
	return o, w.mayFail()
}

func (w *world) step() {
	r := w.runs[w.rng.IntN(len(w.runs))]
	if r.busy {
		return
	}
	w.inside++
	r.busy = true
	defer func() { w.inside--; r.busy = false }()
	w.all++
	// Usually a little, sometimes hours, and sometimes back.
	r.clock.advance(time.Duration(w.rng.Int64N(int64(20 * time.Second))))
	if w.rng.IntN(8) == 0 {
		r.clock.advance(time.Duration(w.rng.Int64N(int64(4*time.Hour))) - 2*time.Hour)
	}
	ctx := w.t.Context()
	switch w.rng.IntN(6) {
	case 0:
		r.info = state.NewLockInfo("apply", noon)
		dead := w.owner
		if _, err := r.Lock(ctx, r.info); err == nil {
			if dead != nil && dead.held {
				w.takeovers++
			}
			w.owner, r.held, r.state = r, true, nil
		}
	case 1, 2:
		if s, err := r.Read(ctx); err == nil {
			r.state = s
		}
	case 3, 4:
		if r.state == nil {
			return
		}
		id := fmt.Sprintf("p=%d", w.all)
		s := r.state.Clone()
		s.Job("job.a").Sink("sink.b").Partitions[id] = partition(1, 1)
		r.writing = true
		err := r.Write(ctx, s)
		r.writing = false
		switch {
		case err == nil:
			w.committed = append(w.committed, id)
			r.state = s
		case errors.Is(err, store.ErrCondition):
			w.refused++
		}
	case 5:
		switch w.rng.IntN(3) {
		case 0:
			if r.Unlock() == nil {
				r.held = false
			}
		case 1:
			id := w.owner.info.ID
			if r.ForceUnlock(ctx, id) == nil {
				w.forced++
				if w.owner.info.ID == id { // no run has taken over the lock of force-unlock
					w.owner = noRun
				}
			}
		}
	}
}

var noRun = &runner{name: "no run"}

// Whatever the clocks show, and however runs are interleaved, a run writes only if no
// other run has got the lock after it, and no write is lost.
func TestRivals(t *testing.T) {
	const worlds, steps = 300, 150
	var committed, refused, takeovers, forced int
	for seed := range uint64(worlds) {
		w := &world{Store: memory.New(), t: t, rng: rand.New(rand.NewPCG(seed, 3)), owner: noRun}
		for i := range 3 {
			r := &runner{name: fmt.Sprint("run ", i), clock: clockAt(noon)}
			r.Remote = state.NewRemote(watched{w, r}, remoteKey, state.RemoteOptions{Now: r.clock.Now, After: never})
			w.runs = append(w.runs, r)
		}
		for range steps {
			w.step()
		}
		if len(w.committed) > 0 {
			left, err := state.Decode([]byte(stored(t, w.Store, remoteKey)))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range w.committed {
				if _, ok := left.Job("job.a").Sink("sink.b").Partitions[id]; !ok {
					t.Errorf("the write %s is lost", id)
				}
			}
		}
		for _, r := range w.runs {
			_ = r.Unlock() // ends its heartbeat
		}
		committed, refused = committed+len(w.committed), refused+w.refused
		takeovers, forced = takeovers+w.takeovers, forced+w.forced
		if t.Failed() {
			t.Fatalf("in the world with seed %d", seed)
		}
	}
	t.Logf("%d writes succeeded, %d were refused; %d locks were taken over, %d by force", committed, refused, takeovers, forced)
	if committed < worlds || refused < worlds/2 || takeovers < worlds/2 || forced < worlds/2 {
		t.Error("that is too few: the test is ineffective")
	}
}
