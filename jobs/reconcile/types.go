package reconcile

import (
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// typeDiff is the part of a diff that concerns one event type.
type typeDiff struct {
	absent   int64      // missing rows of completely read prospects
	returned valueCount // published rows that a new row replaces
	incoming valueCount // new rows
}

func returnedOf(t *typeDiff) *valueCount { return &t.returned }
func incomingOf(t *typeDiff) *valueCount { return &t.incoming }

// valueCount counts rows, and the values in each column of the table's files.
type valueCount struct {
	rows   int64
	values []int64
}

// add adds o to the counts. Either may have no columns yet.
func (c *valueCount) add(o valueCount) {
	if len(c.values) == 0 {
		c.values = make([]int64, len(o.values))
	}
	c.rows += o.rows
	for i, n := range o.values {
		c.values[i] += n
	}
}

// countValues counts the values of rows by event type. The only key is "" if the path
// of the partition names the type.
func countValues(table schemas.Table, rows records.Rows) (map[string]valueCount, error) {
	types := newTypeTally(table)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		types.fill(batch, incomingOf)
	}
	out := make(map[string]valueCount, len(types.byType))
	for t, diff := range types.byType {
		out[t] = diff.incoming
	}
	return out, nil
}

// maxTypes is how many event types are counted in a partition.
const maxTypes = 1000

// typeTally counts by event type. It ignores the types beyond the first maxTypes.
type typeTally struct {
	column  int // event_type in the table's files, or -1
	columns int
	byType  map[string]*typeDiff
	ignored typeDiff
}

func newTypeTally(table schemas.Table) *typeTally {
	t := &typeTally{columns: len(table.Columns), byType: make(map[string]*typeDiff)}
	t.column = schemas.IndexOf(table.Columns, table.Roles().Type)
	t.ignored = t.empty()
	return t
}

func (t *typeTally) empty() typeDiff {
	counts := func() valueCount { return valueCount{values: make([]int64, t.columns)} }
	return typeDiff{returned: counts(), incoming: counts()}
}

func (t *typeTally) get(eventType string) *typeDiff {
	diff, ok := t.byType[eventType]
	switch {
	case ok:
		return diff
	case len(t.byType) >= maxTypes:
		return &t.ignored
	}
	added := t.empty()
	t.byType[strings.Clone(eventType)] = &added // eventType points into a batch
	return &added
}

// of returns a function that returns the counts of a row's type.
func (t *typeTally) of(batch arrow.Record) func(row int) *typeDiff {
	if t.column < 0 {
		only := t.get("")
		return func(int) *typeDiff { return only }
	}
	types := batch.Column(t.column).(*array.String)
	return func(row int) *typeDiff { return t.get(types.Value(row)) }
}

// fill counts the values of a batch. It counts a partition of one type by column
// rather than by row.
func (t *typeTally) fill(batch arrow.Record, which func(*typeDiff) *valueCount) {
	if batch.NumRows() == 0 {
		return
	}
	n, of := int(batch.NumRows()), t.of(batch)
	if t.column < 0 {
		count := which(of(0))
		count.rows += int64(n)
		for c := range count.values {
			count.values[c] += int64(n - batch.Column(c).NullN())
		}
		return
	}
	for row := range n {
		count := which(of(row))
		count.rows++
		for c := range count.values {
			if batch.Column(c).IsValid(row) {
				count.values[c]++
			}
		}
	}
}
