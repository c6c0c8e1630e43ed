package verify

import (
	"fmt"

	"prospector/schemas"
)

// order checks the values of each row against each other and against the previous row.
// A row has a time, and the UTC day of that time. Rows ascend strictly by time (or the
// time of creation, if the time is NULL), entity and ID, so no row is in the file twice.
type order struct {
	roles                     schemas.Roles
	time, created, entity, id *kept
	day                       *kept // nil if the day is not a column of the file

	rows             int64
	last             rowKey
	days             map[int32]int64
	minTime, maxTime int64 // of the times that are not NULL
	timed            bool  // a row has such a time

	timeless, wrongDay int64
	unordered          int64 // the first row, from 1, whose successor is not greater; 0 if there is none
}

type rowKey struct {
	time       int64
	entity, id string
}

// newOrder makes the columns that it needs keep their values. A column that the
// table does not have counts as NULL.
func newOrder(columns []*column, table schemas.Table, rowsAtOnce int) *order {
	roles := table.Roles()
	valuesOf := func(name string) *kept {
		for _, c := range columns {
			if c.name == name {
				if c.kept == nil {
					c.keep()
				}
				return c.kept
			}
		}
		return nil
	}
	o := &order{
		roles: roles, days: map[int32]int64{},
		time: valuesOf(roles.Time), created: valuesOf(roles.Created),
		entity: valuesOf(roles.Entity), id: valuesOf(roles.ID), day: valuesOf(roles.Day),
	}
	absent := newKept(rowsAtOnce)
	for _, k := range []**kept{&o.time, &o.created, &o.entity, &o.id} {
		if *k == nil {
			*k = absent
		}
	}
	return o
}

// check checks the n rows that were read last.
func (o *order) check(n int) {
	day, ofDay := int32(0), int64(0)
	for i := range n {
		o.rows++
		key := rowKey{entity: o.entity.texts[i], id: o.id.texts[i]}
		switch {
		case o.time.valid[i]:
			key.time = o.time.ints[i]
			o.see(key.time)
		case o.created.valid[i]:
			key.time = o.created.ints[i]
		default:
			o.timeless++
			continue
		}
		if o.unordered == 0 && o.rows > 1 && !o.last.less(key) {
			o.unordered = o.rows - 1
		}
		o.last = key
		if d := dayOf(key.time); d != day {
			o.count(day, ofDay)
			day, ofDay = d, 0
		}
		ofDay++
		if o.day != nil && (!o.day.valid[i] || o.day.ints[i] != int64(day)) {
			o.wrongDay++
		}
	}
	o.count(day, ofDay)
}

func (o *order) count(day int32, rows int64) {
	if rows > 0 {
		o.days[day] += rows
	}
}

func (o *order) see(time int64) {
	if !o.timed {
		o.minTime, o.maxTime, o.timed = time, time, true
	}
	o.minTime, o.maxTime = min(o.minTime, time), max(o.maxTime, time)
}

func (k rowKey) less(other rowKey) bool {
	if k.time != other.time {
		return k.time < other.time
	}
	if k.entity != other.entity {
		return k.entity < other.entity
	}
	return k.id < other.id
}

// dayOf returns the UTC day of a time in microseconds, rounded down even before 1970.
func dayOf(micros int64) int32 {
	const day = 24 * 60 * 60 * 1_000_000
	d := micros / day
	if micros%day < 0 {
		d--
	}
	return int32(d)
}

func (o *order) faults() (wrong []Finding) {
	if o.timeless > 0 {
		wrong = append(wrong, Finding{Expected: "a time in every row", Found: count(o.timeless, "row") + " without a time"})
	}
	if o.wrongDay > 0 {
		wrong = append(wrong, Finding{Expected: "the day of its time in every row", Found: count(o.wrongDay, "row") + " with another day"})
	}
	if o.unordered > 0 {
		wrong = append(wrong, Finding{
			Expected: fmt.Sprintf("rows in ascending order of %s, %s and %s, without duplicates", o.roles.Time, o.roles.Entity, o.roles.ID),
			Found:    fmt.Sprintf("rows %d and %d out of order or equal", o.unordered, o.unordered+1),
		})
	}
	return wrong
}
