package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// refresh looks at what the job's sinks really hold, by sink address.
func (s *Session) refresh(ctx context.Context, job jobs.Job) (map[string]*plan.Refreshed, error) {
	out := make(map[string]*plan.Refreshed)
	owned := s.state.Clone().Job(job.Address)
	for _, sink := range job.Sinks {
		opened := s.stores[sink.Address]
		prior := owned.Sink(sink.Address)
		if uri := opened.URI(job.Name); prior.URI != uri {
			prior = &state.Sink{URI: uri} // the sink was moved: what is at the old place stays there
		}
		seen, err := list(ctx, opened, job.Name)
		if err != nil {
			return nil, sink.Unusable("Sink cannot be listed", err)
		}
		sums, err := checksums(ctx, opened, plan.Suspects(prior, seen))
		if err != nil {
			return nil, sink.Unusable("Sink cannot be read", err)
		}
		out[sink.Address] = plan.Refresh(sink.Address, job.Name, prior, seen, sums)
	}
	return out, nil
}

func list(ctx context.Context, from store.Store, job string) (seen []plan.Seen, err error) {
	for _, prefix := range []string{plan.TablePrefix(job), plan.QuarantineKey(job)} {
		for entry, err := range from.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			seen = append(seen, plan.Seen(entry))
		}
	}
	return seen, nil
}

// checksums reads the objects that the listing did not prove to be ours.
func checksums(ctx context.Context, from store.Store, keys []string) (map[string]plan.Sum, error) {
	found := make([]*plan.Sum, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for i, key := range keys {
		group.Go(func() error {
			object, err := from.Stat(ctx, key)
			if errors.Is(err, store.ErrNotExist) {
				return nil // gone since it was listed: it counts as deleted
			}
			if err != nil {
				return err
			}
			found[i] = &plan.Sum{Size: object.Size, CRC32C: object.CRC32C}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	sums := make(map[string]plan.Sum)
	for i, sum := range found {
		if sum != nil {
			sums[keys[i]] = *sum
		}
	}
	return sums, nil
}

// driftWarnings tells what has changed outside of prospector. A foreign object
// that stands where a file of ours must go is an error.
func (s *Session) driftWarnings(job jobs.Job, changes []plan.Change, drift []plan.Drift) (jobs.Diagnostics, error) {
	if inTheWay := plan.InTheWay(changes, drift); len(inTheWay) > 0 {
		return nil, jobs.Diagnostic{
			Severity: jobs.Error, Address: job.Address,
			Summary: "Objects are in the way that the state does not know",
			Detail: fmt.Sprintf("%s\n\nprospector would have to overwrite them, and cannot tell whose they are. If the state was lost, put it back (its backup stands beside it); otherwise move the objects away, or let the job write elsewhere. Nothing was published.",
				s.driftList(inTheWay)),
			Origin: &job.Origin,
		}
	}
	var foreign, changed []plan.Drift
	for _, d := range drift {
		if d.Kind == plan.Foreign {
			foreign = append(foreign, d)
		} else {
			changed = append(changed, d)
		}
	}
	var warnings jobs.Diagnostics
	if len(changed) > 0 {
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Objects have changed outside of prospector",
			Detail:  s.driftList(changed) + "\n\nThis plan repairs them.",
		})
	}
	if len(foreign) > 0 {
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Foreign objects under the table's prefix",
			Detail:  s.driftList(foreign) + "\n\nReaders of the lake take them for part of the table; BigQuery fails on any that is not Parquet. Move them away. prospector leaves them alone.",
		})
	}
	return warnings, nil
}

func (s *Session) driftList(drift []plan.Drift) string {
	const most = 10
	var lines []string
	for i, d := range drift {
		if i == most {
			lines = append(lines, fmt.Sprintf("  … and %d more", len(drift)-most))
			break
		}
		kind := string(d.Kind)
		if d.Kind == plan.Foreign {
			kind = "unknown"
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", s.stores[d.Sink].URI(d.Key), kind))
	}
	return strings.Join(lines, "\n")
}
