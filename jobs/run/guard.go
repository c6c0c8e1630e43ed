package run

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/transform"
)

// The evidence for the guards of a run comes from what is compared anyway. Published
// files that would not be read otherwise are only read when most events of a type
// may have vanished since the last apply.

// typeCount is what was compared of one event type.
type typeCount struct {
	returned int64 // published rows that the source returned
	absent   int64 // those of completely read prospects that it did not return
	rejected int64 // new quarantined events, which may be the absent ones
	moved    int64 // published rows that are in another partition now
	given    int64 // published rows that the last apply read
	staged   int64 // new rows
	complete int64 // new rows of completely read prospects; counting ends at FewEvents
	// before and after are the values of the returned rows, published and new.
	before, after transform.Filled
}

// keyed reports whether each partition has one event type.
func (b *builder) keyed() bool {
	return slices.Contains(b.job.Schema.Keys(), b.job.Schema.Roles().Type)
}

// typeOf is the event type of a partition, or "" when its path does not name one.
func (b *builder) typeOf(path string) string {
	p, err := sink.ParsePartition(b.job.Schema, path)
	if err != nil {
		return ""
	}
	for _, key := range p.Keys {
		if key.Column.Name == b.job.Schema.Roles().Type {
			return key.Text
		}
	}
	return ""
}

func (b *builder) ofType(eventType string) *typeCount {
	c := b.types[eventType]
	if c == nil {
		c = new(typeCount)
		b.types[eventType] = c
	}
	return c
}

// tally adds a compared draft to the counts by type.
func (b *builder) tally(d *draft) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for eventType, t := range d.diff.Types {
		c := b.ofType(cmp.Or(eventType, d.eventType))
		c.returned, c.absent = c.returned+t.Returned.Rows, c.absent+t.Absent
		c.before.Add(t.Returned)
		c.after.Add(t.Incoming)
		d.absent += t.Absent
	}
	d.diff.Types = nil
}

// lastGiven counts the rows of a published partition that the last apply read.
func lastGiven(p state.Partition) int64 {
	if p.SourceSubset != nil {
		return p.SourceSubset.Rows
	}
	return p.Rows
}

// A few partitions show whether a type vanished, so that no night reads many files
// for it.
const (
	suspectsOfType = 10
	mostSuspects   = 100
)

// suspects are drafts that were not compared, and whose rows may be most of what a
// type had at the last apply. A draft without rows at the last apply is not suspect,
// so an unchanged night suspects nothing.
func (b *builder) suspects(drafts, ignored []*draft) (suspects []*draft) {
	if c := b.read.Coverage; 2*c.Incomplete() > c.Prospects {
		return nil // incomplete prospects explain it
	}
	returned, absent, unknown := make(map[string]int64), make(map[string]int64), make(map[string]int64)
	for _, d := range drafts {
		returned[d.eventType] += d.diff.Unchanged + d.diff.Changed
		absent[d.eventType] += d.absent
	}
	ignored = slices.DeleteFunc(ignored, func(d *draft) bool { return d.staged.Rows > 0 || lastGiven(d.old) == 0 })
	for _, d := range ignored {
		unknown[d.eventType] += lastGiven(d.old)
	}
	isFew := func(t string) bool { return returned[t]+absent[t]+unknown[t] < plan.FewEvents }
	var few plan.TypeEvidence
	for t := range returned {
		if isFew(t) {
			few.Returned, few.Vanished = few.Returned+returned[t], few.Vanished+absent[t]+unknown[t]
		}
	}
	of := make(map[string]int)
	for _, d := range slices.Backward(ignored) { // the newest first
		e := plan.TypeEvidence{Returned: returned[d.eventType], Vanished: absent[d.eventType] + unknown[d.eventType]}
		if isFew(d.eventType) {
			e = few
		}
		if !e.MostVanished() && (b.keyed() || !b.lostType()) {
			continue
		}
		if of[d.eventType]++; (of[d.eventType] <= suspectsOfType || !b.keyed()) && len(suspects) < mostSuspects {
			suspects = append(suspects, d)
		}
	}
	return suspects
}

// lostType reports whether an event type of earlier runs is not among what was read.
func (b *builder) lostType() bool {
	for t := range b.formerTypes {
		if b.read.Survey.EventTypes[t] == 0 {
			return true
		}
	}
	return false
}

