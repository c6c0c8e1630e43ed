package reconcile

import (
	"slices"

	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// A few partitions show whether an event type has vanished, so a run need not read
// many files.
const (
	suspectsOfType = 10
	maxSuspects    = 100
)

// findSuspects returns unread partitions that may show that an event type has
// vanished: before the last apply, the source returned their rows, which may be most
// rows of the type. Partitions whose rows were already missing then are not suspects,
// so an unchanged source causes none.
func (r *reconciler) findSuspects(unread []*partitionDiff) (suspects []*partitionDiff) {
	if c := r.Read.Coverage; 2*c.Incomplete() > c.Prospects {
		return nil // incomplete prospects explain it
	}
	unread = slices.DeleteFunc(unread, func(p *partitionDiff) bool { return p.staged.Rows > 0 || lastReturned(p.prior) == 0 })
	types, few := r.estimateVanished(unread)
	checked := make(map[string]int)
	for _, p := range slices.Backward(unread) { // the newest first
		e := *types[p.eventType]
		if isFew(e) {
			e = few
		}
		if !e.MostVanished() && (r.counts.keyed || !r.lostType()) {
			continue
		}
		checked[p.eventType]++
		if (checked[p.eventType] <= suspectsOfType || !r.counts.keyed) && len(suspects) < maxSuspects {
			suspects = append(suspects, p)
		}
	}
	return suspects
}

// estimateVanished counts the published rows of each event type that the source
// returned and did not return, as far as partitions were compared. It counts the
// rows of unread partitions as vanished. few counts all types with few events.
func (r *reconciler) estimateVanished(unread []*partitionDiff) (types map[string]*plan.TypeEvidence, few plan.TypeEvidence) {
	types = make(map[string]*plan.TypeEvidence)
	for _, p := range r.partitions {
		if types[p.eventType] == nil {
			types[p.eventType] = new(plan.TypeEvidence)
		}
		types[p.eventType].Returned += p.diff.unchanged + p.diff.changed
		types[p.eventType].Vanished += p.absent
	}
	for _, p := range unread {
		types[p.eventType].Vanished += lastReturned(p.prior)
	}
	for _, e := range types {
		if isFew(*e) {
			few.Returned, few.Vanished = few.Returned+e.Returned, few.Vanished+e.Vanished
		}
	}
	return types, few
}

func isFew(e plan.TypeEvidence) bool { return e.Returned+e.Vanished < plan.FewEvents }

// lastReturned counts the rows of a published partition that the source returned
// before the last apply.
func lastReturned(p state.Partition) int64 {
	if p.SourceSubset != nil {
		return p.SourceSubset.Rows
	}
	return p.Rows
}

// lostType reports whether the run has read no event of a type that earlier runs
// have seen.
func (r *reconciler) lostType() bool {
	for t := range r.FormerTypes {
		if r.Read.EventTypes[t] == 0 {
			return true
		}
	}
	return false
}
