package transform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
	"prospector/transform"
)

// counting returns the built-in table with a column of counts.
func counting(t testing.TB) schemas.Table {
	t.Helper()
	table, err := schemas.KnockEvents().Declare(schemas.Column{
		Name: "message_segments", Type: schemas.Int64, From: []string{"data.segments"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// An event that differs from its table becomes a row, is rejected or fails the run, as the
// table specifies.
func TestUnexpected(t *testing.T) {
	event := func(fields string) string { return `{"type":"SMS_MESSAGE",` + at + fields + `}` }
	unknownType := func(h schemas.Handling) func(*schemas.Table) {
		return func(t *schemas.Table) { t.UnknownType = h }
	}
	unknownField := func(h schemas.Handling) func(*schemas.Table) {
		return func(t *schemas.Table) { t.UnknownField = h }
	}
	mismatch := func(h schemas.Handling) func(*schemas.Table) {
		return func(t *schemas.Table) { t.Mismatch = h }
	}
	for _, test := range []struct {
		name   string
		set    func(*schemas.Table)
		event  string
		extra  string
		reason string // why the event is rejected, or the run fails
		fails  bool
	}{
		{"a mismatch is kept", mismatch(schemas.Keep), event(`,"data":{"segments":"two"}`), `{"data":{"segments":"two"}}`, "", false},
		{"a mismatch is rejected", mismatch(schemas.Quarantine), event(`,"data":{"segments":"two"}`), "",
			"data.segments is a string, and the column message_segments is int64", false},
		{"a mismatch ends the run", mismatch(schemas.Fail), event(`,"data":{"segments":[2]}`), "",
			"data.segments is an array, and the column message_segments is int64", true},
		{"a null is no mismatch", mismatch(schemas.Fail), event(`,"data":{"segments":null},"agent":null,"source":{}`),
			`{"agent":null,"data":{"segments":null},"source":{}}`, "", false},
		{"an empty text is no mismatch", mismatch(schemas.Fail), event(`,"data":{"segments":""}`), `{"data":{"segments":""}}`, "", false},
		{"an integer in quotes is no mismatch", mismatch(schemas.Fail), event(`,"data":{"segments":"2"}`), `{"data":{"segments":"2"}}`, "", false},
		{"text that is not Unicode is kept", mismatch(schemas.Keep), event(`,"data":{"body":"\ud83d"}`), `{"data":{"body":{"$bytes":"7aC9"}}}`, "", false},
		{"text that is not Unicode is rejected", mismatch(schemas.Quarantine), event(`,"data":{"body":"\ud83d"}`), "",
			"data.body is text that is not Unicode, and the column message_body is string", false},
		{"text that is not Unicode ends the run", mismatch(schemas.Fail), event(`,"data":{"body":"\ud83d"}`), "", "data.body is text that is not Unicode", true},
		{"text that is not Unicode and has no column", mismatch(schemas.Fail), event(`,"data":{"mood":"\ud83d"}`), `{"data":{"mood":{"$bytes":"7aC9"}}}`, "", false},
		{"a type that is not Unicode is rejected", mismatch(schemas.Quarantine), `{"type":"T\ud83d",` + at + `}`, "", "type is text that is not Unicode", false},
		{"a mismatch at a second path", mismatch(schemas.Quarantine), event(`,"data":{"body":"a","text":{"b":1}}`), "", "data.text is an object", false},

		{"a known type", unknownType(schemas.Fail), event(``), "", "", false},
		{"an unknown type is kept", unknownType(schemas.Keep), `{"type":"T",` + at + `}`, "", "", false},
		{"an unknown type is rejected", unknownType(schemas.Quarantine), `{"type":"T",` + at + `}`, "", "a type that the table does not know", false},
		{"an unknown type ends the run", unknownType(schemas.Fail), `{"type":"T",` + at + `}`, "", "a type that the table does not know", true},

		{"no unknown field", unknownField(schemas.Fail), event(`,"data":{"body":"a","segments":"x"},"agent":{},"source":null,"new":null`),
			`{"agent":{},"data":{"segments":"x"},"new":null,"source":null}`, "", false},
		{"an unknown field ends the run", unknownField(schemas.Fail), event(`,"data":{"body":"a","mood":1.0}`), "", "data.mood is a number, and no column takes it", true},
		{"a field of another type", unknownField(schemas.Fail), event(`,"data":{"status":"sent"}`), "", "data.status is a string, and no column takes it", true},
		{"a key that is no name", unknownField(schemas.Fail), event(`,"data":{"jane.doe@example.com":1}`), "", "data is an object, and no column takes it", true},
		{"a text for an object", unknownField(schemas.Fail), event(`,"source":"web"`), "", "source is a string, and no column takes it", true},
		{"unknown fields are dropped", unknownField(schemas.Discard),
			event(`,"new":{"a":1},"source":"web","data":{"text":"a","mood":1,"direction":7,"segments":"x"},"agent":null`),
			`{"$from":{"message_body":"data.text"},"agent":null,"data":{"direction":7,"segments":"x"}}`, "", false},
		{"all fields are dropped", unknownField(schemas.Discard), event(`,"new":[1],"data":{"mood":1}`), "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := counting(t)
			test.set(&table)
			var rows []map[string]any
			var reasons []string
			f := transform.NewFlattener(table, relay,
				func(batch arrow.Record) error {
					rows = append(rows, rowsOf(table.RowColumns(), copied(batch))...)
					return nil
				},
				func(r transform.Rejected) error { reasons = append(reasons, r.Reason); return nil })
			f.Begin("1")
			err := f.Page([]byte(page(test.event)), "")
			var unexpected *transform.Unexpected
			if failed := errors.As(err, &unexpected); failed != test.fails || err != nil && !failed {
				t.Fatalf("the error is %v", err)
			}
			if test.fails {
				reasons = append(reasons, err.Error())
			} else if err := errors.Join(f.End(), f.Flush()); err != nil {
				t.Fatal(err)
			}
			if reason := strings.Join(reasons, "; "); !strings.HasPrefix(reason, test.reason) || (test.reason == "") != (reason == "") {
				t.Fatalf("the reason is %q", reason)
			}
			if test.reason != "" {
				return
			}
			if got, _ := rows[0]["extra_json"].(string); got != test.extra {
				t.Errorf("extra_json is %s, want %s", got, test.extra)
			}
		})
	}
}
