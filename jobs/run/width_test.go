package run

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prospector/extract/knocksim"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

// remote is a sink whose files must be downloaded. After gather, requests wait for one
// another until width of them are in progress.
type remote struct {
	*memory.Store
	width int

	mu       sync.Mutex
	arrived  int
	together chan struct{} // closed when width requests are in progress, or nil
	opened   map[string]int
	asked    int // calls of Stat
}

func (*remote) Close() error       { return nil }
func (r *remote) Concurrency() int { return r.width }

// gather makes the next requests wait for one another.
func (r *remote) gather() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived, r.together, r.opened, r.asked = 0, make(chan struct{}), make(map[string]int), 0
}

// gathered reports whether width requests were in progress at a time.
func (r *remote) gathered() bool {
	select {
	case <-r.together:
		return true
	default:
		return false
	}
}

func (r *remote) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r.mu.Lock()
	together := r.together
	if together != nil && strings.HasSuffix(key, ".parquet") {
		r.opened[key]++
		if r.arrived++; r.arrived == r.width {
			close(together)
		}
		r.mu.Unlock()
		select {
		case <-together:
		case <-time.After(10 * time.Second): // the test fails
		}
	} else {
		r.mu.Unlock()
	}
	return r.Store.Open(ctx, key)
}

func (r *remote) Stat(ctx context.Context, key string) (store.Object, error) {
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	return r.Store.Stat(ctx, key)
}

// Files are downloaded as many at a time as the sink serves well, however few the
// machine can process, and each is requested as rarely as possible.
func TestDownloadsOverlap(t *testing.T) {
	const width = 24
	lake := &remote{Store: memory.New(), width: width}
	h := newHouse(t)
	h.stores["local"] = func(context.Context, jobs.Sink) (store.Store, error) { return lake, nil }
	world := knocksim.Options{Seed: 4, Prospects: 30, Events: 600, AsOf: nightOf(20)}
	sim := h.simulate(world)
	h.apply()
	var files int
	for range lake.List(t.Context(), "prospect_events/") {
		files++
	}
	if files < 3*width {
		t.Fatalf("there are only %d files", files)
	}

	// overlaps checks that f downloads at least that many files, most of them once.
	overlaps := func(name string, least int, f func(context.Context, *Session) error) {
		t.Helper()
		ctx, s, err := h.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lake.gather()
		if err := f(ctx, s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		twice := 0
		for _, n := range lake.opened {
			twice += n - 1
		}
		t.Logf("%s: %d of %d files, %d more requests, %d descriptions", name, len(lake.opened), files, twice, lake.asked)
		if !lake.gathered() || len(lake.opened) < least {
			t.Errorf("%s: %d files were downloaded, never %d at a time", name, len(lake.opened), width)
		}
	}
	overlaps("verify", files, func(ctx context.Context, s *Session) error {
		result, err := s.Verify(ctx, func(int, int) {})
		if len(result.Findings) > 0 || result.Files < int64(files) {
			t.Errorf("the result is %+v", result)
		}
		return err
	})
	if lake.asked > 1 { // the quarantine
		t.Errorf("verify describes %d objects, although the listing does", lake.asked)
	}

	// In most partitions, some rows are missing.
	ids := slices.Collect(sim.ProspectIDs())
	h.ask(h.api().Endpoint, ids[10:]...)
	overlaps("compare", width, func(ctx context.Context, s *Session) error {
		p, err := s.Plan(ctx, PlanOptions{})
		if err == nil && p.Jobs[0].Source.Books.Events == 0 {
			t.Error("the plan has read nothing")
		}
		return err
	})
	h.ask(h.api().Endpoint, ids...)

	overlaps("erase", files, func(ctx context.Context, s *Session) error {
		p, err := s.Plan(ctx, PlanOptions{Mode: plan.Erase, Prospect: ids[0]})
		if err == nil {
			err = s.Apply(ctx, p)
		}
		return err
	})
	overlaps("prove", files, func(ctx context.Context, s *Session) error {
		_, err := s.ProveErased(ctx, ids[0])
		return err
	})

	var err error
	if h.job().Schema, err = schemas.KnockEvents().PartitionedBy("event_month"); err != nil {
		t.Fatal(err)
	}
	overlaps("rewrite", files, func(ctx context.Context, s *Session) error {
		p, err := s.Plan(ctx, PlanOptions{})
		if err == nil && p.Jobs[0].Output.Rewrite == nil {
			t.Error("the plan rewrites nothing")
		}
		return err
	})
}

// held is a sink whose writes of files wait until another sink has its own, and then
// fail.
type held struct {
	store.Store
	until <-chan struct{}
}

func (h held) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	<-h.until
	return store.Object{}, errors.New("held")
}

