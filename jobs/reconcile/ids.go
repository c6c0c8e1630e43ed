package reconcile

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// ID stands for an event_id in sets. This 128-bit hash takes less memory than the
// text.
type ID schemas.Digest

// IDs is a set of event IDs.
type IDs map[ID]struct{}

// CollectIDs returns the IDs of rows.
func CollectIDs(table schemas.Table, rows records.Rows) (IDs, error) {
	ids := make(IDs)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, id := range rowIDs(table, batch) {
			ids[id] = struct{}{}
		}
	}
	return ids, nil
}

// Intersect returns the members of s that are among the rows.
func (s IDs) Intersect(table schemas.Table, rows records.Rows) (IDs, error) {
	both := make(IDs)
	for batch, err := range rows {
		if err != nil {
			return nil, err
		}
		for _, id := range rowIDs(table, batch) {
			if _, ok := s[id]; ok {
				both[id] = struct{}{}
			}
		}
	}
	return both, nil
}

// rowIDs returns the ID of each row of a batch.
func rowIDs(table schemas.Table, batch arrow.Record) []ID {
	at := schemas.IndexOf(table.Columns, table.Roles().ID)
	h := schemas.HashValuesOf(table.Columns[at].Name)
	column := batch.Column(at).(*array.String)
	ids := make([]ID, column.Len())
	for i := range ids {
		ids[i] = ID(h.String(column.Value(i)))
	}
	return ids
}
