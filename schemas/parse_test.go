package schemas

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	table, err := Parse("t.hcl", []byte(`
schema "calls" {
  description = "Calls."
  column "id" {
    type  = "string"
    value = "identity"
  }
  column "_at" {
    type        = "timestamp"
    from        = ["at", "data.at"]
    when        = ["CALL_*"]
    pii         = true
    description = "When."
  }
}`))
	if err != nil {
		t.Fatal(err)
	}
	if table.Name != "calls" || table.Description != "Calls." || len(table.Columns) != 2 {
		t.Fatalf("the table is %+v", table)
	}
	at := table.Columns[1]
	if at.Name != "_at" || at.Type != Timestamp || at.Value != "" || !at.PII || at.Description != "When." ||
		!slices.Equal(at.From, []string{"at", "data.at"}) || !slices.Equal(at.When, []string{"CALL_*"}) {
		t.Errorf("the column is %+v", at)
	}
}

func TestParseErrors(t *testing.T) {
	column := func(name, rest string) string { return "column \"" + name + "\" {\n" + rest + "\n}\n" }
	text := "type = \"string\"\nfrom = [\"x\"]"
	for _, test := range []struct{ name, columns, want string }{
		{"a digit first", column("1st", text), "does not begin with a digit"},
		{"a dash", column("a-b", text), "only letters"},
		{"a dot", column("a.b", text), "only letters"},
		{"no name", column("", text), "only letters"},
		{"not ASCII", column("größe", text), "only letters"},
		{"a line feed at the end", column(`a\n`, text), "only letters"},
		{"301 characters", column(strings.Repeat("a", 301), text), "300"},
		{"reserved", column("_TABLE_x", text), "reserves names that begin with _TABLE_"},
		{"reserved, in lower case", column("_partitiontime", text), "_PARTITION"},
		{"reserved, without an ending", column("_change_type", text), "_CHANGE_TYPE"},
		{"twice", column("a", text) + column("a", text), `"a": it is declared twice`},
		{"twice, in different cases", column("a", text) + column("b", text) + column("A", text), `"A": it is declared twice`},
		{"unknown type", column("a", "type = \"int\"\nfrom = [\"x\"]"), `no type "int"`},
		{"no type", column("a", `from = ["x"]`), `"type" is required`},
		{"unknown value", column("a", "type = \"string\"\nvalue = \"now\""), `no derived value "now"`},
		{"a path and a value", column("a", text+"\nvalue = \"prospect\""), "either a path in from, or a value"},
		{"neither a path nor a value", column("a", `type = "string"`), "either a path in from, or a value"},
		{"an empty from", column("a", "type = \"string\"\nfrom = []"), "either a path in from, or a value"},
		{"unknown attribute", column("a", text+"\nnull = true"), `"null"`},
		{"not HCL", "column {", "t.hcl:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("t.hcl", []byte("schema \"t\" {\n"+test.columns+"}\n"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want %q", err, test.want)
			}
			if !strings.Contains(err.Error(), "t.hcl") {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
	for _, prefix := range reservedPrefixes {
		if err := (Column{Name: prefix, Type: String, Value: Extra}).check(); err == nil {
			t.Errorf("a column may have the name %s", prefix)
		}
	}
	if err := (Column{Name: strings.Repeat("a", 300), Type: String, Value: Extra}).check(); err != nil {
		t.Errorf("a name of 300 characters: %v", err)
	}
}
