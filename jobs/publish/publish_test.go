package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/publish"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

const (
	address   = "job.events"
	tableName = "events"
	lake      = "sink.memory.lake"
)

var errKilled = errors.New("the process was killed")

// lakeStore is a sink that logs its writes and fails on request.
type lakeStore struct {
	*memory.Store
	mu    sync.Mutex
	log   []string
	lives int // the number of operations before all others fail
}

func (s *lakeStore) operation(what, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives--; s.lives < 0 {
		return errKilled
	}
	s.log = append(s.log, what+" "+strings.TrimPrefix(key, tableName+"/"))
	return nil
}

// kill lets all operations fail after that many.
func (s *lakeStore) kill(lives int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives = lives
}

func (s *lakeStore) isKilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives < 0
}

func (s *lakeStore) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if err := s.operation("put", key); err != nil {
		return store.Object{}, err
	}
	return s.Store.Put(ctx, key, c, cond)
}

func (s *lakeStore) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := s.operation("delete", key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, cond)
}

// world has a lake and a saved state, and tests publish to both.
type world struct {
	*testing.T
	dir   string
	lake  *lakeStore
	saved *state.State
	lists lists
}

func newWorld(t *testing.T) *world {
	return &world{T: t, dir: t.TempDir(), lake: &lakeStore{Store: memory.New(), lives: 1 << 30}, saved: state.New()}
}

// lists stores lists by their digests.
type lists struct {
	stored map[string]bool
	fail   error // of Drop
}

func (l *lists) Publish(_ context.Context, p *plan.Job) (named state.Lists, _ error) {
	if list := p.Source.Reading.List; list != nil {
		if l.stored == nil {
			l.stored = make(map[string]bool)
		}
		l.stored[list.Digest] = true
		named.Prospects = &state.ProspectList{Count: list.Count, Digest: list.Digest, Key: list.Digest}
	}
	return named, nil
}

func (l *lists) Drop(_ context.Context, before, after *state.ProspectList) error {
	if before != nil && (after == nil || *before != *after) {
		delete(l.stored, before.Key)
	}
	return l.fail
}

type observer struct{}

func (observer) ApplyStarted(string, plan.Change)             {}
func (observer) ApplyDone(string, plan.Change, time.Duration) {}

// publisher returns the publisher of a new process. Its state in memory is lost
// when the process ends.
func (w *world) publisher() *publish.Publisher {
	s := w.saved.Clone()
	return &publish.Publisher{
		State: s, Parallelism: 1, TempDir: w.T.TempDir(), Observer: observer{}, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Lists: &w.lists,
		Save:      func(context.Context) error { w.saved = s.Clone(); return nil },
		CheckLock: func() error { return nil },
		Rescue:    func(_ context.Context, why error) error { return why },
		Open: func(_ context.Context, address string) (store.Store, error) {
			if address != lake {
				w.Errorf("the unknown sink %s is opened", address)
			}
			return w.lake, nil
		},
	}
}

// refresh compares the lake with the saved state.
func (w *world) refresh() *plan.Refreshed {
	owned := w.saved.Clone().Job(address).Sink(lake)
	var seen []plan.Seen
	for _, prefix := range []string{tableName + "/", plan.QuarantineKey(tableName)} {
		for o, err := range w.lake.List(w.Context(), prefix) {
			if err != nil {
				w.Fatal(err)
			}
			seen = append(seen, plan.Seen(o))
		}
	}
	sums := make(map[string]plan.Sum)
	for _, key := range plan.NeedChecksum(owned, seen) {
		o, err := w.lake.Stat(w.Context(), key)
		if err != nil {
			w.Fatal(err)
		}
		sums[key] = plan.Sum{Size: o.Size, CRC32C: o.CRC32C}
	}
	return plan.Refresh(lake, tableName, owned, seen, sums)
}

func (w *world) stage(text string) *plan.Staged {
	path := filepath.Join(w.dir, fmt.Sprintf("%x", text))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return &plan.Staged{Path: path, Rows: int64(len(text)), Content: digest(text), Size: int64(len(text)), CRC32C: store.Checksum([]byte(text))}
}

func digest(text string) (sum schemas.Digest) {
	for _, row := range text {
		sum = sum.Add(schemas.HashValuesOf("").String(string(row)))
	}
	return sum
}

