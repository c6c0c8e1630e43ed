package reconcile

import (
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// TypeDiff is the part of a Diff that concerns one event type.
type TypeDiff struct {
	Absent int64 // published rows without a new row, of completely read prospects
	// Returned counts the published rows that have a new row, and their values.
	Returned Filled
	Incoming Filled // the new rows
}

func returnedOf(t *TypeDiff) *Filled { return &t.Returned }
func incomingOf(t *TypeDiff) *Filled { return &t.Incoming }

// Filled counts rows, and the values in each column of the table's files.
type Filled struct {
	Rows   int64
	Values []int64
}

// Add adds other counts to these. Either may have no columns yet.
func (f *Filled) Add(o Filled) {
	if len(f.Values) == 0 {
		f.Values = make([]int64, len(o.Values))
	}
	f.Rows += o.Rows
	for i, n := range o.Values {
		f.Values[i] += n
	}
}

// Fill counts the values of rows by event type. The only key is "" if the path of
// the partition names the type.
func Fill(table schemas.Table, rows records.Rows) (map[string]Filled, error) {
	types := newTypeTally(table)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		types.fill(batch, incomingOf)
	}
	out := make(map[string]Filled, len(types.byType))
	for t, diff := range types.byType {
		out[t] = diff.Incoming
	}
	return out, nil
}

// maxTypes is how many event types of a partition are counted.
const maxTypes = 1000

// typeTally counts by event type. It ignores the types beyond the first maxTypes.
type typeTally struct {
	column  int // event_type in the table's files, or -1
	columns int
	byType  map[string]*TypeDiff
	ignored TypeDiff
}

func newTypeTally(table schemas.Table) *typeTally {
	t := &typeTally{columns: len(table.Columns), byType: make(map[string]*TypeDiff)}
	t.column = schemas.IndexOf(table.Columns, table.Roles().Type)
	t.ignored = t.empty()
	return t
}

func (t *typeTally) empty() TypeDiff {
	counts := func() Filled { return Filled{Values: make([]int64, t.columns)} }
	return TypeDiff{Returned: counts(), Incoming: counts()}
}

func (t *typeTally) get(eventType string) *TypeDiff {
	diff, ok := t.byType[eventType]
	switch {
	case ok:
		return diff
	case len(t.byType) >= maxTypes:
		return &t.ignored
	}
	added := t.empty()
	t.byType[strings.Clone(eventType)] = &added // the text points into a batch
	return &added
}

// of returns a function that returns the counts of a row's type.
func (t *typeTally) of(batch arrow.Record) func(row int) *TypeDiff {
	if t.column < 0 {
		only := t.get("")
		return func(int) *TypeDiff { return only }
	}
	types := batch.Column(t.column).(*array.String)
	return func(row int) *TypeDiff { return t.get(types.Value(row)) }
}

// fill counts the values of a batch. It counts a partition of one type by column
// rather than by row.
func (t *typeTally) fill(batch arrow.Record, which func(*TypeDiff) *Filled) {
	if batch.NumRows() == 0 {
		return
	}
	n, of := int(batch.NumRows()), t.of(batch)
	if t.column < 0 {
		filled := which(of(0))
		filled.Rows += int64(n)
		for c := range filled.Values {
			filled.Values[c] += int64(n - batch.Column(c).NullN())
		}
		return
	}
	for row := range n {
		filled := which(of(row))
		filled.Rows++
		for c := range filled.Values {
			if batch.Column(c).IsValid(row) {
				filled.Values[c]++
			}
		}
	}
}
