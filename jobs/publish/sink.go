package publish

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/semaphore"

	"prospector/internal/parallel"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// inSink applies the part of a job's plan that belongs to one sink.
type inSink struct {
	*job
	address string
	store   store.Store
	// width is how many requests are sent at a time. Each of them takes a part of
	// requests.
	width    int
	requests *semaphore.Weighted
}

// in returns the sink with an address. Each sink gets as many requests at a time as it
// serves well, but not more than the Parallelism of the Publisher.
func (j *job) in(address string, opened store.Store) *inSink {
	width := store.Concurrency(opened)
	if j.Parallelism > 0 {
		width = min(width, j.Parallelism)
	}
	return &inSink{job: j, address: address, store: opened, width: width, requests: semaphore.NewWeighted(int64(width))}
}

// writeAll makes all changes except the deletions of partitions. It proceeds in steps,
// so that rows that move between partitions are in the new partition before they leave
// the old one.
func (s *inSink) writeAll(ctx context.Context) error {
	if err := s.copyDamaged(ctx); err != nil {
		return err
	}
	if err := s.removeObjects(ctx, s.plan.Output.Foreign, "foreign"); err != nil {
		return err
	}
	for _, step := range steps(s.plan.Output.Changes) {
		err := s.each(ctx, func(c plan.Change) bool { return c.Step == step && c.Action != plan.Delete })
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteAll deletes the partitions that the plan deletes, and the obsolete files that
// an interrupted apply left.
func (s *inSink) deleteAll(ctx context.Context) error {
	if err := s.each(ctx, func(c plan.Change) bool { return c.Action == plan.Delete }); err != nil {
		return err
	}
	return s.removeObjects(ctx, s.plan.Output.Obsolete, "obsolete")
}

// each makes the selected changes, several at a time.
func (s *inSink) each(ctx context.Context, selected func(plan.Change) bool) error {
	var changes []plan.Change
	for _, c := range s.plan.Output.Changes {
		if selected(c) && c.In(s.address) {
			changes = append(changes, c)
		}
	}
	return parallel.Each(ctx, s.width, changes, s.partition)
}

// partition makes a change. An interrupt does not stop it once it has started.
func (s *inSink) partition(ctx context.Context, c plan.Change) error {
	ctx, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	s.begin(c)
	if err := s.makeChange(ctx, c); err != nil {
		return fmt.Errorf("%s, partition %s: %w", s.plan.Address, c.Partition, err)
	}
	s.end(c)
	return nil
}

// makeChange writes the new files first, and deletes the obsolete ones once all new
// files exist. In between, readers see rows twice, but no row is ever missing.
func (s *inSink) makeChange(ctx context.Context, c plan.Change) error {
	change := s.plan.StateChange(c, s.address)
	var writes []plan.Write
	for _, w := range c.Writes {
		if w.Sink == s.address && w.Action != plan.Delete {
			writes = append(writes, w)
		}
	}
	err := parallel.Each(ctx, s.width, writes, func(ctx context.Context, w plan.Write) (err error) {
		change.Next.Files[w.File].Object, err = s.write(ctx, w, c.Staged[w.File], "application/vnd.apache.parquet")
		return err
	})
	if err != nil {
		return err
	}
	if !change.Deletes() {
		s.update(func(s *state.Sink) { s.Publish(change) })
	}
	err = parallel.Each(ctx, s.width, change.Obsolete, func(ctx context.Context, o state.Object) error {
		err := s.remove(ctx, o.Key, o.Generation)
		if err == nil {
			s.update(func(s *state.Sink) { s.DropObsolete(o.Key) })
		}
		return err
	})
	if err != nil {
		return err
	}
	if change.Deletes() {
		s.update(func(s *state.Sink) { s.DropPartition(c.Partition) })
	}
	return nil
}

// quarantine writes or deletes the quarantine.
func (s *inSink) quarantine(ctx context.Context, w plan.Write, q *plan.Quarantine) error {
	var published *state.Quarantine
	if w.Action == plan.Delete {
		if err := s.remove(ctx, w.Key, w.Generation); err != nil {
			return err
		}
	} else {
		object, err := s.write(ctx, w, q.Staged, "application/jsonl")
		if err != nil {
			return err
		}
		published = q.State(object)
	}
	s.update(func(s *state.Sink) { s.PublishQuarantine(published) })
	return nil
}

// removeObjects deletes objects that do not belong to a partition.
func (s *inSink) removeObjects(ctx context.Context, writes []plan.Write, kind string) error {
	return parallel.Each(ctx, s.width, writes, func(ctx context.Context, w plan.Write) error {
		if w.Sink != s.address {
			return nil
		}
		if err := s.remove(ctx, w.Key, w.Generation); err != nil {
			return fmt.Errorf("%s: deleting a file (%s): %w", s.plan.Address, kind, err)
		}
		s.update(func(s *state.Sink) { s.DropObsolete(w.Key) })
		return nil
	})
}

// update applies a transition to the sink in the state. Only one update runs at a
// time.
func (s *inSink) update(transition func(*state.Sink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	transition(s.owned.Sink(s.address))
}

// write replaces the object that the plan recorded at a key with a staged file.
// The store checks the content against the checksum of the file that the second
// reader has accepted, and the returned object must have that checksum too.
func (s *inSink) write(ctx context.Context, w plan.Write, staged *plan.Staged, mediaType string) (o state.Object, err error) {
	err = s.request(ctx, func() error {
		f, err := os.Open(staged.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		written, err := s.store.Put(ctx, w.Key, store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: mediaType}, ifUnchanged(w.Generation))
		if err == nil && (written.Size != staged.Size || written.CRC32C != staged.CRC32C) {
			err = fmt.Errorf("writing %s: %w", s.store.URI(w.Key), store.ErrCorrupt)
		}
		o = state.Object{Key: written.Key, Size: written.Size, CRC32C: written.CRC32C, Generation: written.Generation}
		return err
	})
	return o, err
}

// remove deletes the object that the plan recorded at a key. It is not an error
// if the object is already gone.
func (s *inSink) remove(ctx context.Context, key, generation string) error {
	err := s.request(ctx, func() error { return s.store.Delete(ctx, key, ifUnchanged(generation)) })
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return err
}

// request calls send when the sink serves fewer than width requests, if the run still
// has the lock.
func (s *inSink) request(ctx context.Context, send func() error) error {
	if s.requests.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	defer s.requests.Release(1)
	if err := s.CheckLock(); err != nil {
		return err
	}
	return send()
}

// ifUnchanged returns the condition that a key still has the object of that
// generation, or has no object if the generation is "".
func ifUnchanged(generation string) store.Condition {
	if generation == "" {
		return store.IfAbsent()
	}
	return store.IfGeneration(generation)
}
