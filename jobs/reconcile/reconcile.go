// Package reconcile compares the rows that a run has staged with the rows that a
// table has published, and builds the files of every partition that changes.
//
// A new row replaces the published row with the same event_id, in any partition. A
// published row that no new row replaces is missing. Missing rows stay, unless the
// job deletes them: then a missing row leaves the table if its prospect was read
// completely. A prospect that was not read completely keeps all of its published
// rows.
//
// The package reads published files and writes staged files. It does not change a
// sink, request anything from the source, or read or write the state. A second reader
// re-reads every file that the package builds. The result excludes the files that it
// rejects.
package reconcile

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
)

// Input is what Run works on.
type Input struct {
	Table     Table
	Published Published
	Stages    Stages
	Read      Read
	// Rewrite describes the change of the table's schema. It is nil if the schema is
	// unchanged; otherwise Stages.Former has the published rows.
	Rewrite *plan.Rewrite
	// FormerTypes are the event types that earlier runs have seen.
	FormerTypes map[string]int64
	// Target limits the outcomes to some partitions. Run adds the partitions that
	// change together with them.
	Target Selection
	// Replace selects the partitions whose files are rewritten even if their rows
	// stay the same.
	Replace Selection
	Files   *FileBuilder
	Memory  Memory
	// Dir is where staged files and copies of remote files go.
	Dir string
}

// Table describes a job's table.
type Table struct {
	Job    string // its address
	Schema schemas.Table
	Files  parquetfile.Options
	// DeleteMissing says that missing rows may leave the table.
	DeleteMissing bool
}

// Stages hold the rows to compare. Former and Recovered are read instead of published
// files; each is nil if it has no rows.
type Stages struct {
	New *stage.Stage
	// Kept receives the missing rows, so that each published file is read once. Rows
	// that do not fit in its memory are re-read. It is empty before Run.
	Kept *stage.Stage
	// Former has all published rows if the schema of the table has changed.
	Former *stage.Stage
	// Recovered has the readable rows of partitions that no sink has intact.
	Recovered *stage.Stage
}

// Read describes what the run read from the source.
type Read struct {
	Coverage plan.Coverage
	Events   int64 // including those that could not become rows
	// EventTypes counts the new rows by event type.
	EventTypes map[string]int64
	// Quarantined counts, by event type, the events that could not become rows; ""
	// stands for an unknown type.
	Quarantined map[string]plan.Quarantining
	Prospects   Prospects
}

// Prospects describes the prospects that the run read. Its methods are called
// concurrently.
type Prospects interface {
	// ReadCompletely reports whether all events of the prospect were read.
	ReadCompletely(prospect string) bool
	// RowLeaves reports whether a missing row of the prospect leaves the table. It is
	// called once for each missing row, after the source was read.
	RowLeaves(prospect string) bool
}

// Selection selects partitions of a table.
type Selection struct {
	All        bool
	Partitions map[string]bool // by path
}

// Empty reports whether the selection has no partition.
func (s Selection) Empty() bool { return !s.All && len(s.Partitions) == 0 }

// Has reports whether the selection has a partition.
func (s Selection) Has(path string) bool { return s.All || s.Partitions[path] }

func (s Selection) clone() Selection {
	partitions := make(map[string]bool)
	maps.Copy(partitions, s.Partitions)
	return Selection{All: s.All, Partitions: partitions}
}

// Result is what Run found and built.
type Result struct {
	// Outcomes has one outcome for each target, except for partitions that are not
	// published because a file was rejected.
	Outcomes []plan.Outcome
	// Rows and Missing count the rows of all partitions.
	Rows    plan.Rows
	Missing plan.Missing
	// Rejected are the partitions that stay as they are because of a rejected file,
	// and Withheld counts the new rows of these partitions.
	Rejected []plan.Rejected
	Withheld int64
	// Partitions are the paths of all partitions that exist or will exist.
	Partitions []string
	Evidence   plan.Evidence
	Warnings   jobs.Diagnostics
}

// Run compares the new rows with the published ones, and builds the files that any
// sink needs. It reads a published partition only if its digest differs from that of
// the new rows.
func Run(ctx context.Context, in Input) (_ Result, err error) {
	r := newReconciler(in)
	defer func() { err = errors.Join(err, r.moved.close()) }()
	if err := r.comparePartitions(ctx); err != nil {
		return Result{}, err
	}
	if err := r.moved.find(); err != nil {
		return Result{}, err
	}
	evidence, err := collectEvidence(ctx, r)
	if err != nil {
		return Result{}, err
	}
	r.result.Evidence = evidence
	r.addLinkedTargets()
	targets := slices.DeleteFunc(slices.Clone(r.partitions), func(p *partitionDiff) bool { return !r.targets.Has(p.path) })
	for _, p := range targets {
		p.deleted = p.moves.away
	}
	if err := r.buildOutcomes(ctx, targets); err != nil {
		return Result{}, err
	}
	r.withhold(targets)
	r.countRows()
	return r.result, nil
}

// reconciler is a Run in progress.
type reconciler struct {
	Input
	fingerprint string // of the table's schema
	partitions  []*partitionDiff
	targets     Selection
	counts      *typeCounts
	ids         *idMemory
	moved       *moveFinder
	result      Result
}

func newReconciler(in Input) *reconciler {
	r := &reconciler{Input: in, fingerprint: in.Table.Schema.Fingerprint(), targets: in.Target.clone(), counts: newTypeCounts(in.Table.Schema)}
	r.ids = newIDMemory(in.Memory.partitionIDs(), filepath.Join(in.Dir, "ids"))
	r.partitions = r.listPartitions()
	r.moved = &moveFinder{
		table: in.Table.Schema, partitions: r.partitions, newRows: r.newRows, ids: r.ids, memory: in.Memory, dir: in.Dir,
		missing: newMissingRows(r.ids, in.Memory),
	}
	for _, p := range r.partitions {
		r.result.Partitions = append(r.result.Partitions, p.path)
	}
	return r
}

// countRows adds up the rows of all partitions. Withheld partitions do not change.
func (r *reconciler) countRows() {
	total := &r.result.Rows
	for _, p := range r.partitions {
		rows := p.rows()
		switch {
		case p.otherKeys:
			continue // its rows are counted where they are now
		case p.withheld:
			r.result.Withheld += p.staged.Rows
			total.Before, total.After = total.Before+p.prior.Rows, total.After+p.prior.Rows
			continue
		}
		total.Before, total.After = total.Before+rows.Before, total.After+rows.After
		total.Added, total.Changed = total.Added+rows.Added, total.Changed+rows.Changed
		total.Unchanged, total.Removed = total.Unchanged+rows.Unchanged, total.Removed+rows.Removed
		// A row that has moved was removed where it was, and added where it is.
		r.result.Missing.Deleted += p.deleted
		r.result.Missing.Kept += rows.Before - rows.Changed - rows.Unchanged - rows.Removed
	}
}
