package schemas

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// signature lists the names and types of a table's columns, then of its partition keys.
func signature(t Table) []string {
	var s []string
	for _, c := range t.Columns {
		s = append(s, c.Name+" "+string(c.Type))
	}
	for _, c := range t.PartitionBy {
		s = append(s, "/"+c.Name+" "+string(c.Type))
	}
	return s
}

// docs/table.md lists the columns.
func TestKnockEvents(t *testing.T) {
	table := KnockEvents()
	want := []string{
		"event_id string", "prospect_id string",
		"event_time timestamp", "created_at timestamp",
		"description string", "source_title string", "agent_username string",
		"appointment_start_time timestamp", "appointment_end_time timestamp",
		"appointment_status string", "appointment_tour_type string",
		"message_direction string", "message_from string", "message_to string", "message_subject string", "message_body string",
		"extra_json string",
		"/event_type string", "/event_date date",
	}
	if diff := cmp.Diff(want, signature(table)); diff != "" {
		t.Errorf("the columns differ (-want +got):\n%s", diff)
	}
	for _, c := range table.All() {
		if c.Description == "" {
			t.Errorf("%s has no description for the readers of the lake", c.Name)
		}
		if got, ok := table.Column(c.Name); !ok || !cmp.Equal(got, c) {
			t.Errorf("Column(%q) is %v, %t", c.Name, got, ok)
		}
	}
	if c, ok := table.Column("event_month"); ok {
		t.Errorf("there is a column %v", c)
	}
	var personal []string
	for _, c := range table.All() {
		if c.PII {
			personal = append(personal, c.Name)
		}
	}
	if want := []string{"message_from", "message_to", "message_subject", "message_body", "extra_json"}; !slices.Equal(personal, want) {
		t.Errorf("the columns with personal data are %q, want %q", personal, want)
	}
}

