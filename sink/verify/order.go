package verify

import (
	"fmt"

	"prospector/schemas"
)

const (
	timeColumn     = "event_time"
	createdColumn  = "created_at"
	prospectColumn = "prospect_id"
	eventColumn    = "event_id"
)

// order checks what each row says across its columns: which day it belongs to,
// and that rows ascend strictly by (event_time or else created_at, prospect_id,
// event_id). That also proves that no event is in the file twice at one time.
type order struct {
	time, created, prospect, event *kept
	day                            *kept // nil unless the day is a column of the file

	rows             int64
	last             rowKey
	days             map[int32]int64
	minTime, maxTime int64 // of event_time
	timed            bool  // some row has an event_time

	timeless, wrongDay int64
	unordered          int64 // the first row, from 1, whose successor is not greater; 0 for none
}

type rowKey struct {
	time            int64
	prospect, event string
}

// newOrder makes the columns that it needs keep their values. A column that the
// table does not have counts as NULL.
func newOrder(columns []*column, table schemas.Table, rowsAtOnce int) *order {
	absent := newKept(rowsAtOnce)
	o := &order{time: absent, created: absent, prospect: absent, event: absent, days: map[int32]int64{}}
	for i, c := range columns {
		var place **kept
		switch declared := table.Columns[i]; {
		case c.name == timeColumn:
			place = &o.time
		case c.name == createdColumn:
			place = &o.created
		case c.name == prospectColumn:
			place = &o.prospect
		case c.name == eventColumn:
			place = &o.event
		case declared.Value == schemas.Day:
			place = &o.day
		default:
			continue
		}
		c.keep()
		*place = c.kept
	}
	return o
}

// check looks at the n rows that were read last.
func (o *order) check(n int) {
	day, ofDay := int32(0), int64(0)
	for i := range n {
		o.rows++
		key := rowKey{prospect: o.prospect.texts[i], event: o.event.texts[i]}
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
	if k.prospect != other.prospect {
		return k.prospect < other.prospect
	}
	return k.event < other.event
}

// dayOf is the UTC day of a time in microseconds: rounded down, before 1970 too.
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
		wrong = append(wrong, Finding{Expected: "a time in every row", Found: count(o.timeless, "row") + " without"})
	}
	if o.wrongDay > 0 {
		wrong = append(wrong, Finding{Expected: "the day of its time in every row", Found: count(o.wrongDay, "row") + " with another"})
	}
	if o.unordered > 0 {
		wrong = append(wrong, Finding{
			Expected: "rows that ascend by time, prospect and event, each event once",
			Found:    fmt.Sprintf("rows %d and %d out of order or the same event", o.unordered, o.unordered+1),
		})
	}
	return wrong
}
