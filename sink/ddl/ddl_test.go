package ddl

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/sink/store/gcs"
)

var update = flag.Bool("update", false, "write the golden files")

func partitionedBy(t *testing.T, keys ...string) schemas.Table {
	t.Helper()
	table, err := schemas.KnockEvents().PartitionedBy(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestGolden(t *testing.T) {
	// Every name and text of this table must be quoted.
	unusual := schemas.Table{
		Description: `It's "odd", \n back\slashed and of
two lines`,
		Columns: []schemas.Column{
			{Name: "from", Type: schemas.String, Description: "it's `that`"},
			{Name: "Order", Type: schemas.Timestamp},
			{Name: "from_", Type: schemas.Date},
		},
		PartitionBy: []schemas.Column{{Name: "group", Type: schemas.Date}},
	}
	types := schemas.KnockEvents().Core()
	for _, kind := range schemas.Types() {
		var err error
		types, err = types.Declare(schemas.Column{Name: "a_" + string(kind), Type: kind, From: []string{string(kind)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	types, err := types.Declare(schemas.Column{Name: "tags", Type: schemas.JSON, From: []string{"tags"}, Description: "What agents\nstuck on."})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		write   func(Options) (string, error)
		options Options
	}{
		{"bigquery", BigQuery, Options{Table: schemas.KnockEvents(), Name: "prospect_events", Root: "gs://bucket/prefix/prospect_events"}},
		{"bigquery_filter", BigQuery, Options{Table: partitionedBy(t, "event_month"), Name: "prospect-events", Dataset: "acme-lake.knock", Root: "gs://bucket/prospect-events/", RequireFilter: true}},
		{"bigquery_unusual", BigQuery, Options{Table: unusual, Name: "odd`name", Root: `gs://bucket/it's a \ prefix/odd`}},
		{"duckdb", DuckDB, Options{Table: schemas.KnockEvents(), Name: "prospect_events", Root: "/lake/prospect_events"}},
		{"duckdb_gs", DuckDB, Options{Setup: gcs.Kind.Dialects["duckdb"].Setup, Table: partitionedBy(t, "event_year", "event_type"), Name: "prospect_events", Root: "gs://bucket/prospect_events"}},
		{"duckdb_unusual", DuckDB, Options{Table: unusual, Name: `odd"name`, Root: `/it's a lake/50% [new]?/*`}},
		{"bigquery_types", BigQuery, Options{Table: types, Name: "typed", Root: "gs://bucket/typed"}},
		{"duckdb_types", DuckDB, Options{Table: types, Name: "typed", Root: "/lake/typed"}},
		{"spark_types", Spark, Options{Table: types, Name: "typed", Root: "file:///lake/typed"}},
		{"spark", Spark, Options{Table: schemas.KnockEvents(), Name: "prospect_events", Root: "file:///lake/prospect_events"}},
		{"spark_gs", Spark, Options{Setup: gcs.Kind.Dialects["spark"].Setup, Table: partitionedBy(t, "event_month"), Name: "prospect-events", Root: "gs://bucket/prospect-events/"}},
		{"spark_unusual", Spark, Options{Table: unusual, Name: "odd`name", Root: `file:///it's a lake/50% [new]?/*\`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.write(test.options)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", test.name+".sql")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-golden +got):\n%s", diff)
			}
		})
	}
}

// The statements name every column, whatever the partition keys, and every dialect has
// every type.
func TestEveryColumn(t *testing.T) {
	for _, key := range schemas.KnockEvents().Roles().PartitionKeys() {
		table := partitionedBy(t, key)
		for _, write := range []func(Options) (string, error){BigQuery, DuckDB, Spark} {
			sql, err := write(Options{Table: table, Name: "t", Root: "gs://bucket/t"})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range table.All() {
				if !strings.Contains(sql, c.Name) {
					t.Errorf("partitioned by %s: the column %s is not in\n%s", key, c.Name, sql)
				}
			}
		}
	}
	for _, kind := range schemas.Types() {
		if bigQueryTypes[kind] == "" || duckDBTypes[kind] == "" || sparkTypes[kind] == "" {
			t.Errorf("a dialect has no type for %s", kind)
		}
	}
}

func TestUnreadableRoot(t *testing.T) {
	for _, test := range []struct {
		name, root, dialect string
		want                string
	}{
		{"a second asterisk", "gs://bucket/a*b", "bigquery", "asterisk"},
		{"an empty segment", "gs://bucket//t", "bigquery", "empty segment"},
		{"a backslash", `/lake\/t`, "duckdb", "backslash"},
		{"a line break", "gs://bucket/a\nb", "bigquery", "line break"},
		{"a control character", "gs://bucket/a\x1bb", "bigquery", "control character"},
		{"a control character", "/lake/\x1bc", "duckdb", "control character"},
		{"a right-to-left override", "/lake/\u202e", "duckdb", "invisible"},
		{"a line separator", "file:///lake/\u2028", "spark", "line break"},
		{"an incomplete character", "file:///lake/\xe6", "spark", "control character"},
		{"a variable", "file:///lake/${user}", "spark", "variable"},
	} {
		t.Run(test.dialect+" with "+test.name, func(t *testing.T) {
			sql, err := Write(test.dialect, Options{Table: schemas.KnockEvents(), Name: "t", Root: test.root})
			if !errors.Is(err, ErrLocation) || !strings.Contains(err.Error(), test.want) || sql != "" {
				t.Errorf("got %q, %v; want ErrLocation with %q", sql, err, test.want)
			}
		})
	}
	if sql, err := Write("hive", Options{Table: schemas.KnockEvents(), Name: "t", Root: "/lake/t"}); err == nil || sql != "" {
		t.Errorf("an unknown dialect: %q, %v", sql, err)
	}
}

func TestDataset(t *testing.T) {
	for _, name := range []string{"acme.crm", "acme-lake-2.Knock_2", "crm", "example.com:acme.crm"} {
		sql, err := BigQuery(Options{Table: schemas.KnockEvents(), Name: "t", Root: "gs://bucket/t", Dataset: name})
		if err != nil || !strings.Contains(sql, "`"+name+".t`") {
			t.Errorf("%s: %v\n%s", name, err, sql)
		}
	}
	for _, name := range []string{
		"acme`.crm", "acme.crm`; DROP TABLE x; --", "acme.'crm'", `acme."crm"`, "acme.crm;", "acme.crm\n", "acme.crm\x1b[31m", "acme.crm.t", "acme.", ".crm", ".",
		"acme crm", "acme.crm-2", "acme.données", "acme/crm", `acme\.crm`, "acme.crm\u202e", "acme.crm\xff", "Acme.crm", "acme:crm:x", "-acme.crm", strings.Repeat("x", 1025),
	} {
		if sql, err := BigQuery(Options{Table: schemas.KnockEvents(), Name: "t", Root: "gs://bucket/t", Dataset: name}); !errors.Is(err, ErrDataset) || sql != "" {
			t.Errorf("%q: got %v\n%s", name, err, sql)
		}
	}
}

// No description can leave its string or comment.
func TestHostileDescription(t *testing.T) {
	hostile := "x\n); DROP TABLE t; --\r\x1b[2J\u2028*/ '\\' `\x00\u0085\u202e\xff\t"
	table := schemas.KnockEvents()
	table.Description = hostile
	table.Columns[0].Description = hostile
	for _, write := range []func(Options) (string, error){BigQuery, DuckDB, Spark} {
		clean, err := write(Options{Table: schemas.KnockEvents(), Name: "t", Root: "gs://bucket/t"})
		if err != nil {
			t.Fatal(err)
		}
		sql, err := write(Options{Table: table, Name: "t", Root: "gs://bucket/t"})
		if err != nil {
			t.Fatal(err)
		}
		more := strings.Count(sql, "\n") - strings.Count(clean, "\n")
		if strings.Contains(sql, "description = ") && !strings.Contains(clean, "description = ") {
			more-- // the line of the option
		}
		if more != 0 || strings.ContainsAny(sql, "\x1b\r\x00\t\u0085\u2028\u202e") {
			t.Errorf("got\n%q", sql)
		}
	}
}
