package schemas

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeclare(t *testing.T) {
	score := Column{Name: "score", Type: Float64, From: []string{"data.score"}}
	body, _ := KnockEvents().Column("message_body")
	body.Policy = Redact
	before := KnockEvents()

	got, err := before.Declare(score, body)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range signature(KnockEvents()) {
		if c == "extra_json string" {
			want = append(want, "score float64")
		}
		want = append(want, c)
	}
	if diff := cmp.Diff(want, signature(got)); diff != "" {
		t.Errorf("the columns differ (-want +got):\n%s", diff)
	}
	if c, _ := got.Column("message_body"); c.Policy != Redact {
		t.Error("message_body is not replaced")
	}
	if diff := cmp.Diff(KnockEvents(), before); diff != "" {
		t.Errorf("Declare has changed the table that it extends:\n%s", diff)
	}
}

func TestDeclareHashes(t *testing.T) {
	column := Column{Name: "phone", Type: String, From: []string{"data.phone"}, Policy: Hash}
	table := KnockEvents().Core()
	table.HashKey = NewKey("sixteen bytes or more")
	got, err := table.Declare(column)
	if err != nil || got.HashKeyID != table.HashKey.ID() {
		t.Errorf("the key's ID is %q (%v)", got.HashKeyID, err)
	}
	// Without hashed columns, the table does not depend on the key.
	column.Policy = Drop
	if got, err = got.Declare(column); err != nil || got.HashKeyID != "" {
		t.Errorf("without hashed columns, the key's ID is %q (%v)", got.HashKeyID, err)
	}
}

func TestDeclareRefuses(t *testing.T) {
	text := func(name string, from ...string) Column { return Column{Name: name, Type: String, From: from} }
	with := func(c Column, change func(*Column)) Column {
		change(&c)
		return c
	}
	for _, test := range []struct {
		name              string
		columns           []Column
		column, attribute string
		want              string
	}{
		{"a bad name", []Column{text("a-b", "x")}, "a-b", "", "only letters"},
		{"a reserved name", []Column{text("_table_x", "x")}, "_table_x", "", "BigQuery reserves"},
		{"a partition key", []Column{text("Event_Month", "x")}, "Event_Month", "", "partition key"},
		{"a core column", []Column{text("event_time", "x")}, "event_time", "", "every table has"},
		{"a core column of a bad type", []Column{{Name: "event_id", Type: "no", From: []string{"x"}}}, "event_id", "", "every table has"},
		{"a core column in capitals", []Column{text("EXTRA_JSON", "x")}, "EXTRA_JSON", "", "every table has"},
		{"a derived value", []Column{{Name: "a", Type: Date, Value: Day}}, "a", "", "every table has"},
		{"no type", []Column{{Name: "a", From: []string{"x"}}}, "a", "type", `no type ""`},
		{"an unknown type", []Column{{Name: "a", Type: "int", From: []string{"x"}}}, "a", "type", "string, int64, float64, bool, timestamp, date, json"},
		{"no path", []Column{text("a")}, "a", "from", "either a path"},
		{"an empty path", []Column{text("a", "")}, "a", "from", `"" is not a path`},
		{"an empty key", []Column{text("a", "x..y")}, "a", "from", `"x..y" is not a path`},
		{"a path twice", []Column{text("a", "x", "y", "x")}, "a", "from", "the path x is listed twice"},
		{"a star in the middle", []Column{with(text("a", "x"), func(c *Column) { c.When = []string{"A*B"} })}, "a", "when", `"A*B" is not an event type`},
		{"an empty event type", []Column{with(text("a", "x"), func(c *Column) { c.When = []string{""} })}, "a", "when", `"" is not an event type`},
		{"an unknown policy", []Column{with(text("a", "x"), func(c *Column) { c.Policy = "hide" })}, "a", "policy", "drop, hash, mask, redact"},
		{"a policy for text on a number", []Column{with(text("a", "x"), func(c *Column) { c.Type, c.Policy = Int64, Mask })}, "a", "policy", "must be string"},
		{"a hash without a key", []Column{with(text("a", "x"), func(c *Column) { c.Policy = Hash })}, "", "hash_key", "at least 16 bytes"},
		{"twice", []Column{text("a", "x"), text("a", "y")}, "a", "", "declared twice"},
		{"twice, in different cases", []Column{text("a", "x"), text("A", "y")}, "A", "", "declared twice"},
		{"the name of another column in another case", []Column{text("Message_Body", "x")}, "Message_Body", "", "already has a column message_body"},
		{"the path of another column", []Column{text("a", "data.text")}, "a", "from", "message_body already takes the value of data.text"},
		{"the path of a later column", []Column{text("description", "data.text")}, "description", "from", "message_body already takes"},
		{"the path of another declared column", []Column{text("a", "x"), text("b", "x")}, "b", "from", "column a already takes"},
		{"an object with a field that has a column", []Column{{Name: "a", Type: JSON, From: []string{"source"}}}, "a", "from", "source_title takes source.title, which is inside"},
		{"a field of an object that has a column", []Column{{Name: "a", Type: JSON, From: []string{"x"}}, text("b", "x.y")}, "b", "from", "inside x"},
		{"a field of an object that is protected", []Column{with(text("a", "x"), func(c *Column) { c.Policy = Redact }), text("b", "x.y")}, "b", "from", "inside x"},
		{"another policy for other types", []Column{
			with(text("a", "x"), func(c *Column) { c.When, c.Policy = []string{"A"}, Redact }),
			with(text("b", "x"), func(c *Column) { c.When = []string{"B"} }),
		}, "b", "policy", "both columns need the same policy"},
		{"another policy in another case", []Column{
			with(text("a", "x.y"), func(c *Column) { c.Policy = Redact }), text("b", "X.Y"),
		}, "b", "from", "X.Y differs from x.y of the column a at most in case"},
		{"an object with a protected field, in another case", []Column{
			with(text("a", "x.y"), func(c *Column) { c.Policy = Redact }), {Name: "b", Type: JSON, From: []string{"X"}},
		}, "b", "from", "X includes x.y, which the column a takes"},
		{"a field of a protected object, in another case", []Column{
			with(text("a", "x"), func(c *Column) { c.Policy = Redact }), text("b", "X.y"),
		}, "b", "from", "X.y is inside x, which the column a takes with all its fields"},
		{"a policy for an object with a field that has a column, in another case", []Column{
			text("a", "X.y"), with(text("b", "x"), func(c *Column) { c.Policy = Redact }),
		}, "b", "from", "x includes X.y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := KnockEvents().Declare(test.columns...)
			wrong, ok := errors.AsType[*DeclarationError](err)
			if !ok {
				t.Fatalf("the error is %v", err)
			}
			if wrong.Column != test.column || wrong.Attribute != test.attribute || !strings.Contains(wrong.Problem, test.want) {
				t.Errorf("the error is %+v, want %q of %q: %s", *wrong, test.attribute, test.column, test.want)
			}
		})
	}
	table := KnockEvents()
	table.EventTypes = []string{"*X"}
	if wrong, ok := errors.AsType[*DeclarationError](second(table.Declare())); !ok || wrong.Attribute != "event_types" {
		t.Errorf("the event type *X: %v", wrong)
	}
}

