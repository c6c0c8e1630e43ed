package transform

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

// maxTies is the number of events with the same prospect, type and time that Coherent
// distinguishes.
const maxTies = 256

// Coherent returns a function that reports whether a row of a damaged file passes every
// possible check: holdsDay accepts its day, its texts are Unicode or JSON, and its event_id
// belongs to its prospect, type and time. Batches have the columns of Table.RowColumns. The
// other values of a coherent row may still be damaged.
func Coherent(table schemas.Table, holdsDay func(day int32) bool) func(batch arrow.Record, row int) bool {
	c := newCoherence(table)
	return func(batch arrow.Record, row int) bool { return c.holds(batch, row, holdsDay) }
}

// coherence has the indices of the columns that depend on one another.
type coherence struct {
	columns                                          []schemas.Column
	id, prospect, eventType, date, created, happened int
	checkID                                          bool
	ids                                              identities
}

func newCoherence(table schemas.Table) *coherence {
	columns := table.RowColumns()
	protected := false
	at := func(name string) int {
		i := schemas.IndexOf(columns, name)
		protected = protected || i >= 0 && columns[i].Policy != ""
		return i
	}
	roles := table.Roles()
	c := &coherence{
		columns: columns,
		id:      at(roles.ID), prospect: at(roles.Entity), eventType: at(roles.Type), date: at(roles.Day),
		created: at(roles.Created), happened: at(roles.Time),
	}
	// An ID is computed from the values before a policy changes them.
	c.checkID = !protected
	return c
}

func (c *coherence) holds(batch arrow.Record, row int, holdsDay func(int32) bool) bool {
	happened := batch.Column(c.happened).(*array.Timestamp)
	created := happened // if the table has no creation times
	if c.created >= 0 {
		created = batch.Column(c.created).(*array.Timestamp)
	}
	if created.IsNull(row) && happened.IsNull(row) {
		return false
	}
	recorded, time := int64(created.Value(row)), int64(happened.Value(row))
	if created.IsNull(row) {
		recorded = time
	}
	if happened.IsNull(row) {
		time = recorded
	}
	day := time / microsPerDay
	if time%microsPerDay < 0 {
		day--
	}
	if int64(int32(day)) != day || !holdsDay(int32(day)) {
		return false
	}
	if c.date >= 0 && batch.Column(c.date).(*array.Date32).Value(row) != arrow.Date32(day) {
		return false
	}
	return c.readable(batch, row) && (!c.checkID || c.identified(batch, row, recorded))
}

// readable reports whether every text is Unicode or JSON, as its column requires.
func (c *coherence) readable(batch arrow.Record, row int) bool {
	for i, column := range c.columns {
		if !column.Type.IsText() || batch.Column(i).IsNull(row) {
			continue
		}
		text := batch.Column(i).(*array.String).Value(row)
		if !utf8.ValidString(text) || column.Type == schemas.JSON && !json.Valid([]byte(text)) {
			return false
		}
	}
	return true
}

// identified reports whether the ID of a row belongs to its prospect, type and time.
func (c *coherence) identified(batch arrow.Record, row int, recorded int64) bool {
	text := func(at int) string {
		if at < 0 { // the type, if rows have no types
			return ""
		}
		return batch.Column(at).(*array.String).Value(row)
	}
	id, err := base64.RawURLEncoding.DecodeString(text(c.id))
	if err != nil || len(id) != len(key{}) {
		return false
	}
	k := c.ids.keyOf(text(c.prospect), []byte(text(c.eventType)), recorded)
	for n := range maxTies {
		if k.numbered(n) == key(id) {
			return true
		}
	}
	return false
}
