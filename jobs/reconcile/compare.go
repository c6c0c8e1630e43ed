package reconcile

import (
	"context"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs/state"
	"prospector/schemas/records"
	"prospector/sink/stage"
)

// comparePartitions compares the new rows of every partition with its published
// ones. A partition that has no new rows, or the same ones as last time, is idle. It
// is compared only in these cases:
//
//   - one of its events may have moved to another partition
//   - its rows may leave the table
//   - an apply was interrupted
func (r *reconciler) comparePartitions(ctx context.Context) error {
	var fresh, idle []*partitionDiff
	for _, p := range r.partitions {
		switch {
		case p.staged.Rows > 0 && !p.hasSameSubset():
			fresh = append(fresh, p)
		case !p.otherKeys:
			idle = append(idle, p)
		}
	}
	if err := r.compareEach(ctx, fresh); err != nil || len(idle) == 0 {
		return err
	}
	if wasInterrupted(r.partitions) || r.Table.DeleteMissing {
		return r.compareEach(ctx, idle)
	}
	days, err := r.addedDays(fresh)
	if err != nil {
		return err
	}
	var affected, unaffected []*partitionDiff
	for _, p := range idle {
		p.diff.unchanged = p.staged.Rows // unless it is compared
		if mayHoldDay(p.prior.Days, days) {
			affected = append(affected, p)
		} else {
			unaffected = append(unaffected, p)
		}
	}
	if err := r.compareEach(ctx, affected); err != nil {
		return err
	}
	return r.compareEach(ctx, r.findSuspects(unaffected))
}

// addedDays returns the identity days of the rows that are new in their partition,
// ascending.
func (r *reconciler) addedDays(partitions []*partitionDiff) ([]int32, error) {
	added := make(daySet)
	for _, p := range partitions {
		days := p.diff.addedDays
		if p.sink == "" { // all rows are new
			var err error
			if days, err = collectDays(r.Table.Schema, r.newRows(p)); err != nil {
				return nil, err
			}
		}
		maps.Copy(added, days)
	}
	return slices.Sorted(maps.Keys(added)), nil
}

// mayHoldDay reports whether a range contains any of the days, which are ascending.
// An unknown range may contain any day.
func mayHoldDay(r *state.Days, days []int32) bool {
	if r == nil {
		return len(days) > 0
	}
	i, _ := slices.BinarySearch(days, r.First)
	return i < len(days) && days[i] <= r.Last
}

func (r *reconciler) compareEach(ctx context.Context, partitions []*partitionDiff) error {
	return r.eachPartition(ctx, partitions, (*partitionDiff).mayDiffer, r.compare)
}

// mayDiffer reports whether the rows of a partition must be compared one by one.
func (p *partitionDiff) mayDiffer() bool {
	return p.sink != "" && (p.staged.Content != p.prior.Content || p.staged.Rows != p.prior.Rows)
}

func (r *reconciler) compare(ctx context.Context, p *partitionDiff) error {
	switch {
	case p.sink == "":
		p.diff.added = p.staged.Rows
		return nil
	case !p.mayDiffer():
		p.diff.unchanged = p.staged.Rows
		return nil
	}
	c := comparison{
		table: r.Table.Schema, ids: r.ids, absence: r.absence,
		missing: func(ids []id, leaves []bool) error { return r.moved.missing.add(p.number, ids, leaves) },
	}
	// A partition without new rows is rarely rewritten, and the rows of a former
	// schema are already in a stage.
	if p.staged.Rows > 0 && p.from == nil {
		p.allKept = true
		c.keep = func(rows arrow.Record) error { return r.keep(p, rows) }
	}
	var err error
	if p.diff, err = c.run(ctx, p.staged.Rows, r.newRows(p), r.publishedRows(ctx, p)); err != nil {
		return err
	}
	p.compared = true
	r.counts.add(p)
	return nil
}

// keep puts published rows into Stages.Kept, until it is full.
func (r *reconciler) keep(p *partitionDiff, rows arrow.Record) error {
	if p.allKept = p.allKept && !r.Stages.Kept.Full(); !p.allKept {
		return nil
	}
	rows, err := stage.ReshapeBatch(rows, r.Table.Schema, p.staged.Partition, r.Table.Schema)
	if err != nil {
		return err
	}
	return r.Stages.Kept.Add(rows)
}

// absence describes the prospect of a missing row.
func (r *reconciler) absence(prospect string) absence {
	complete := r.Read.Prospects.ReadCompletely(prospect)
	return absence{complete: complete, leaves: complete && r.Table.DeleteMissing && r.Read.Prospects.RowLeaves(prospect)}
}

// newRows returns the new rows of a partition, and publishedRows its published ones.
func (r *reconciler) newRows(p *partitionDiff) records.Rows { return r.Stages.New.Rows(p.path) }

func (r *reconciler) publishedRows(ctx context.Context, p *partitionDiff) records.Rows {
	if p.from != nil {
		return p.from.Rows(p.path)
	}
	return r.Published.Rows(ctx, p.sink, p.prior.Files, r.Table.Schema)
}