func TestPartitionedBy(t *testing.T) {
	for _, test := range []struct {
		keys string
		want string // the keys; then the default keys that are columns of the files
	}{
		{"event_type", "/event_type string; event_date date"},
		{"event_date", "/event_date date; event_type string"},
		{"event_month", "/event_month date; event_type string, event_date date"},
		{"event_year", "/event_year date; event_type string, event_date date"},
		{"event_type event_date", "/event_type string, /event_date date; "},
		{"event_date event_type", "/event_date date, /event_type string; "},
		{"event_year event_month event_type", "/event_year date, /event_month date, /event_type string; event_date date"},
		{"event_month event_date", "/event_month date, /event_date date; event_type string"},
		{"event_type event_date event_month event_year", "/event_type string, /event_date date, /event_month date, /event_year date; "},
	} {
		t.Run(test.keys, func(t *testing.T) {
			table, err := KnockEvents().PartitionedBy(strings.Fields(test.keys)...)
			if err != nil {
				t.Fatal(err)
			}
			s := signature(table)
			first := slices.IndexFunc(s, func(c string) bool { return c[0] == '/' })
			files, keys := s[:first], s[first:]
			var back []string
			for _, c := range files {
				if c == "event_type string" || c == "event_date date" {
					back = append(back, c)
				}
			}
			if got := strings.Join(keys, ", ") + "; " + strings.Join(back, ", "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			// A former key is in its declared position.
			if want := append([]string{"event_id string", "prospect_id string"}, back...); !slices.Equal(files[:len(want)], want) {
				t.Errorf("the files begin with %q, not %q", files[:len(want)], want)
			}
			if len(files) != 17+len(back) {
				t.Errorf("the files have %d columns: %q", len(files), files)
			}

			rows := table.RowColumns()
			if !cmp.Equal(rows[:len(table.Columns)], table.Columns) {
				t.Error("a row does not begin with the columns of the files")
			}
			for _, must := range []string{"event_type", "event_date"} {
				n := 0
				for _, c := range rows {
					if c.Name == must {
						n++
					}
				}
				if n != 1 {
					t.Errorf("a row has %s %d times", must, n)
				}
			}
			for _, c := range rows {
				if c.Value == Month || c.Value == Year {
					t.Errorf("a row has %s, which follows from event_date", c.Name)
				}
			}

			back2, err := table.PartitionedBy("event_type", "event_date")
			if err != nil || !cmp.Equal(back2, KnockEvents()) {
				t.Errorf("partitioned by the default keys again, the table differs (%v)", err)
			}
		})
	}

	for _, test := range []struct{ name, keys, want string }{
		{"none", "", "at least one of event_type, event_date, event_month, event_year"},
		{"twice", "event_date event_date", `"event_date" is listed twice`},
		{"twice, apart", "event_year event_type event_year", `"event_year" is listed twice`},
		{"unknown", "event_hour", `no partition key "event_hour": use event_type, event_date`},
		{"a column that is not a key", "event_type prospect_id", `no partition key "prospect_id"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := KnockEvents().PartitionedBy(strings.Fields(test.keys)...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// The fingerprint is in the state and in the footer of every published file. If this
// test fails, the built-in table differs from that of published lakes: their jobs
// refuse to run, and their tables must be rewritten under another name. Change the
// value only if that is the intention.
func TestFingerprintOfPublishedLakes(t *testing.T) {
	if got, want := KnockEvents().Fingerprint(), "0b98a54c4cae3ff340ab228f49040446"; got != want {
		t.Errorf("the fingerprint is %s, but that of published lakes is %s", got, want)
	}
}

func TestFingerprint(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *Table)
		same   bool
	}{
		{"no change", func(t *Table) {}, true},
		{"the table's description", func(t *Table) { t.Description = "other" }, true},
		{"a column's description", func(t *Table) { t.Columns[3].Description = "other" }, true},
		{"a key's description", func(t *Table) { t.PartitionBy[0].Description = "other" }, true},
		{"a name", func(t *Table) { t.Columns[4].Name = "text" }, false},
		{"a type", func(t *Table) { t.Columns[2].Type = String }, false},
		{"a derived value", func(t *Table) { t.Columns[0].Value = Prospect }, false},
		{"a path", func(t *Table) { t.Columns[4].From = []string{"data.description"} }, false},
		{"a further path", func(t *Table) { t.Columns[4].From = []string{"description", "text"} }, false},
		{"the order of paths", func(t *Table) { slices.Reverse(t.Columns[11].From) }, false},
		{"the types it applies to", func(t *Table) { t.Columns[9].When = nil }, false},
		{"the order of columns", func(t *Table) { t.Columns[4], t.Columns[5] = t.Columns[5], t.Columns[4] }, false},
		{"one column fewer", func(t *Table) { t.Columns = t.Columns[:16] }, false},
		{"one column more", func(t *Table) {
			t.Columns = append(t.Columns, Column{Name: "x", Type: String, From: []string{"x"}})
		}, false},
		{"a key's name", func(t *Table) { t.PartitionBy[0].Name = "kind" }, false},
		{"the order of keys", func(t *Table) { slices.Reverse(t.PartitionBy) }, false},
		{"one key fewer", func(t *Table) { t.PartitionBy = t.PartitionBy[:1] }, false},
		{"a key that becomes a column", func(t *Table) {
			t.Columns, t.PartitionBy = append(t.Columns, t.PartitionBy[0]), t.PartitionBy[1:]
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := KnockEvents()
			table.Columns, table.PartitionBy = clone(table.Columns), clone(table.PartitionBy)
			test.change(&table)
			if same := table.Fingerprint() == KnockEvents().Fingerprint(); same != test.same {
				t.Errorf("the fingerprints are the same: %t", same)
			}
		})
	}

	seen := make(map[string]string)
	for _, keys := range []string{"event_type", "event_date", "event_month", "event_year", "event_type event_date", "event_date event_type"} {
		table, err := KnockEvents().PartitionedBy(strings.Fields(keys)...)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[table.Fingerprint()]; ok {
			t.Errorf("partitioned by %s and by %s, the table has the same fingerprint", keys, other)
		}
		seen[table.Fingerprint()] = keys
	}
}

func clone(columns []Column) []Column {
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].From = slices.Clone(columns[i].From)
	}
	return columns
}

func TestApplies(t *testing.T) {
	for _, test := range []struct {
		when      []string
		eventType string
		want      bool
	}{
		{nil, "SMS_MESSAGE", true},
		{[]string{"APPOINTMENT_*"}, "APPOINTMENT_CREATED", true},
		{[]string{"APPOINTMENT_*"}, "APPOINTMENT_", true},
		{[]string{"APPOINTMENT_*"}, "APPOINTMENT", false},
		{[]string{"APPOINTMENT_*"}, "RE_APPOINTMENT_CREATED", false},
		{[]string{"SMS"}, "SMS", true},
		{[]string{"SMS"}, "SMS_MESSAGE", false},
		{[]string{"SMS", "WEB*"}, "WEB_MESSAGE", true},
		{[]string{"*"}, "", true},
	} {
		if got := (Column{When: test.when}).Applies(test.eventType); got != test.want {
			t.Errorf("%q applies to %s: %t", test.when, test.eventType, got)
		}
	}
}
