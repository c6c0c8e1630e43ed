package sink_test

import (
	"fmt"
	"time"

	"prospector/schemas"
	"prospector/sink"
)

// A partition's path has the values of its keys. Bytes that an engine could encode
// in another way are written as _xHH_.
func ExamplePartitionOf() {
	day := int32(time.Date(2022, 1, 13, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
	table := schemas.KnockEvents()
	fmt.Println(sink.PartitionOf(table, "SMS_MESSAGE", day).Path)
	fmt.Println(sink.PartitionOf(table, "web/chat", day).Path)

	monthly, err := table.PartitionedBy("event_month")
	if err != nil {
		panic(err)
	}
	fmt.Println(sink.PartitionOf(monthly, "SMS_MESSAGE", day).Path)
	// Output:
	// event_type=SMS_MESSAGE/event_date=2022-01-13
	// event_type=web_x2F_chat/event_date=2022-01-13
	// event_month=2022-01-01
}
