package run

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/knocksim"
	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink/parquetfile"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// house is a working directory with one job, on a real file system.
type house struct {
	testing.TB
	dir    string
	config *jobs.Configuration
	stores map[string]func(context.Context, jobs.Sink) (store.Store, error) // by kind
	limit  int64
	// observed is what the last session reported.
	observed observer
	prepare  func(*Session)
	// parts ignores which files a partition's rows are in.
	parts   bool
	options PlanOptions
	now     func() time.Time
}

// directory returns the root of a sink on this machine.
func directory(s jobs.Sink) string {
	path, _ := s.Directory()
	return path
}

func newHouse(t testing.TB) *house {
	dir := t.TempDir()
	return &house{TB: t, dir: dir, now: time.Now, stores: map[string]func(context.Context, jobs.Sink) (store.Store, error){
		"local": func(_ context.Context, s jobs.Sink) (store.Store, error) { return local.Open(directory(s)) },
	}, config: &jobs.Configuration{
		Dir: dir,
		Jobs: []jobs.Job{{
			Block: jobs.Block{Address: "job.prospect_events"}, TableName: "prospect_events",
			Source: jobs.Source{
				Block: jobs.Block{Address: "source.knock.test"}, Kind: "knock", Settings: new(knock.Settings),
				PageSize: 100, Concurrency: 4, Timeout: time.Minute, MaxAttempts: 6,
			},
			Sinks:       []jobs.Sink{{Block: jobs.Block{Address: "sink.local.lake"}, Location: local.At(filepath.Join(dir, "lake"))}},
			Schema:      schemas.KnockEvents(),
			Compression: jobs.Snappy,
		}},
	}}
}

func (h *house) job() *jobs.Job { return &h.config.Jobs[0] }

// api returns the settings of the job's source.
func (h *house) api() *knock.Settings { return h.job().Source.Settings.(*knock.Settings) }

// simulated makes the job's source an embedded simulator.
func (h *house) simulated(s simulator.Settings) {
	from := &h.job().Source
	from.Kind, from.Settings = "simulator", &s
}

// simulate makes the job's source a simulator that the test can inspect.
func (h *house) simulate(o knocksim.Options) *knocksim.Simulator {
	h.Helper()
	sim, err := knocksim.New(o)
	if err != nil {
		h.Fatal(err)
	}
	server := httptest.NewServer(sim)
	h.Cleanup(server.Close)
	h.ask(server.URL, slices.Collect(sim.ProspectIDs())...)
	return sim
}

// ask makes the job request prospects from an API.
func (h *house) ask(url string, prospects ...string) {
	h.Helper()
	file := filepath.Join(h.dir, "prospects.txt")
	if err := os.WriteFile(file, []byte(strings.Join(prospects, "\n")+"\n"), 0o600); err != nil {
		h.Fatal(err)
	}
	from := &h.job().Source
	from.Kind, from.Settings = "knock", &knock.Settings{Endpoint: url, APIKey: knocksim.DefaultAPIKey}
	h.job().Prospects = &jobs.Prospects{Block: jobs.Block{Address: "prospects.test"}, File: file}
}

func (h *house) open(ctx context.Context) (context.Context, *Session, error) {
	files, err := local.Open(h.dir)
	if err != nil {
		h.Fatal(err)
	}
	return h.openWith(ctx, files, state.NewLocal(files, filepath.Join(h.dir, "prospector.state.json")))
}

func (h *house) openWith(ctx context.Context, files store.Store, backend Backend) (context.Context, *Session, error) {
	h.observed = observer{}
	h.config.Sinks, h.config.MemoryLimit = h.job().Sinks, h.limit
	return Open(ctx, Options{
		Config: h.config, DataDir: filepath.Join(h.dir, ".prospector"), Backend: backend,
		Sources: extract.Kinds{knock.Kind, simulator.Kind},
		OpenSink: func(ctx context.Context, s jobs.Sink) (store.Store, error) {
			return h.stores[s.Kind.Name](ctx, s)
		},
		Observer: &h.observed, Now: h.now, Stdin: strings.NewReader(""), WorkDir: files,
	}, "apply")
}

// try plans and applies.
func (h *house) try(ctx context.Context) (p *plan.Plan, err error) {
	ctx, s, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := s.Close(); err == nil {
			err = closed
		}
	}()
	if h.prepare != nil {
		h.prepare(s)
	}
	if p, err = s.Plan(ctx, h.options); err != nil {
		return nil, err
	}
	return p, s.Apply(ctx, p)
}

func (h *house) apply() *plan.Plan {
	h.Helper()
	p, err := h.try(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return p
}

// lake returns the content digest of each file, or partition, recomputed from its rows.
func (h *house) lake(root string) map[string]schemas.Digest {
	h.Helper()
	out := make(map[string]schemas.Digest)
	h.eachFile(root, func(key string, batch arrow.Record) {
		if h.parts {
			key = filepath.Dir(key)
		}
		for _, d := range records.Digests(h.job().Schema.Columns, batch) {
			out[key] = out[key].Add(d)
		}
	})
	return out
}

func (h *house) eachFile(root string, visit func(key string, batch arrow.Record)) {
	h.Helper()
	err := filepath.WalkDir(filepath.Join(root, h.job().TableName), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for batch, err := range parquetfile.Read(h.Context(), f, info.Size(), h.job().Schema) {
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			visit(key, batch)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		h.Fatal(err)
	}
}

func (h *house) root() string { return directory(h.job().Sinks[0]) }

// rows returns all rows of the lake as text, by event ID.
func (h *house) rows() map[string]map[string]string { return h.rowsIn(0) }

// rowsIn returns the rows in one of the job's sinks.
func (h *house) rowsIn(sink int) map[string]map[string]string {
	h.Helper()
	out := make(map[string]map[string]string)
	h.eachFile(directory(h.job().Sinks[sink]), func(key string, batch arrow.Record) {
		for i := range int(batch.NumRows()) {
			row := map[string]string{"": key}
			for c, field := range batch.Schema().Fields() {
				if batch.Column(c).IsValid(i) {
					row[field.Name] = batch.Column(c).ValueStr(i)
				}
			}
			id := batch.Column(0).(*array.String).Value(i)
			if _, twice := out[id]; twice {
				h.Fatalf("the lake has the event ID %s twice", id)
			}
			out[strings.Clone(id)] = row
		}
	})
	return out
}

// fromScratch returns the lake of one undisturbed export of the job.
func (h *house) fromScratch() map[string]schemas.Digest {
	h.Helper()
	other := newHouse(h)
	other.stores = h.stores
	other.config.Jobs[0].Source, other.config.Jobs[0].Prospects = h.job().Source, h.job().Prospects
	other.config.Jobs[0].Schema, other.config.Jobs[0].TargetFileSize, other.parts = h.job().Schema, h.job().TargetFileSize, h.parts
	other.apply()
	return other.lake(other.root())
}

// observer records what happened.
type observer struct {
	progress read.Progress
	resumed  int
}

func (o *observer) Waiting(*state.LockedError)                   {}
func (o *observer) JobStarted(string, int)                       {}
func (o *observer) Resumed(_ string, _, pages int)               { o.resumed = pages }
func (o *observer) Progress(p read.Progress)                     { o.progress = p }
func (o *observer) Staged(string)                                {}
func (o *observer) ApplyStarted(string, plan.Change)             {}
func (o *observer) ApplyDone(string, plan.Change, time.Duration) {}

func readAll(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
