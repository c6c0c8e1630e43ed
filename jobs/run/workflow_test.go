package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

func address(t testing.TB, text string) jobs.Address {
	t.Helper()
	a, err := jobs.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A target includes the partitions that events have moved from or to. Otherwise an event
// would be in the lake twice, or not at all.
func TestTargetsWiden(t *testing.T) {
	const from, to = "event_type=T/event_date=2022-01-13", "event_type=T/event_date=2022-02-01"
	for _, target := range []string{from, to} {
		t.Run(target, func(t *testing.T) {
			h := newHouse(t)
			other := `{"type":"T","createdAt":"2022-01-14T00:00:00Z"}`
			h.events(`{`+created+`,"eventTime":"2022-01-13T00:00:00Z"}`, other)
			h.apply()
			h.events(`{`+created+`,"eventTime":"2022-02-01T00:00:00Z"}`, other, `{"type":"T","createdAt":"2022-01-15T00:00:00Z"}`)
			h.options.Targets = []jobs.Address{address(t, "job.prospect_events").WithPartition(target)}
			p := h.apply()
			var changed []string
			for _, c := range p.Jobs[0].Output.Changes {
				changed = append(changed, string(c.Action)+" "+c.Partition)
			}
			if diff := cmp.Diff([]string{"delete " + from, "create " + to}, changed); diff != "" {
				t.Errorf("the changes (-want +got):\n%s", diff)
			}
			if !strings.Contains(p.Jobs[0].Problems.Warnings.Error(), "added to the targets") {
				t.Errorf("there is no warning: %v", p.Jobs[0].Problems.Warnings)
			}
			if rows := h.rows(); len(rows) != 2 {
				t.Errorf("there are %d rows", len(rows))
			}
			h.options.Targets = nil
			if p := h.apply(); p.Summary() != (plan.Summary{Add: 1}) || len(h.rows()) != 3 {
				t.Errorf("afterwards %+v, %d rows", p.Summary(), len(h.rows()))
			}
		})
	}
}

// counting is a store that counts reads.
type counting struct {
	store.Store
	opened, asked *atomic.Int64
}

func (c counting) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.opened.Add(1)
	return c.Store.Open(ctx, key)
}

func (c counting) Stat(ctx context.Context, key string) (store.Object, error) {
	c.asked.Add(1)
	return c.Store.Stat(ctx, key)
}

// countOpened counts how often files of the lake are opened from now on.
func (h *house) countOpened() *atomic.Int64 {
	opened, inner := new(atomic.Int64), h.stores["local"]
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		lake, err := inner(ctx, s)
		return counting{lake, opened, new(atomic.Int64)}, err
	}
	return opened
}

// keeping is a store that stays open when a session closes it.
type keeping struct{ store.Store }

func (keeping) Close() error { return nil }

