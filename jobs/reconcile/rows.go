package reconcile

import (
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// WithoutProspect drops the rows of a prospect.
func WithoutProspect(table schemas.Table, rows records.Rows, prospect string) records.Rows {
	at := schemas.IndexOf(table.Columns, table.Roles().Entity)
	return dropRows(rows, func(batch arrow.Record) func(row int) bool {
		prospects := batch.Column(at).(*array.String)
		return func(row int) bool { return prospects.Value(row) == prospect }
	})
}

// dropRows drops the rows for which drop's function returns true. It calls drop once
// for each batch.
func dropRows(rows records.Rows, drop func(arrow.Record) func(row int) bool) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			for rest := range slicesWithout(batch, drop(batch)) {
				if !yield(rest, nil) {
					return
				}
			}
		}
	}
}

// slicesWithout returns the slices of a batch between the rows for which drop returns
// true.
func slicesWithout(batch arrow.Record, drop func(row int) bool) iter.Seq[arrow.Record] {
	return func(yield func(arrow.Record) bool) {
		for from, n := 0, int(batch.NumRows()); from < n; {
			if drop(from) {
				from++
				continue
			}
			to := from + 1
			for to < n && !drop(to) {
				to++
			}
			if !yield(batch.NewSlice(int64(from), int64(to))) {
				return
			}
			from = to
		}
	}
}
