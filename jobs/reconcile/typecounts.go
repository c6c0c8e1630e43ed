package reconcile

import (
	"cmp"
	"slices"
	"sync"

	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink"
)

// typeCounts counts, by event type, what the comparison found.
type typeCounts struct {
	table schemas.Table
	// keyed says that each partition has one event type. Otherwise some counts are
	// only known for all types together; these have the type "".
	keyed bool

	mu     sync.Mutex
	byType map[string]*typeCount
}

// typeCount is what the comparison found about one or more event types.
type typeCount struct {
	returned int64 // published rows that the source returned
	absent   int64 // published rows of completely read prospects that it did not return
	rejected int64 // newly quarantined events, which may be the absent ones
	moved    int64 // published rows that are in another partition now
	last     int64 // published rows that the source returned before the last apply
	staged   int64 // new rows
	complete int64 // new rows of completely read prospects, counted up to FewEvents
	// before and after count the values of the returned rows, published and new.
	before, after valueCount
}

func newTypeCounts(table schemas.Table) *typeCounts {
	return &typeCounts{table: table, keyed: slices.Contains(table.Keys(), table.Roles().Type), byType: make(map[string]*typeCount)}
}

// eventTypeOf returns the event type of a partition, or "" if its path does not name
// it.
func (c *typeCounts) eventTypeOf(path string) string {
	p, err := sink.ParsePartition(c.table, path)
	if err != nil {
		return ""
	}
	for _, key := range p.Keys {
		if key.Column.Name == c.table.Roles().Type {
			return key.Text
		}
	}
	return ""
}

func (c *typeCounts) get(eventType string) *typeCount {
	if c.byType[eventType] == nil {
		c.byType[eventType] = new(typeCount)
	}
	return c.byType[eventType]
}

// add adds the counts of a partition that was compared.
func (c *typeCounts) add(p *partitionDiff) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for eventType, t := range p.diff.types {
		count := c.get(cmp.Or(eventType, p.eventType))
		count.returned, count.absent = count.returned+t.returned.rows, count.absent+t.absent
		count.before.add(t.returned)
		count.after.add(t.incoming)
		p.absent += t.absent
	}
	p.diff.types = nil
}

// vanished counts the published events of completely read prospects that the source
// returned before the last apply and does not return now. It subtracts the events that
// were already missing then, and those that were quarantined since.
func (c *typeCounts) vanished(of *typeCount) int64 {
	moved, last, returned := of.moved, of.last, of.returned
	if !c.keyed { // these are not known by type
		all := c.byType[""]
		moved, last, returned = all.moved, all.last, all.returned
	}
	absent, since := of.absent-moved-of.rejected, last-returned-moved-of.rejected
	if !c.keyed && 2*since < absent {
		return 0 // more than half of them were missing before
	}
	return max(0, min(absent, since))
}

// fewCount is what the comparison found about the event types with few events.
type fewCount struct {
	types []string
	typeCount
	vanished int64
}

// addUpFew adds up the counts of the types that have fewer than FewEvents published
// events each.
func (c *typeCounts) addUpFew() (few fewCount) {
	for t, count := range c.byType {
		vanished := c.vanished(count)
		if published := count.returned + vanished; t == "" && !c.keyed || published == 0 || published >= plan.FewEvents {
			continue
		}
		few.types = append(few.types, t)
		few.returned, few.absent, few.moved = few.returned+count.returned, few.absent+count.absent, few.moved+count.moved
		few.last, few.staged, few.complete = few.last+count.last, few.staged+count.staged, few.complete+count.complete
		few.rejected, few.vanished = few.rejected+count.rejected, few.vanished+vanished
		few.before.add(count.before)
		few.after.add(count.after)
	}
	if len(few.types) > 0 {
		few.vanished = min(few.vanished, c.vanished(&few.typeCount))
	}
	return few
}

// allLast counts the published rows of all types that the source returned before the
// last apply.
func (c *typeCounts) allLast() (rows int64) {
	for _, count := range c.byType {
		rows += count.last
	}
	return rows
}
