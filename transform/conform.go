package transform

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Conform brings published rows into another table. Rows come with the columns
// from.RowColumns() and go out with to.RowColumns(): the same rows in the same
// order, of the same events, with the same ids, prospects and days.
//
// A row is an event, so this is what the other table would have made of it: a
// column that is new is filled from extra_json, the value of one that is gone
// goes there, and one of another type follows the rules of docs/schemas.md.
// What the other table does not expect is kept, since it is published; but fields
// that it wants dropped are dropped. A row that fits comes out as it was.
//
// A value that neither table protects, or both alike, passes. One that only the
// other table protects is protected, and anything can be redacted or dropped. Any
// other value is removed from its event, column and extra_json alike: what it was
// before it was protected is not known.
//
// Each batch becomes one batch, whose memory is Go's. An error names the event.
func Conform(rows records.Rows, from, to schemas.Table) records.Rows {
	to.UnknownType, to.Mismatch = schemas.Keep, schemas.Keep
	if to.UnknownField == schemas.Fail {
		to.UnknownField = schemas.Keep
	}
	return func(yield func(arrow.Record, error) bool) {
		c := newConformer(from, to)
		for batch, err := range rows {
			if err == nil {
				batch, err = c.conform(batch)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

type conformer struct {
	events *rebuilder
	remove []string // paths
	to     *builder
	text   []byte // of the event at hand
	parsed document
	// Where a row has, in the published table, what is no field of its event.
	idAt, prospectAt, dayAt int
}

func newConformer(from, to schemas.Table) *conformer {
	apply, remove := reprotect(from, to)
	c := &conformer{events: newRebuilder(from.RowColumns()), remove: remove, to: newBuilder(to, apply)}
	columns, roles := from.RowColumns(), from.Roles()
	c.idAt = schemas.IndexOf(columns, roles.ID)
	c.prospectAt = schemas.IndexOf(columns, roles.Entity)
	c.dayAt = schemas.IndexOf(columns, roles.Day)
	return c
}

func (c *conformer) conform(batch arrow.Record) (arrow.Record, error) {
	ids, prospects := batch.Column(c.idAt).(*array.String), batch.Column(c.prospectAt).(*array.String)
	days := batch.Column(c.dayAt).(*array.Date32)
	for row := range int(batch.NumRows()) {
		event, err := c.events.event(batch, row)
		if err == nil {
			for _, path := range c.remove {
				event.remove(path)
			}
			err = c.flatten(event)
		}
		if err != nil {
			return nil, fmt.Errorf("bringing the published event %s into the declared table: %w", ids.Value(row), err)
		}
		c.to.append([]byte(prospects.Value(row)), int32(days.Value(row)))
		c.to.batch[c.to.idAt].appendString([]byte(ids.Value(row)))
	}
	out := c.to.record()
	c.to.startBatch()
	return out, nil
}

func (c *conformer) flatten(event draft) error {
	c.text = event.appendTo(c.text[:0])
	v, err := c.parsed.parse(c.text, math.MaxInt)
	if err == nil {
		_, err = c.to.flatten(v)
	}
	return err
}
