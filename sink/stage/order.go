package stage

import (
	"slices"

	"prospector/schemas"
	"prospector/schemas/records"
)

// order says by which columns of a table's files rows are ordered.
type order struct{ time, created, prospect, id int }

func orderOf(table schemas.Table) order {
	named := func(name string) int {
		return slices.IndexFunc(table.Columns, func(c schemas.Column) bool { return c.Name == name })
	}
	return order{named("event_time"), named("created_at"), named("prospect_id"), named("event_id")}
}

// micros is the time that orders a row first.
func (o order) micros(row []records.Column, i int) int64 {
	if row[o.time].IsValid(i) {
		return row[o.time].Word(i)
	}
	return row[o.created].Word(i)
}