// plan returns the plan after which the lake has the rows in want, by
// partition. A letter is a row, and a space ends a file.
func (w *world) plan(quarantined string, want map[string]string) *plan.Plan {
	j := plan.Job{Address: address, TableName: tableName, Sinks: []string{lake}}
	j.Found.Prior = map[string]*plan.Refreshed{lake: w.refresh()}
	j.Found.Drift = j.Found.Prior[lake].Drift
	paths := plan.Partitions(j.Found.Prior)
	for path := range want {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var outcomes []plan.Outcome
	for _, path := range slices.Compact(paths) {
		rows := strings.ReplaceAll(want[path], " ", "")
		o := plan.Outcome{Partition: path, Rows: plan.Rows{After: int64(len(rows))}, Content: digest(rows)}
		for _, text := range strings.Fields(want[path]) {
			o.Staged = append(o.Staged, w.stage(text))
		}
		outcomes = append(outcomes, o)
	}
	j.Output.Changes = plan.Changes(tableName, j.Sinks, j.Found.Prior, outcomes)
	have := j.Found.Prior[lake].Quarantine
	write := plan.Write{Sink: lake, Key: plan.QuarantineKey(tableName), Action: plan.Update}
	if have != nil {
		write.Generation = have.Object.Generation
	}
	switch {
	case have == nil && quarantined == "", have != nil && have.Content == digest(quarantined):
	case quarantined == "":
		write.Action = plan.Delete
		j.Output.Quarantine = &plan.Quarantine{Writes: []plan.Write{write}}
	default:
		j.Output.Quarantine = &plan.Quarantine{Writes: []plan.Write{write}, After: int64(len(quarantined)), Staged: w.stage(quarantined)}
	}
	j.Output.Obsolete = j.DeleteObsolete()
	return &plan.Plan{Mode: plan.Normal, Jobs: []plan.Job{j}}
}

// rows returns the rows in the lake by directory, in ascending order and with
// duplicates.
func (w *world) rows() map[string]string {
	all := make(map[string]string)
	for o, err := range w.lake.List(context.Background(), tableName+"/") {
		if err != nil {
			w.Fatal(err)
		}
		r, err := w.lake.Open(context.Background(), o.Key)
		if err != nil {
			w.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			w.Fatal(err)
		}
		dir := filepath.Base(filepath.Dir(o.Key))
		letters := append([]byte(all[dir]), b...)
		slices.Sort(letters)
		all[dir] = string(letters)
	}
	return all
}

var (
	first  = map[string]string{"p=1": "ab", "p=2": "cd ef", "p=3": "gh"}
	second = map[string]string{"p=1": "abc", "p=2": "cd x", "p=4": "ij kl"}
)

func (w *world) publish(ctx context.Context, p *plan.Plan) (map[string]plan.Summary, error) {
	return w.publisher().Publish(ctx, p)
}

func (w *world) mustPublish(quarantined string, want map[string]string) {
	w.Helper()
	if _, err := w.publish(w.Context(), w.plan(quarantined, want)); err != nil {
		w.Fatal(err)
	}
}

// In each partition, new files are written before former ones are deleted.
// Partitions are deleted last.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("!", first)
	w.lake.log = nil
	done, err := w.publish(t.Context(), w.plan("?", second))
	if err != nil {
		t.Fatal(err)
	}
	if want := (plan.Summary{Add: 1, Change: 2, Destroy: 1}); done[address] != want {
		t.Errorf("the summary is %+v, want %+v", done[address], want)
	}
	key := func(path string, i int, texts ...string) string {
		var files []*plan.Staged
		for _, text := range texts {
			files = append(files, w.stage(text))
		}
		return strings.TrimPrefix(plan.Keys(tableName, path, files)[i], tableName+"/")
	}
	want := []string{
		"put " + key("p=1", 0, "abc"),
		"put " + key("p=2", 1, "cd", "x"), "delete " + key("p=2", 1, "cd", "ef"),
		"put " + key("p=4", 0, "ij", "kl"), "put " + key("p=4", 1, "ij", "kl"),
		"put " + plan.QuarantineKey(tableName),
		"delete " + key("p=3", 0, "gh"),
	}
	if diff := cmp.Diff(want, w.lake.log); diff != "" {
		t.Errorf("the writes differ (-want +got):\n%s", diff)
	}
}

// After an apply, a refresh finds no drift, and the next plan has no changes.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	for i, step := range []struct {
		quarantined string
		want        map[string]string
	}{{"!", first}, {"", second}, {"!?", first}, {"", nil}} {
		w.mustPublish(step.quarantined, step.want)
		if s := w.saved.Job(address).Sink(lake); s.Pending != nil || s.Obsolete != nil || len(s.Partitions) != len(step.want) || (s.Quarantine != nil) != (step.quarantined != "") {
			t.Errorf("step %d: the saved state is %+v", i, s)
		}
		again := w.plan(step.quarantined, step.want)
		if !again.Summary().Empty() || len(again.Jobs[0].Found.Drift) > 0 {
			t.Errorf("step %d: the next plan has changes: %+v", i, again.Jobs[0].Output)
		}
	}
}

