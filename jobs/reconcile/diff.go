package reconcile

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/internal/bug"
	"prospector/internal/spill"
	"prospector/schemas"
	"prospector/schemas/records"
)

// diff counts what the new rows of a partition change.
type diff struct {
	added     int64 // new rows whose ID is not published in the partition
	changed   int64 // new rows that replace a published row with other content
	unchanged int64 // new rows that are published already
	// addedDays are the identity days (records.IdentityDays) of the added rows. An
	// event that moves to another partition keeps its identity day.
	addedDays daySet
	// types counts by event type. Its only key is "" if the path of the partition
	// names the type.
	types map[string]*typeDiff
}

// absence describes the prospect of a missing row.
type absence struct {
	complete bool // the prospect was read completely
	leaves   bool // the row leaves the table
}

// daySet is a set of days since 1970-01-01.
type daySet map[int32]struct{}

// collectDays returns the identity days of rows.
func collectDays(table schemas.Table, rows records.Rows) (daySet, error) {
	found := make(daySet)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, day := range records.IdentityDays(table, batch) {
			found[day] = struct{}{}
		}
	}
	return found, nil
}

// comparison compares the new rows of a partition with its published rows. A
// published row that no new row replaces is missing.
type comparison struct {
	table schemas.Table
	ids   *idMemory
	// absence describes the prospect of a missing row. It may be nil.
	absence func(prospect string) absence
	// missing receives the IDs of missing rows, and whether each leaves the table.
	missing func(ids []id, leaves []bool) error
	// keep receives the missing rows, in their order. It may be nil.
	keep func(arrow.Record) error

	types  *typeTally
	result diff
}

// freshBytes is the approximate memory that the ID and the digest of a new row take.
const freshBytes = 80

// run compares count new rows with the published rows.
func (c *comparison) run(ctx context.Context, count int64, incoming, published records.Rows) (diff, error) {
	c.types = newTypeTally(c.table)
	c.result = diff{addedDays: make(daySet), types: c.types.byType}
	fits, release, err := c.ids.reserve(ctx, count*freshBytes)
	if err != nil {
		return diff{}, err
	}
	defer release()
	if fits {
		err = c.compareInMemory(incoming, published)
	} else {
		err = c.compareOnDisk(incoming, published)
	}
	return c.result, err
}

// freshRow is a new row.
type freshRow struct {
	content   schemas.Digest
	day       int32
	published bool
}

var errDuplicateID = fmt.Errorf("two new rows have the same event_id: %w", bug.ErrInternal)

// compareInMemory compares rows when the IDs of the new ones fit in memory.
func (c *comparison) compareInMemory(incoming, published records.Rows) error {
	fresh := make(map[id]freshRow)
	err := c.eachFresh(incoming, func(i id, row freshRow) error {
		if _, twice := fresh[i]; twice {
			return errDuplicateID
		}
		fresh[i] = row
		return nil
	})
	if err != nil {
		return err
	}
	for batch, err := range published {
		if err != nil {
			return err
		}
		contents, ids := records.Digests(c.table.Columns, batch), rowIDs(c.table, batch)
		missing := make([]bool, len(ids))
		for row, i := range ids {
			now, replaced := fresh[i]
			if missing[row] = !replaced; !replaced {
				continue
			}
			c.countReplaced(now.content == contents[row])
			now.published = true
			fresh[i] = now
		}
		if err := c.report(batch, ids, missing); err != nil {
			return err
		}
	}
	for _, row := range fresh {
		if !row.published {
			c.countAdded(row.day)
		}
	}
	return nil
}

