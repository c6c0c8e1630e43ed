package reconcile

import (
	"context"
	"maps"
	"math"
	"slices"

	"prospector/jobs/plan"
	"prospector/schemas"
)

// The evidence for the guards of a plan (plan.Evidence) comes from partitions that
// are compared anyway. Other published files are read only if most events of a type
// may have vanished since the last apply.

// evidenceCollector collects the evidence of one Run.
type evidenceCollector struct {
	*reconciler
	types map[string]*plan.TypeEvidence
	few   plan.TypeEvidence
}

// collectEvidence collects the evidence, after the partitions were compared and the
// moved rows were found.
func collectEvidence(ctx context.Context, r *reconciler) (plan.Evidence, error) {
	e := &evidenceCollector{reconciler: r, types: make(map[string]*plan.TypeEvidence)}
	e.countPartitions()
	for t, q := range r.Read.Quarantined {
		if c := r.counts.byType[t]; c != nil {
			c.rejected = max(0, q.Distinct-q.Before)
		}
	}
	if r.Stages.Former == nil || !r.Rewrite.Repartitions() {
		if err := e.compareTypes(ctx); err != nil {
			return plan.Evidence{}, err
		}
	}
	evidence := plan.Evidence{All: e.countQuarantined(), Few: e.few}
	for _, t := range slices.Sorted(maps.Keys(e.types)) {
		evidence.Types = append(evidence.Types, *e.types[t])
	}
	return evidence, nil
}

func (e *evidenceCollector) ofType(eventType string) *plan.TypeEvidence {
	if e.types[eventType] == nil {
		e.types[eventType] = &plan.TypeEvidence{Type: eventType}
	}
	return e.types[eventType]
}

// countPartitions adds what is known without comparing rows to the counts by type.
func (e *evidenceCollector) countPartitions() {
	counts := e.counts
	for _, p := range e.partitions {
		if p.otherKeys {
			continue
		}
		c, prior := counts.get(p.eventType), p.prior
		if e.Stages.Former != nil {
			_, prior, _ = e.Published.Find(p.path)
		}
		c.moved += p.moves.out
		c.last += lastReturned(prior)
		c.staged += p.staged.Rows
		if !p.compared || !counts.keyed {
			c.returned += p.diff.unchanged + p.diff.changed
		}
	}
}

// compareTypes compares the published events of each type with those that were read.
func (e *evidenceCollector) compareTypes(ctx context.Context) error {
	counts := e.counts
	suspicious := make(map[string]bool)
	for t, c := range counts.byType {
		if e.isSuspicious(c, counts.vanished(c)) {
			suspicious[t] = true
		}
	}
	few := counts.addUpFew()
	judgeFew := e.isSuspicious(&few.typeCount, few.vanished)
	if judgeFew {
		for _, t := range few.types {
			suspicious[t] = true
		}
	}
	if len(suspicious) == 0 {
		return nil
	}
	if err := e.countNewRows(suspicious); err != nil {
		return err
	}
	vanished := make(map[string]bool) // types that have lost most events
	for t := range suspicious {
		if t == "" && !counts.keyed {
			continue // counts of all types together
		}
		of := e.ofType(t)
		e.describe(of, counts.byType[t], counts.vanished(counts.byType[t]), t)
		if of.MostVanished() {
			vanished[t] = true
		}
	}
	if few = counts.addUpFew(); judgeFew {
		e.describe(&e.few, &few.typeCount, few.vanished, few.types...)
	}
	return e.findReplacements(ctx, vanished, few)
}

// findReplacements finds what replaced the vanished events of each type, and of the
// types with few events together.
func (e *evidenceCollector) findReplacements(ctx context.Context, vanished map[string]bool, few fewCount) error {
	sampled := maps.Clone(vanished)
	if e.few.MostVanished() {
		for _, t := range few.types {
			sampled[t] = true
		}
	}
	if len(sampled) == 0 {
		return nil
	}
	s, err := takeSample(ctx, e.reconciler, sampled)
	if err != nil {
		return err
	}
	for t := range sampled {
		if of := e.ofType(t); of.MostVanished() {
			s.explain(of, e.counts.byType[t], t)
		}
	}
	if e.few.MostVanished() {
		s.explain(&e.few, &few.typeCount, few.types...)
	}
	return nil
}

// isSuspicious reports whether the counts of a type require a comparison.
func (e *evidenceCollector) isSuspicious(c *typeCount, vanished int64) bool {
	return len(e.emptiedColumns(c)) > 0 || c.absent > 0 && vanished > c.returned
}

