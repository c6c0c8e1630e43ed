package erase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
)

// The state and every sink have a tombstone of each erased prospect, since each of
// them may be lost or restored from a backup. A plan respects the tombstones in all of
// them, and the next apply copies all tombstones to each.

// ReadTombstones adds the tombstones in the sinks to all. It warns of sinks whose
// tombstones are damaged.
func ReadTombstones(ctx context.Context, all tombstone.Set, stores map[string]store.Store) (_ tombstone.Set, warnings jobs.Diagnostics, err error) {
	for _, address := range slices.Sorted(maps.Keys(stores)) {
		found, err := tombstone.Read(ctx, stores[address])
		switch {
		case errors.Is(err, tombstone.ErrDamaged):
			warnings = append(warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: address, Summary: "The tombstones of a sink are damaged",
				Detail: fmt.Sprintf("%s.\n\nThe tombstones in the state and in the other sinks are intact, and the plan respects them. The next apply copies them to this sink.", err)})
		case errors.Is(err, tombstone.ErrNewer):
			return nil, nil, jobs.Diagnostic{Severity: jobs.Error, Address: address, Summary: "The tombstones of a sink cannot be read",
				Detail: err.Error() + ".\n\nWithout them, prospector could export an erased prospect."}
		case err != nil:
			return nil, nil, err
		}
		all = all.Merge(found)
	}
	return all, warnings, nil
}

// WriteTombstones writes all tombstones to every sink.
func WriteTombstones(ctx context.Context, all tombstone.Set, stores map[string]store.Store) error {
	for _, address := range slices.Sorted(maps.Keys(stores)) {
		if err := tombstone.Write(ctx, stores[address], all); err != nil {
			return fmt.Errorf("%s: writing the tombstones of erased prospects: %w", address, err)
		}
	}
	return nil
}

// Requested returns the IDs that the job requests, and those of erased prospects.
func Requested(job jobs.Job, ids []string, tombstones tombstone.Set) (requested, erased []string) {
	if tombstones.Len() == 0 {
		return ids, nil
	}
	for _, id := range ids {
		found := tombstones.Has(id)
		if found {
			erased = append(erased, id)
		}
		if !found || job.ExportErased {
			requested = append(requested, id)
		}
	}
	return requested, erased
}

// WarnListed returns a warning if a job's list has erased prospects.
func WarnListed(job jobs.Job, erased []string) (warnings jobs.Diagnostics) {
	if len(erased) == 0 {
		return nil
	}
	lines := make([]string, len(erased))
	for i, id := range erased {
		lines[i] = "  " + terminal.Line(id)
	}
	d := jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address,
		Summary: fmt.Sprintf("Erased prospects in the list, skipped: %d", len(erased)),
		Detail: "These prospects were erased with prospector erase, so the job does not export them:\n\n" + jobs.List(lines) +
			"\n\nRemove them from the list. To export them again, set on_erased = \"export\" in the job."}
	if job.ExportErased {
		d.Summary = fmt.Sprintf("Erased prospects in the list, exported: %d", len(erased))
		d.Detail = "These prospects were erased with prospector erase. The job exports them again, since it has on_erased = \"export\":\n\n" + jobs.List(lines)
	}
	return jobs.Diagnostics{d}
}

// WarnInterrupted returns a warning if an erase was interrupted.
func WarnInterrupted(s *state.State) (warnings jobs.Diagnostics) {
	if !s.Erasing {
		return nil
	}
	return jobs.Diagnostics{{Severity: jobs.Warning, Summary: "An erase was interrupted",
		Detail: "Some files may still have the prospect, and no other command completes the erase. Erase the same prospect again:\n\n    prospector erase -prospect=ID"}}
}

// WarnStillListed returns warnings about lists that still name the prospect. load
// reads a list.
func WarnStillListed(ctx context.Context, declared []jobs.Job, prospect string, load func(context.Context, jobs.Prospects) ([]string, int, error)) (warnings jobs.Diagnostics, err error) {
	for _, job := range declared {
		if job.Prospects == nil || job.Prospects.File == "-" {
			continue
		}
		ids, _, err := load(ctx, *job.Prospects)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids, prospect) {
			effect := "Its tombstone prevents the next run from exporting it again."
			if job.ExportErased {
				effect = "The next run exports it again, since the job has on_erased = \"export\"."
			}
			d := job.Prospects.Diagnose("file", "The prospect is still listed", fmt.Sprintf(
				"%s names the prospect, and %s reads that list. Remove the prospect from the list. %s", job.Prospects.File, job.Address, effect))
			d.Severity = jobs.Warning
			warnings = append(warnings, d)
		}
	}
	return warnings, nil
}
