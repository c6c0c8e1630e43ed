package reconcile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Columns are found by role: rows of a second table are compared by their own ID.
func TestCompareSecondTable(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("..", "..", "schemas", "testdata", "prospects.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{{"stage", "update_date"}, {"update_month"}, {"update_year", "stage"}} {
		for name, limit := range limits {
			t.Run(keys[0]+" "+name, func(t *testing.T) {
				table, err := schemas.Parse("prospects.hcl", src)
				if err == nil {
					table, err = table.PartitionedBy(keys...)
				}
				if err != nil {
					t.Fatal(err)
				}
				published := prospectRows(table, [2]string{"a", "Elm"}, [2]string{"b", "Oak"}, [2]string{"c", "Oak"})
				incoming := prospectRows(table, [2]string{"a", "Fir"}, [2]string{"b", "Oak"}, [2]string{"z", "Fir"})
				missing := 0
				c := comparison{table: table, ids: newIDMemory(limit, t.TempDir()), missing: func(ids []id, _ []bool) error {
					missing += len(ids)
					return nil
				}}
				found, err := c.run(t.Context(), 3, incoming, published)
				if err != nil {
					t.Fatal(err)
				}
				if found.added != 1 || found.changed != 1 || found.unchanged != 1 || missing != 1 {
					t.Errorf("%d rows are added, %d changed, %d unchanged and %d missing", found.added, found.changed, found.unchanged, missing)
				}
			})
		}
	}
}

// prospectRows returns a stream of one batch. Each row has an ID and a property.
func prospectRows(table schemas.Table, rows ...[2]string) records.Rows {
	b := array.NewRecordBuilder(memory.DefaultAllocator, records.Schema(table.Columns))
	for _, row := range rows {
		for i, c := range table.Columns {
			switch c.Name {
			case "id":
				b.Field(i).(*array.StringBuilder).Append(row[0])
			case "stage":
				b.Field(i).(*array.StringBuilder).Append("TOUR")
			case "updated_at":
				b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(1_641_000_000e6)) // 2022-01-01
			case "property":
				b.Field(i).(*array.StringBuilder).Append(row[1])
			default:
				b.Field(i).AppendNull()
			}
		}
	}
	batch := b.NewRecord()
	return func(yield func(arrow.Record, error) bool) { yield(batch, nil) }
}