// A process is killed after each of its writes, before or after it can save the
// state. No row is ever missing, no refresh reports the result as drift, and
// the next run completes the change. The writes are made one by one, and as many at a
// time as the sink serves.
func TestKilled(t *testing.T) {
	for _, test := range []struct {
		parallelism, rounds int
		saves               bool
	}{{1, 1, true}, {1, 1, false}, {0, 20, true}, {0, 20, false}} {
		for lives, complete := 0, false; !complete; lives++ {
			for range test.rounds { // the order of parallel writes varies
				complete = killed(t, lives, test.parallelism, test.saves)
			}
			if complete && lives < 6 {
				t.Errorf("the apply made only %d writes", lives)
			}
		}
	}
}

// killed kills an apply after some writes, and reports whether it was complete then.
func killed(t *testing.T, lives, parallelism int, saves bool) (complete bool) {
	w := newWorld(t)
	w.mustPublish("!", first)
	w.lake.kill(lives)
	p := w.publisher()
	p.Parallelism = parallelism
	if saving := p.Save; !saves {
		p.Save = func(ctx context.Context) error {
			if w.lake.isKilled() {
				return errKilled
			}
			return saving(ctx)
		}
	}
	_, err := p.Publish(t.Context(), w.plan("?", second))
	if err == nil {
		return true
	}
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	w.lake.kill(1 << 30)
	rows := w.rows()
	for path, kept := range map[string]string{"p=1": "ab", "p=2": "cd"} {
		for _, row := range kept {
			if !strings.ContainsRune(rows[path], row) {
				t.Errorf("killed after %d writes, %s has lost a row: %q", lives, path, rows[path])
			}
		}
	}
	next := w.plan("?", second)
	if drift := next.Jobs[0].Found.Drift; len(drift) > 0 {
		t.Errorf("killed after %d writes, a refresh finds drift: %+v", lives, drift)
	}
	if _, err := w.publish(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"p=1": "abc", "p=2": "cdx", "p=4": "ijkl"}, w.rows()); diff != "" {
		t.Errorf("killed after %d writes: after the next run, the rows differ (-want +got):\n%s", lives, diff)
	}
	return false
}

