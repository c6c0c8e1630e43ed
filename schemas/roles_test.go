package schemas

import (
	_ "embed"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// prospectsHCL declares a table that shares only extra_json with the table of events.
//
//go:embed testdata/prospects.hcl
var prospectsHCL string

func prospects(t testing.TB) Table {
	t.Helper()
	table, err := Parse("prospects.hcl", []byte(prospectsHCL))
	if err != nil {
		t.Fatal(err)
	}
	return partitioned(table)
}

func TestRoles(t *testing.T) {
	table := prospects(t)
	want := Roles{ID: "id", Entity: "id", Type: "stage", Day: "update_date", Time: "updated_at"}
	if got := table.Roles(); got != want {
		t.Errorf("the roles are %+v", got)
	}
	if diff := cmp.Diff([]string{"stage", "update_date", "update_month", "update_year"}, table.Roles().PartitionKeys()); diff != "" {
		t.Errorf("partition keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"stage", "update_date"}, table.Keys()); diff != "" {
		t.Errorf("default partition keys (-want +got):\n%s", diff)
	}
	for name, core := range map[string]bool{"id": true, "STAGE": true, "updated_at": true, "extra_json": true, "property": false, "event_id": false} {
		if table.Roles().IsCore(name) != core {
			t.Errorf("IsCore(%s) = %t", name, !core)
		}
	}
	for _, keys := range [][]string{{"update_month"}, {"update_year", "stage"}, {"update_date"}} {
		by, err := table.PartitionedBy(keys...)
		if err != nil {
			t.Fatal(err)
		}
		if back := partitioned(by); back.Fingerprint() != table.Fingerprint() {
			t.Errorf("partitioned by %v and back, the table differs: %+v", keys, back)
		}
	}
	if _, err := table.Declare(Column{Name: "update_month", Type: String, From: []string{"m"}}); err == nil {
		t.Error("a column may have the name of a partition key")
	}
	if _, err := table.Declare(Column{Name: "updated_at", Type: String, From: []string{"m"}}); err == nil || !strings.Contains(err.Error(), "of updated_at") {
		t.Errorf("a column with a role may be declared: %v", err)
	}
	if table, err := table.Declare(Column{Name: "event_month", Type: String, From: []string{"m"}}); err != nil || table.Roles() != want {
		t.Errorf("a column has lost its role: %v", err)
	}
}

// The lock and the JSON of a table have its roles. Those of the table of events omit
// them.
func TestRolesPersist(t *testing.T) {
	table := prospects(t)
	text, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	var read Table
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(table, read, cmp.AllowUnexported(Key{})); diff != "" {
		t.Errorf("the table parsed from JSON differs (-want +got):\n%s", diff)
	}
	lock, err := ParseLock(LockFile, Lock{"job.prospects": table, "job.events": KnockEvents()}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got := lock["job.prospects"]; got.Roles() != table.Roles() || got.Fingerprint() != table.Unpartitioned().Fingerprint() {
		t.Errorf("the table parsed from the lock differs: %+v", got)
	}
	if text, err = json.Marshal(KnockEvents()); err != nil || strings.Contains(string(text), "role") {
		t.Errorf("the JSON of the table of events has roles: %s, %v", text, err)
	}
	if text := (Lock{"job.events": KnockEvents()}).Encode(); strings.Contains(string(text), "role") {
		t.Errorf("the lock of the table of events has roles: %s", text)
	}
}

func TestRoleErrors(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown", `role = "time"`, `role = "when"`, `there is no role "when"`},
		{"twice", "property\" {\n    type = string", "property\" {\n    type = string\n    role = \"type\"", "the column stage already has the role type"},
		{"of another type", `type = timestamp`, `type = string`, "must have the type timestamp"},
		{"missing", `    role = "time"`, ``, "no column has the role time"},
		{"a day that is not a date", "update_date", "updated_on", "must end in _date"},
		{"not in order", `column "property"`, `column "a" {
    type = string
    from = ["a"]
  }
  column "property"`, ""},
		{"not first", `column "id"`, `column "a" {
    type = string
    from = ["a"]
  }
  column "id"`, "the columns id, stage, update_date, updated_at must come first, in this order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := strings.Replace(prospectsHCL, test.old, test.new, 1)
			if src == prospectsHCL {
				t.Fatal("the test is ineffective: it changes nothing")
			}
			_, err := Parse("prospects.hcl", []byte(src))
			if test.want == "" && err == nil {
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestBuiltins(t *testing.T) {
	for _, name := range Builtins() {
		table := BuiltinTable(name)
		if table.Name != name || baseOf(table) != name {
			t.Errorf("%s has the name %s and the core columns of %s", name, table.Name, baseOf(table))
		}
	}
	if !strings.Contains(strings.Join(Builtins(), " "), Builtin) {
		t.Errorf("%v do not include %s", Builtins(), Builtin)
	}
}
