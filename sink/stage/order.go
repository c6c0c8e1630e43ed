package stage

import (
	"prospector/schemas"
	"prospector/schemas/records"
)

// order has the indexes of the columns that order the rows of a table's files.
type order struct{ time, created, entity, id int }

func orderOf(table schemas.Table) order {
	roles := table.Roles()
	o := order{
		time:   schemas.IndexOf(table.Columns, roles.Time),
		entity: schemas.IndexOf(table.Columns, roles.Entity),
		id:     schemas.IndexOf(table.Columns, roles.ID),
	}
	o.created = o.time
	if roles.Created != "" {
		o.created = schemas.IndexOf(table.Columns, roles.Created)
	}
	return o
}

// micros returns the time by which a row is ordered first.
func (o order) micros(row []records.Column, i int) int64 {
	if row[o.time].IsValid(i) {
		return row[o.time].Word(i)
	}
	return row[o.created].Word(i)
}