// announcing is a sink that closes written after its first write.
type announcing struct {
	store.Store
	written chan struct{}
	once    *sync.Once
}

func (s announcing) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	o, err := s.Store.Put(ctx, key, c, cond)
	s.once.Do(func() { close(s.written) })
	return o, err
}

// If an apply ends when only the second sink has a new row, the row is not lost, although
// the source does not return it again: the next apply copies it to the first sink.
func TestSecondSinkIsAhead(t *testing.T) {
	h := newHouse(t)
	second := jobs.Sink{Block: jobs.Block{Address: "sink.local.second"}, Location: local.At(filepath.Join(h.dir, "second"))}
	h.job().Sinks = append(h.job().Sinks, second)
	h.people(map[string][]string{"1": {at(1, "a")}, "2": {at(2, "b")}}, "1", "2")
	h.apply()

	open := h.stores["local"]
	written, once := make(chan struct{}), new(sync.Once)
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := open(ctx, s)
		if s.Address == second.Address {
			return announcing{opened, written, once}, err
		}
		return held{opened, written}, err
	}
	h.people(map[string][]string{"1": {at(1, "a")}, "2": {at(2, "b"), at(3, "c")}}, "1", "2")
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "held") {
		t.Fatalf("the error is %v", err)
	}
	if first, second := len(h.rowsIn(0)), len(h.rowsIn(1)); first != 2 || second != 3 {
		t.Fatalf("the sinks have %d and %d rows, so the test is void", first, second)
	}

	h.stores["local"] = open
	h.people(map[string][]string{"1": {at(1, "a")}}, "1")
	h.apply()
	if first, second := h.rowsIn(0), h.rowsIn(1); len(first) != 3 || len(second) != 3 {
		t.Errorf("the sinks have the rows %v and %v", first, second)
	}
}

// hidden is a store whose files must be downloaded.
type hidden struct{ store.Store }

func (h hidden) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := h.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return struct{ io.ReadCloser }{r}, nil
}

// verify finds files that were deleted, cut short or changed, even if the listing shows
// no difference.
func TestVerifyFindsEveryDifference(t *testing.T) {
	for _, download := range []bool{false, true} {
		h := newHouse(t)
		h.people(map[string][]string{"1": {on(1, "a"), on(2, "b"), on(3, "c"), on(4, "d"), on(5, "e")}})
		h.apply()
		if open := h.stores["local"]; download {
			h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
				opened, err := open(ctx, s)
				return hidden{opened}, err
			}
		}
		files := slices.Sorted(maps.Keys(snapshot(t, filepath.Join(h.root(), "prospect_events"))))
		change := func(path string, change func(b []byte) []byte) {
			info, err := os.Stat(path)
			h.must(err)
			b, err := os.ReadFile(path)
			h.must(err)
			h.must(os.WriteFile(path, change(b), 0o600))
			h.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
		}
		h.must(os.Remove(files[0]))
		change(files[1], func(b []byte) []byte { return b[:len(b)-1] })
		change(files[2], func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) // as a disk does: the generation stays
		h.must(os.WriteFile(files[3]+".other", nil, 0o600))

		ctx, s, err := h.open(t.Context())
		h.must(err)
		result, err := s.Verify(ctx, func(int, int) {})
		h.must(errors.Join(err, s.Close()))
		var got []string
		for _, f := range result.Findings {
			problem, _, _ := strings.Cut(f.Problem, ": it has ")
			got = append(got, problem)
		}
		want := []string{"It was deleted.", "It was changed", "It was changed", "This object is not in the state. Readers treat it as part of the table."}
		if !slices.Equal(got, want) || result.Files != 5 {
			t.Errorf("download %t: of %d files, the findings are %q, want %q", download, result.Files, got, want)
		}
	}
}