// compareOnDisk compares rows when the IDs do not fit in memory. It sorts the IDs on
// disk, and reads the published rows twice: first to find the missing ones, then to
// report them.
func (c *comparison) compareOnDisk(incoming, published records.Rows) (err error) {
	fresh, shown := c.ids.newMap(), c.ids.newMap()
	defer closeMaps(&err, fresh, shown)
	count := 0
	err = c.eachFresh(incoming, func(i id, row freshRow) error {
		count++
		_, err := fresh.Put(i.key(), row.encode())
		return err
	})
	if err != nil {
		return err
	}
	next := 0
	for batch, err := range published {
		if err != nil {
			return err
		}
		contents := records.Digests(c.table.Columns, batch)
		for row, i := range rowIDs(c.table, batch) {
			if _, err := shown.Put(i.numberedKey(next), freshRow{content: contents[row]}.encode()); err != nil {
				return err
			}
			next++
		}
	}
	missing, err := c.join(fresh, shown, count)
	if err != nil {
		return err
	}
	next = 0
	for batch, err := range published {
		if err != nil {
			return err
		}
		ids := rowIDs(c.table, batch)
		of := make([]bool, len(ids))
		for row := range of {
			of[row] = missing.has(next + row)
		}
		next += len(of)
		if err := c.report(batch, ids, of); err != nil {
			return err
		}
	}
	return nil
}

// join compares count new rows with published rows. It returns the numbers of the
// missing rows.
func (c *comparison) join(fresh, published *spill.Map, count int) (missing bitmap, err error) {
	err = joinByID(fresh.All(), published.All(), func(fresh, published []spill.Entry) error {
		if len(fresh) == 0 {
			for _, row := range published {
				missing.set(keyNumber(row.Key))
			}
			return nil
		}
		count--
		now := decodeFresh(fresh[0].Value)
		for _, row := range published {
			c.countReplaced(now.content == decodeFresh(row.Value).content)
		}
		if len(published) == 0 {
			c.countAdded(now.day)
		}
		return nil
	})
	if err == nil && count != 0 {
		err = errDuplicateID
	}
	return missing, err
}

func (r freshRow) encode() []byte {
	b := id(r.content).appendKey(make([]byte, 0, idLen+4))
	return binary.BigEndian.AppendUint32(b, uint32(r.day))
}

func decodeFresh(b []byte) freshRow {
	return freshRow{content: schemas.Digest(parseID(string(b))), day: int32(binary.BigEndian.Uint32(b[idLen:]))}
}

// eachFresh visits the new rows, and counts their values.
func (c *comparison) eachFresh(rows records.Rows, visit func(id, freshRow) error) error {
	for batch, err := range rows {
		if err != nil {
			return err
		}
		contents, days := records.Digests(c.table.Columns, batch), records.IdentityDays(c.table, batch)
		for row, i := range rowIDs(c.table, batch) {
			if err := visit(i, freshRow{content: contents[row], day: days[row]}); err != nil {
				return err
			}
		}
		c.types.fill(batch, incomingOf)
	}
	return nil
}

func (c *comparison) countReplaced(unchanged bool) {
	if unchanged {
		c.result.unchanged++
	} else {
		c.result.changed++
	}
}

func (c *comparison) countAdded(day int32) {
	c.result.added++
	c.result.addedDays[day] = struct{}{}
}

// report reports the missing rows of a batch, and counts the values of the others.
func (c *comparison) report(batch arrow.Record, ids []id, missing []bool) error {
	for returned := range slicesWithout(batch, func(row int) bool { return missing[row] }) {
		c.types.fill(returned, returnedOf)
	}
	if err := c.reportIDs(batch, ids, missing); err != nil || c.keep == nil {
		return err
	}
	for kept := range slicesWithout(batch, func(row int) bool { return !missing[row] }) {
		if err := c.keep(kept); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) reportIDs(batch arrow.Record, ids []id, missing []bool) error {
	prospects := batch.Column(schemas.IndexOf(c.table.Columns, c.table.Roles().Entity)).(*array.String)
	typeOf := c.types.of(batch)
	var found []id
	var leaves []bool
	for row, i := range ids {
		if !missing[row] {
			continue
		}
		var a absence
		if c.absence != nil {
			a = c.absence(prospects.Value(row))
		}
		if a.complete {
			typeOf(row).absent++
		}
		found, leaves = append(found, i), append(leaves, a.leaves)
	}
	if len(found) == 0 {
		return nil
	}
	return c.missing(found, leaves)
}
