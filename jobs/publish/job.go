package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// job applies the part of a plan that belongs to one job.
type job struct {
	*Publisher
	plan   *plan.Job
	stores map[string]store.Store // by sink address

	mu    sync.Mutex
	owned *state.Job // the job in the state
	done  plan.Summary
}

// writeAll makes all changes except the deletions of partitions. It proceeds in
// steps, so that rows that move between partitions are in the new partition
// before they leave the old one. After an error, the completed changes are in
// the state, and the others remain pending.
func (j *job) writeAll(ctx context.Context) error {
	if err := j.copyDamaged(ctx); err != nil {
		return err
	}
	if err := j.removeObjects(ctx, j.plan.Output.Foreign, "foreign"); err != nil {
		return err
	}
	steps := map[int]bool{0: true}
	for _, c := range j.plan.Output.Changes {
		steps[c.Step] = true
	}
	quarantine := j.plan.Output.Quarantine
	for _, step := range slices.Sorted(maps.Keys(steps)) {
		err := j.each(ctx, func(c plan.Change) bool { return c.Step == step && c.Action != plan.Delete }, quarantine)
		if err != nil {
			return err
		}
		quarantine = nil // it is written in the first step
	}
	return nil
}

// deleteAll deletes the partitions that the plan deletes, and the obsolete
// files that an interrupted apply left.
func (j *job) deleteAll(ctx context.Context) error {
	if err := j.each(ctx, func(c plan.Change) bool { return c.Action == plan.Delete }, nil); err != nil {
		return err
	}
	return j.removeObjects(ctx, j.plan.Output.Obsolete, "obsolete")
}

// each makes the selected changes, and the change of the quarantine unless it
// is nil. It makes several changes at a time.
func (j *job) each(ctx context.Context, selected func(plan.Change) bool, q *plan.Quarantine) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(j.Parallelism)
	for _, c := range j.plan.Output.Changes {
		if len(c.Writes) > 0 && selected(c) {
			group.Go(func() error { return j.partition(groupCtx, c) })
		}
	}
	if q != nil {
		group.Go(func() error { return j.quarantine(groupCtx, q) })
	}
	return group.Wait()
}

// removeObjects deletes objects that do not belong to a partition.
func (j *job) removeObjects(ctx context.Context, writes []plan.Write, kind string) error {
	for _, w := range writes {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := j.remove(ctx, w.Sink, w.Key, w.Generation); err != nil {
			return fmt.Errorf("%s: deleting a file (%s): %w", j.plan.Address, kind, err)
		}
		j.update(w.Sink, func(s *state.Sink) { s.DropObsolete(w.Key) })
	}
	return nil
}

// partition makes a change in every sink. An interrupt does not stop it once it
// has started.
func (j *job) partition(ctx context.Context, c plan.Change) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	started := j.Now()
	j.Observer.ApplyStarted(j.plan.Address, c)
	for _, sink := range c.Sinks() {
		if err := j.partitionIn(ctx, c, sink); err != nil {
			return fmt.Errorf("%s, partition %s: %w", j.plan.Address, c.Partition, err)
		}
	}
	j.mu.Lock()
	j.done.Count(c.Action)
	j.mu.Unlock()
	j.Observer.ApplyDone(j.plan.Address, c, j.Now().Sub(started))
	return nil
}

// partitionIn makes a change in one sink. It writes the new files first, and
// deletes the obsolete ones once all new files exist. In between, readers see rows
// twice, but no row is ever missing.
func (j *job) partitionIn(ctx context.Context, c plan.Change, sink string) error {
	change := j.plan.StateChange(c, sink)
	for _, w := range c.Writes {
		if w.Sink != sink || w.Action == plan.Delete {
			continue
		}
		object, err := j.write(ctx, w, c.Staged[w.File], "application/vnd.apache.parquet")
		if err != nil {
			return err
		}
		change.Next.Files[w.File].Object = object
	}
	if !change.Deletes() {
		j.update(sink, func(s *state.Sink) { s.Publish(change) })
	}
	for _, o := range change.Obsolete {
		if err := j.remove(ctx, sink, o.Key, o.Generation); err != nil {
			return err
		}
		j.update(sink, func(s *state.Sink) { s.DropObsolete(o.Key) })
	}
	if change.Deletes() {
		j.update(sink, func(s *state.Sink) { s.DropPartition(c.Partition) })
	}
	return nil
}

// quarantine writes or deletes the quarantine in every sink where it changes.
// An interrupt does not stop it once it has started.
func (j *job) quarantine(ctx context.Context, q *plan.Quarantine) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	for _, w := range q.Writes {
		var published *state.Quarantine
		var err error
		if w.Action == plan.Delete {
			err = j.remove(ctx, w.Sink, w.Key, w.Generation)
		} else {
			var object state.Object
			object, err = j.write(ctx, w, q.Staged, "application/jsonl")
			published = q.State(object)
		}
		if err != nil {
			return fmt.Errorf("%s, quarantine: %w", j.plan.Address, err)
		}
		j.update(w.Sink, func(s *state.Sink) { s.PublishQuarantine(published) })
	}
	return nil
}

// update applies a transition to a sink in the state. Only one update runs at a
// time.
func (j *job) update(sink string, transition func(*state.Sink)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	transition(j.owned.Sink(sink))
}

// write replaces the object that the plan recorded at a key with a staged file.
// The store checks the content against the checksum of the file that the second
// reader has accepted, and the returned object must have that checksum too.
func (j *job) write(ctx context.Context, w plan.Write, staged *plan.Staged, mediaType string) (state.Object, error) {
	f, err := os.Open(staged.Path)
	if err != nil {
		return state.Object{}, err
	}
	defer f.Close()
	if err := j.CheckLock(); err != nil {
		return state.Object{}, err
	}
	to := j.stores[w.Sink]
	o, err := to.Put(ctx, w.Key, store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: mediaType}, ifUnchanged(w.Generation))
	if err == nil && (o.Size != staged.Size || o.CRC32C != staged.CRC32C) {
		err = fmt.Errorf("writing %s: %w", to.URI(w.Key), store.ErrCorrupt)
	}
	if err != nil {
		return state.Object{}, err
	}
	return state.Object{Key: o.Key, Size: o.Size, CRC32C: o.CRC32C, Generation: o.Generation}, nil
}

// remove deletes the object that the plan recorded at a key. It is not an error
// if the object is already gone.
func (j *job) remove(ctx context.Context, sink, key, generation string) error {
	if err := j.CheckLock(); err != nil {
		return err
	}
	err := j.stores[sink].Delete(ctx, key, ifUnchanged(generation))
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return err
}

// ifUnchanged returns the condition that a key still has the object of that
// generation, or has no object if the generation is "".
func ifUnchanged(generation string) store.Condition {
	if generation == "" {
		return store.IfAbsent()
	}
	return store.IfGeneration(generation)
}
