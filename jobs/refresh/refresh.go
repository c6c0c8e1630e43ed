// Package refresh compares what the state records about a job with the contents of
// its sinks. It lists the sinks, reads checksums where sizes and generations do not
// prove that an object is unchanged, and describes the drift to the user.
//
// The comparison itself is in package plan. Package refresh writes nothing.
package refresh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"prospector/internal/nolink"
	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// OpenSink opens a sink, or returns its store if it is open already.
type OpenSink func(context.Context, jobs.Sink) (store.Store, error)

// Into compares the state with the sinks of a planned job, and adds the result and
// its drift to the plan. If the table in a sink has another URI than in the state, the
// files at the old URI are abandoned, with a warning. A plan that only refreshes
// leaves out such sinks instead.
func Into(ctx context.Context, open OpenSink, prior *state.State, mode plan.Mode, into *plan.Job, sinks []jobs.Sink) (err error) {
	var abandoned map[string]string
	into.Found.Prior, abandoned, err = Job(ctx, open, prior, into.Address, into.TableName, sinks)
	if err != nil {
		return err
	}
	for _, sink := range into.Sinks {
		into.Found.Drift = append(into.Found.Drift, into.Found.Prior[sink].Drift...)
	}
	setHeld(into.Found.Drift, prior.Jobs[into.Address])
	if mode == plan.RefreshOnly {
		into.Sinks = slices.DeleteFunc(into.Sinks, func(sink string) bool { return abandoned[sink] != "" })
		return nil
	}
	into.Found.AbandonedURIs = slices.Sorted(maps.Values(abandoned))
	if len(abandoned) > 0 {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: into.Address, Summary: "The location of a table has changed",
			Detail: "The location of the sink or the name of the table has changed since the table was published. prospector no longer manages the files at the old location, and does not delete them:\n\n  " +
				strings.Join(into.Found.AbandonedURIs, "\n  ") + "\n\nDelete them when readers no longer use them, or undo the change.",
		})
	}
	return nil
}

// setHeld adds to each drifted object how many rows or events it had, according to the
// state.
func setHeld(drift []plan.Drift, owned *state.Job) {
	if owned == nil || len(drift) == 0 {
		return
	}
	held := make(map[plan.At]int64)
	for sink, of := range owned.Sinks {
		for _, p := range of.Partitions {
			for _, f := range p.Files {
				held[plan.At{Sink: sink, Key: f.Key}] = f.Rows
			}
		}
		if q := of.Quarantine; q != nil {
			held[plan.At{Sink: sink, Key: q.Object.Key}] = q.Events
		}
	}
	for i, d := range drift {
		drift[i].Held = held[plan.At{Sink: d.Sink, Key: d.Key}]
	}
}

// Job compares the state with the contents of a job's sinks. Both results are by sink
// address. abandoned has the former URI of each table that is now at another URI.
func Job(ctx context.Context, open OpenSink, prior *state.State, address, table string, sinks []jobs.Sink) (found map[string]*plan.Refreshed, abandoned map[string]string, err error) {
	found, abandoned = make(map[string]*plan.Refreshed), make(map[string]string)
	owned := prior.Clone().Job(address)
	var places []place
	for _, sink := range sinks {
		opened, err := open(ctx, sink)
		if err != nil {
			return nil, nil, err
		}
		before := owned.Sink(sink.Address)
		if uri := opened.URI(table); before.URI != uri {
			if !before.Vacant() {
				abandoned[sink.Address] = before.URI
			}
			before = &state.Sink{URI: uri}
		}
		places = append(places, place{sink, opened, before})
	}
	var mu sync.Mutex
	err = parallel.Each(ctx, max(1, len(places)), places, func(ctx context.Context, p place) error {
		refreshed, err := p.refresh(ctx, table)
		mu.Lock()
		defer mu.Unlock()
		found[p.sink.Address] = refreshed
		return err
	})
	return found, abandoned, err
}

// place is a sink of a job.
type place struct {
	sink   jobs.Sink
	opened store.Store
	before *state.Sink // according to the state
}

func (p place) refresh(ctx context.Context, table string) (*plan.Refreshed, error) {
	seen, err := List(ctx, p.opened, table)
	if err != nil {
		return nil, Unusable(p.sink, "Sink cannot be listed", err)
	}
	sums, err := checksums(ctx, p.opened, plan.NeedChecksum(p.before, seen))
	if err != nil {
		return nil, Unusable(p.sink, "Sink cannot be read", err)
	}
	return plan.Refresh(p.sink.Address, table, p.before, seen, sums), nil
}

// Unusable returns an error about a sink. A symbolic link has its own summary. An
// interrupt is not an error about the sink.
func Unusable(sink jobs.Sink, summary string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if link, ok := errors.AsType[*nolink.LinkError](err); ok {
		summary, err = "The sink has a symbolic link", link
	}
	return sink.Unusable(summary, err)
}

// List lists the objects under a table's prefix, and its quarantine.
func List(ctx context.Context, from store.Store, table string) ([]plan.Seen, error) {
	prefixes := []string{plan.TablePrefix(table), plan.QuarantineKey(table)}
	seen := make([][]plan.Seen, len(prefixes))
	err := parallel.Range(ctx, len(prefixes), len(prefixes), func(ctx context.Context, i int) error {
		for entry, err := range from.List(ctx, prefixes[i]) {
			if err != nil {
				return err
			}
			seen[i] = append(seen[i], plan.Seen(entry))
		}
		return nil
	})
	return slices.Concat(seen...), err
}

// checksums reads the checksums of objects. It leaves out objects that no longer
// exist, which then count as deleted.
func checksums(ctx context.Context, from store.Store, keys []string) (map[string]plan.Sum, error) {
	var mu sync.Mutex
	sums := make(map[string]plan.Sum)
	err := parallel.Each(ctx, store.Concurrency(from), keys, func(ctx context.Context, key string) error {
		object, err := from.Stat(ctx, key)
		if errors.Is(err, store.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		sums[key] = plan.Sum{Size: object.Size, CRC32C: object.CRC32C}
		return nil
	})
	return sums, err
}
