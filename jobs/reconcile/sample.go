package reconcile

import (
	"context"
	"iter"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/schemas/records"
)

// sample holds some events that vanished, and new events that may have replaced them
// because they have the same prospect or the same moment.
type sample struct {
	*reconciler
	sampled map[string]bool // event types

	prospects map[string]map[string]bool // by type
	moments   map[moment]bool
	vanished  map[string][]plan.Trace // by type
	fresh     []plan.Trace
}

// moment is the time of an event of a type.
type moment struct {
	eventType string
	created   int64
}

// Limits of a sample for each event type: prospects and vanished events.
const (
	sampledProspects = 100
	sampledEvents    = 20_000
)

func takeSample(ctx context.Context, r *reconciler, types map[string]bool) (*sample, error) {
	s := &sample{
		reconciler: r, sampled: types, prospects: make(map[string]map[string]bool),
		moments: make(map[moment]bool), vanished: make(map[string][]plan.Trace),
	}
	hasVanished := func(p *partitionDiff) bool {
		return !p.otherKeys && p.absent > 0 && (!r.counts.keyed || types[p.eventType])
	}
	defer r.openAhead(ctx, r.partitions, hasVanished)()
	for _, p := range r.partitions {
		if hasVanished(p) {
			if err := s.eachRow(ctx, p, r.publishedRows(ctx, p), idsOf(r.Table.Schema, r.newRows(p), p.staged.Rows), s.addVanished); err != nil {
				return nil, err
			}
		}
	}
	isFresh := func(p *partitionDiff) bool { return !p.otherKeys && p.diff.added > 0 }
	defer r.openAhead(ctx, r.partitions, isFresh)()
	for _, p := range r.partitions {
		if isFresh(p) {
			if err := s.eachRow(ctx, p, r.newRows(p), idsOf(r.Table.Schema, r.publishedRows(ctx, p), p.prior.Rows), s.addFresh); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// eachRow visits the rows of a partition that are in one set of rows but not in
// another, and that have not moved.
func (s *sample) eachRow(ctx context.Context, p *partitionDiff, in records.Rows, notIn idSource, visit func(plan.Trace)) error {
	drop := s.moved.movedIDs(p)
	if p.sink != "" {
		drop = append(drop, notIn)
	}
	rows, release, err := s.ids.without(ctx, s.Table.Schema, in, drop...)
	if err != nil {
		return err
	}
	defer release()
	for batch, err := range rows {
		if err != nil {
			return err
		}
		for t := range traces(s.Table.Schema, p.eventType, batch) {
			t.Prospect, t.Type = strings.Clone(t.Prospect), strings.Clone(t.Type)
			visit(t)
		}
	}
	return nil
}

func (s *sample) addVanished(t plan.Trace) {
	if s.prospects[t.Type] == nil {
		s.prospects[t.Type] = make(map[string]bool)
	}
	of := s.prospects[t.Type]
	if !s.sampled[t.Type] || !s.Read.Prospects.ReadCompletely(t.Prospect) ||
		len(s.vanished[t.Type]) >= sampledEvents || !of[t.Prospect] && len(of) >= sampledProspects {
		return
	}
	of[t.Prospect] = true
	s.moments[moment{t.Type, t.Created}] = true
	s.vanished[t.Type] = append(s.vanished[t.Type], t)
}

func (s *sample) addFresh(t plan.Trace) {
	sampled := s.moments[moment{t.Type, t.Created}]
	for _, of := range s.prospects {
		sampled = sampled || of[t.Prospect]
	}
	if sampled && len(s.fresh) < 10*sampledEvents {
		s.fresh = append(s.fresh, t)
	}
}

// explain finds what replaced the vanished events of some types.
func (s *sample) explain(e *plan.TypeEvidence, c *typeCount, types ...string) {
	var vanished []plan.Trace
	for _, t := range types {
		vanished = append(vanished, s.vanished[t]...)
	}
	e.Replaced = plan.Explain(vanished, s.fresh, 1-float64(e.Vanished)/float64(c.absent))
}

// traces returns the values that identify each row of a batch. eventType is the type
// of rows that have no type column. The strings point into the batch.
func traces(table schemas.Table, eventType string, batch arrow.Record) iter.Seq[plan.Trace] {
	roles := table.Roles()
	at := func(name string) int { return schemas.IndexOf(table.Columns, name) }
	prospects, happened := batch.Column(at(roles.Entity)).(*array.String), batch.Column(at(roles.Time)).(*array.Timestamp)
	created := happened
	if roles.Created != "" {
		created = batch.Column(at(roles.Created)).(*array.Timestamp)
	}
	typeOf := func(int) string { return eventType }
	if i := at(roles.Type); i >= 0 {
		typeOf = batch.Column(i).(*array.String).Value
	}
	return func(yield func(plan.Trace) bool) {
		for row := range int(batch.NumRows()) {
			t := plan.Trace{Prospect: prospects.Value(row), Type: typeOf(row), Created: int64(created.Value(row)), NoCreated: created.IsNull(row)}
			if t.NoCreated {
				t.Created = int64(happened.Value(row))
			}
			if !yield(t) {
				return
			}
		}
	}
}