// If the events of one prospect change in a table of 100,000 partitions, the plan reads
// only the partitions of these events.
func TestUntouchedPartitions(t *testing.T) {
	const untouched = 100_000
	h := newHouse(t)
	lake := memory.New()
	var opened, asked atomic.Int64
	h.stores["local"] = func(context.Context, jobs.Sink) (store.Store, error) {
		return counting{keeping{lake}, &opened, &asked}, nil
	}
	h.events(`{` + created + `,"description":"before"}`)
	h.apply()

	files, err := local.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	backend := state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json"))
	s, err := backend.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sink := s.Job("job.prospect_events").Sink("sink.local.lake")
	for i := range untouched {
		path := fmt.Sprintf("event_type=T%d/event_date=2021-%02d-%02d", i/300, 1+i%300/25, 1+i%25)
		object, err := lake.Put(t.Context(), plan.Key("prospect_events", path), store.ContentOf([]byte(path), ""), store.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		// The last apply did not read them either.
		sink.Partitions[path] = state.Partition{Rows: 1, SourceSubset: &state.SourceSubset{}, Content: schemas.Digest{Lo: uint64(i)}, Days: &state.Days{First: 18628, Last: 18990}, Files: []state.File{{
			Rows: 1, Content: schemas.Digest{Lo: uint64(i)},
			Object: state.Object{Key: object.Key, Size: object.Size, CRC32C: object.CRC32C, Generation: object.Generation},
		}}}
	}
	if err := backend.Write(t.Context(), s); err != nil {
		t.Fatal(err)
	}

	// A changed event, and a new one that was in no other partition before.
	h.events(`{`+created+`,"description":"after"}`, `{"type":"T","createdAt":"2022-01-14T00:00:00Z"}`)
	opened.Store(0)
	asked.Store(0)
	ctx, session, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := session.Plan(ctx, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	t.Logf("the plan allocated %d MiB", (after.TotalAlloc-before.TotalAlloc)>>20)
	if p.Summary() != (plan.Summary{Add: 1, Change: 1}) || len(p.Jobs[0].Output.Changes) != untouched+2 {
		t.Errorf("the plan has %+v, and looks at %d partitions", p.Summary(), len(p.Jobs[0].Output.Changes))
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d times a file was opened", n)
	}
	if asked.Load() > 0 {
		t.Errorf("%d objects were read", asked.Load())
	}
}

// If a prospect is no longer read, its rows stay. The first plan reads their files to
// find that out. Later plans do not re-read them as long as the source returns the same
// events, and none that could have moved from these files.
func TestRowsThatNoProspectReturns(t *testing.T) {
	h := newHouse(t)
	opened := h.countOpened()
	sim := h.simulate(knocksim.Options{Seed: 3, Prospects: 40, Events: 2000, AsOf: nightOf(20)})
	prospects := slices.Collect(sim.ProspectIDs())
	h.apply()
	night := func(prospects []string) (summary plan.Summary, files int64) {
		t.Helper()
		h.ask(h.api().Endpoint, prospects...)
		opened.Store(0)
		return h.apply().Summary(), opened.Load()
	}
	for i, want := range []struct {
		prospects []string
		reads     bool
	}{
		{prospects[1:], true}, {prospects[1:], false}, {prospects[2:], true}, {prospects[2:], false},
		{prospects, false}, // everything in the files
		{prospects[1:], true},
	} {
		summary, files := night(want.prospects)
		if summary != (plan.Summary{}) || (files > 0) != want.reads {
			t.Errorf("night %d: %+v, and %d files were read", i, summary, files)
		}
	}

	// Later the prospect is back, and some of its events have moved since.
	h.simulate(knocksim.Options{Seed: 3, Prospects: 40, Events: 2000, AsOf: nightOf(26)})
	if summary, _ := night(prospects[1:]); summary.Change == 0 {
		t.Fatal("nothing has changed, so the test is void")
	}
	night(prospects)
	if diff := cmp.Diff(h.fromScratch(), h.lake(h.root())); diff != "" {
		t.Errorf("the lake is not that of an export from scratch:\n%s", diff)
	}
}

// Rows of prospects that are no longer read stay in partitions that get new rows. Each
// file is read once, or four times if neither the rows that stay nor the IDs of the new
// rows fit in memory: twice to compare and twice to merge. The result is the same.
func TestKeptRows(t *testing.T) {
	var lakes []map[string]schemas.Digest
	for _, test := range []struct {
		limit int64
		reads int64 // of a file
	}{{0, 1}, {1, 4}} {
		h := newHouse(t)
		opened := h.countOpened()
		sim := h.simulate(knocksim.Options{Seed: 3, Prospects: 40, Events: 2000, AsOf: nightOf(20)})
		prospects := slices.Collect(sim.ProspectIDs())
		h.apply()
		before := len(h.rows())
		h.ask(h.api().Endpoint, prospects[:20]...)
		h.apply() // finds the rows that no prospect returns
		h.simulate(knocksim.Options{Seed: 3, Prospects: 40, Events: 2000, AsOf: nightOf(26)})
		h.ask(h.api().Endpoint, prospects[:20]...)
		h.limit = test.limit
		opened.Store(0)
		p := h.apply()
		compared := int64(0) // partitions that had rows and are rewritten
		for _, c := range p.Jobs[0].Output.Changes {
			if c.Action == plan.Update && c.Rows.Added+c.Rows.Changed > 0 {
				compared++
			}
		}
		if compared < 5 || opened.Load() < test.reads*compared || opened.Load() > test.reads*compared+10 {
			t.Errorf("with a limit of %d, %d files were opened for %d partitions", test.limit, opened.Load(), compared)
		}
		if rows := len(h.rows()); rows <= before {
			t.Errorf("there were %d rows, and now %d", before, rows)
		}
		lakes = append(lakes, h.lake(h.root()))
	}
	if diff := cmp.Diff(lakes[0], lakes[1]); diff != "" {
		t.Errorf("the lakes differ:\n%s", diff)
	}
}

// failing is a backend whose writes fail from the nth on.
type failing struct {
	*state.Local
	writes int
}

func (f *failing) Write(ctx context.Context, s *state.State) error {
	if f.writes--; f.writes < 0 {
		return errors.New("no space left on device")
	}
	return f.Local.Write(ctx, s)
}

// If the state cannot be written after an apply, it is written to the working directory
// and can be pushed. Without a push, the next apply finds the published files.
func TestErroredState(t *testing.T) {
	for _, push := range []bool{true, false} {
		t.Run(fmt.Sprint("push ", push), func(t *testing.T) {
			h := newHouse(t)
			h.simulate(knocksim.Options{Seed: 1, Prospects: 10, Events: 200})
			files, err := local.Open(h.dir)
			if err != nil {
				t.Fatal(err)
			}
			place := state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json"))
			ctx, s, err := h.openWith(t.Context(), files, &failing{place, 1})
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Plan(ctx, PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Apply(ctx, p)
			if err == nil || !strings.Contains(err.Error(), "prospector state push errored.prospector.state.json") {
				t.Errorf("the apply ends with: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			kept, err := state.ReadErrored(t.Context(), files)
			if err != nil {
				t.Fatal(err)
			}
			if push {
				if _, err := place.Lock(t.Context(), state.LockInfo{}); err != nil {
					t.Fatal(err)
				}
				if _, err := place.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := place.Push(t.Context(), kept, false); err != nil {
					t.Errorf("the state that was put aside is not accepted: %v", err)
				}
				if err := place.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshot(t, h.root())
			if p := h.apply(); !p.Empty() || len(p.Jobs[0].Found.Drift) > 0 {
				t.Errorf("the next apply has %+v and %v", p.Summary(), p.Jobs[0].Found.Drift)
			}
			if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
				t.Errorf("the next apply touched files:\n%s", diff)
			}
		})
	}
}

// losing is a backend whose lock is lost when lose is called.
type losing struct {
	*state.Local
	lose context.CancelCauseFunc
}

func (l *losing) Lock(ctx context.Context, info state.LockInfo) (context.Context, error) {
	if _, err := l.Local.Lock(ctx, info); err != nil {
		return nil, err
	}
	ctx, l.lose = context.WithCancelCause(ctx)
	return ctx, nil
}

// losesAt is a store that loses the lock during its nth write.
type losesAt struct {
	store.Store
	writes *atomic.Int64
	lose   func()
}

func (l losesAt) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if l.writes.Add(-1) == 0 {
		l.lose()
		<-ctx.Done()
		return store.Object{}, context.Cause(ctx)
	}
	return l.Store.Put(ctx, key, content, cond)
}

// A run that has lost its lock stops, even during a write. After an interrupt, it would
// finish the write.
func TestLostLock(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 1, Prospects: 10, Events: 200})
	files, err := local.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	backend := &losing{Local: state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json"))}
	var writes atomic.Int64
	writes.Store(3)
	inner := h.stores["local"]
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := inner(ctx, s)
		return losesAt{opened, &writes, func() { backend.lose(state.ErrLockLost) }}, err
	}
	ctx, s, err := h.openWith(t.Context(), files, backend)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Plan(ctx, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, p); !errors.Is(err, state.ErrLockLost) {
		t.Errorf("the apply ends with: %v", err)
	}
	if got := len(h.lake(h.root())); got == p.Summary().Add {
		t.Error("all files were published")
	}
}

// After an interrupt, an apply finishes the files that it is publishing and saves the
// state.
func TestInterruptedApply(t *testing.T) {
	h := newHouse(t)
	h.simulate(knocksim.Options{Seed: 1, Prospects: 10, Events: 200})
	ctx, cancel := context.WithCancel(t.Context())
	inner := h.stores["local"]
	var writes atomic.Int64
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := inner(ctx, s)
		return interrupting{opened, &writes, cancel}, err
	}
	if _, err := h.try(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("the apply ends with: %v", err)
	}
	h.stores["local"] = inner
	published := len(h.lake(h.root()))
	if published == 0 || int64(published) != writes.Load() {
		t.Errorf("%d files are published, and %d were begun", published, writes.Load())
	}
	files, err := local.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json")).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sink := s.Job("job.prospect_events").Sink("sink.local.lake"); len(sink.Partitions) != published || sink.Pending == nil {
		t.Errorf("the state has %d partitions, pending: %v", len(sink.Partitions), sink.Pending)
	}
	h.apply()
	if diff := cmp.Diff(h.fromScratch(), h.lake(h.root())); diff != "" {
		t.Error(diff)
	}
}

