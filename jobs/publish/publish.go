// Package publish applies a plan: it writes the staged files to the sinks,
// deletes the objects that the plan deletes, and updates the state. Package
// state describes the protocol, and why it is safe to kill a run at any moment.
//
// It does not check the plan. Callers must check that the plan may be applied,
// that it is not stale, and that it changes only objects of its jobs.
package publish

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Observer follows the progress of an apply. Its methods may be called concurrently.
type Observer interface {
	// ApplyStarted is called before each change of a partition, and ApplyDone after
	// it, unless it fails.
	ApplyStarted(job string, change plan.Change)
	ApplyDone(job string, change plan.Change, took time.Duration)
}

// Lists stores lists of prospects next to the state.
type Lists interface {
	// Publish stores the lists that a job's plan has staged, and returns the
	// references for the state.
	Publish(context.Context, *plan.Job) (state.Lists, error)
	// Drop deletes a list that the state referred to before, unless the state
	// still refers to it.
	Drop(ctx context.Context, before, after *state.ProspectList) error
}

// Publisher has what is needed to apply a plan.
type Publisher struct {
	State *state.State
	// Save stores the state if it has changed.
	Save func(context.Context) error
	// CheckLock returns an error if the run may have lost the lock. It is called before
	// each change of an object, because a process that was stopped for a while
	// continues before its context ends. It may be called concurrently.
	CheckLock func() error
	// Rescue is called when Save fails after objects in the sinks may have
	// changed. It stores the state elsewhere, and returns the error to report.
	Rescue func(ctx context.Context, why error) error
	// Open returns the store of the sink with an address. It opens the sink
	// unless it is already open.
	Open  func(ctx context.Context, address string) (store.Store, error)
	Lists Lists
	// Parallelism limits how many requests each sink gets at a time, in addition to
	// store.Concurrency. 0 means no additional limit.
	Parallelism int
	TempDir     string // an existing directory on this machine
	Observer    Observer
	Logger      *slog.Logger
	Now         func() time.Time
}

// Publish applies a plan. It returns how many partitions it has changed, by job
// address, even with an error.
//
// When ctx ends, Publish completes the partitions that it has started in each sink, saves
// the state, and returns the cause. If ctx ends because the lock is lost,
// Publish stops immediately.
func (p *Publisher) Publish(ctx context.Context, planned *plan.Plan) (done map[string]plan.Summary, err error) {
	done = make(map[string]plan.Summary)
	for _, m := range planned.Moved {
		if err := p.State.Move(m.From, m.To); err != nil {
			return done, err
		}
	}
	for _, address := range planned.Forgotten {
		delete(p.State.Jobs, address)
	}
	for i := range planned.Jobs {
		j := &planned.Jobs[i]
		if planned.Mode == plan.RefreshOnly && p.State.Jobs[j.Address] == nil {
			continue // the job has no objects to refresh
		}
		if done[j.Address], err = p.publishJob(ctx, j); err != nil {
			return done, err
		}
	}
	return done, p.Save(ctx)
}

// publishJob applies one job of a plan.
func (p *Publisher) publishJob(ctx context.Context, planned *plan.Job) (done plan.Summary, err error) {
	if err := planned.Source.Books.Check(); err != nil {
		return done, err
	}
	j := &job{Publisher: p, plan: planned, owned: p.State.Job(planned.Address), running: make(map[string]*running)}
	for _, address := range planned.Sinks {
		opened, err := p.Open(ctx, address)
		if err != nil {
			return done, err
		}
		j.sinks = append(j.sinks, j.in(address, opened))
	}
	before := state.Lists{Prospects: j.owned.Prospects, Empty: j.owned.Empty}
	lists, err := p.Lists.Publish(ctx, planned)
	if err != nil {
		return done, err
	}
	planned.StagePending(j.owned, lists)
	if err := p.Save(ctx); err != nil {
		return done, err
	}
	saving, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	err = j.writeAll(ctx)
	if err == nil && planned.Output.Rewrite != nil {
		planned.DropSuperseded(j.owned)
		if err := p.Save(saving); err != nil {
			return j.done, p.Rescue(saving, err)
		}
	}
	if err == nil {
		err = j.deleteAll(ctx)
	}
	if err == nil {
		p.State.Finalize(planned.Address, planned.Sinks, planned.Destroy)
	}
	// The state is saved even after an error or an interrupt, so that it has
	// what was published.
	if failed := p.Save(saving); failed != nil {
		return j.done, errors.Join(err, p.Rescue(saving, failed))
	}
	p.dropLists(saving, before, j.owned)
	return j.done, err
}

func (p *Publisher) dropLists(ctx context.Context, before state.Lists, now *state.Job) {
	err := errors.Join(p.Lists.Drop(ctx, before.Prospects, now.Prospects), p.Lists.Drop(ctx, before.Empty, now.Empty))
	if err != nil { // an unused list is harmless
		p.Logger.WarnContext(ctx, "an old list of prospects cannot be deleted", "why", err)
	}
}
