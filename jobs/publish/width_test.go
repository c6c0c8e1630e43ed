package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"prospector/jobs/plan"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// crowd is a sink. After gather, its writes and deletions wait until that many of them
// are in progress at a time.
type crowd struct {
	*memory.Store
	width int

	mu            sync.Mutex
	want          int
	running, most int
	gathered      chan struct{}
}

func newCrowd(width int) *crowd { return &crowd{Store: memory.New(), width: width} }

func (c *crowd) Concurrency() int { return c.width }

func (c *crowd) gather(want int) {
	c.want, c.most, c.gathered = want, 0, make(chan struct{})
}

func (c *crowd) enter() {
	c.mu.Lock()
	c.running++
	if c.most = max(c.most, c.running); c.most == c.want {
		close(c.gathered)
		c.want = 0
	}
	c.mu.Unlock()
	select {
	case <-c.gathered:
	case <-time.After(10 * time.Second): // the test fails
	}
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
}

func (c *crowd) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	c.enter()
	defer c.leave()
	return c.Store.Put(ctx, key, content, cond)
}

func (c *crowd) Delete(ctx context.Context, key string, cond store.Condition) error {
	c.enter()
	defer c.leave()
	return c.Store.Delete(ctx, key, cond)
}

// planFor returns a plan after which each sink has the rows in want, by partition. A
// letter is a row, and a space ends a file.
func (w *world) planFor(sinks map[string]store.Store, order []string, want map[string]string) *plan.Plan {
	j := plan.Job{Address: address, TableName: tableName, Sinks: order}
	j.Found.Prior = make(map[string]*plan.Refreshed)
	for at, s := range sinks {
		j.Found.Prior[at] = w.refreshSink(s, at)
	}
	paths := plan.Partitions(j.Found.Prior)
	if want != nil {
		paths = nil
	}
	for path := range want {
		paths = append(paths, path)
	}
	var outcomes []plan.Outcome
	for _, path := range paths {
		rows := strings.ReplaceAll(want[path], " ", "")
		o := plan.Outcome{Partition: path, Rows: plan.Rows{After: int64(len(rows))}, Content: digest(rows)}
		for _, text := range strings.Fields(want[path]) {
			o.Staged = append(o.Staged, w.stage(text))
		}
		outcomes = append(outcomes, o)
	}
	j.Output.Changes = plan.Changes(tableName, order, j.Found.Prior, outcomes)
	return &plan.Plan{Mode: plan.Normal, Jobs: []plan.Job{j}}
}

func (w *world) refreshSink(s store.Store, at string) *plan.Refreshed {
	var seen []plan.Seen
	for o, err := range s.List(w.Context(), tableName+"/") {
		if err != nil {
			w.Fatal(err)
		}
		seen = append(seen, plan.Seen(o))
	}
	return plan.Refresh(at, tableName, w.saved.Clone().Job(address).Sink(at), seen, nil)
}

// publishTo applies a plan to some sinks.
func (w *world) publishTo(sinks map[string]store.Store, parallelism int, p *plan.Plan) error {
	publisher := w.publisher()
	publisher.Parallelism = parallelism
	publisher.Open = func(_ context.Context, address string) (store.Store, error) { return sinks[address], nil }
	_, err := publisher.Publish(w.Context(), p)
	return err
}

// All files, of one partition or of several, are written and deleted as many at a time as
// the sink serves well and the user allows.
func TestRequestsOverlap(t *testing.T) {
	many := strings.TrimSpace(strings.Repeat("a ", 40))
	several := make(map[string]string)
	for i := range 40 {
		several[fmt.Sprintf("p=%d", i)] = "a"
	}
	for _, test := range []struct {
		name        string
		width       int
		parallelism int
		rows        map[string]string
		want        int
	}{
		{"files of one partition", 7, 0, map[string]string{"p=1": many}, 7},
		{"files of two partitions", 7, 0, map[string]string{"p=1": many, "p=2": many}, 7},
		{"partitions", 7, 0, several, 7},
		{"more than the user allows", 7, 3, several, 3},
		{"more than the sink serves", 7, 30, several, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, sink := newWorld(t), newCrowd(test.width)
			sinks := map[string]store.Store{lake: sink}
			for _, rows := range []map[string]string{test.rows, nil} { // create and destroy
				sink.gather(test.want)
				if err := w.publishTo(sinks, test.parallelism, w.planFor(sinks, []string{lake}, rows)); err != nil {
					t.Fatal(err)
				}
				if sink.most != test.want {
					t.Errorf("with %d partitions after the apply, up to %d requests are in progress at a time, want %d", len(rows), sink.most, test.want)
				}
			}
			if s := w.saved.Jobs[address].Sinks[lake]; len(s.Partitions) > 0 || s.Pending != nil {
				t.Errorf("the saved state is %+v", s)
			}
		})
	}
}

// held is a sink whose writes wait for another sink.
type held struct {
	store.Store
	until <-chan struct{}
	fails bool
}

func (h held) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	select {
	case <-h.until:
	case <-time.After(10 * time.Second): // the test fails
		return store.Object{}, errors.New("the other sink waits for this one")
	}
	if h.fails {
		return store.Object{}, errKilled
	}
	return h.Store.Put(ctx, key, c, cond)
}

// counted is a sink that closes full when it has that many objects.
type counted struct {
	store.Store
	full chan struct{}

	mu   sync.Mutex
	left int
}

func (c *counted) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	o, err := c.Store.Put(ctx, key, content, cond)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.full)
	}
	return o, err
}

// A sink gets all of its files, although another sink of the job has not answered yet.
// If the other one then fails, the state has what was published in the first one.
func TestSlowSinkDoesNotHoldUpOthers(t *testing.T) {
	want := make(map[string]string)
	for i := range 50 {
		want[fmt.Sprintf("p=%d", i)] = "a b"
	}
	const slow = "sink.memory.bucket"
	for _, fails := range []bool{false, true} {
		w := newWorld(t)
		quick := &counted{Store: memory.New(), full: make(chan struct{}), left: 100}
		sinks := map[string]store.Store{lake: quick, slow: held{memory.New(), quick.full, fails}}
		err := w.publishTo(sinks, 0, w.planFor(sinks, []string{slow, lake}, want))
		if fails != errors.Is(err, errKilled) || !fails && err != nil {
			t.Fatalf("the error is %v", err)
		}
		j := w.saved.Jobs[address]
		if here := j.Sinks[lake]; len(here.Partitions) != 50 {
			t.Errorf("the quick sink has %d partitions", len(here.Partitions))
		}
		if there := j.Sinks[slow]; fails != (there.Pending != nil && len(there.Pending.Partitions) == 50) {
			t.Errorf("the slow sink has %d partitions, and pending are %+v", len(there.Partitions), there.Pending)
		}
	}
}