// interrupting interrupts the run at its second write, and continues that write.
type interrupting struct {
	store.Store
	writes    *atomic.Int64
	interrupt func()
}

func (i interrupting) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	if i.writes.Add(1) == 2 {
		i.interrupt()
	}
	return i.Store.Put(ctx, key, content, cond)
}

// On another machine, a saved plan does what its own session would have done, including
// the quarantine and the list of prospects.
func TestSavedPlanIsSelfContained(t *testing.T) {
	h := newHouse(t)
	h.events(`{`+created+`}`, `{"type":"T"}`)
	ctx, s, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(ctx, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "night.plan")
	if err := s.SavePlan(p, path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the plan: %v %v", info.Mode(), err)
	}
	if err := os.RemoveAll(filepath.Join(h.dir, ".prospector")); err != nil {
		t.Fatal(err)
	}
	// The source gets no request.
	ctx, s, err = h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := s.LoadPlan(ctx, path)
	if err == nil {
		err = s.Apply(ctx, loaded)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if n := h.observed.progress.Requests; n > 0 || len(h.rows()) != 1 {
		t.Errorf("there were %d requests, and there are %d rows", n, len(h.rows()))
	}
	if text := readAll(t, filepath.Join(h.root(), plan.QuarantineKey("prospect_events"))); !strings.Contains(text, `"type":"T"`) {
		t.Errorf("the quarantine is %q", text)
	}
	if list, err := filepath.Glob(filepath.Join(h.dir, "prospector.state.json.d", "prospects", "*.jsonl")); err != nil || len(list) != 1 || readAll(t, list[0]) != "\"1\"\n" {
		t.Errorf("the list of prospects is %v (%v)", list, err)
	}
	// The next plan in its own directory has no changes.
	if p := h.apply(); !p.Empty() {
		t.Errorf("the next plan is %+v", p.Summary())
	}
	h.events(`{` + created + `}`) // by another API
	if _, err := h.load(path); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("used twice: %v", err)
	}
}

