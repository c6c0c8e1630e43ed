package reconcile

import (
	"errors"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Diff counts what new rows change in a partition.
type Diff struct {
	Added     int64 // new rows whose ID is not published in the partition
	Changed   int64 // new rows that replace a published row with other content
	Unchanged int64 // new rows that are published already
	// AddedDays are the identity days (records.IdentityDays) of the added rows. If
	// one of them has come from another partition, its row there has the same day.
	AddedDays Days
	// Missing are the published rows that no new row of the partition replaces.
	// They stay, unless their event is in another partition now, or in Gone.
	Missing IDs
	// Gone are the missing rows that leave the table.
	Gone IDs
	// Types counts by event type. Its only key is "" if the path of the partition
	// names the type.
	Types map[string]*TypeDiff
}

// Absence describes a prospect that has a published row without a new one.
type Absence struct {
	Complete bool // the prospect was read completely
	Leaves   bool // the row leaves the table
}

// Days is a set of days since 1970-01-01.
type Days map[int32]struct{}

// CollectDays returns the identity days of rows.
func CollectDays(table schemas.Table, rows records.Rows) (Days, error) {
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

// Compare compares the new rows of a partition with its published rows. absence
// describes the prospect of a missing row; it may be nil. Compare passes the missing
// rows to keep, in their order, unless keep is nil.
func Compare(table schemas.Table, incoming, published records.Rows, absence func(prospect string) Absence, keep func(arrow.Record) error) (Diff, error) {
	c := newComparison(table, absence)
	if err := c.readNew(incoming); err != nil {
		return Diff{}, err
	}
	for batch, err := range published {
		if err != nil {
			return c.diff, err
		}
		missing := c.compareBatch(batch)
		if keep == nil {
			continue
		}
		for kept := range slicesWithout(batch, func(row int) bool { return !missing[row] }) {
			if err := keep(kept); err != nil {
				return c.diff, err
			}
		}
	}
	for _, r := range c.fresh {
		if !r.published {
			c.diff.Added++
			c.diff.AddedDays[r.day] = struct{}{}
		}
	}
	return c.diff, nil
}

// comparison is one Compare. It has the new rows in memory, some 80 bytes each.
type comparison struct {
	table   schemas.Table
	absence func(prospect string) Absence
	fresh   map[ID]freshRow
	types   *typeTally
	diff    Diff
}

// freshRow is a new row.
type freshRow struct {
	content   schemas.Digest
	day       int32
	published bool
}

func newComparison(table schemas.Table, absence func(prospect string) Absence) *comparison {
	types := newTypeTally(table)
	return &comparison{
		table: table, absence: absence, fresh: make(map[ID]freshRow), types: types,
		diff: Diff{Missing: make(IDs), Gone: make(IDs), AddedDays: make(Days), Types: types.byType},
	}
}

var errDuplicateID = errors.New("two new rows have the same event_id: this is a bug in prospector; please report it")

func (c *comparison) readNew(rows records.Rows) error {
	for batch, err := range rows {
		if err != nil {
			return err
		}
		contents, days := records.Digests(c.table.Columns, batch), records.IdentityDays(c.table, batch)
		for i, id := range rowIDs(c.table, batch) {
			if _, twice := c.fresh[id]; twice {
				return errDuplicateID
			}
			c.fresh[id] = freshRow{content: contents[i], day: days[i]}
		}
		c.types.fill(batch, incomingOf)
	}
	return nil
}

// compareBatch compares published rows with the new ones, and reports which of them
// are missing.
func (c *comparison) compareBatch(batch arrow.Record) (missing []bool) {
	contents, ids := records.Digests(c.table.Columns, batch), rowIDs(c.table, batch)
	prospects := batch.Column(schemas.IndexOf(c.table.Columns, c.table.Roles().Entity)).(*array.String)
	typeOf := c.types.of(batch)
	missing = make([]bool, len(ids))
	for i, id := range ids {
		row, replaced := c.fresh[id]
		if !replaced {
			missing[i] = true
			if c.addMissing(id, prospects.Value(i)) {
				typeOf(i).Absent++
			}
			continue
		}
		if row.content == contents[i] {
			c.diff.Unchanged++
		} else {
			c.diff.Changed++
		}
		row.published = true
		c.fresh[id] = row
	}
	for returned := range slicesWithout(batch, func(row int) bool { return missing[row] }) {
		c.types.fill(returned, returnedOf)
	}
	return missing
}

// addMissing adds a published row without a new one, and reports whether its
// prospect was read completely.
func (c *comparison) addMissing(id ID, prospect string) bool {
	c.diff.Missing[id] = struct{}{}
	if c.absence == nil {
		return false
	}
	a := c.absence(prospect)
	if a.Leaves {
		c.diff.Gone[id] = struct{}{}
	}
	return a.Complete
}
