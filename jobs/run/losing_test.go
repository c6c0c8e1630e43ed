package run

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

var rounds = flag.Int("rounds", 5, "how many rounds of each kind TestLosingRuns makes")

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
	if diff := cmp.Diff(before, after); diff != "" {
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
	if diff := cmp.Diff(before, c.generations()); diff != "" {
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