// collectEvidence prepares what the guards judge, once every draft is compared and
// before any row is removed.
func (b *builder) collectEvidence(ctx context.Context, drafts []*draft) error {
	types := make(map[string]*plan.TypeEvidence)
	evidence := func(eventType string) *plan.TypeEvidence {
		if types[eventType] == nil {
			types[eventType] = &plan.TypeEvidence{Type: eventType}
		}
		return types[eventType]
	}
	b.countDrafts(drafts)
	for t, q := range b.read.quarantine.Counts() {
		if c := b.types[t]; c != nil {
			c.rejected = max(0, q.Distinct-q.Before)
		}
	}
	if b.former == nil || !b.rewrite.Repartitions() {
		if err := b.compareTypes(ctx, drafts, evidence); err != nil {
			return err
		}
	}
	b.countQuarantined(evidence)
	for _, t := range slices.Sorted(maps.Keys(types)) {
		b.evidence.Types = append(b.evidence.Types, *types[t])
	}
	return nil
}

// countDrafts adds to the counts by type what is known without comparing rows.
func (b *builder) countDrafts(drafts []*draft) {
	for _, d := range drafts {
		if d.gone {
			continue
		}
		c, old := b.ofType(d.eventType), d.old
		if b.former != nil {
			_, old, _ = plan.Published(b.sinks(), b.prior, d.path)
		}
		c.moved += int64(len(d.removed))
		c.given += lastGiven(old)
		c.staged += d.staged.Rows
		if !d.compared || !b.keyed() {
			c.returned += d.diff.Unchanged + d.diff.Changed
		}
	}
}

// compareTypes compares the published events of each type with those that were read.
func (b *builder) compareTypes(ctx context.Context, drafts []*draft, evidence func(string) *plan.TypeEvidence) error {
	suspicious := make(map[string]bool)
	for t, c := range b.types {
		if b.suspicious(c, b.vanished(c)) {
			suspicious[t] = true
		}
	}
	few := b.few()
	judgeFew := b.suspicious(&few.typeCount, few.vanished)
	if judgeFew {
		for _, t := range few.types {
			suspicious[t] = true
		}
	}
	if len(suspicious) == 0 {
		return nil
	}
	if err := b.countStaged(drafts, suspicious); err != nil {
		return err
	}
	replaced := make(map[string]bool)
	for t := range suspicious {
		if t == "" && !b.keyed() {
			continue // counts of all types together
		}
		e := evidence(t)
		b.describe(e, b.types[t], b.vanished(b.types[t]), t)
		if e.MostVanished() {
			replaced[t] = true
		}
	}
	if few = b.few(); judgeFew {
		b.describe(&b.evidence.Few, &few.typeCount, few.vanished, few.types...)
	}
	if b.evidence.Few.MostVanished() {
		for _, t := range few.types {
			replaced[t] = true
		}
	}
	if len(replaced) == 0 {
		return nil
	}
	s := sampling{builder: b, drafts: drafts, types: replaced, moved: make(transform.IDs)}
	if err := s.take(ctx); err != nil {
		return err
	}
	for t := range replaced {
		if e := evidence(t); e.MostVanished() {
			s.explain(e, b.types[t], t)
		}
	}
	if b.evidence.Few.MostVanished() {
		s.explain(&b.evidence.Few, &few.typeCount, few.types...)
	}
	return nil
}

// suspicious reports whether the counts of a type call for a comparison.
func (b *builder) suspicious(c *typeCount, vanished int64) bool {
	return len(b.emptied(c)) > 0 || c.absent > 0 && vanished > c.returned
}

// describe brings the counts of some types into their evidence.
func (b *builder) describe(e *plan.TypeEvidence, c *typeCount, vanished int64, types ...string) {
	e.Returned, e.Vanished, e.Read = c.returned, vanished, c.staged
	for _, t := range types {
		e.Read += b.read.Survey.EventTypes[t] + b.read.quarantine.Counts()[t].Quarantined
	}
	if c.complete >= plan.FewEvents {
		e.Emptied = b.emptied(c)
	}
}

// fewCount is what was compared of several event types.
type fewCount struct {
	types []string
	typeCount
	vanished int64
}

// few adds up the counts of the types that have fewer than FewEvents published
// events each.
func (b *builder) few() (few fewCount) {
	for t, c := range b.types {
		vanished := b.vanished(c)
		if published := c.returned + vanished; t == "" && !b.keyed() || published == 0 || published >= plan.FewEvents {
			continue
		}
		few.types = append(few.types, t)
		few.returned, few.absent, few.moved = few.returned+c.returned, few.absent+c.absent, few.moved+c.moved
		few.given, few.staged, few.complete = few.given+c.given, few.staged+c.staged, few.complete+c.complete
		few.rejected, few.vanished = few.rejected+c.rejected, few.vanished+vanished
		few.before.Add(c.before)
		few.after.Add(c.after)
	}
	if len(few.types) > 0 {
		few.vanished = min(few.vanished, b.vanished(&few.typeCount))
	}
	return few
}

