package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Apply publishes what the plan has staged, in three steps for each job: the
// state records what is about to be published, the objects are written, and the
// state records that they were. Wherever that is interrupted, the next session
// finds every object either as it was or as it was to be, and knows both.
//
// What the second reader has rejected is the error when all else is published.
func (s *Session) Apply(ctx context.Context, p *plan.Plan) error {
	if err := s.apply(ctx, p); err != nil {
		return err
	}
	return p.Rejected().Err()
}

func (s *Session) apply(ctx context.Context, p *plan.Plan) (err error) {
	defer func() {
		err = withCause(ctx, err)
		s.keepJournals = err != nil
	}()
	if err := p.Blocked().Err(); err != nil {
		return err
	}
	if err := s.checkPlaces(p); err != nil {
		return err
	}
	before, err := state.Encode(s.state)
	if err != nil {
		return err
	}
	s.state.Erasing = s.state.Erasing || p.Mode == plan.Erase // until it is proved
	if before, err = s.keepTombstones(ctx, p, before); err != nil {
		return err
	}
	for _, m := range p.Moved {
		if err := s.state.Move(m.From, m.To); err != nil {
			return err
		}
	}
	for _, address := range p.Forgotten {
		delete(s.state.Jobs, address)
	}
	for i := range p.Jobs {
		if p.Mode == plan.RefreshOnly && s.state.Jobs[p.Jobs[i].Address] == nil {
			continue // nothing was published that could have changed
		}
		if before, err = s.applyJob(ctx, &p.Jobs[i], before); err != nil {
			return err
		}
	}
	_, err = s.record(ctx, before)
	return err
}

// record writes the state if it is not what was written before, and gives it as
// it is written now.
func (s *Session) record(ctx context.Context, before []byte) ([]byte, error) {
	now, err := state.Encode(s.state)
	if err != nil || bytes.Equal(before, now) {
		return now, err
	}
	if err := s.Backend.Write(ctx, s.state); err != nil {
		return nil, err
	}
	return state.Encode(s.state)
}

func (s *Session) applyJob(ctx context.Context, p *plan.Job, before []byte) (after []byte, err error) {
	if err := p.Source.Books.Check(); err != nil {
		return nil, err
	}
	for _, address := range p.Sinks {
		if err := s.openByAddress(ctx, address); err != nil {
			return nil, err
		}
	}
	a := &applying{session: s, plan: p, owned: s.state.Job(p.Address)}
	formerList, formerEmpty := a.owned.Prospects, a.owned.Empty
	named, err := s.lists().Publish(ctx, p)
	if err != nil {
		return nil, err
	}
	p.StagePending(a.owned, named)
	if before, err = s.record(ctx, before); err != nil {
		return nil, err
	}
	stopping, cancel := inFlight(ctx)
	defer cancel()
	published := a.publish(ctx)
	if published == nil && p.Output.Rewrite != nil {
		p.DropSuperseded(a.owned)
		if before, err = s.record(stopping, before); err != nil {
			return nil, s.rescue(stopping, err)
		}
	}
	if published == nil {
		published = a.deleteAll(ctx)
	}
	if published == nil {
		s.state.Finalize(p.Address, p.Sinks, p.Destroy)
	}
	// Recorded even when something failed or the run is being stopped: what
	// is published is published.
	after, recorded := s.record(stopping, before)
	if recorded != nil {
		return nil, errors.Join(published, s.rescue(stopping, recorded))
	}
	err = errors.Join(s.lists().Drop(stopping, formerList, a.owned.Prospects), s.lists().Drop(stopping, formerEmpty, a.owned.Empty))
	if err != nil {
		s.Logger.WarnContext(stopping, "an old list of prospects cannot be deleted", "why", err)
	}
	return after, published
}