// load loads a saved plan.
func (h *house) load(path string) (*plan.Plan, error) {
	ctx, s, err := h.open(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	defer s.Close()
	return s.LoadPlan(ctx, path)
}

// A truncated plan, or one with a flipped bit, is refused.
func TestDamagedPlans(t *testing.T) {
	h := newHouse(t)
	h.events(`{`+created+`}`, `{"type":"T"}`)
	ctx, s, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(ctx, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(h.dir, "night.plan")
	if err := s.SavePlan(p, path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := []byte(readAll(t, path))
	refused := 0
	try := func(text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := h.load(path)
		if err != nil {
			refused++
			return
		}
		// A bit without meaning, such as one of a date in the archive.
		if diff := cmp.Diff(p.Summary(), loaded.Summary()); diff != "" {
			t.Error(diff)
		}
	}
	for _, n := range []int{0, 1, len(whole) / 3, len(whole) - 1} {
		before := refused
		if try(whole[:n]); refused == before {
			t.Errorf("a plan with %d of its %d bytes is accepted", n, len(whole))
		}
	}
	for at := 0; at < len(whole); at += 1 + len(whole)/150 {
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x10
		try(damaged)
	}
	if refused < 100 {
		t.Errorf("only %d damaged plans are refused", refused)
	}
}