// vanished counts the published events of completely read prospects that the last
// apply read and this run did not. Events that were missing before do not count, nor
// do as many as went to the quarantine since.
func (b *builder) vanished(c *typeCount) int64 {
	moved, given, returned := c.moved, c.given, c.returned
	if !b.keyed() { // these are not known by type
		all := b.types[""]
		moved, given, returned = all.moved, all.given, all.returned
	}
	absent, since := c.absent-moved-c.rejected, given-returned-moved-c.rejected
	if !b.keyed() && 2*since < absent {
		return 0 // more than half of them were missing before
	}
	return max(0, min(absent, since))
}

// emptied are the columns that have a value in at least 99 % of the published rows
// that the source returned, and in none of the new ones. A column whose declaration changes is not judged, nor
// extra_json, which holds what has no column.
func (b *builder) emptied(c *typeCount) (columns []string) {
	if c.before.Rows < plan.FewEvents || c.after.Rows == 0 {
		return nil
	}
	for i, column := range b.job.Schema.Columns {
		nulls := c.before.Rows - c.before.Values[i]
		changed := b.rewrite != nil && slices.ContainsFunc(b.rewrite.Columns, func(c schemas.Change) bool { return c.Column == column.Name || c.Column == "" })
		if nulls*100 < c.before.Rows && c.after.Values[i] == 0 && !changed && column.Value != schemas.Extra {
			columns = append(columns, column.Name)
		}
	}
	return columns
}

// countStaged completes the counts of suspicious types with the new rows of
// partitions that were not compared. These rows are on this machine.
func (b *builder) countStaged(drafts []*draft, suspicious map[string]bool) error {
	for _, d := range drafts {
		if d.staged.Rows == 0 || b.keyed() && !suspicious[d.eventType] {
			continue
		}
		if !d.compared {
			types, err := transform.Fill(b.job.Schema, b.staging.Rows(d.path))
			if err != nil {
				return err
			}
			for t, filled := range types {
				c := b.types[d.eventType]
				if !b.keyed() {
					c = b.ofType(t)
					if d.in != "" {
						c.returned += filled.Rows
					}
				}
				c.after.Add(filled)
				if d.in != "" { // the published rows are the same
					c.before.Add(filled)
				}
			}
		}
		for batch, err := range b.staging.Rows(d.path) {
			if err != nil {
				return err
			}
			for t := range b.traces(d, batch) {
				if c := b.types[t.Type]; c != nil && c.complete < plan.FewEvents {
					if _, complete := b.read.Complete[t.Prospect]; complete {
						c.complete++
					}
				}
			}
		}
	}
	return nil
}

// traces gives what the identity of each row of a batch is made from.
func (b *builder) traces(d *draft, batch arrow.Record) func(func(plan.Trace, transform.ID) bool) {
	roles := b.job.Schema.Roles()
	at := func(name string) int { return schemas.IndexOf(b.job.Schema.Columns, name) }
	prospects := batch.Column(at(roles.Entity)).(*array.String)
	happened := batch.Column(at(roles.Time)).(*array.Timestamp)
	created := happened
	if roles.Created != "" {
		created = batch.Column(at(roles.Created)).(*array.Timestamp)
	}
	eventType := func(int) string { return d.eventType }
	if i := at(roles.Type); i >= 0 {
		eventType = batch.Column(i).(*array.String).Value
	}
	ids := transform.RowIDs(b.job.Schema, batch)
	return func(yield func(plan.Trace, transform.ID) bool) {
		for row, id := range ids {
			t := plan.Trace{Prospect: prospects.Value(row), Type: eventType(row), Created: int64(created.Value(row)), NoCreated: created.IsNull(row)}
			if t.NoCreated {
				t.Created = int64(happened.Value(row))
			}
			if !yield(t, id) {
				return
			}
		}
	}
}

// sampling looks at some prospects whose events vanished, and at their new events.
type sampling struct {
	*builder
	drafts []*draft
	types  map[string]bool
	moved  transform.IDs // rows that are in another partition now

	vanished map[string][]plan.Trace // by type
	fresh    []plan.Trace
}

// The sample is bounded by prospects of each type, and by events.
const (
	sampledProspects = 100
	sampledEvents    = 20_000
)

