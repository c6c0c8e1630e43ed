package reconcile

import (
	"cmp"
	"maps"
	"slices"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/stage"
)

// partitionDiff is what a Run finds about one partition, step by step.
type partitionDiff struct {
	number int // among all partitions, ascending by path
	path   string
	// eventType is the type of its events, or "" if its path does not name it.
	eventType string
	staged    stage.Staged // the new rows
	published
	diff     diff
	compared bool // the new and the published rows were compared one by one
	// allKept says that all missing rows are in Stages.Kept.
	allKept bool
	absent  int64 // missing rows of completely read prospects
	moves   partitionMoves
	deleted int64 // rows that leave the table, if the partition is a target
	// rejection is set if the second reader rejected a file of the partition.
	// withheld says that the partition does not change because of a rejection, its
	// own or that of a linked partition.
	rejection *Rejection
	withheld  bool
}

// published describes the published rows of a partition.
type published struct {
	sink    string          // where to read the rows, or "" if there are none
	from    *stage.Stage    // where to read the rows instead, or nil
	largest int64           // bytes of the largest row in from
	prior   state.Partition // its zero value if there are no rows
	// otherKeys says that the table had other partition keys when the partition was
	// published. The partition is not read: its rows are in other partitions now.
	otherKeys bool
	// unfinished says that an interrupted apply was about to remove rows from the
	// partition. These rows may already be published in other partitions.
	unfinished bool
}

// inStage is the value of published.sink for rows that are read from a stage.
const inStage = "(stage)"

// listPartitions lists the partitions that have new rows or published ones,
// ascending by path.
func (r *reconciler) listPartitions() []*partitionDiff {
	byPath := make(map[string]*partitionDiff)
	get := func(path string) *partitionDiff {
		if byPath[path] == nil {
			byPath[path] = &partitionDiff{path: path, eventType: r.counts.eventTypeOf(path)}
		}
		return byPath[path]
	}
	for _, s := range r.Stages.New.Partitions() {
		get(s.Partition.Path).staged = s
	}
	for _, path := range plan.Partitions(r.Published.Prior) {
		get(path).published = r.findPublished(path)
	}
	for _, from := range []*stage.Stage{r.Stages.Former, r.Stages.Recovered} {
		if from == nil {
			continue
		}
		for _, s := range from.Partitions() {
			p := get(s.Partition.Path)
			p.sink, p.from, p.largest = inStage, from, s.LargestRow
			p.prior = state.Partition{Rows: s.Rows, Content: s.Content}
		}
	}
	partitions := slices.SortedFunc(maps.Values(byPath), func(a, b *partitionDiff) int { return cmp.Compare(a.path, b.path) })
	for number, p := range partitions {
		p.number = number
	}
	return partitions
}

// findPublished finds the published rows of a partition in the sinks. If the schema
// has changed, a stage has the rows instead.
func (r *reconciler) findPublished(path string) (p published) {
	_, err := sink.ParsePartition(r.Table.Schema, path)
	switch p.otherKeys = err != nil; {
	case p.otherKeys:
		_, p.prior, _ = r.Published.Find(path)
	case r.Stages.Former == nil:
		var ok bool
		if p.sink, p.prior, ok = r.Published.Find(path); ok {
			_, p.unfinished = r.Published.Prior[p.sink].Unfinished[path]
		}
	}
	return p
}

func (p *partitionDiff) rows() plan.Rows {
	if p.otherKeys {
		return plan.Rows{Before: p.prior.Rows, Removed: p.prior.Rows}
	}
	r := plan.Rows{
		Before: p.prior.Rows, Added: p.diff.added, Changed: p.diff.changed, Unchanged: p.diff.unchanged,
		Removed: p.moves.out + p.deleted,
	}
	r.After = r.Before + r.Added - r.Removed
	return r
}

// sourceSubset describes the rows of the partition that the source returned. It is
// nil if these are all rows, whose digest is all.
func (p *partitionDiff) sourceSubset(all schemas.Digest) *state.SourceSubset {
	if p.staged.Content == all {
		return nil
	}
	return &state.SourceSubset{Rows: p.staged.Rows, Content: p.staged.Content}
}

// hasSameSubset reports whether the source returned the same part of the published
// rows as the last time.
func (p *partitionDiff) hasSameSubset() bool {
	before := p.prior.SourceSubset
	return p.sink != "" && before != nil && before.Rows == p.staged.Rows && before.Content == p.staged.Content
}

// wasInterrupted reports whether an interrupted apply may have left a row in two
// partitions.
func wasInterrupted(partitions []*partitionDiff) bool {
	return slices.ContainsFunc(partitions, func(p *partitionDiff) bool { return p.unfinished })
}
