package run

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/extract"
	"prospector/extract/knock"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
	"prospector/sink/store/local"
)

// cloud is an emulator of Cloud Storage with the state and the lake of a job, and the
// machines that run the job. The clock of each machine stands still until the test
// advances it.
type cloud struct {
	testing.TB
	rng     *rand.Rand
	service http.Handler
	places  *gcs.Store // without a machine between
	late    int        // changes by requests that had left a machine that was paused
}

func newCloud(t testing.TB, seed uint64) *cloud {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	c := &cloud{TB: t, rng: rand.New(rand.NewPCG(seed, 5)), service: &gcsfault.Faithful{Service: server.HTTPHandler()}}
	c.places = c.open("", c.service)
	return c
}

// open opens the bucket behind a handler.
func (c *cloud) open(prefix string, handler http.Handler) *gcs.Store {
	c.Helper()
	front := httptest.NewServer(handler)
	c.Cleanup(front.Close)
	s, err := gcs.Open(c.Context(), "acme", prefix, gcs.Options{Endpoint: front.URL})
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// generations returns the generation of every object, by key.
func (c *cloud) generations() map[string]string {
	c.Helper()
	all := make(map[string]string)
	for entry, err := range c.places.List(c.Context(), "") {
		if err != nil {
			c.Fatal(err)
		}
		all[entry.Key] = entry.Generation
	}
	return all
}

const (
	trialState = "state/prospector.state.json"
	trialLock  = trialState + ".lock"
)

// state reads the state without a lock.
func (c *cloud) state() *state.State {
	c.Helper()
	s, err := state.NewRemote(c.places, trialState, state.RemoteOptions{}).Read(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *cloud) read(key string) string {
	c.Helper()
	r, err := c.places.Open(c.Context(), key)
	if err != nil {
		c.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		c.Fatal(err)
	}
	return string(b)
}

// machine is a house whose state and lake are in the cloud.
type machine struct {
	*house
	gate    *gate
	clock   *machineClock
	backend *state.Remote
	wait    time.Duration // for the lock
	serial  int64         // of the state of the last session, at its end
	onPlan  func()        // called when the session has the lock
}

func (c *cloud) machine(skew time.Duration) *machine {
	h := newHouse(c.TB)
	m := &machine{house: h, gate: newGate(c.service), clock: &machineClock{now: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC).Add(skew)}, onPlan: func() {}}
	front := httptest.NewServer(m.gate)
	c.Cleanup(front.Close)
	h.now = m.clock.Now
	h.job().Sinks = []jobs.Sink{{Block: jobs.Block{Address: "sink.gcs.lake"}, Location: gcs.At("acme", "lake")}}
	h.stores["gcs"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		return gcs.Open(ctx, "acme", s.Settings.(*gcs.Settings).Prefix, gcs.Options{Endpoint: front.URL})
	}
	files, err := h.stores["gcs"](c.Context(), jobs.Sink{Location: gcs.At("acme", "")})
	if err != nil {
		c.Fatal(err)
	}
	m.backend = state.NewRemote(files, trialState, state.RemoteOptions{Now: m.clock.Now, After: m.clock.After})
	return m
}

// session opens a session, and calls f.
func (m *machine) session(f func(context.Context, *Session) error) (err error) {
	files, err := local.Open(m.dir)
	if err != nil {
		return err
	}
	m.config.Sinks = m.job().Sinks
	ctx, s, err := Open(m.Context(), Options{
		Config: m.config, DataDir: m.dir + "/.prospector", Backend: m.backend, Sources: extract.Kinds{knock.Kind},
		OpenSink: func(ctx context.Context, s jobs.Sink) (store.Store, error) { return m.stores[s.Kind.Name](ctx, s) },
		Observer: &m.observed, Now: m.now, Stdin: strings.NewReader(""), WorkDir: files, LockTimeout: m.wait,
	}, "apply")
	if err != nil {
		return err
	}
	defer func() {
		m.serial = s.State().Serial
		err = errors.Join(err, s.Close())
	}()
	m.onPlan()
	return f(ctx, s)
}

// try plans and applies.
func (m *machine) try() (p *plan.Plan, err error) {
	err = m.session(func(ctx context.Context, s *Session) (err error) {
		if p, err = s.Plan(ctx, PlanOptions{}); err != nil {
			return err
		}
		return s.Apply(ctx, p)
	})
	return p, err
}

// apply plans and applies, and checks that every file is what the state says.
func (m *machine) apply() *plan.Plan {
	m.Helper()
	p, err := m.try()
	if err != nil {
		m.Fatalf("the apply of the winner: %v", err)
	}
	m.verify()
	return p
}

func (m *machine) verify() {
	m.Helper()
	err := m.session(func(ctx context.Context, s *Session) error {
		found, err := s.Verify(ctx, func(int, int) {})
		if len(found.Findings) > 0 || found.Files == 0 {
			m.Errorf("of %d files, these are not what the state says: %+v", found.Files, found.Findings)
		}
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
}

// machineClock is the clock of a machine that can be paused. It stands still until the
// test advances it. A paused machine misses its timers until it resumes.
type machineClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []machineTimer
}

type machineTimer struct {
	at   time.Time
	fire chan time.Time
}

func (c *machineClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *machineClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	fire := make(chan time.Time, 1)
	c.timers = append(c.timers, machineTimer{c.now.Add(d), fire})
	return fire
}

// pause advances the clock without firing timers.
func (c *machineClock) pause(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// resume fires the timers that are due.
func (c *machineClock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = slices.DeleteFunc(c.timers, func(t machineTimer) bool {
		due := !c.now.Before(t.at)
		if due {
			t.fire <- c.now
		}
		return due
	})
}

// gate is the network of a machine. When it is shut, it holds every request before the
// service performs it, or the first one after that.
type gate struct {
	service http.Handler

	mu       sync.Mutex
	requests int
	shutAt   int // the request that shuts the gate, or 0
	late     bool
	isShut   bool
	// performing counts the requests that the service performs.
	performing int
	reported   bool
	// left are the changes of objects that the gate holds before they are performed.
	left   map[string]bool
	shut   chan struct{} // closed when the gate has shut
	opened chan struct{} // closed when it opens again
}

func newGate(service http.Handler) *gate {
	return &gate{service: service, left: make(map[string]bool), shut: make(chan struct{}), opened: make(chan struct{})}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // the request has left the machine
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	g.mu.Lock()
	g.requests++
	if g.requests == g.shutAt {
		g.isShut = true
	}
	first := g.requests == g.shutAt
	holds, late := g.isShut, first && g.late // later requests are held before they are performed
	if holds && !late && (r.Method == http.MethodDelete || r.Method == http.MethodPost) {
		g.left[cmp.Or(r.URL.Query().Get("name"), strings.TrimPrefix(r.URL.Path, "/storage/v1/b/acme/o/"))] = true
	}
	if holds && !late {
		g.report()
		g.mu.Unlock()
		<-g.opened
		g.mu.Lock()
	}
	g.performing++
	g.mu.Unlock()
	answer := httptest.NewRecorder()
	g.service.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	g.mu.Lock()
	g.performing--
	g.report()
	g.mu.Unlock()
	if holds && late {
		<-g.opened
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// report closes shut once the gate is shut and the service performs no request.
func (g *gate) report() {
	if g.isShut && g.performing == 0 && !g.reported {
		g.reported = true
		close(g.shut)
	}
}

// shutAfter shuts the gate at the nth request from now. Late means that it holds the
// answer to this request, not the request.
func (g *gate) shutAfter(n int, late bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shutAt, g.late = g.requests+n, late
}

// open lets all requests pass.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shutAt, g.isShut = 0, false
	close(g.opened)
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}