// describe adds the counts of some types to their evidence.
func (e *evidenceCollector) describe(of *plan.TypeEvidence, c *typeCount, vanished int64, types ...string) {
	of.Returned, of.Vanished, of.Read = c.returned, vanished, c.staged
	for _, t := range types {
		of.Read += e.Read.EventTypes[t] + e.Read.Quarantined[t].Quarantined
	}
	if c.complete >= plan.FewEvents {
		of.Emptied = e.emptiedColumns(c)
	}
}

// emptiedColumns returns the columns that have a value in at least 99 % of the
// published rows that the source returned, and in none of the new rows. It ignores
// columns whose declaration changes, and extra_json, which holds the fields without
// a column.
func (e *evidenceCollector) emptiedColumns(c *typeCount) (columns []string) {
	if c.before.rows < plan.FewEvents || c.after.rows == 0 {
		return nil
	}
	for i, column := range e.Table.Schema.Columns {
		nulls := c.before.rows - c.before.values[i]
		if nulls*100 < c.before.rows && c.after.values[i] == 0 && !e.changes(column) && column.Value != schemas.Extra {
			columns = append(columns, column.Name)
		}
	}
	return columns
}

// changes reports whether the schema change concerns a column.
func (e *evidenceCollector) changes(column schemas.Column) bool {
	return e.Rewrite != nil && slices.ContainsFunc(e.Rewrite.Columns, func(c schemas.Change) bool { return c.Column == column.Name || c.Column == "" })
}

// countNewRows completes the counts of suspicious types with the new rows of
// partitions that were not compared. It reads only staged rows.
func (e *evidenceCollector) countNewRows(suspicious map[string]bool) error {
	for _, p := range e.partitions {
		if p.staged.Rows == 0 || e.counts.keyed && !suspicious[p.eventType] {
			continue
		}
		if !p.compared {
			if err := e.countValuesOf(p); err != nil {
				return err
			}
		}
		if err := e.countComplete(p); err != nil {
			return err
		}
	}
	return nil
}

// countValuesOf counts the values of the new rows of a partition. Its published rows,
// if any, are the same.
func (e *evidenceCollector) countValuesOf(p *partitionDiff) error {
	counts := e.counts
	types, err := countValues(e.Table.Schema, e.newRows(p))
	if err != nil {
		return err
	}
	for t, count := range types {
		c := counts.byType[p.eventType]
		if !counts.keyed {
			c = counts.get(t)
			if p.sink != "" {
				c.returned += count.rows
			}
		}
		c.after.add(count)
		if p.sink != "" {
			c.before.add(count)
		}
	}
	return nil
}

// countComplete counts a partition's new rows of completely read prospects.
func (e *evidenceCollector) countComplete(p *partitionDiff) error {
	for batch, err := range e.newRows(p) {
		if err != nil {
			return err
		}
		for t := range traces(e.Table.Schema, p.eventType, batch) {
			c := e.counts.byType[t.Type]
			if c != nil && c.complete < plan.FewEvents && e.Read.Prospects.ReadCompletely(t.Prospect) {
				c.complete++
			}
		}
	}
	return nil
}

// countQuarantined adds the events that could not become rows to the evidence of
// their types, and returns the counts of all types. Events that the schema
// quarantines because of their type do not count.
func (e *evidenceCollector) countQuarantined() plan.Quarantining {
	counts, table := e.counts, e.Table.Schema
	all := plan.Quarantining{Events: e.Read.Events, Rows: counts.allLast(), Reasons: make(map[string]int64)}
	if e.Stages.Former != nil { // the count by type is not known
		all.Rows = math.MaxInt64
	}
	for t, q := range e.Read.Quarantined {
		if t != "" && table.UnknownType == schemas.Quarantine && !table.Knows(t) {
			all.Events -= q.Quarantined
			continue
		}
		all.Quarantined, all.Distinct, all.Before = all.Quarantined+q.Quarantined, all.Distinct+q.Distinct, all.Before+q.Before
		for reason, n := range q.Reasons {
			all.Reasons[reason] += n
		}
		if t == "" {
			continue
		}
		rows := e.Read.EventTypes[t]
		q.Rows = all.Rows
		if c := counts.byType[t]; counts.keyed && c != nil {
			rows = c.staged
			if e.Stages.Former == nil {
				q.Rows = c.last
			}
		}
		q.Events = q.Quarantined + rows
		e.ofType(t).Quarantining = q
	}
	return all
}
