package transform

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Conform converts published rows to another table. The rows have the columns
// from.RowColumns(), and the results to.RowColumns(): the same rows in the same order,
// from the same events, with the same IDs, prospects and days.
//
// The result is the row that the other table would have for the event. A new column is
// filled from extra_json. The value of a removed column moves to extra_json. A column with
// another type follows the rules of docs/schemas.md. Values that the other table does not
// expect are kept, because they are already published. Fields that it discards are
// discarded. A row that conforms stays unchanged.
//
// If neither table protects a value, or both protect it in the same way, it stays unchanged.
// If only the other table protects it, it becomes protected. If the other table redacts or
// drops it, it is redacted or dropped. Any other protected value is removed from its column
// and from extra_json, because its original is unknown.
//
// Each batch becomes one batch in Go's memory. An error names the event.
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
	text   []byte // of the current event
	parsed document
	// The columns of the published table whose values are not fields of the event.
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
			return nil, fmt.Errorf("converting the published event %s to the declared table: %w", ids.Value(row), err)
		}
		c.to.append([]byte(prospects.Value(row)), int32(days.Value(row)))
		c.to.batch[c.to.idAt].appendString([]byte(ids.Value(row)))
	}
	out := c.to.record()
	c.to.startBatch()
	return out, nil
}

func (c *conformer) flatten(event rebuiltObject) error {
	c.text = event.appendTo(c.text[:0])
	v, err := c.parsed.parse(c.text, math.MaxInt)
	if err == nil {
		_, err = c.to.flatten(v)
	}
	return err
}
