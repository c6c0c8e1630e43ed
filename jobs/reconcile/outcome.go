package reconcile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"prospector/internal/bug"
	"prospector/jobs/plan"
	"prospector/schemas/records"
	"prospector/sink/stage"
)

// buildOutcomes builds the outcomes of partitions, in their order. A rejected file
// affects its partition alone, unless the schema has changed: then all partitions
// change together.
func (r *reconciler) buildOutcomes(ctx context.Context, partitions []*partitionDiff) error {
	steps := plan.Steps(r.moved.links)
	outcomes := make([]plan.Outcome, len(partitions))
	numbers := make(map[*partitionDiff]int, len(partitions))
	for i, p := range partitions {
		numbers[p] = i
		outcomes[i] = plan.Outcome{
			Partition: p.path, Rows: p.rows(), Content: p.prior.Content, SchemaFingerprint: r.fingerprint,
			Replace: r.Replace.Has(p.path), Step: steps[p.path], SourceSubset: p.sourceSubset(p.prior.Content),
		}
	}
	r.result.Outcomes = outcomes
	reads := func(p *partitionDiff) bool { return !p.allKept && r.needsFiles(outcomes[numbers[p]]) }
	return r.eachPartition(ctx, partitions, reads, func(ctx context.Context, p *partitionDiff) error {
		err := r.buildFiles(ctx, p, &outcomes[numbers[p]], numbers[p])
		switch {
		case !errors.As(err, &p.rejection):
			return err
		case r.Stages.Former != nil:
			return p.rejection.Diagnose(r.Table.Job, p.path, "Nothing was published, because a change of the schema rewrites all partitions together.")
		}
		return nil
	})
}

// needsFiles reports whether the files of a partition must be built.
func (r *reconciler) needsFiles(o plan.Outcome) bool {
	return o.Rows.After > 0 && (changesRows(o) || o.Replace || r.anySinkNeeds(o))
}

func changesRows(o plan.Outcome) bool { return o.Rows.Added+o.Rows.Changed+o.Rows.Removed > 0 }

// buildFiles builds the files of a partition if any sink needs them, and adds them
// to its outcome.
func (r *reconciler) buildFiles(ctx context.Context, p *partitionDiff, o *plan.Outcome, number int) error {
	if !r.needsFiles(*o) {
		return nil
	}
	rows, release, err := r.mergedRows(ctx, p)
	if err != nil {
		return err
	}
	defer release()
	stem := filepath.Join(r.Dir, fmt.Sprintf("%05d", number))
	built, err := r.Files.Build(ctx, stem, p.path, r.Table.Schema, r.Table.Files, rows)
	if err == nil && (built.Rows != o.Rows.After || !changesRows(*o) && built.Content != p.prior.Content) {
		err = fmt.Errorf("%d rows were expected, but %d were written; nothing was published: %w", o.Rows.After, built.Rows, bug.ErrInternal)
	}
	if err != nil {
		return fmt.Errorf("%s, partition %s: %w", r.Table.Job, p.path, err)
	}
	o.Content, o.Staged, o.SourceSubset = built.Content, built.Staged(r.fingerprint), p.sourceSubset(built.Content)
	return nil
}

func (r *reconciler) anySinkNeeds(o plan.Outcome) bool {
	return slices.ContainsFunc(r.Published.Sinks, func(sink string) bool { return plan.Needs(&r.Published.Prior[sink].Sink, o) })
}

// mergedRows returns the rows that a partition will have: the new ones, and the
// published ones that stay. The caller releases their memory.
func (r *reconciler) mergedRows(ctx context.Context, p *partitionDiff) (rows records.Rows, release func(), err error) {
	rows = r.newRows(p)
	if p.sink == "" {
		return rows, func() {}, nil
	}
	kept, release, err := r.keptRows(ctx, p)
	return stage.Merge(r.Table.Schema, rows, kept), release, err
}

// keptRows returns the published rows of a partition that stay.
func (r *reconciler) keptRows(ctx context.Context, p *partitionDiff) (rows records.Rows, release func(), err error) {
	if p.allKept {
		return r.ids.without(ctx, r.Table.Schema, r.Stages.Kept.Rows(p.path), r.moved.leavingIDs(p))
	}
	replaced := idsOf(r.Table.Schema, r.newRows(p), p.staged.Rows)
	return r.ids.without(ctx, r.Table.Schema, r.publishedRows(ctx, p), replaced, r.moved.leavingIDs(p))
}
