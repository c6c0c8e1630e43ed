package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// job applies the part of a plan that belongs to one job.
type job struct {
	*Publisher
	plan  *plan.Job
	sinks []*inSink // in the order of the job

	mu      sync.Mutex
	owned   *state.Job // the job in the state
	done    plan.Summary
	running map[string]*running // by partition
}

// running is a change that was started in a sink, and is not complete in all of them.
type running struct {
	started time.Time
	left    int // sinks
}

// writeAll makes all changes except the deletions of partitions. No sink waits for
// another one. After an error, the completed changes are in the state, and the others
// remain pending.
func (j *job) writeAll(ctx context.Context) error {
	if err := j.eachSink(ctx, (*inSink).writeAll); err != nil || j.plan.Output.Quarantine == nil {
		return err
	}
	return j.quarantine(ctx, j.plan.Output.Quarantine)
}

// deleteAll deletes the partitions that the plan deletes, and the obsolete
// files that an interrupted apply left.
func (j *job) deleteAll(ctx context.Context) error {
	return j.eachSink(ctx, (*inSink).deleteAll)
}

func (j *job) eachSink(ctx context.Context, f func(*inSink, context.Context) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, s := range j.sinks {
		group.Go(func() error { return f(s, groupCtx) })
	}
	return group.Wait()
}

// quarantine writes or deletes the quarantine in every sink where it changes. It comes
// after the rows, because events of the former quarantine may be rows now. The next run
// reads the quarantine of the first sink that has one, so that sink gets it first. An
// interrupt does not stop it once it has started.
func (j *job) quarantine(ctx context.Context, q *plan.Quarantine) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	for _, s := range j.sinks {
		for _, w := range q.Writes {
			if w.Sink != s.address {
				continue
			}
			if err := s.quarantine(ctx, w, q); err != nil {
				return fmt.Errorf("%s, quarantine: %w", j.plan.Address, err)
			}
		}
	}
	return nil
}

// begin records that a change starts in a sink.
func (j *job) begin(c plan.Change) {
	j.mu.Lock()
	_, known := j.running[c.Partition]
	if !known {
		j.running[c.Partition] = &running{started: j.Now(), left: len(c.Sinks())}
	}
	j.mu.Unlock()
	if !known {
		j.Observer.ApplyStarted(j.plan.Address, c)
	}
}

// end records that a change is complete in a sink.
func (j *job) end(c plan.Change) {
	j.mu.Lock()
	r := j.running[c.Partition]
	r.left--
	complete := r.left == 0
	if complete {
		delete(j.running, c.Partition)
		j.done.Count(c.Action)
	}
	j.mu.Unlock()
	if complete {
		j.Observer.ApplyDone(j.plan.Address, c, j.Now().Sub(r.started))
	}
}

// steps returns the steps of the changes, ascending.
func steps(changes []plan.Change) []int {
	all := make(map[int]bool)
	for _, c := range changes {
		all[c.Step] = true
	}
	return slices.Sorted(maps.Keys(all))
}