func (s *sampling) take(ctx context.Context) error {
	s.vanished = make(map[string][]plan.Trace)
	for _, d := range s.drafts {
		maps.Copy(s.moved, d.removed)
	}
	type moment struct {
		eventType string
		created   int64
	}
	prospects, moments := make(map[string]map[string]bool), make(map[moment]bool)
	err := s.each(func(d *draft) bool { return d.absent > 0 && (!s.keyed() || s.types[d.eventType]) },
		func(d *draft) records.Rows { return s.published(ctx, d) },
		func(d *draft) records.Rows { return s.staging.Rows(d.path) },
		func(t plan.Trace) {
			if prospects[t.Type] == nil {
				prospects[t.Type] = make(map[string]bool)
			}
			of := prospects[t.Type]
			_, complete := s.read.Complete[t.Prospect]
			if !complete || !s.types[t.Type] || len(s.vanished[t.Type]) >= sampledEvents || !of[t.Prospect] && len(of) >= sampledProspects {
				return
			}
			of[t.Prospect] = true
			moments[moment{t.Type, t.Created}] = true
			s.vanished[t.Type] = append(s.vanished[t.Type], t)
		})
	if err != nil {
		return err
	}
	return s.each(func(d *draft) bool { return d.diff.Added > 0 },
		func(d *draft) records.Rows { return s.staging.Rows(d.path) },
		func(d *draft) records.Rows { return s.published(ctx, d) },
		func(t plan.Trace) {
			sampled := moments[moment{t.Type, t.Created}]
			for _, of := range prospects {
				sampled = sampled || of[t.Prospect]
			}
			if sampled && len(s.fresh) < 10*sampledEvents {
				s.fresh = append(s.fresh, t)
			}
		})
}

// explain finds what replaced the vanished events of some types.
func (s *sampling) explain(e *plan.TypeEvidence, c *typeCount, types ...string) {
	var vanished []plan.Trace
	for _, t := range types {
		vanished = append(vanished, s.vanished[t]...)
	}
	e.Replaced = plan.Explain(vanished, s.fresh, 1-float64(e.Vanished)/float64(c.absent))
}

// each visits the rows of some drafts that are in one place and not in another.
func (s *sampling) each(which func(*draft) bool, in, notIn func(*draft) records.Rows, visit func(plan.Trace)) error {
	for _, d := range s.drafts {
		if d.gone || !which(d) {
			continue
		}
		others := make(transform.IDs)
		if d.in != "" {
			var err error
			if others, err = transform.CollectIDs(s.job.Schema, notIn(d)); err != nil {
				return err
			}
		}
		for batch, err := range in(d) {
			if err != nil {
				return err
			}
			for t, id := range s.traces(d, batch) {
				_, other := others[id]
				if _, moved := s.moved[id]; !other && !moved {
					t.Prospect, t.Type = strings.Clone(t.Prospect), strings.Clone(t.Type)
					visit(t)
				}
			}
		}
	}
	return nil
}

// given counts the published rows that the last apply read. In a table that is
// rewritten, it gives no less.
func (b *builder) given() (rows int64) {
	if b.former != nil {
		return math.MaxInt64
	}
	for _, c := range b.types {
		rows += c.given
	}
	return rows
}

// countQuarantined adds to the evidence what became no row. Events of types that the
// schema wants quarantined do not count.
func (b *builder) countQuarantined(evidence func(string) *plan.TypeEvidence) {
	all := &b.evidence.All
	all.Events, all.Rows, all.Reasons = b.read.Books.Events, b.given(), make(map[string]int64)
	for t, q := range b.read.quarantine.Counts() {
		if t != "" && b.job.Schema.UnknownType == schemas.Quarantine && !b.job.Schema.Knows(t) {
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
		rows := b.read.Survey.EventTypes[t]
		q.Rows = all.Rows
		if c := b.types[t]; b.keyed() && c != nil {
			rows = c.staged
			if b.former == nil {
				q.Rows = c.given
			}
		}
		q.Events = q.Quarantined + rows
		evidence(t).Quarantining = q
	}
}

// guard judges the run of a job as a whole, and refuses its plan unless the user
// accepts what is found.
func (w *planning) guard(job jobs.Job, into *plan.Job, b *builder) {
	e := &b.evidence
	e.Targeted = !w.options.target(job.Address).whole
	if into.Source.Books.Events == 0 {
		e.Emptied = into.Source.Missing.Deleted + into.Source.Missing.Waiting
	}
	if list := into.Source.Reading.List; list.Known {
		e.Known, e.NotFound, e.Forbidden = list.Count-list.Added, b.read.unavailable.NotFound, b.read.unavailable.Forbidden
		if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Unavailable != nil {
			e.Forget(owned.Unavailable.NotFound, owned.Unavailable.Forbidden, list.Removed)
		}
	}
	refused, warnings := e.Judge(w.options.Accept, func(summary, detail string) jobs.Diagnostic { return job.Diagnose("", summary, detail) })
	into.Problems.Refused, into.Problems.Warnings = append(into.Problems.Refused, refused...), append(into.Problems.Warnings, warnings...)
}
