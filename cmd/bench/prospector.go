package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prospector/cmd/internal/cli"
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/knocksim"
	"prospector/extract/simulator"
	"prospector/internal/attribute"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// house is a working directory of prospector, with one job that writes to one local
// sink. Tasks run the command line like a user, so they include the journal, identities,
// the stage, the books, the second reader, publication, the state and the memory limit.
type house struct {
	dir         string
	compression string
	address     string // of the source
	source      string // its block, in HCL
	prospects   string // a file of IDs; "" for all that the simulator has
	lake        *counted
	// publishing is called, if set, before the first file is published.
	publishing func() error
}

const table = "prospect_events"

func newHouse(dir, compression string, w world) *house {
	return &house{dir: dir, compression: compression, address: "source.simulator.bench", source: fmt.Sprintf(`
source "simulator" "bench" {
  seed        = %d
  prospects   = %d
  events      = %d
  as_of       = %q
  page_size   = %d
  concurrency = 8
}
`, seed, w.Prospects, w.Events, asOf.Format(time.RFC3339), pageSize)}
}

func (h *house) tablePath() string { return filepath.Join(h.dir, "lake", table) }
func (h *house) journalPath() string {
	return filepath.Join(h.dir, ".prospector", "journal", "job."+table)
}

func (h *house) configure() error {
	var b strings.Builder
	b.WriteString(h.source)
	prospects := ""
	if h.prospects != "" {
		fmt.Fprintf(&b, "prospects \"bench\" { file = %q }\n", h.prospects)
		prospects = "  prospects   = prospects.bench\n"
	}
	fmt.Fprintf(&b, `
sink "local" "lake" { path = "lake" }

job "%s" {
  source      = %s
%s  sinks       = [sink.local.lake]
  compression = %q
}
`, table, h.address, prospects, h.compression)
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h.dir, "main.hcl"), []byte(b.String()), 0o600)
}

// countedKind returns the kind of local stores, with sinks that count the bytes that
// are read and written.
func (h *house) countedKind() *store.Kind {
	kind := *local.Kind
	kind.Open = func(ctx context.Context, s attribute.Settings, access store.Access) (store.Store, error) {
		opened, err := local.Kind.Open(ctx, s, access)
		if err != nil || access.Private { // the state
			return opened, err
		}
		h.lake = &counted{Store: opened, writing: h.publishing}
		return h.lake, nil
	}
	return &kind
}

// summary is the last line of `apply -json`.
type summary struct {
	Type    string `json:"type"`
	Level   string `json:"@level"`
	Message string `json:"@message"`
	Jobs    []struct {
		Books struct{ Events int64 }
		Cost  struct {
			Requests int64
			Rate     float64 `json:"requests_per_second"` // the limit; 0 is no limit
		}
		Changes struct{ Add, Change, Destroy int }
	}
}

// apply runs `prospector apply`.
func (h *house) apply() (last summary, err error) {
	if err := h.configure(); err != nil {
		return last, err
	}
	var stdout, stderr bytes.Buffer
	code := cli.Run(cli.Deps{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Environ: os.Environ(),
		Sources: extract.Kinds{knock.Kind, simulator.Kind},
		Stores:  store.Kinds{h.countedKind()},
	}, []string{"-chdir=" + h.dir, "apply", "-auto-approve", "-json"})
	problem := ""
	for line := range bytes.Lines(stdout.Bytes()) {
		var s summary
		if err := json.Unmarshal(line, &s); err != nil {
			return last, fmt.Errorf("reading what apply -json prints: %w", err)
		}
		switch {
		case s.Level == "error":
			problem = s.Message
		case s.Type == "change_summary":
			last = s
		}
	}
	if code != 0 || len(last.Jobs) != 1 {
		return last, fmt.Errorf("prospector apply exited with code %d: %s%s", code, problem, &stderr)
	}
	return last, nil
}

// exported is the result of a task that applies.
type exported struct {
	cost
	BytesRead, BytesWritten int64 // of the lake
	Partitions, Touched     int
	Requests                int64
}

