package transform

import (
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

const twoRoles = `
schema "contacts" {
  column "id" {
    type  = string
    value = "identity"
  }
  column "lead" {
    type  = string
    value = "prospect"
  }
  column "call_date" {
    type  = date
    value = "date"
  }
  column "called_at" {
    type = timestamp
    role = "time"
    from = ["call.at"]
  }
  column "extra_json" {
    type  = json
    value = "extra"
  }
}
`

const nestedType = `
schema "contacts" {
  column "id" {
    type  = string
    value = "identity"
  }
  column "lead" {
    type  = string
    value = "prospect"
  }
  column "kind" {
    type = string
    role = "type"
    from = ["call.kind", "kind"]
  }
  column "call_date" {
    type  = date
    value = "date"
  }
  column "called_at" {
    type = timestamp
    role = "time"
    from = ["call.at"]
  }
  column "logged_at" {
    type = timestamp
    role = "created"
    from = ["loggedAt"]
  }
  column "extra_json" {
    type  = json
    value = "extra"
  }
}
`

// A table need not have types or creation times, and any fields can have them.
func TestRoles(t *testing.T) {
	for _, c := range []struct {
		name, declaration string
		events            []string
		kinds             []string // nil if the table has no types
		reasons           []string
	}{
		{"without types and creation times", twoRoles,
			[]string{`{"call":{"at":"2022-01-13T10:00:00+00:00"},"n":1}`, `{"call":{"at":"2022-01-14T10:00:00+00:00"}}`, `{"call":{}}`},
			nil, []string{"no usable time: call.at is not a time"}},
		{"a type at other paths", nestedType,
			[]string{
				`{"call":{"kind":"A","at":"2022-01-13T10:00:00+00:00"}}`,
				`{"kind":"B","call":{"at":"2022-01-13T10:00:00+00:00"},"loggedAt":"2022-01-15T10:00:00+00:00"}`,
				`{"type":"C","call":{"at":"2022-01-13T10:00:00+00:00"}}`,
				`{"kind":"D"}`,
			},
			[]string{"A", "B"}, []string{"an event without a type", "no usable time: neither call.at nor loggedAt is a time"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := schemas.Parse("contacts.hcl", []byte(c.declaration))
			if err != nil {
				t.Fatal(err)
			}
			table.UnknownType = schemas.Quarantine
			table.EventTypes = []string{"*"}
			if table.Roles().Type == "" {
				table.EventTypes = nil
			}
			table, err = table.PartitionedBy(table.Roles().Month())
			if err != nil {
				t.Fatal(err)
			}
			columns := table.RowColumns()
			isCoherent := Coherent(table, func(int32) bool { return true })
			var events, kinds, reasons []string
			f := NewFlattener(table, Envelope{Events: "all", Event: "one"}, func(batch arrow.Record) error {
				for row := range int(batch.NumRows()) {
					event, err := Event(columns, batch, row)
					if err != nil {
						return err
					}
					events = append(events, string(event))
					if i := schemas.IndexOf(columns, table.Roles().Type); i >= 0 {
						kinds = append(kinds, batch.Column(i).(*array.String).Value(row))
					}
					if !isCoherent(batch, row) {
						t.Errorf("row %d is not coherent", row)
					}
				}
				return nil
			}, func(r Rejected) error {
				reasons = append(reasons, r.Reason)
				return nil
			})
			f.Begin("1")
			for _, e := range c.events {
				if err := f.Page([]byte(`{"all":[{"one":`+e+`}]}`), ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.End(); err != nil {
				t.Fatal(err)
			}
			if err := f.Flush(); err != nil {
				t.Fatal(err)
			}
			if len(events) != len(c.events)-len(c.reasons) || !slices.Equal(kinds, c.kinds) || !slices.Equal(reasons, c.reasons) {
				t.Errorf("the events are %q of the types %q, and the reasons %q; want the types %q and the reasons %q", events, kinds, reasons, c.kinds, c.reasons)
			}
		})
	}
}
