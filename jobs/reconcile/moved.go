package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/plan"
)

// findMoved finds the published rows whose events are in another partition now,
// because their time or type has changed. These rows leave their partition.
//
// After an interrupted apply, an event may be in two partitions. The one that it
// was about to leave is unfinished. Then every partition has been compared, so a
// published row that no new row replaces is missing somewhere.
func (r *reconciler) findMoved() error {
	missing := make(IDs)
	for _, p := range r.partitions {
		maps.Copy(missing, p.diff.Missing)
	}
	if len(missing) == 0 {
		return nil
	}
	interrupted := wasInterrupted(r.partitions)
	places := make(map[ID]string) // where the missing events are now
	for _, p := range r.partitions {
		if p.diff.Added == 0 && !interrupted {
			continue
		}
		found, err := missing.Intersect(r.Table.Schema, r.newRows(p))
		if err != nil {
			return err
		}
		for id := range found {
			places[id] = p.path
		}
	}
	if interrupted {
		placeDuplicates(r.partitions, places)
	}
	r.links = make(map[plan.Link]bool)
	for _, p := range r.partitions {
		for id := range p.diff.Missing {
			if to, ok := places[id]; ok && to != p.path {
				if p.removed == nil {
					p.removed = make(IDs)
				}
				p.removed[id] = struct{}{}
				r.links[plan.Link{From: p.path, To: to}] = true
			}
		}
		p.diff.Missing = nil
	}
	return nil
}

// placeDuplicates decides where an event stays that is in two partitions, and that
// the source returns in neither: in the one whose apply was finished, rather than in
// the one that it was about to leave.
func placeDuplicates(partitions []*partitionDiff, places map[ID]string) {
	first := make(map[ID]string)
	for _, unfinished := range []bool{false, true} {
		for _, p := range partitions {
			if p.unfinished != unfinished {
				continue
			}
			for id := range p.diff.Missing {
				if _, placed := places[id]; placed {
					continue
				}
				if path, twice := first[id]; twice {
					places[id] = path
				} else {
					first[id] = p.path
				}
			}
		}
	}
}

// removeGone removes the rows that leave the table, and counts them.
func (p *partitionDiff) removeGone() {
	for id := range p.diff.Gone {
		if _, moved := p.removed[id]; moved {
			continue
		}
		if p.removed == nil {
			p.removed = make(IDs)
		}
		p.removed[id] = struct{}{}
		p.deleted++
	}
	p.diff.Gone = nil
}

// addLinkedTargets adds the partitions that events have moved to or from to the
// targets. Linked partitions change together or not at all, so that no event is
// duplicated or lost.
func (r *reconciler) addLinkedTargets() {
	if r.targets.All {
		return
	}
	var added []string
	for changed := true; changed; {
		changed = false
		for l := range r.links {
			if from, to := r.targets.Has(l.From), r.targets.Has(l.To); from != to {
				missing := l.From
				if from {
					missing = l.To
				}
				r.targets.Partitions[missing] = true
				added = append(added, missing)
				changed = true
			}
		}
	}
	if len(added) > 0 {
		slices.Sort(added)
		r.result.Warnings = append(r.result.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: r.Table.Job,
			Summary: fmt.Sprintf("%d partitions were added to the targets", len(added)),
			Detail:  "Events have moved between them and the targets, since their time or type has changed:\n\n  " + strings.Join(added, "\n  ")})
	}
}
