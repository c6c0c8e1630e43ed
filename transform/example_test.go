package transform_test

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/transform"
)

// Turn a page into rows. The second event has no time and cannot become a row.
func ExampleFlattener() {
	table := schemas.KnockEvents()
	columns := table.RowColumns()
	text := func(batch arrow.Record, column string) *array.String {
		return batch.Column(schemas.IndexOf(columns, column)).(*array.String)
	}

	f := transform.NewFlattener(table, transform.Envelope{Events: "edges", Event: "node"}, func(batch arrow.Record) error {
		for row := range int(batch.NumRows()) {
			fmt.Println("row:", text(batch, "event_type").Value(row), text(batch, "message_body").Value(row), text(batch, "extra_json").Value(row))
		}
		return nil
	}, func(r transform.Rejected) error {
		fmt.Println("rejected:", r.Reason)
		return nil
	})

	f.Begin("47569637")
	err := f.Page([]byte(`{"edges": [
		{"node": {"type": "SMS_MESSAGE", "eventTime": "2022-01-13T19:27:37Z", "createdAt": "2022-01-13T19:27:37Z",
		          "data": {"body": "Hello", "segments": 1}}},
		{"node": {"type": "SMS_MESSAGE", "data": {"body": "When?"}}}
	], "pageInfo": {"hasNextPage": false}}`), "")
	if err != nil {
		panic(err)
	}
	if err := f.End(); err != nil {
		panic(err)
	}
	if err := f.Flush(); err != nil {
		panic(err)
	}
	b := f.Books()
	fmt.Println(b.Events, "events =", b.Rows, "rows +", b.Duplicates, "duplicates +", b.Quarantined, "quarantined")
	// Output:
	// rejected: no usable time: neither eventTime nor createdAt is a time
	// row: SMS_MESSAGE Hello {"data":{"segments":1}}
	// 2 events = 1 rows + 0 duplicates + 1 quarantined
}