func second[T any](_ T, err error) error { return err }

// Two columns may share a path if no event type matches both. A path may also begin with
// the text of another path.
func TestDeclareAccepts(t *testing.T) {
	for _, test := range []struct {
		name    string
		columns []Column
	}{
		{"one path, other event types", []Column{
			{Name: "a", Type: String, From: []string{"x"}, When: []string{"A_*"}},
			{Name: "b", Type: Int64, From: []string{"x"}, When: []string{"B", "AB"}},
		}},
		{"a path that only begins like another", []Column{
			{Name: "a", Type: JSON, From: []string{"x"}},
			{Name: "b", Type: String, From: []string{"xy.z"}},
		}},
		{"a text, and a field of an object at the same path", []Column{
			{Name: "a", Type: String, From: []string{"x"}},
			{Name: "b", Type: String, From: []string{"x.y"}},
		}},
		{"paths that differ in case, unprotected", []Column{
			{Name: "a", Type: JSON, From: []string{"x"}},
			{Name: "b", Type: String, From: []string{"X.y"}},
			{Name: "c", Type: String, From: []string{"X.Y"}},
		}},
		{"paths that differ in case, with the same policy", []Column{
			{Name: "a", Type: String, From: []string{"x.y"}, Policy: Mask},
			{Name: "b", Type: String, From: []string{"X.y"}, Policy: Mask},
		}},
		{"a path that another column no longer has", []Column{
			{Name: "a", Type: String, From: []string{"data.text"}},
			{Name: "message_body", Type: String, From: []string{"data.body"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := KnockEvents().Declare(test.columns...); err != nil {
				t.Error(err)
			}
		})
	}
}