// openByAddress opens a sink of the configuration, unless it is open.
func (s *Session) openByAddress(ctx context.Context, address string) error {
	if _, ok := s.stores[address]; ok {
		return nil
	}
	i := slices.IndexFunc(s.Config.Sinks, func(sink jobs.Sink) bool { return sink.Address == address })
	if i < 0 {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The sink of published files is not declared", Address: address,
			Detail: fmt.Sprintf("The state has files in %s, and the configuration does not say where that is. Declare it again; or let the state forget what is there:\n\n    prospector state rm %[1]s", address)}
	}
	_, err := s.open(ctx, s.Config.Sinks[i])
	return err
}

// inFlight is a context for what must not be left half-done by an interrupt. It
// ends when the lock is lost all the same.
func inFlight(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, state.ErrLockLost) {
			cancel(cause)
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// withCause adds to an error that it is due to a lost lock, where it is, and not
// to an interrupt.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, state.ErrLockLost) && !errors.Is(err, state.ErrLockLost) {
		return errors.Join(cause, err)
	}
	return err
}

// rescue puts the state where it is not lost when it could not be written. One
// of a run that has lost its lock is no better than what the next run finds.
func (s *Session) rescue(ctx context.Context, why error) error {
	if errors.Is(why, state.ErrLockLost) {
		return why
	}
	if err := state.WriteErrored(context.WithoutCancel(ctx), s.WorkDir, s.state); err != nil {
		return errors.Join(why, err)
	}
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "The state could not be written",
		Detail: fmt.Sprintf("%s.\n\nWhat was published is published, and the state that says so is in %s. Once the cause is mended, this recovers it:\n\n    prospector state push %[2]s\n\nWithout it, the next apply finds out by itself what was published.",
			why, state.ErroredName)}
}

// applying carries out one job's part of a plan.
type applying struct {
	session *Session
	plan    *plan.Job

	mu    sync.Mutex
	owned *state.Job
}

// publish makes the changes but for deletions, step by step, so that rows which
// move from one partition to another are never in none. What it has made is in
// the state when it returns, also with an error; what it has not stays pending.
// An interrupt lets finish what is in flight, and begins nothing more.
func (a *applying) publish(ctx context.Context) error {
	if err := a.keepDamaged(ctx); err != nil {
		return err
	}
	if err := a.drop(ctx, a.plan.Output.Foreign, "foreign file"); err != nil {
		return err
	}
	steps := map[int]bool{0: true}
	for _, c := range a.plan.Output.Changes {
		steps[c.Step] = true
	}
	quarantine := a.plan.Output.Quarantine
	for _, step := range slices.Sorted(maps.Keys(steps)) {
		err := a.each(ctx, func(c plan.Change) bool { return c.Step == step && c.Action != plan.Delete }, quarantine)
		if err != nil {
			return err
		}
		quarantine = nil // it is with the first
	}
	return nil
}

// deleteAll makes the deletions.
func (a *applying) deleteAll(ctx context.Context) error {
	if err := a.each(ctx, func(c plan.Change) bool { return c.Action == plan.Delete }, nil); err != nil {
		return err
	}
	return a.drop(ctx, a.plan.Output.Obsolete, "file that is in no partition any more")
}

// each makes those changes, several at once.
func (a *applying) each(ctx context.Context, which func(plan.Change) bool, q *plan.Quarantine) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(a.session.Parallelism)
	for _, c := range a.plan.Output.Changes {
		if len(c.Writes) > 0 && which(c) {
			group.Go(func() error { return a.publishPartition(groupCtx, c) })
		}
	}
	if q != nil {
		group.Go(func() error { return a.publishQuarantine(groupCtx, q) })
	}
	return group.Wait()
}

// drop deletes objects that are in no partition.
func (a *applying) drop(ctx context.Context, writes []plan.Write, what string) error {
	for _, w := range writes {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := a.write(ctx, w, nil, ""); err != nil {
			return fmt.Errorf("%s, %s: %w", a.plan.Address, what, err)
		}
		a.owned.Sink(w.Sink).DropObsolete(w.Key)
	}
	return nil
}

