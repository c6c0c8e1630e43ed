package transform

import (
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// The rule of merging: a new row replaces the published row with the same
// event_id, in whatever partition that is. Nothing else leaves the lake, unless
// the job asks for it: then a published row leaves when its prospect was read
// completely without it. A prospect that was not read completely keeps all of its
// published rows.

// Rows is a stream of record batches that begin with the columns of a table's
// files. The first error ends it.
type Rows = iter.Seq2[arrow.Record, error]

// ID stands for an event_id in sets of them: a 128-bit hash takes less room than
// the text.
type ID schemas.Digest

// IDs is a set of event ids.
type IDs map[ID]struct{}

// Diff counts what new rows change in a partition.
type Diff struct {
	Added     int64 // new rows whose id is not published in the partition
	Changed   int64 // new rows that replace a published row of other content
	Unchanged int64 // new rows that are published as they are
	// AddedDays are the identity days (records.IdentityDays) of the new rows
	// whose id is not published in the partition: if one of them has come from
	// another partition, its row there has that day.
	AddedDays Days
	// Missing are the published rows that no new row of the partition replaces.
	// They stay, unless their event is now in another partition, or in Gone.
	Missing IDs
	// Gone are the missing rows that leave the lake.
	Gone IDs
	// Types counts by event type. Its only key is "" when the partition's path
	// names the type.
	Types map[string]*TypeDiff
}

// Absence describes a prospect that has a published row and no new one for it.
type Absence struct {
	Complete bool // the prospect was read completely
	Leaves   bool // its published rows without a new one leave the lake
}

// Days is a set of days since 1970-01-01.
type Days map[int32]struct{}

// CollectDays reads the identity days of rows.
func CollectDays(table schemas.Table, rows Rows) (Days, error) {
	days := make(Days)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, day := range records.IdentityDays(table, batch) {
			days[day] = struct{}{}
		}
	}
	return days, nil
}

// Compare says what the new rows of a partition change in its published rows.
// absent describes the prospect of a missing row; it may be nil. Compare gives keep
// the Missing rows, in their order, unless keep is nil. Compare holds the ids of the
// new rows in memory, some 80 bytes each.
func Compare(table schemas.Table, incoming, published Rows, absent func(prospect string) Absence, keep func(arrow.Record) error) (Diff, error) {
	type row struct {
		content   schemas.Digest
		day       int32
		published bool
	}
	fresh := make(map[ID]row)
	types := newTypeTally(table)
	for batch, err := range incoming {
		if err != nil {
			return Diff{}, err
		}
		contents, days := records.Digests(table.Columns, batch), records.IdentityDays(table, batch)
		for i, id := range RowIDs(table, batch) {
			if _, twice := fresh[id]; twice {
				return Diff{}, fmt.Errorf("two new rows have the same event_id: this is a bug of prospector")
			}
			fresh[id] = row{content: contents[i], day: days[i]}
		}
		types.fill(batch, func(t *TypeDiff) *Filled { return &t.Incoming })
	}
	d := Diff{Missing: make(IDs), Gone: make(IDs), AddedDays: make(Days), Types: types.byType}
	at := prospectAt(table)
	for batch, err := range published {
		if err != nil {
			return d, err
		}
		contents, ids := records.Digests(table.Columns, batch), RowIDs(table, batch)
		prospects, typeOf, missing := batch.Column(at).(*array.String), types.of(batch), make([]bool, len(ids))
		for i, id := range ids {
			now, replaced := fresh[id]
			switch {
			case !replaced:
				d.Missing[id], missing[i] = struct{}{}, true
				if absent == nil {
					continue
				}
				a := absent(prospects.Value(i))
				if a.Complete {
					typeOf(i).Absent++
				}
				if a.Leaves {
					d.Gone[id] = struct{}{}
				}
				continue
			case now.content == contents[i]:
				d.Unchanged++
			default:
				d.Changed++
			}
			now.published = true
			fresh[id] = now
		}
		for returned := range without(batch, func(row int) bool { return missing[row] }) {
			types.fill(returned, func(t *TypeDiff) *Filled { return &t.Returned })
		}
		if keep == nil {
			continue
		}
		for kept := range without(batch, func(row int) bool { return !missing[row] }) {
			if err := keep(kept); err != nil {
				return d, err
			}
		}
	}
	for _, r := range fresh {
		if !r.published {
			d.Added++
			d.AddedDays[r.day] = struct{}{}
		}
	}
	return d, nil
}

// CollectIDs reads the ids of rows.
func CollectIDs(table schemas.Table, rows Rows) (IDs, error) {
	ids := make(IDs)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, id := range RowIDs(table, batch) {
			ids[id] = struct{}{}
		}
	}
	return ids, nil
}

// Intersect gives the members of s that are among the rows.
func (s IDs) Intersect(table schemas.Table, rows Rows) (IDs, error) {
	both := make(IDs)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, id := range RowIDs(table, batch) {
			if _, ok := s[id]; ok {
				both[id] = struct{}{}
			}
		}
	}
	return both, nil
}

// Without gives the rows whose ids are in none of the sets, in the same order.
func Without(table schemas.Table, rows Rows, sets ...IDs) Rows {
	return filter(rows, func(batch arrow.Record) func(row int) bool {
		ids := RowIDs(table, batch)
		return func(row int) bool {
			return slices.ContainsFunc(sets, func(s IDs) bool { _, ok := s[ids[row]]; return ok })
		}
	})
}

// WithoutProspect gives the rows of all other prospects, in the same order.
func WithoutProspect(table schemas.Table, rows Rows, prospect string) Rows {
	at := prospectAt(table)
	return filter(rows, func(batch arrow.Record) func(row int) bool {
		prospects := batch.Column(at).(*array.String)
		return func(row int) bool { return prospects.Value(row) == prospect }
	})
}

// filter leaves out the rows that drop, made for their batch, says.
func filter(rows Rows, drop func(arrow.Record) func(row int) bool) Rows {
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			for left := range without(batch, drop(batch)) {
				if !yield(left, nil) {
					return
				}
			}
		}
	}
}

// without gives the stretches of a batch that have none of the rows to drop.
func without(batch arrow.Record, drop func(row int) bool) iter.Seq[arrow.Record] {
	return func(yield func(arrow.Record) bool) {
		for from, n := 0, int(batch.NumRows()); from < n; {
			if drop(from) {
				from++
				continue
			}
			to := from + 1
			for to < n && !drop(to) {
				to++
			}
			if !yield(batch.NewSlice(int64(from), int64(to))) {
				return
			}
			from = to
		}
	}
}

func prospectAt(table schemas.Table) int {
	return schemas.IndexOf(table.Columns, table.Roles().Entity)
}

// RowIDs are the ids of a batch of rows.
func RowIDs(table schemas.Table, batch arrow.Record) []ID {
	at := schemas.IndexOf(table.Columns, table.Roles().ID)
	h := schemas.HashValuesOf(table.Columns[at].Name)
	column := batch.Column(at).(*array.String)
	ids := make([]ID, column.Len())
	for i := range ids {
		ids[i] = ID(h.String(column.Value(i)))
	}
	return ids
}
