package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
	gocmp "github.com/google/go-cmp/cmp"

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

var rounds = flag.Int("rounds", 5, "how many rounds of each kind TestLosingRuns makes")

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

// gate is the network of a machine. When it is shut, it holds every request, before or
// after the service performs it.
type gate struct {
	service http.Handler

	mu       sync.Mutex
	requests int
	shutAt   int // the request that shuts the gate, or 0
	late     bool
	isShut   bool
	// left are the changes of objects that the gate holds before they are performed.
	left   map[string]bool
	shut   chan struct{} // closed when the gate shuts
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
		close(g.shut)
	}
	holds, late := g.isShut, g.late
	if holds && !late && (r.Method == http.MethodDelete || r.Method == http.MethodPost) {
		g.left[cmp.Or(r.URL.Query().Get("name"), strings.TrimPrefix(r.URL.Path, "/storage/v1/b/acme/o/"))] = true
	}
	g.mu.Unlock()
	if holds && !late {
		<-g.opened
	}
	answer := httptest.NewRecorder()
	g.service.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	if holds && late {
		<-g.opened
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// shutAfter shuts the gate after n more requests. Late means that it holds answers, not
// requests.
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

// nights returns the events of two nights. In the second night there are more events,
// and some have moved to another partition. Partitions appear and disappear.
func (c *cloud) nights() (first, second []string) {
	for created := range 20 {
		first = append(first, moving(created+1, 1+c.rng.IntN(9)))
	}
	return first, append(c.move(first), moving(21, 1+c.rng.IntN(9)), moving(22, 10+c.rng.IntN(9)))
}

// move moves some of the events to another partition.
func (c *cloud) move(events []string) []string {
	events = slices.Clone(events)
	for i := range events {
		if c.rng.IntN(2) == 0 {
			events[i] = moving(i+1, 1+c.rng.IntN(18))
		}
	}
	return events
}

// contest is an apply that stops in the middle, while the test does something else.
type contest struct {
	*cloud
	held, other *machine
	second      []string // the events of the second night
	ended       chan error
	within      bool // whether the apply was stopped before its end
}

// begin publishes a first night, and stops the apply of the second night at a random
// request.
func (c *cloud) begin(skew time.Duration) *contest {
	c.Helper()
	first, second := c.nights()
	x := &contest{cloud: c, held: c.machine(0), other: c.machine(skew), second: second, ended: make(chan error, 1)}
	x.held.events(first...)
	var before int
	x.held.onPlan = func() { before = x.held.gate.count() }
	if _, err := x.held.try(); err != nil {
		c.Fatal(err)
	}
	of := x.held.gate.count() - before // about as many as the second apply makes
	x.held.events(second...)
	x.other.events(second...)
	x.held.onPlan = func() { x.held.gate.shutAfter(1+c.rng.IntN(of), c.rng.IntN(2) == 0) }
	go func() {
		_, err := x.held.try()
		x.ended <- err
	}()
	select {
	case <-x.held.gate.shut:
		x.within = true
	case err := <-x.ended:
		x.ended <- err
	}
	return x
}

// end lets the held apply continue, and returns its error. In half of the rounds its
// timers are late: they fire after it has ended.
func (x *contest) end() error {
	if x.rng.IntN(2) == 0 {
		x.held.clock.resume()
	}
	x.held.gate.open()
	return <-x.ended
}

// holds reports whether the lock is that of the held machine.
func (x *contest) holds() bool {
	return x.within && x.generations()[trialLock] != ""
}

// lost checks that the held apply has changed nothing after the other run, whose
// objects are in before, and that it says what is true. Requests that had already left
// the machine may create an object, or delete one that has not changed since the plan.
func (x *contest) lost(before map[string]string, err error) {
	x.Helper()
	after := x.generations()
	delete(before, trialLock)
	delete(after, trialLock)
	for key := range x.held.gate.left {
		switch was, is := before[key], after[key]; {
		case was == "" && is != "":
			x.late++
			delete(after, key)
		case was != "" && is == "":
			x.late++
			delete(before, key)
		}
	}
	if diff := gocmp.Diff(before, after); diff != "" {
		x.Errorf("the losing run has changed objects (-before +after):\n%s\nit ended with: %v", diff, err)
	}
	unlocked, ok := errors.AsType[*state.UnlockError](err)
	if !ok || !errors.Is(err, state.ErrLockLost) {
		x.Errorf("the losing run ended with: %v", err)
	} else if unlocked.Serial > x.state().Serial {
		x.Errorf("the losing run claims to have written serial %d, but the state has %d", unlocked.Serial, x.state().Serial)
	}
}

// settle checks that nothing is left to do.
func (x *contest) settle(m *machine) {
	x.Helper()
	if x.late > 0 {
		m.job().DeleteForeign = true
		m.apply()
	}
	if p := m.apply(); !p.Empty() || len(p.Jobs[0].Found.Drift) > 0 {
		x.Errorf("afterwards, a plan has %+v and the drift %+v", p.Summary(), p.Jobs[0].Found.Drift)
	}
	if _, locked := x.generations()[trialLock]; locked {
		x.Error("a lock is left")
	}
}

// A run that has lost its lock publishes nothing and commits nothing, whatever it was
// doing. To make all rounds:
//
//	go test ./jobs/run -run TestLosingRuns -rounds=50
func TestLosingRuns(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	for _, trial := range []struct {
		name  string
		round func(*cloud, int) (loses bool)
	}{
		{"zombies", zombie}, {"races", race}, {"deleted locks", deletedLock}, {"skewed clocks", skewed},
	} {
		t.Run(trial.name, func(t *testing.T) {
			losers, late := 0, 0
			for n := 0; losers < *rounds && n < 3**rounds; n++ {
				t.Run(fmt.Sprint("round ", n), func(t *testing.T) {
					c := newCloud(t, uint64(n))
					if trial.round(c, n) { // else the run ended too early
						losers++
					}
					late += c.late
				})
			}
			t.Logf("%d rounds; requests that had left a paused machine have changed %d objects", losers, late)
			if losers < *rounds {
				t.Errorf("only %d rounds have a loser", losers)
			}
		})
	}
}

// A zombie is paused for longer than its lease, while another run takes over its lock,
// and finishes.
func zombie(c *cloud, _ int) bool {
	x := c.begin(0)
	loses := x.holds()
	x.held.clock.pause(30 * time.Minute)
	x.other.clock.pause(30 * time.Minute)
	if c.rng.IntN(2) == 0 {
		x.other.events(c.move(x.second)...)
	}
	x.other.apply()
	before := c.generations()
	if err := x.end(); loses {
		x.lost(before, err)
	}
	x.settle(x.other)
	return loses
}

// Two runs begin at the same time. In every second round, the loser waits.
func race(c *cloud, n int) bool {
	first, second := c.nights()
	both := []*machine{c.machine(0), c.machine(0)}
	both[0].events(first...)
	both[0].apply()
	type end struct {
		m   *machine
		p   *plan.Plan
		err error
	}
	ends := make(chan end, 2)
	for _, m := range both {
		m.events(second...)
		if n%2 == 1 {
			m.wait = time.Minute
		}
		go func() {
			p, err := m.try()
			ends <- end{m, p, err}
		}()
	}
	changed, serial := 0, int64(0)
	for range both {
		switch e := <-ends; {
		case e.err == nil && !e.p.Summary().Empty():
			changed++
			serial = e.m.serial
		case e.err == nil:
		case n%2 == 1 || !errors.Is(e.err, state.ErrLocked):
			c.Errorf("a run ended with: %v", e.err)
		}
	}
	if changed != 1 || c.state().Serial != serial {
		c.Errorf("%d runs have changed the lake, the last one to serial %d; the state has %d", changed, serial, c.state().Serial)
	}
	both[0].verify()
	(&contest{cloud: c}).settle(both[1])
	return changed == 1
}

// The lock of a run is deleted, replaced or released by force. In some rounds, another
// run then starts and finishes.
func deletedLock(c *cloud, n int) bool {
	x := c.begin(0)
	serial := c.state().Serial
	if !x.holds() {
		_ = x.end()
		x.settle(x.other)
		return false
	}
	switch n % 3 {
	case 0:
		if err := c.places.Delete(c.Context(), trialLock, store.Condition{}); err != nil {
			c.Fatal(err)
		}
	case 1:
		if _, err := c.places.Put(c.Context(), trialLock, store.ContentOf([]byte("garbage"), ""), store.Condition{}); err != nil {
			c.Fatal(err)
		}
	case 2:
		var info state.LockInfo
		if err := json.Unmarshal([]byte(c.read(trialLock)), &info); err != nil {
			c.Fatal(err)
		}
		if err := x.other.backend.ForceUnlock(c.Context(), info.ID); err != nil {
			c.Fatal(err)
		}
	}
	if n%3 != 1 && c.rng.IntN(2) == 0 {
		x.other.apply()
		before := c.generations()
		x.lost(before, x.end())
	} else {
		if c.rng.IntN(2) == 0 {
			x.held.clock.pause(21 * time.Second) // its heartbeat finds out
		}
		err := x.end()
		unlocked, ok := errors.AsType[*state.UnlockError](err)
		if now := c.state().Serial; !ok || !errors.Is(err, state.ErrLockLost) || now > serial && !unlocked.Unknown && unlocked.Serial != now {
			c.Errorf("the state has serial %d, and had %d before, but the run ended with %+v: %v", now, serial, unlocked, err)
		}
	}
	if n%3 == 1 {
		if err := c.places.Delete(c.Context(), trialLock, store.Condition{}); err != nil {
			c.Fatal(err)
		}
	}
	x.other.apply()
	x.settle(x.other)
	return true
}

// The clocks of two machines differ by a quarter of an hour. While a run is alive,
// another one is refused. If the first is paused for longer than its lease, the other
// takes over.
func skewed(c *cloud, n int) bool {
	x := c.begin([]time.Duration{15 * time.Minute, -15 * time.Minute}[n%2])
	if !x.holds() {
		_ = x.end()
		x.settle(x.other)
		return false
	}
	before := c.generations()
	if _, err := x.other.try(); !errors.Is(err, state.ErrLocked) {
		c.Errorf("while another run is alive, a run ended with: %v", err)
	}
	if diff := gocmp.Diff(before, c.generations()); diff != "" {
		c.Errorf("the refused run has changed objects (-before +after):\n%s", diff)
	}
	if c.rng.IntN(2) == 0 {
		if err := x.end(); err != nil {
			c.Errorf("the first run ended with: %v", err)
		}
	} else {
		x.held.clock.pause(61 * time.Second)
		x.other.clock.pause(61 * time.Second)
		x.other.apply()
		before := c.generations()
		x.lost(before, x.end())
	}
	x.settle(x.other)
	return true
}
