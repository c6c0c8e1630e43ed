package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// life counts the store operations that a process makes before it dies. The last one may
// or may not happen.
type life struct {
	left atomic.Int64
	late bool
}

func (l *life) over() bool { return l.left.Load() <= 0 }

var errDead = errors.New("the process was killed")

// spend counts an operation. It reports whether the operation happens, and whether the
// process survives it.
func (l *life) spend() (happens, heard bool) {
	left := l.left.Add(-1)
	return left > 0 || left == 0 && l.late, left > 0
}

// mortal is a store of a process that dies.
type mortal struct {
	store.Store
	life *life
}

func (m mortal) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	if happens, _ := m.life.spend(); !happens {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, errDead) }
	}
	return m.Store.List(ctx, prefix)
}

func (m mortal) Stat(ctx context.Context, key string) (store.Object, error) {
	if _, heard := m.life.spend(); !heard {
		return store.Object{}, errDead
	}
	return m.Store.Stat(ctx, key)
}

func (m mortal) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, heard := m.life.spend(); !heard {
		return nil, errDead
	}
	return m.Store.Open(ctx, key)
}

func (m mortal) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (o store.Object, err error) {
	happens, heard := m.life.spend()
	if happens {
		o, err = m.Store.Put(ctx, key, content, cond)
	}
	if !heard {
		return store.Object{}, errDead
	}
	return o, err
}

func (m mortal) Delete(ctx context.Context, key string, cond store.Condition) (err error) {
	happens, heard := m.life.spend()
	if happens {
		err = m.Store.Delete(ctx, key, cond)
	}
	if !heard {
		return errDead
	}
	return err
}

// world is a working directory with random changes, commands and kills.
type world struct {
	*house
	seed   uint64
	rng    *rand.Rand
	log    []string
	night  int
	listed int // prospects in the list
	most   int // prospects that were ever in the list
	life   *life
	saved  string // a plan that waits to be applied
	copies map[string][]byte
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{house: newHouse(t), seed: seed, rng: rand.New(rand.NewPCG(seed, 3)), night: 3, listed: 6, most: 6, life: new(life), copies: make(map[string][]byte)}
	w.job().Prospects = nil
	w.partition()
	w.job().DeleteForeign = seed%2 == 0
	if w.parts = seed%3 > 0; w.parts {
		w.target()
	}
	w.config.Sinks = w.job().Sinks
	inner := w.stores["local"]
	w.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := inner(ctx, s)
		return mortal{opened, w.life}, err
	}
	w.source()
	return w
}

