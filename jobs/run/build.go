package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/semaphore"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
	"prospector/transform"
)

// builder makes the files of a job's partitions.
type builder struct {
	session *Session
	job     jobs.Job
	schema  string // the fingerprint of the job's table
	prior   map[string]*plan.Refreshed
	staging *stage.Stage
	// former has the published rows when the table is another one now; else it
	// is nil, and the published files have them.
	former *stage.Stage
	// recovered has the published rows of partitions with damaged files that no
	// sink has intact; nil where there are none.
	recovered *stage.Stage
	// kept has, of partitions that were compared, the published rows that no new
	// row replaces, so that a published file is read once. They are few where the
	// source gives all events; what does not fit in memory is read again.
	kept *stage.Stage
	dir  string
	read *reading
	// waiting are the prospects whose rows are deleted only after another empty read.
	waiting *lists.Waiting
	// formerTypes are the event types that earlier runs have seen.
	formerTypes map[string]int64
	// rewrite is set when the published rows are of another table.
	rewrite *plan.Rewrite
	// target are the partitions that the plan is kept to, and replace those
	// that are written anew.
	target, replace selection

	// What build gives: outcomes of the partitions that the plan is kept to,
	// and the rows of all.
	outcomes []plan.Outcome
	rows     plan.Rows
	missing  plan.Missing
	rejected []plan.Rejected
	withheld int64 // staged rows of partitions that are not published
	steps    map[string]int
	known    map[string]bool // all partitions that there are or will be
	warnings jobs.Diagnostics
	evidence plan.Evidence

	mu    sync.Mutex
	types map[string]*typeCount // what was compared, by event type
}

