package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// publishers is how many objects are written at once: enough to hide the
// latency of a remote store.
const publishers = 16

// Apply publishes what the plan has staged, in three steps for each job: the
// state records what is about to be published, the objects are written, and the
// state records that they were. Wherever that is interrupted, the next session
// finds every object either as it was or as it was to be, and knows both.
func (s *Session) Apply(ctx context.Context, p *plan.Plan) (err error) {
	defer func() { s.keepJournals = err != nil }()
	for i := range p.Jobs {
		job := s.Config.Jobs[i]
		if job.Address != p.Jobs[i].Address {
			return fmt.Errorf("the plan is not of this configuration: it has %s where %s is declared", p.Jobs[i].Address, job.Address)
		}
		if err := s.applyJob(ctx, job, &p.Jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) applyJob(ctx context.Context, job jobs.Job, p *plan.Job) error {
	if err := p.Books.Check(); err != nil {
		return err
	}
	before, err := state.Encode(s.state)
	if err != nil {
		return err
	}
	owned := s.state.Job(job.Address)
	owned.Table, owned.Schema = job.Name, job.Table.Fingerprint()
	// The state follows what was found, so that drift is not found again.
	for address, r := range s.refreshed[job.Address] {
		sink := r.Sink
		owned.Sinks[address] = &sink
	}
	a := &applying{session: s, job: job, owned: owned}
	a.intend(p)
	after, err := state.Encode(s.state)
	if err != nil {
		return err
	}
	if string(before) != string(after) {
		if err := s.Backend.Write(ctx, s.state); err != nil {
			return err
		}
	}
	if a.any {
		published := a.publish(ctx, p)
		// Recorded even when something failed or the run is being stopped:
		// what is published is published.
		recorded := s.Backend.Write(context.WithoutCancel(ctx), s.state)
		if err := errors.Join(published, recorded); err != nil {
			return err
		}
	}
	return nil
}

// applying publishes one job's changes.
type applying struct {
	session *Session
	job     jobs.Job
	any     bool

	mu    sync.Mutex
	owned *state.Job
}

// intend writes the changes into the state as pending.
func (a *applying) intend(p *plan.Job) {
	pending := func(sink string) *state.Pending {
		a.any = true
		s := a.owned.Sink(sink)
		if s.Pending == nil {
			s.Pending = &state.Pending{Partitions: make(map[string]state.Partition)}
		}
		return s.Pending
	}
	for _, c := range p.Changes {
		for _, w := range c.Writes {
			pending(w.Sink).Partitions[c.Partition] = partition(c.Staged, state.Object{Key: w.Key})
		}
	}
	if q := p.Quarantine; q != nil {
		for _, w := range q.Writes {
			pending(w.Sink).Quarantine = quarantineState(q, state.Object{Key: w.Key})
		}
	}
}

// partition is the state of a staged file once it is published as that object;
// one without rows is a deletion.
func partition(staged *plan.Staged, object state.Object) state.Partition {
	if staged == nil {
		return state.Partition{Object: object}
	}
	object.Size, object.CRC32C = staged.Size, staged.CRC32C
	return state.Partition{Rows: staged.Rows, Content: staged.Content, Object: object}
}

func quarantineState(q *plan.Quarantine, object state.Object) *state.Quarantine {
	p := partition(q.Staged, object)
	return &state.Quarantine{Events: p.Rows, Content: p.Content, Object: p.Object}
}

// publish makes the changes. What it has made is in the state when it returns,
// also with an error; what it has not stays pending.
func (a *applying) publish(ctx context.Context, p *plan.Job) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for _, c := range p.Changes {
		if len(c.Writes) > 0 {
			group.Go(func() error { return a.publishPartition(groupCtx, c) })
		}
	}
	if q := p.Quarantine; q != nil {
		group.Go(func() error { return a.publishQuarantine(groupCtx, q) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, sink := range a.job.Sinks { // those of others may wait for another run
		a.owned.Sink(sink.Address).Pending = nil
	}
	return nil
}

func (a *applying) publishPartition(ctx context.Context, c plan.Change) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := a.session
	started := s.Now()
	s.Observer.ApplyStarted(a.job.Address, c)
	for _, w := range c.Writes {
		object, err := a.write(ctx, w, c.Staged, "application/vnd.apache.parquet")
		if err != nil {
			return fmt.Errorf("%s, partition %s: %w", a.job.Address, c.Partition, err)
		}
		a.mu.Lock()
		sink := a.owned.Sink(w.Sink)
		delete(sink.Pending.Partitions, c.Partition)
		if w.Action == plan.Delete {
			delete(sink.Partitions, c.Partition)
		} else {
			sink.Partitions[c.Partition] = partition(c.Staged, object)
		}
		a.mu.Unlock()
	}
	s.Observer.ApplyDone(a.job.Address, c, s.Now().Sub(started))
	return nil
}

func (a *applying) publishQuarantine(ctx context.Context, q *plan.Quarantine) error {
	for _, w := range q.Writes {
		object, err := a.write(ctx, w, q.Staged, "application/jsonl")
		if err != nil {
			return fmt.Errorf("%s, quarantine: %w", a.job.Address, err)
		}
		a.mu.Lock()
		sink := a.owned.Sink(w.Sink)
		sink.Pending.Quarantine = nil
		sink.Quarantine = nil
		if w.Action != plan.Delete {
			sink.Quarantine = quarantineState(q, object)
		}
		a.mu.Unlock()
	}
	return nil
}

// write makes one change in one sink, on the condition that the object there is
// still the one that was seen, and reads back that it arrived.
func (a *applying) write(ctx context.Context, w plan.Write, staged *plan.Staged, mediaType string) (state.Object, error) {
	to := a.session.stores[w.Sink]
	cond := store.IfAbsent()
	if w.Generation != "" {
		cond = store.IfGeneration(w.Generation)
	}
	if w.Action == plan.Delete {
		err := to.Delete(ctx, w.Key, cond)
		if errors.Is(err, store.ErrNotExist) {
			err = nil
		}
		return state.Object{}, err
	}
	f, err := os.Open(staged.Path)
	if err != nil {
		return state.Object{}, err
	}
	defer f.Close()
	_, err = to.Put(ctx, w.Key, store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: mediaType}, cond)
	if err != nil {
		return state.Object{}, err
	}
	o, err := to.Stat(ctx, w.Key)
	if err == nil && (o.Size != staged.Size || o.CRC32C != staged.CRC32C) {
		err = store.ErrCorrupt
	}
	if err != nil {
		return state.Object{}, fmt.Errorf("reading back %s: %w", to.URI(w.Key), err)
	}
	return state.Object{Key: o.Key, Size: o.Size, CRC32C: o.CRC32C, Generation: o.Generation}, nil
}