// An object that has changed since the plan is neither replaced nor deleted.
// The state has the changes that were published before.
func TestChangedSincePlanned(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("", first)
	p := w.plan("", second)
	changed := plan.Key(tableName, "p=3") // the plan deletes this object
	if _, err := w.lake.Store.Put(t.Context(), changed, store.ContentOf([]byte("zzz"), ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.publish(t.Context(), p); !errors.Is(err, store.ErrCondition) {
		t.Fatalf("the error is %v", err)
	}
	if rows := w.rows()["p=3"]; rows != "zzz" {
		t.Errorf("the changed object is now %q", rows)
	}
	s := w.saved.Job(address).Sink(lake)
	if s.Partitions["p=1"].Rows != 3 || s.Pending == nil || len(s.Pending.Partitions) != 1 {
		t.Errorf("the saved state is %+v", s)
	}
}

// After an interrupt, the partition in progress completes and no other one
// starts. When the lock is lost, the apply stops immediately.
func TestInterrupt(t *testing.T) {
	for _, test := range []struct {
		name     string
		cause    error
		patience time.Duration
		want     map[string]int64 // the rows in the saved state
	}{
		{"interrupt", context.Canceled, 10 * time.Millisecond, map[string]int64{"p=2": 3}},
		{"lost lock", state.ErrLockLost, time.Minute, map[string]int64{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			p := w.publisher()
			p.Observer = cancelling{cancel, test.cause}
			open := p.Open
			p.Open = func(ctx context.Context, address string) (store.Store, error) {
				s, err := open(ctx, address)
				return patient{s, test.patience}, err
			}
			_, err := p.Publish(ctx, w.plan("", map[string]string{"p=2": "ab c", "p=3": "d"}))
			if !errors.Is(err, test.cause) {
				t.Errorf("the error is %v", err)
			}
			got := make(map[string]int64)
			for path, published := range w.saved.Job(address).Sink(lake).Partitions {
				got[path] = published.Rows
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("the saved state has the rows %v, want %v", got, test.want)
			}
		})
	}
}

// A run that was stopped for longer than its lease continues before its context ends.
// It changes no further object.
func TestLockIsCheckedBeforeEachChange(t *testing.T) {
	for checks := 0; ; checks++ {
		w := newWorld(t)
		w.mustPublish("!", first)
		w.lake.log = nil
		p := w.publisher()
		left := checks
		p.CheckLock = func() error {
			if left--; left < 0 {
				return state.ErrLockLost
			}
			return nil
		}
		_, err := p.Publish(t.Context(), w.plan("?", second))
		if err == nil {
			if checks < 7 || len(w.lake.log) != checks {
				t.Errorf("an apply with %d changes checks the lock %d times", len(w.lake.log), checks)
			}
			break
		}
		if !errors.Is(err, state.ErrLockLost) || len(w.lake.log) != checks {
			t.Fatalf("after %d checks, the apply has made the changes %q: %v", checks, w.lake.log, err)
		}
	}
}

// cancelling ends the context as soon as the first change starts.
type cancelling struct {
	cancel context.CancelCauseFunc
	cause  error
}

func (c cancelling) ApplyStarted(string, plan.Change)             { c.cancel(c.cause) }
func (c cancelling) ApplyDone(string, plan.Change, time.Duration) {}

// patient is a store that waits before each write, to see whether the context
// ends.
type patient struct {
	store.Store
	patience time.Duration
}

func (p patient) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	select {
	case <-ctx.Done():
		return store.Object{}, context.Cause(ctx)
	case <-time.After(p.patience):
	}
	return p.Store.Put(ctx, key, c, cond)
}

// A state that cannot be saved is rescued only if objects may have changed.
func TestRescue(t *testing.T) {
	for failing, rescued := range map[int]bool{1: false, 2: true} {
		w := newWorld(t)
		p := w.publisher()
		broken := errors.New("broken")
		saves, rescues := 0, 0
		p.Save = func(context.Context) error {
			if saves++; saves >= failing {
				return broken
			}
			return nil
		}
		p.Rescue = func(_ context.Context, why error) error {
			if rescues++; p.State.Job(address).Sink(lake).Partitions["p=1"].Rows != 2 {
				t.Error("the rescued state does not have what was published")
			}
			return why
		}
		if _, err := p.Publish(t.Context(), w.plan("", first)); !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
		if (rescues == 1) != rescued {
			t.Errorf("after the failure of save %d, the state is rescued %d times", failing, rescues)
		}
	}
}

// A former list is deleted once the saved state refers to the next list. A
// failure to delete it is not an error.
func TestLists(t *testing.T) {
	w := newWorld(t)
	w.lists.fail = errors.New("broken")
	for _, id := range []string{"a", "b"} {
		p := w.plan("", first)
		p.Jobs[0].Source.Reading.List = &plan.List{Count: 1, Digest: id}
		if _, err := w.publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.saved.Job(address).Prospects; got == nil || got.Key != "b" || !maps.Equal(w.lists.stored, map[string]bool{"b": true}) {
		t.Errorf("the state refers to %+v, and the stored lists are %v", got, w.lists.stored)
	}
}

// A damaged file is copied before it is replaced. The copy of an earlier apply
// is enough, even if the original is gone.
func TestCopiesOfDamagedFiles(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("", first)
	key := plan.Key(tableName, "p=1")
	if _, err := w.lake.Store.Put(t.Context(), key, store.ContentOf([]byte("damaged"), ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	sum := store.Checksum([]byte("damaged"))
	copied := plan.Copy{Sink: lake, Key: key, To: plan.DamagedKey(key, sum), Sum: plan.Sum{Size: 7, CRC32C: sum}}
	for _, again := range []bool{false, true} {
		p := w.plan("", first)
		p.Jobs[0].Output.Copies = []plan.Copy{copied}
		w.lake.log = nil
		if _, err := w.publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		want := []string{"put " + copied.To, "put " + strings.TrimPrefix(key, tableName+"/")}
		if again {
			want = nil
		}
		if !slices.Equal(w.lake.log, want) {
			t.Errorf("the writes are %q, want %q", w.lake.log, want)
		}
	}
	if o, err := w.lake.Stat(t.Context(), copied.To); err != nil || o.CRC32C != sum {
		t.Errorf("the copy is %+v: %v", o, err)
	}
}

// A plan whose books do not add up changes nothing.
func TestBooks(t *testing.T) {
	w := newWorld(t)
	p := w.plan("", first)
	p.Jobs[0].Source.Books.Events = 1
	if _, err := w.publish(t.Context(), p); err == nil || len(w.lake.log) > 0 || len(w.saved.Jobs) > 0 {
		t.Errorf("the writes are %q: %v", w.lake.log, err)
	}
}