// unknownTargets are the partitions that were named and are none.
func (b *builder) unknownTargets() (all []string) {
	for _, named := range []selection{b.target, b.replace} {
		for path := range named.partitions {
			if !b.known[path] {
				all = append(all, path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (b *builder) sinks() []string { return addresses(b.job.Sinks) }

// draft is a partition on its way to an outcome.
type draft struct {
	path string
	// eventType is the type of its events, or "" when its path does not name it.
	eventType string
	staged    stage.Staged // zero Rows: no new ones
	in        string       // the sink that has the published rows, "" for none
	from      *stage.Stage // that has them instead
	largest   int64        // bytes of the largest row of from
	old       state.Partition
	// gone says that the partition is of a table with other keys: it is not
	// read, and its rows are in others now.
	gone bool
	// unfinished says that an interrupted apply was to take rows from it, and
	// may have published them elsewhere already.
	unfinished bool
	diff       transform.Diff
	// kept says that the published rows that no new row replaces are all in the
	// builder's kept.
	kept    bool
	removed transform.IDs // published rows whose events are in another partition now, or gone
	deleted int64         // those of them that are gone
	// rejection is set when the second reader has rejected a file, and withheld
	// when the partition stays as it is because of that or of another one.
	rejection *rejection
	withheld  bool
	// compared says that the published and the new rows were compared one by one, and
	// absent counts the published rows of completely read prospects that have no new one.
	compared bool
	absent   int64
}

func (d *draft) rows() plan.Rows {
	if d.gone {
		return plan.Rows{Before: d.old.Rows, Removed: d.old.Rows}
	}
	r := plan.Rows{
		Before: d.old.Rows, Added: d.diff.Added, Changed: d.diff.Changed, Unchanged: d.diff.Unchanged,
		Removed: int64(len(d.removed)),
	}
	r.After = r.Before + r.Added - r.Removed
	return r
}

// given are the rows of the partition that the source has given, if not all.
func (d *draft) given(all schemas.Digest) *state.SourceSubset {
	if d.staged.Content == all {
		return nil
	}
	return &state.SourceSubset{Rows: d.staged.Rows, Content: d.staged.Content}
}

// asBefore reports whether the source gives what it gave the last time, which is
// a part of what is published.
func (d *draft) asBefore() bool {
	given := d.old.SourceSubset
	return d.in != "" && given != nil && given.Rows == d.staged.Rows && given.Content == d.staged.Content
}

// build compares what is staged with what is published, and makes the files that
// any sink needs. It reads only published partitions whose rows are not, by their
// digest, exactly the new ones.
func (b *builder) build(ctx context.Context) error {
	drafts := b.drafts()
	for _, d := range drafts {
		b.known[d.path] = true
	}
	if err := b.compareAll(ctx, drafts); err != nil {
		return err
	}
	links, err := b.findMoved(drafts)
	if err != nil {
		return err
	}
	if err := b.collectEvidence(ctx, drafts); err != nil {
		return err
	}
	b.widen(links)
	for _, d := range drafts {
		if b.target.has(d.path) {
			d.deleted = d.removeGone()
		}
	}
	b.steps = plan.Steps(links)
	targets := slices.DeleteFunc(slices.Clone(drafts), func(d *draft) bool { return !b.target.has(d.path) })
	if err := b.outcomesOf(ctx, targets); err != nil {
		return err
	}
	b.withhold(targets, links)
	b.count(drafts)
	for i, d := range targets {
		if d.withheld {
			b.outcomes[i].Partition = ""
		}
	}
	b.outcomes = slices.DeleteFunc(b.outcomes, func(o plan.Outcome) bool { return o.Partition == "" })
	return nil
}

// outcomesOf makes the outcomes of the drafts, in their order. A rejected file is
// the affair of its partition alone, unless the table is rewritten, which is done
// as a whole.
func (b *builder) outcomesOf(ctx context.Context, drafts []*draft) error {
	b.outcomes = make([]plan.Outcome, len(drafts))
	at := make(map[*draft]int, len(drafts))
	for i, d := range drafts {
		at[d] = i
	}
	return b.each(ctx, drafts, func(ctx context.Context, d *draft) error {
		o, err := b.outcome(ctx, d, at[d])
		b.outcomes[at[d]] = o
		switch {
		case !errors.As(err, &d.rejection):
			return err
		case b.former != nil:
			return d.rejection.diagnose(b.job.Address, d.path, "Nothing was published, since a table is rewritten as a whole.")
		}
		return nil
	})
}

// count adds up the rows of all partitions. Withheld ones stay as they are.
func (b *builder) count(drafts []*draft) {
	for _, d := range drafts {
		r := d.rows()
		switch {
		case d.gone:
			continue // its rows are counted where they are now
		case d.withheld:
			b.withheld += d.staged.Rows
			b.rows.Before, b.rows.After = b.rows.Before+d.old.Rows, b.rows.After+d.old.Rows
			continue
		}
		b.rows.Before, b.rows.After = b.rows.Before+r.Before, b.rows.After+r.After
		b.rows.Added, b.rows.Changed = b.rows.Added+r.Added, b.rows.Changed+r.Changed
		b.rows.Unchanged, b.rows.Removed = b.rows.Unchanged+r.Unchanged, b.rows.Removed+r.Removed
		// What has moved was removed where it was, and added where it is.
		b.missing.Deleted += d.deleted
		b.missing.Kept += r.Before - r.Changed - r.Unchanged - r.Removed
	}
}

// release lets go of the rows, which are in the files now.
func (b *builder) release() error {
	err := errors.Join(b.staging.Close(), b.kept.Close())
	for _, s := range []*stage.Stage{b.former, b.recovered} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// removeGone removes the rows that are gone, and counts them.
func (d *draft) removeGone() (rows int64) {
	for id := range d.diff.Gone {
		if _, moved := d.removed[id]; moved {
			continue
		}
		if d.removed == nil {
			d.removed = make(transform.IDs)
		}
		d.removed[id] = struct{}{}
		rows++
	}
	d.diff.Gone = nil
	return rows
}

// widen adds to the targets what is linked with them: such partitions are changed
// together or not at all, lest an event be doubled or lost.
func (b *builder) widen(links map[plan.Link]bool) {
	if b.target.whole {
		return
	}
	var added []string
	for changed := true; changed; {
		changed = false
		for l := range links {
			if from, to := b.target.has(l.From), b.target.has(l.To); from != to {
				missing := l.From
				if from {
					missing = l.To
				}
				b.target.partitions[missing] = true
				added = append(added, missing)
				changed = true
			}
		}
	}
	if len(added) > 0 {
		slices.Sort(added)
		b.warnings = append(b.warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: b.job.Address,
			Summary: fmt.Sprintf("%d partitions were added to the targets", len(added)),
			Detail:  "Events have moved between them and the targets, since their time or type has changed:\n\n  " + strings.Join(added, "\n  ")})
	}
}

// formerly stands for the sink of published rows that are in a stage.
const formerly = "(former)"

// drafts are all partitions that have new rows or published ones, by path.
func (b *builder) drafts() (drafts []*draft) {
	at := make(map[string]*draft)
	draftOf := func(path string) *draft {
		d := at[path]
		if d == nil {
			d = &draft{path: path, eventType: b.typeOf(path)}
			at[path] = d
			drafts = append(drafts, d)
		}
		return d
	}
	for _, p := range b.staging.Partitions() {
		draftOf(p.Partition.Path).staged = p
	}
	for _, path := range plan.Partitions(b.prior) {
		d := draftOf(path)
		_, err := sink.ParsePartition(b.job.Schema, path)
		switch d.gone = err != nil; {
		case d.gone:
			_, d.old, _ = plan.Published(b.sinks(), b.prior, path)
		case b.former == nil:
			var ok bool
			if d.in, d.old, ok = plan.Published(b.sinks(), b.prior, path); ok {
				_, d.unfinished = b.prior[d.in].Unfinished[path]
			}
		}
	}
	for _, s := range []*stage.Stage{b.former, b.recovered} {
		if s == nil {
			continue
		}
		for _, p := range s.Partitions() {
			d := draftOf(p.Partition.Path)
			d.in, d.from, d.old = formerly, s, state.Partition{Rows: p.Rows, Content: p.Content}
			d.largest = p.LargestRow
		}
	}
	slices.SortFunc(drafts, func(a, b *draft) int { return cmp.Compare(a.path, b.path) })
	return drafts
}

// interrupted reports whether an apply that was cut short may have left a row in
// two partitions.
func interrupted(drafts []*draft) bool {
	return slices.ContainsFunc(drafts, func(d *draft) bool { return d.unfinished })
}

// compareAll compares every draft. A partition without new rows, or with those of
// the last time, is only read when an event that is new in another one may have
// left it, when its rows may be gone, or after an interrupted apply.
func (b *builder) compareAll(ctx context.Context, drafts []*draft) error {
	var fresh, idle []*draft
	for _, d := range drafts {
		switch {
		case d.staged.Rows > 0 && !d.asBefore():
			fresh = append(fresh, d)
		case !d.gone:
			idle = append(idle, d)
		}
	}
	compare := func(drafts []*draft) error {
		return b.each(ctx, drafts, b.compare)
	}
	if err := compare(fresh); err != nil || len(idle) == 0 {
		return err
	}
	if interrupted(drafts) || b.job.DeleteMissing {
		return compare(idle)
	}
	added := make(transform.Days)
	for _, d := range fresh {
		days := d.diff.AddedDays
		if d.in == "" { // all of it is new
			var err error
			if days, err = transform.CollectDays(b.job.Schema, b.staging.Rows(d.path)); err != nil {
				return err
			}
		}
		maps.Copy(added, days)
	}
	days := slices.Sorted(maps.Keys(added))
	for _, d := range idle { // unless it is compared
		d.diff.Unchanged = d.staged.Rows
	}
	var ignored []*draft
	idle = slices.DeleteFunc(idle, func(d *draft) bool {
		ignore := !mayHold(d.old.Days, days)
		if ignore {
			ignored = append(ignored, d)
		}
		return ignore
	})
	if err := compare(idle); err != nil {
		return err
	}
	return compare(b.suspects(drafts, ignored))
}

// mayHold reports whether any of the days, ascending, is in a range, or could be
// as the range is not known.
func mayHold(of *state.Days, days []int32) bool {
	if of == nil {
		return len(days) > 0
	}
	i, _ := slices.BinarySearch(days, of.First)
	return i < len(days) && days[i] <= of.Last
}

func (b *builder) compare(ctx context.Context, d *draft) error {
	switch {
	case d.in == "":
		d.diff.Added = d.staged.Rows
		return nil
	case d.staged.Content == d.old.Content && d.staged.Rows == d.old.Rows:
		d.diff.Unchanged = d.staged.Rows
		return nil
	}
	var keep func(arrow.Record) error
	// What gets no new row is seldom written; a former table is in a stage already.
	if d.staged.Rows > 0 && d.from == nil {
		d.kept = true
		keep = func(rows arrow.Record) error {
			if d.kept = d.kept && !b.kept.Full(); !d.kept {
				return nil
			}
			rows, err := stage.ReshapeBatch(rows, b.job.Schema, d.staged.Partition, b.job.Schema)
			if err != nil {
				return err
			}
			return b.kept.Add(rows)
		}
	}
	var err error
	if d.diff, err = transform.Compare(b.job.Schema, b.staging.Rows(d.path), b.published(ctx, d), b.absent, keep); err != nil {
		return err
	}
	d.compared = true
	b.tally(d)
	return nil
}

// absent describes a prospect that has a published row and no new one for it.
func (b *builder) absent(prospect string) transform.Absence {
	e, complete := b.read.Complete[prospect]
	leaves := complete && b.job.DeleteMissing && e != read.HasRejected
	if leaves && e != read.HasEvents {
		leaves = b.waiting.RowLeaves(prospect, e == read.EmptyNow)
	}
	return transform.Absence{Complete: complete, Leaves: leaves}
}

// keeps gives the published rows of a draft that stay.
func (b *builder) keeps(ctx context.Context, d *draft) (records.Rows, error) {
	if d.kept {
		return transform.Without(b.job.Schema, b.kept.Rows(d.path), d.removed), nil
	}
	replaced, err := transform.CollectIDs(b.job.Schema, b.staging.Rows(d.path))
	return transform.Without(b.job.Schema, b.published(ctx, d), replaced, d.removed), err
}

// findMoved finds the published rows whose events are in another partition now,
// because their time or type has changed: they leave the old one. It gives the
// partitions between which they have moved.
//
// After an interrupted apply, an event may be in two partitions, the one that it
// was to leave being unfinished. Then every partition was compared, so that each
// published row that the source does not give in its place is missing somewhere.
func (b *builder) findMoved(drafts []*draft) (links map[plan.Link]bool, err error) {
	missing := make(transform.IDs)
	for _, d := range drafts {
		maps.Copy(missing, d.diff.Missing)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	cut := interrupted(drafts)
	moved := make(map[transform.ID]string) // where they are now
	for _, d := range drafts {
		if d.diff.Added == 0 && !cut {
			continue
		}
		found, err := missing.Intersect(b.job.Schema, b.staging.Rows(d.path))
		if err != nil {
			return nil, err
		}
		for id := range found {
			moved[id] = d.path
		}
	}
	if cut {
		settle(drafts, moved)
	}
	links = make(map[plan.Link]bool)
	for _, d := range drafts {
		for id := range d.diff.Missing {
			if to, ok := moved[id]; ok && to != d.path {
				if d.removed == nil {
					d.removed = make(transform.IDs)
				}
				d.removed[id] = struct{}{}
				links[plan.Link{From: d.path, To: to}] = true
			}
		}
		d.diff.Missing = nil
	}
	return links, nil
}

// settle decides where an event stays that is in two partitions, and that the
// source gives in neither: where an apply was finished, rather than where it was
// to be taken away.
func settle(drafts []*draft, moved map[transform.ID]string) {
	in := make(map[transform.ID]string)
	for _, unfinished := range []bool{false, true} {
		for _, d := range drafts {
			if d.unfinished != unfinished {
				continue
			}
			for id := range d.diff.Missing {
				if _, known := moved[id]; known {
					continue
				}
				if first, twice := in[id]; twice {
					moved[id] = first
				} else {
					in[id] = d.path
				}
			}
		}
	}
}

// outcome makes the partition's files, when any sink needs them, and has the
// second reader prove each.
func (b *builder) outcome(ctx context.Context, d *draft, number int) (plan.Outcome, error) {
	o := plan.Outcome{
		Partition: d.path, Rows: d.rows(), Content: d.old.Content, SchemaFingerprint: b.schema,
		Replace: b.replace.has(d.path), Step: b.steps[d.path], SourceSubset: d.given(d.old.Content),
	}
	if o.Rows.After == 0 {
		return o, nil
	}
	unchanged := o.Rows.Added+o.Rows.Changed+o.Rows.Removed == 0
	if unchanged && !o.Replace && !slices.ContainsFunc(b.sinks(), func(sink string) bool {
		return plan.Needs(&b.prior[sink].Sink, o)
	}) {
		return o, nil
	}
	rows := b.staging.Rows(d.path)
	if d.in != "" {
		kept, err := b.keeps(ctx, d)
		if err != nil {
			return o, err
		}
		rows = stage.Merge(b.job.Schema, rows, kept)
	}
	options := parquetfile.Options{Job: b.job.TableName, CreatedBy: jobs.CreatedBy(), Compression: string(b.job.Compression), TargetSize: b.job.TargetFileSize}
	w, err := b.session.write(ctx, filepath.Join(b.dir, fmt.Sprintf("%05d", number)), d.path, b.job.Schema, options, rows)
	if err == nil && (w.rows != o.Rows.After || unchanged && w.content != d.old.Content) {
		err = fmt.Errorf("%d rows were to be written, but %d were; nothing was published, and this is a bug of prospector", o.Rows.After, w.rows)
	}
	if err != nil {
		return o, fmt.Errorf("%s, partition %s: %w", b.job.Address, d.path, err)
	}
	o.Content, o.Staged, o.SourceSubset = w.content, w.staged(b.schema), d.given(w.content)
	return o, nil
}

// written are the files of a partition, and what they have together.
type written struct {
	files   []sink.File
	rows    int64
	content schemas.Digest
}

// write makes the files of a partition, and has the second reader prove each.
func (s *Session) write(ctx context.Context, stem, path string, table schemas.Table, o parquetfile.Options, rows records.Rows) (w written, err error) {
	partition, err := sink.ParsePartition(table, path)
	if err != nil {
		return w, err
	}
	if w.files, err = parquetfile.Write(ctx, stem, table, o, rows); err != nil {
		return w, err
	}
	for _, f := range w.files {
		if err := s.prove(ctx, table, partition, f); err != nil {
			return w, err
		}
		w.rows, w.content = w.rows+f.Summary.Rows, w.content.Add(f.Summary.Content)
	}
	return w, nil
}

// staged are the files, which are of the table with that fingerprint.
func (w written) staged(schema string) (files []*plan.Staged) {
	for _, f := range w.files {
		files = append(files, &plan.Staged{
			Path: f.Path, SchemaFingerprint: schema, Rows: f.Summary.Rows, Content: f.Summary.Content, Size: f.Size, CRC32C: f.CRC32C,
			Days: &state.Days{First: f.FirstDay, Last: f.LastDay},
		})
	}
	return files
}

// prove has a Parquet reader that shares no code with the writer read the file.
func (s *Session) prove(ctx context.Context, table schemas.Table, partition sink.Partition, file sink.File) error {
	f, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.verify(ctx, f, file.Size, table, partition, file.Summary); err != nil {
		return s.reject(file, err)
	}
	return nil
}

// published are a partition's published rows.
func (b *builder) published(ctx context.Context, d *draft) records.Rows {
	if d.from != nil {
		return d.from.Rows(d.path)
	}
	return readPublished(ctx, b.session.stores[d.in], d.old.Files, b.job.Schema, b.dir)
}

// largeRow is the size in bytes of a row from which its partition is worked on
// alone: the row is in memory several times, as a row, a page and a compressed page.
const largeRow = 4 << 20

// hasLargeRows reports whether the partition has a row of largeRow or more. Of
// published files, only the average is known.
func (d *draft) hasLargeRows() bool {
	return max(d.staged.LargestRow, d.largest) >= largeRow ||
		slices.ContainsFunc(d.old.Files, func(f state.File) bool { return f.Size >= largeRow && f.Size/max(1, f.Rows) >= largeRow/16 })
}

// each calls f for every draft, for several at once. A draft with large rows is
// the only one while f works on it.
func (b *builder) each(ctx context.Context, drafts []*draft, f func(context.Context, *draft) error) error {
	width := b.session.width()
	room := semaphore.NewWeighted(int64(width))
	return parallel.Each(ctx, width, drafts, func(ctx context.Context, d *draft) error {
		takes := int64(1)
		if d.hasLargeRows() {
			takes = int64(width)
		}
		if err := room.Acquire(ctx, takes); err != nil {
			return context.Cause(ctx)
		}
		defer room.Release(takes)
		return f(ctx, d)
	})
}

// width is how many partitions are worked on at once: one a core, as far as the
// memory goes, since each has a row group in the making.
func (s *Session) width() int {
	const each = 96 << 20
	return max(1, min(runtime.GOMAXPROCS(0), int(s.memoryLimit()/each)))
}