func (w *world) did(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// partition chooses partition keys.
func (w *world) partition() {
	keys := [][]string{{"event_month"}, {"event_type", "event_month"}, {"event_year", "event_type"}}[w.rng.IntN(3)]
	table, err := w.job().Schema.PartitionedBy(keys...)
	if err != nil {
		w.Fatal(err)
	}
	w.job().Schema = table
	w.did("configuration: partitioned by %v", keys)
}

// target chooses a target size of files.
func (w *world) target() {
	w.job().TargetFileSize = []int64{0, 1 << 10, 3 << 10, 9 << 10}[w.rng.IntN(4)]
	w.did("configuration: files of %d bytes", w.job().TargetFileSize)
}

// columns are sets of columns that a table may have next to the built-in ones.
var columns = [][]schemas.Column{
	nil,
	{{Name: "segments", Type: schemas.Int64, From: []string{"data.segments"}}},
	{{Name: "segments", Type: schemas.Float64, From: []string{"data.segments"}}, {Name: "sentiment", Type: schemas.String, From: []string{"data.sentiment"}}},
	{{Name: "segments", Type: schemas.String, From: []string{"data.segments"}, When: []string{"SMS_*"}}},
	{
		{Name: "message_body", Type: schemas.String, From: []string{"data.text", "data.body"}, PII: true},
		{Name: "attachments", Type: schemas.JSON, From: []string{"data.attachments"}},
		{Name: "confidence", Type: schemas.Float64, From: []string{"data.confidence"}},
	},
}

// declare chooses other columns for the table, with the user's approval.
func (w *world) declare() {
	pick := w.rng.IntN(len(columns))
	keys := w.job().Schema.Keys()
	table, err := schemas.KnockEvents().Declare(columns[pick]...)
	if err == nil {
		table, err = table.PartitionedBy(keys...)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.job().Schema = table
	w.config.Lock = schemas.Lock{w.job().Address: table}
	w.did("configuration: columns %d", pick)
}

// source makes the source return the events of the listed prospects on that night.
func (w *world) source() {
	w.simulated(simulator.Settings{Seed: w.seed, Prospects: 10, Events: 220, AsOf: nightOf(w.night), VendorChanges: true})
	sim, err := knocksim.New(knocksim.Options{Seed: w.seed, Prospects: 10, Events: 220, AsOf: nightOf(w.night), VendorChanges: true})
	if err != nil {
		w.Fatal(err)
	}
	ids := slices.Collect(sim.ProspectIDs())[:w.listed]
	file := filepath.Join(w.dir, "prospects.txt")
	if err := os.WriteFile(file, []byte(strings.Join(ids, "\n")+"\n"), 0o600); err != nil {
		w.Fatal(err)
	}
	w.job().Prospects = &jobs.Prospects{Block: jobs.Block{Address: "prospects.test"}, File: file}
}

// happens changes the source, or changes the lake as other programs might.
func (w *world) happens() {
	files := w.files()
	switch pick := w.rng.IntN(12); {
	case pick > 9 && w.parts:
		w.target()
	case pick > 9:
	case pick == 9:
		w.declare()
	case pick == 8:
		w.partition()
	case pick < 2:
		w.night = min(w.night+1+w.rng.IntN(9), 31)
		w.did("source: night %d", w.night)
		w.source()
	case pick == 2:
		if w.listed = min(w.most+1, 10); w.chance(2) { // or the list has lost some
			w.listed = 1 + w.rng.IntN(w.most)
		}
		w.most = max(w.most, w.listed)
		w.did("source: %d prospects are listed", w.listed)
		w.source()
	case pick == 3:
		name := fmt.Sprintf("foreign-%d.txt", w.rng.IntN(3))
		w.did("outsider: puts %s", name)
		w.put(filepath.Join(w.root(), "prospect_events", name), []byte("not ours"))
	case len(files) == 0:
	case pick == 4:
		file := files[w.rng.IntN(len(files))]
		w.did("outsider: deletes %s", file)
		if err := os.Remove(file); err != nil {
			w.Fatal(err)
		}
	case pick == 5:
		file := files[w.rng.IntN(len(files))]
		w.did("outsider: truncates %s", file)
		w.put(file, w.read(file)[:20])
	case pick == 6:
		file := files[w.rng.IntN(len(files))]
		w.did("outsider: copies %s", file)
		w.copies[file] = w.read(file)
	case pick == 7:
		for _, file := range slices.Sorted(maps.Keys(w.copies)) {
			if slices.Contains(files, file) {
				w.did("outsider: restores %s", file)
				w.put(file, w.copies[file])
			}
		}
	}
}

func (w *world) put(path string, text []byte) {
	w.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(path string) []byte { return []byte(readAll(w, path)) }

// files returns the table's files, ascending, without foreign ones.
func (w *world) files() (files []string) {
	err := filepath.WalkDir(filepath.Join(w.root(), "prospect_events"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".parquet") {
			files = append(files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.Fatal(err)
	}
	return files
}

// session opens a session of a process that dies after some operations.
func (w *world) session(lives int64) (context.Context, *Session, error) {
	w.life.left.Store(lives)
	w.life.late = w.chance(2)
	files, err := local.Open(w.dir)
	if err != nil {
		w.Fatal(err)
	}
	mine := mortal{files, w.life}
	return w.openWith(w.Context(), mine, state.NewLocal(mine, filepath.Join(w.dir, "prospector.state.json")))
}

// run plans, applies, saves a plan or applies a saved one, in a process that may be
// killed at any time.
func (w *world) run(lives int64) error {
	ctx, s, err := w.session(lives)
	if err != nil {
		return err
	}
	err = func() error {
		if w.saved != "" && w.chance(2) {
			path := w.saved
			w.saved = ""
			p, err := s.LoadPlan(ctx, path)
			if err != nil {
				return err
			}
			return s.Apply(ctx, p)
		}
		p, err := s.Plan(ctx, PlanOptions{})
		switch {
		case err != nil || w.chance(5):
			return err
		case w.chance(3):
			path := filepath.Join(w.dir, "saved.plan")
			if err := s.SavePlan(p, path); err != nil {
				return err
			}
			w.saved = path
			return nil
		}
		return s.Apply(ctx, p)
	}()
	return errors.Join(err, s.Close())
}

// apply plans and applies, in a process that dies after some operations.
func (w *world) apply(lives int64) error {
	ctx, s, err := w.session(lives)
	if err != nil {
		return err
	}
	p, err := s.Plan(ctx, PlanOptions{})
	if err == nil {
		err = s.Apply(ctx, p)
	}
	return errors.Join(err, s.Close())
}

func (w *world) undisturbed() error { return w.apply(1 << 40) }

// plan only plans.
func (w *world) plan(lives int64) (*plan.Plan, error) {
	ctx, s, err := w.session(lives)
	if err != nil {
		return nil, err
	}
	p, err := s.Plan(ctx, PlanOptions{})
	return p, errors.Join(err, s.Close())
}

// checkConverged fails unless one undisturbed apply leaves the lake of an export from scratch,
// and the next plan has no changes.
func (w *world) checkConverged() {
	w.saved = ""
	w.listed = w.most // their rows are in the lake
	w.source()
	if err := w.undisturbed(); err != nil {
		w.Fatalf("world %d: an undisturbed apply fails: %v\n%s", w.seed, err, strings.Join(w.log, "\n"))
	}
	foreign, _ := filepath.Glob(filepath.Join(w.root(), "prospect_events", "foreign-*"))
	if w.job().DeleteForeign && len(foreign) > 0 {
		w.Errorf("world %d: foreign files are still there: %v", w.seed, foreign)
	}
	for _, file := range foreign { // this test's readers cannot read them
		if err := os.Remove(file); err != nil {
			w.Fatal(err)
		}
	}
	if diff := cmp.Diff(w.fromScratch(), w.lake(w.root())); diff != "" {
		w.Errorf("world %d: the lake is not that of an export from scratch:\n%s\n%s", w.seed, diff, strings.Join(w.log, "\n"))
	}
	if p, err := w.plan(1 << 40); err != nil || !p.Empty() {
		w.Errorf("world %d: the next plan has changes: %+v (%v)\n%s", w.seed, p, err, strings.Join(w.log, "\n"))
	}
	for _, leftover := range []string{"stage", "journal"} {
		if left, _ := os.ReadDir(filepath.Join(w.dir, ".prospector", leftover)); len(left) > 0 {
			w.Errorf("world %d: %s is left in the data directory", w.seed, left[0].Name())
		}
	}
}

// After any sequence of changes of the source and of the lake, plans, saved plans,
// applies and kills, one undisturbed apply leaves the lake of an export from scratch.
// The next plan has no changes.
func TestEveryWorldConverges(t *testing.T) {
	worlds := uint64(60)
	if testing.Short() {
		worlds = 10
	}
	var killed, stale, applied, parts atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for seed := range worlds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed)
				for range 2 + w.rng.IntN(7) {
					for range w.rng.IntN(3) {
						w.happens()
					}
					lives := int64(1 + w.rng.IntN(16))
					if w.job().TargetFileSize > 0 { // more operations
						lives += w.rng.Int64N(10)
					}
					if w.chance(3) {
						lives = 1 << 40
					}
					err := w.run(lives)
					w.did("run of %d lives: %v", lives, err)
					switch {
					case err != nil && w.life.over():
						killed.Add(1)
					case err != nil && strings.Contains(err.Error(), "stale"):
						stale.Add(1)
					case err != nil:
						t.Errorf("world %d: a run fails: %v\n%s", seed, err, strings.Join(w.log, "\n"))
					default:
						applied.Add(1)
					}
				}
				w.checkConverged()
				if slices.ContainsFunc(w.files(), func(file string) bool { return strings.Contains(file, "part-00001-") }) {
					parts.Add(1)
				}
			})
		}
	})
	t.Logf("%d runs were killed, %d plans were stale, %d runs ended well; %d worlds have partitions of several files", killed.Load(), stale.Load(), applied.Load(), parts.Load())
	if n := int64(worlds); killed.Load() < n || stale.Load() < n/10 || applied.Load() < n || parts.Load() < n/10 {
		t.Error("too few runs are of one kind, so the test is void")
	}
}