func (a *applying) publishPartition(ctx context.Context, c plan.Change) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := a.session
	ctx, cancel := inFlight(ctx)
	defer cancel()
	started := s.Now()
	s.Observer.ApplyStarted(a.plan.Address, c)
	for _, sink := range c.Sinks() {
		if err := a.publishIn(ctx, c, sink); err != nil {
			return fmt.Errorf("%s, partition %s: %w", a.plan.Address, c.Partition, err)
		}
	}
	a.count(c.Action)
	s.Observer.ApplyDone(a.plan.Address, c, s.Now().Sub(started))
	return nil
}

// publishIn makes a change in one sink: first the files that are new, and once
// all of them are there, it deletes those that have no place any more. In between,
// readers find rows twice, but never a row in no file.
func (a *applying) publishIn(ctx context.Context, c plan.Change, sink string) error {
	change := a.plan.StateChange(c, sink)
	for _, w := range c.Writes {
		if w.Sink != sink || w.Action == plan.Delete {
			continue
		}
		object, err := a.write(ctx, w, c.Staged[w.File], "application/vnd.apache.parquet")
		if err != nil {
			return err
		}
		change.Next.Files[w.File].Object = object
	}
	if !change.Deletes() {
		a.change(sink, func(s *state.Sink) { s.Publish(change) })
	}
	for _, o := range change.Obsolete {
		if err := a.remove(ctx, sink, o.Key, o.Generation); err != nil {
			return err
		}
		a.change(sink, func(s *state.Sink) { s.DropObsolete(o.Key) })
	}
	if change.Deletes() {
		a.change(sink, func(s *state.Sink) { s.DropPartition(c.Partition) })
	}
	return nil
}

// change changes what the state says of a sink, one change at a time.
func (a *applying) change(sink string, f func(*state.Sink)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.owned.Sink(sink))
}

// count notes what is done, for the record of runs.
func (a *applying) count(action plan.Action) {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := a.session.done[a.plan.Address]
	done.Count(action)
	a.session.done[a.plan.Address] = done
}

func (a *applying) publishQuarantine(ctx context.Context, q *plan.Quarantine) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := inFlight(ctx)
	defer cancel()
	for _, w := range q.Writes {
		object, err := a.write(ctx, w, q.Staged, "application/jsonl")
		if err != nil {
			return fmt.Errorf("%s, quarantine: %w", a.plan.Address, err)
		}
		a.change(w.Sink, func(s *state.Sink) {
			if w.Action == plan.Delete {
				s.PublishQuarantine(nil)
			} else {
				s.PublishQuarantine(q.State(object))
			}
		})
	}
	return nil
}

// write makes one change in one sink, on the condition that the object there is
// still the one that was seen. Put compares what it writes with the checksum of
// what the second reader has proved, and what it then describes must be that.
func (a *applying) write(ctx context.Context, w plan.Write, staged *plan.Staged, mediaType string) (state.Object, error) {
	to := a.session.stores[w.Sink]
	if w.Action == plan.Delete {
		return state.Object{}, a.remove(ctx, w.Sink, w.Key, w.Generation)
	}
	f, err := os.Open(staged.Path)
	if err != nil {
		return state.Object{}, err
	}
	defer f.Close()
	o, err := to.Put(ctx, w.Key, store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: mediaType}, onlyIf(w.Generation))
	if err == nil && (o.Size != staged.Size || o.CRC32C != staged.CRC32C) {
		err = fmt.Errorf("writing %s: %w", to.URI(w.Key), store.ErrCorrupt)
	}
	if err != nil {
		return state.Object{}, err
	}
	return state.Object{Key: o.Key, Size: o.Size, CRC32C: o.CRC32C, Generation: o.Generation}, nil
}

// remove deletes the object that was seen at a key. One that is gone is enough.
func (a *applying) remove(ctx context.Context, sink, key, generation string) error {
	err := a.session.stores[sink].Delete(ctx, key, onlyIf(generation))
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return err
}

// onlyIf is the condition that a key holds the object of that generation, or none
// if it is "".
func onlyIf(generation string) store.Condition {
	if generation == "" {
		return store.IfAbsent()
	}
	return store.IfGeneration(generation)
}