// export measures an apply in the house. It returns an error unless the source returns
// the expected number of events.
func (h *house) export(events int) (out exported, err error) {
	watch := start()
	s, err := h.apply()
	if err != nil {
		return out, err
	}
	out.cost = watch.stop()
	job := s.Jobs[0]
	out.Requests = job.Cost.Requests
	out.Touched = job.Changes.Add + job.Changes.Change + job.Changes.Destroy
	if h.lake != nil {
		out.BytesRead, out.BytesWritten = h.lake.read.Load(), h.lake.written.Load()
	}
	partitions, err := filepath.Glob(filepath.Join(h.tablePath(), "*", "*"))
	out.Partitions = len(partitions)
	switch {
	case err != nil:
	case job.Books.Events != int64(events):
		err = fmt.Errorf("%d events were read, not %d", job.Books.Events, events)
	case job.Cost.Rate != 0:
		err = fmt.Errorf("the source has a limit of %g requests per second, which would distort the measurement", job.Cost.Rate)
	}
	return out, err
}

// apply exports from a simulator over HTTP. It keeps a journal of the pages, like an
// interrupted run, in t.Journal unless that is "".
func (t task) apply() (exported, error) {
	h := newHouse(t.Output, t.Compression, t.World)
	if t.Journal != "" {
		h.publishing = func() error { return linkFiles(h.journalPath(), t.Journal) }
	}
	return h.export(t.World.Events)
}

// replay exports from the journal, t.Journal. It makes no requests to the source.
func (t task) replay() (exported, error) {
	h := newHouse(t.Output, t.Compression, t.World)
	if err := linkFiles(t.Journal, h.journalPath()); err != nil {
		return exported{}, err
	}
	out, err := h.export(t.World.Events)
	if err == nil && out.Requests > 0 {
		err = fmt.Errorf("all pages were in the journal, but there were %d requests", out.Requests)
	}
	return out, err
}

// linkFiles creates hard links to the files of a directory in another one. It is for
// journals, whose closed segments never change.
func linkFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == "lock" {
			continue
		}
		if err := os.Link(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// night applies again in a house. The source now returns other descriptions for the
// events of t.Changed.
func (t task) night(ctx context.Context) (out exported, err error) {
	sim, err := t.World.simulator()
	if err != nil {
		return out, err
	}
	h := newHouse(t.Output, t.Compression, t.World)
	h.prospects = filepath.Join(h.dir, "prospects.txt")
	ids := slices.Collect(sim.ProspectIDs())
	if err := os.WriteFile(h.prospects, []byte(strings.Join(ids, "\n")+"\n"), 0o600); err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	served, url := make(chan error, 1), make(chan string, 1)
	go func() {
		served <- knocksim.Serve(ctx, "127.0.0.1:0", later{sim, t.Changed}, func(at string) { url <- at })
	}()
	defer func() {
		cancel()
		err = errors.Join(err, <-served)
	}()
	var endpoint string
	select {
	case endpoint = <-url:
	case err := <-served:
		served <- nil
		return out, err
	}
	h.address, h.source = "source.knock.bench", fmt.Sprintf(`
source "knock" "bench" {
  endpoint            = %q
  api_key             = %q
  page_size           = %d
  concurrency         = 8
  requests_per_second = 0
}
`, endpoint, knocksim.DefaultAPIKey, pageSize)
	return h.export(t.World.Events)
}

// part identifies the events with a description, a type and a day.
type part struct{ Description, Type, Day string }

// later is an API that has changed the descriptions of some events.
type later struct {
	http.Handler
	changed []part
}

func (l later) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var page answer
	page.reset()
	l.Handler.ServeHTTP(&page, r)
	body := page.body.Bytes()
	for _, p := range l.changed {
		text := func(description string) []byte {
			return fmt.Appendf(nil, `"type":%q,"description":%q,"eventTime":"%sT`, p.Type, description, p.Day)
		}
		body = bytes.ReplaceAll(body, text(p.Description), text(p.Description+", and read"))
	}
	page.header.Del("Content-Length")
	for key, values := range page.header {
		w.Header()[key] = values
	}
	w.WriteHeader(page.status)
	_, _ = w.Write(body) // a client that is gone requests the page again
}
