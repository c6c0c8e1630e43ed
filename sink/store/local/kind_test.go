package local_test

import (
	"testing"

	"prospector/sink/store/local"
	"prospector/sink/store/storetest"
)

func TestKind(t *testing.T) { storetest.RunKind(t, local.At(t.TempDir())) }

func TestURI(t *testing.T) {
	for _, c := range []struct{ path, root, table string }{
		{"/var/lake", "file:///var/lake", "file:///var/lake/events"},
		{"/the lake", "file:///the%20lake", "file:///the%20lake/events"},
		{"/", "file:///", "file:///events"},
	} {
		at := local.At(c.path)
		if root, table := at.URI(""), at.URI("events"); root != c.root || table != c.table {
			t.Errorf("the URIs of %s are %s and %s", c.path, root, table)
		}
		if dir, ok := at.Directory(); dir != c.path || !ok {
			t.Errorf("the directory of %s is %s, %t", c.path, dir, ok)
		}
	}
}

// Statements for DuckDB and Spark have the unencoded path, even if a URI encodes it.
func TestDialects(t *testing.T) {
	s := local.At(`/it's a lake/50% [new]?\`).Settings
	for dialect, want := range map[string]string{
		"duckdb": `/it's a lake/50% [new]?\/events`,
		"spark":  `file:///it's a lake/50% [new]?\/events`,
	} {
		if got := local.Kind.Dialects[dialect].Root(s, "events"); got != want {
			t.Errorf("the root for %s is %s, want %s", dialect, got, want)
		}
	}
	if _, ok := local.Kind.Dialects["bigquery"]; ok {
		t.Error("BigQuery cannot read files of this machine")
	}
}
