package schemas_test

import (
	"fmt"
	"strings"

	"prospector/schemas"
)

// Add a column to the built-in table, and list the differences.
func ExampleDiff() {
	before := schemas.KnockEvents()
	after, err := before.Declare(schemas.Column{
		Name: "segments", Type: schemas.Int64, From: []string{"data.segments"}, When: []string{"SMS_MESSAGE"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("the same table:", before.Fingerprint() == after.Fingerprint())
	changes := schemas.Diff(before, after)
	fmt.Println("changes:", strings.TrimSpace(schemas.ListChanges(changes)))
	fmt.Println("changes that need approval:", len(schemas.Replaces(changes)))
	// Output:
	// the same table: false
	// changes: segments: int64 from data.segments of SMS_MESSAGE
	// changes that need approval: 0
}

// Propose a column for a field that no column takes.
func ExampleInfer() {
	found := schemas.NewSurvey()
	found.Unmapped[schemas.Field{Path: "data.segments", Kind: schemas.KindInteger, EventType: "SMS_MESSAGE"}] = 4562

	for _, p := range schemas.Infer(schemas.KnockEvents(), found) {
		fmt.Println(p.Column.Name, p.Column.Type, p.Column.From, p.Column.When)
	}
	// Output:
	// segments int64 [data.segments] [SMS_MESSAGE]
}
