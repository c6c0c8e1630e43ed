package transform

import (
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

// The rule of merging: a new row replaces the published row with the same
// event_id, in whatever partition that is, and nothing else leaves the lake. So
// a prospect that could be read in part or not at all, or an event that the
// source no longer returns, loses nothing that is published.

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
	// AddedDays are the identity days (schemas.IdentityDays) of the new rows
	// whose id is not published in the partition: if one of them has come from
	// another partition, its row there has that day.
	AddedDays Days
	// Missing are the published rows that no new row of the partition replaces.
	// They stay, unless their event is now in another partition.
	Missing IDs
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
		for _, day := range schemas.IdentityDays(table.Columns, batch) {
			days[day] = struct{}{}
		}
	}
	return days, nil
}

// Compare says what the new rows of a partition change in its published rows.
// It holds the ids of the new rows in memory, some 80 bytes each.
func Compare(table schemas.Table, incoming, published Rows) (Diff, error) {
	type row struct {
		content   schemas.Digest
		day       int32
		published bool
	}
	fresh := make(map[ID]row)
	err := eachRow(table, incoming, func(id ID, content schemas.Digest, day int32) error {
		if _, twice := fresh[id]; twice {
			return fmt.Errorf("two new rows have the same event_id: this is a bug of prospector")
		}
		fresh[id] = row{content: content, day: day}
		return nil
	})
	if err != nil {
		return Diff{}, err
	}
	d := Diff{Missing: make(IDs), AddedDays: make(Days)}
	err = eachRow(table, published, func(id ID, content schemas.Digest, _ int32) error {
		now, replaced := fresh[id]
		if !replaced {
			d.Missing[id] = struct{}{}
			return nil
		}
		if now.content == content {
			d.Unchanged++
		} else {
			d.Changed++
		}
		now.published = true
		fresh[id] = now
		return nil
	})
	for _, r := range fresh {
		if !r.published {
			d.Added++
			d.AddedDays[r.day] = struct{}{}
		}
	}
	return d, err
}

func eachRow(table schemas.Table, rows Rows, visit func(ID, schemas.Digest, int32) error) error {
	for batch, err := range rows {
		if err != nil {
			return err
		}
		contents, days := schemas.RowDigests(table.Columns, batch), schemas.IdentityDays(table.Columns, batch)
		for i, id := range batchIDs(table, batch) {
			if err := visit(id, contents[i], days[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// CollectIDs reads the ids of rows.
func CollectIDs(table schemas.Table, rows Rows) (IDs, error) {
	ids := make(IDs)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, id := range batchIDs(table, batch) {
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
		for _, id := range batchIDs(table, batch) {
			if _, ok := s[id]; ok {
				both[id] = struct{}{}
			}
		}
	}
	return both, nil
}

// Without gives the rows whose ids are in none of the sets, in the same order.
func Without(table schemas.Table, rows Rows, sets ...IDs) Rows {
	drop := func(id ID) bool {
		return slices.ContainsFunc(sets, func(s IDs) bool { _, ok := s[id]; return ok })
	}
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			ids := batchIDs(table, batch)
			for from := 0; from < len(ids); {
				if drop(ids[from]) {
					from++
					continue
				}
				to := from + 1
				for to < len(ids) && !drop(ids[to]) {
					to++
				}
				if !yield(batch.NewSlice(int64(from), int64(to)), nil) {
					return
				}
				from = to
			}
		}
	}
}

func batchIDs(table schemas.Table, batch arrow.Record) []ID {
	at := slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Value == schemas.Identity })
	h := schemas.HashValuesOf(table.Columns[at].Name)
	column := batch.Column(at).(*array.String)
	ids := make([]ID, column.Len())
	for i := range ids {
		ids[i] = ID(h.String(column.Value(i)))
	}
	return ids
}
