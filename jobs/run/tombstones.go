package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
)

// A prospect that was erased leaves a tombstone in the state and in every sink. A
// plan honours those of both, and the next apply makes each of them have all: the
// state may have been lost or restored from a backup, and so may a sink.

// readTombstones looks for tombstones in the state and in every open sink.
func (s *Session) readTombstones(ctx context.Context) (warnings jobs.Diagnostics, err error) {
	s.tombstones = s.state.Tombstones
	for _, address := range slices.Sorted(maps.Keys(s.stores)) {
		found, err := tombstone.Read(ctx, s.stores[address])
		switch {
		case errors.Is(err, tombstone.ErrDamaged):
			warnings = append(warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: address, Summary: "The tombstones of a sink are damaged",
				Detail: fmt.Sprintf("%s.\n\nThe tombstones in the state and in the other sinks are intact and honoured. The next apply writes those to this sink.", err)})
		case errors.Is(err, tombstone.ErrNewer):
			return nil, jobs.Diagnostic{Severity: jobs.Error, Address: address, Summary: "The tombstones of a sink cannot be read",
				Detail: err.Error() + ".\n\nWithout them, prospector could export a prospect who was erased."}
		case err != nil:
			return nil, err
		}
		s.tombstones = s.tombstones.Merge(found)
	}
	return warnings, nil
}

// keepTombstones makes the state and every open sink have all tombstones, before
// anything else changes. A plan that erases a prospect adds one: killed at any
// later instant, no run brings the prospect back. It returns the state as it is
// written.
func (s *Session) keepTombstones(ctx context.Context, p *plan.Plan, before []byte) (after []byte, err error) {
	all := s.tombstones.Merge(s.state.Tombstones)
	if p.Mode == plan.Erase {
		all = all.Add(s.state.Lineage, p.Prospect)
	}
	if all.Len() == 0 {
		return before, nil
	}
	if s.state.Tombstones = all; p.Mode == plan.Erase || s.state.Serial > 0 {
		if before, err = s.record(ctx, before); err != nil {
			return nil, err
		}
	}
	for _, address := range slices.Sorted(maps.Keys(s.stores)) {
		if err := tombstone.Write(ctx, s.stores[address], all); err != nil {
			return nil, fmt.Errorf("%s: keeping the tombstones of erased prospects: %w", address, err)
		}
	}
	return before, nil
}

// withoutErased returns the prospects that a job requests, and those in its list
// that were erased.
func (s *Session) withoutErased(job jobs.Job, ids []string) (requested, erased []string) {
	if s.tombstones.Len() == 0 {
		return ids, nil
	}
	for _, id := range ids {
		found := s.tombstones.Has(id)
		if found {
			erased = append(erased, id)
		}
		if !found || job.ExportErased {
			requested = append(requested, id)
		}
	}
	return requested, erased
}

// erasedWarning reports that a job's list names prospects who were erased.
func erasedWarning(job jobs.Job, erased []string) (warnings jobs.Diagnostics) {
	if len(erased) == 0 {
		return nil
	}
	lines := make([]string, 0, maxListed+1)
	for _, id := range erased[:min(maxListed, len(erased))] {
		lines = append(lines, "  "+terminal.Line(id))
	}
	if more := len(erased) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("  … and %d more", more))
	}
	d := jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address,
		Summary: fmt.Sprintf("Erased prospects in the list, skipped: %d", len(erased)),
		Detail: "prospector erase has removed them, so they are not requested and not exported:\n\n" + strings.Join(lines, "\n") +
			"\n\nTake them out of the list. If they may be exported again, set on_erased = \"export\" in the job."}
	if job.ExportErased {
		d.Summary = fmt.Sprintf("Erased prospects in the list, exported: %d", len(erased))
		d.Detail = "prospector erase has removed them, and the job exports them again, since it has on_erased = \"export\":\n\n" + strings.Join(lines, "\n")
	}
	return jobs.Diagnostics{d}
}

// eraseInterrupted is the summary of a warning about an erase that did not end.
const eraseInterrupted = "An erase was interrupted"

func warnOfErase(s *state.State) (warnings jobs.Diagnostics) {
	if !s.Erasing {
		return nil
	}
	return jobs.Diagnostics{{Severity: jobs.Warning, Summary: eraseInterrupted,
		Detail: "It may have erased its prospect from some files and not from others, and no other command completes it. Erase the same prospect again:\n\n    prospector erase -prospect=ID"}}
}
