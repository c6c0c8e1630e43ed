// Package imports holds no code. Its test enforces which packages may import which.
package imports

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed lists the packages of this module that each package may import, not counting
// its tests. Imports point down. The stages (extract, transform, sink) never import one
// another: they exchange bytes, record batches and plain values, and jobs/run joins
// them. "*" means every package outside cmd.
var allowed = map[string][]string{
	// Tables, and their rows in memory.
	"schemas":         {},
	"schemas/records": {"schemas"},

	// Helpers that belong to no stage.
	"internal/attribute": {},
	"internal/bug":       {},
	"internal/jsontext":  {},
	"internal/nolink":    {},
	"internal/heaptest":  {}, // for tests
	"internal/parallel":  {},
	"internal/spill":     {},
	"internal/terminal":  {},
	"internal/sealed":    {},

	// The stages.
	"extract":           {"internal/attribute", "internal/jsontext"},
	"extract/knock":     {"extract", "internal/attribute"},
	"extract/simulator": {"extract", "extract/knock", "extract/knocksim", "internal/attribute"},
	"extract/prospect":  {},
	"extract/spool":     {"internal/nolink"},
	"extract/knocksim":  {},
	"transform":         {"schemas", "schemas/records", "internal/bug", "internal/jsontext"},
	"sink":              {"schemas"},
	"sink/stage":        {"schemas", "schemas/records", "sink"},
	"sink/parquetfile":  {"schemas", "schemas/records", "sink"},
	"sink/verify":       {"schemas", "sink"},
	"sink/ddl":          {"schemas", "internal/terminal"},

	"sink/internal/rowtest": {"schemas", "schemas/records"},

	// Places that hold objects.
	"sink/store":           {"internal/attribute"},
	"sink/store/local":     {"internal/attribute", "internal/nolink", "sink/store"},
	"sink/store/gcs":       {"internal/attribute", "internal/nolink", "internal/sealed", "sink/store"},
	"sink/store/memory":    {"sink/store"},
	"sink/store/storetest": {"internal/attribute", "sink/store"},

	"sink/store/gcs/gcsfault": {}, // for tests

	// Jobs: their configuration, state, plans and runs.
	"jobs":                  {"internal/attribute", "schemas", "sink/store"},
	"jobs/config":           {"extract", "internal/attribute", "jobs", "jobs/config/functions", "schemas", "sink/store"}, // from extract and sink/store, only the descriptors of kinds
	"jobs/config/functions": {},
	"jobs/state":            {"internal/nolink", "internal/sealed", "jobs", "jobs/tombstone", "schemas", "sink/store"},
	"jobs/erase":            {"internal/bug", "internal/nolink", "internal/parallel", "internal/terminal", "jobs", "jobs/ledger", "jobs/lists", "jobs/plan", "jobs/quarantine", "jobs/reconcile", "jobs/refresh", "jobs/state", "jobs/tombstone", "schemas", "sink", "sink/parquetfile", "sink/store", "sink/verify"},
	"jobs/ledger":           {"internal/parallel", "internal/sealed", "jobs", "sink/store"},
	"jobs/plan":             {"internal/bug", "internal/terminal", "jobs", "jobs/state", "schemas"},
	"jobs/publish":          {"internal/parallel", "jobs/plan", "jobs/state", "sink/store"},
	"jobs/reconcile":        {"internal/bug", "internal/nolink", "internal/parallel", "internal/spill", "jobs", "jobs/plan", "jobs/state", "schemas", "schemas/records", "sink", "sink/parquetfile", "sink/stage", "sink/store", "sink/verify", "transform"},
	"jobs/refresh":          {"internal/nolink", "internal/parallel", "internal/terminal", "jobs", "jobs/plan", "jobs/state", "sink/store"},
	"jobs/audit":            {"internal/parallel", "jobs", "jobs/plan", "jobs/quarantine", "jobs/refresh", "jobs/state", "schemas", "sink", "sink/store", "sink/verify"},
	"jobs/migrate":          {"internal/parallel", "jobs", "jobs/state", "sink/store"},
	"jobs/lists":            {"jobs/plan", "jobs/state", "sink/store"},
	"jobs/read":             {"extract", "extract/prospect", "extract/spool", "internal/attribute", "internal/bug", "internal/terminal", "jobs", "jobs/plan", "schemas", "sink/store", "transform"},
	"jobs/planfile":         {"internal/nolink", "internal/parallel", "jobs", "jobs/plan", "jobs/refresh", "jobs/state", "schemas", "sink", "sink/store", "sink/verify"},
	"jobs/quarantine":       {"internal/jsontext", "internal/spill", "internal/terminal", "jobs/plan", "jobs/state", "schemas", "sink/store"},
	"jobs/tombstone":        {"internal/sealed", "sink/store"},
	"jobs/run":              {"*"},

	// The programs. No other package imports them.
	"cmd/bench":            {"*", "cmd/internal/cli"},
	"cmd/gcsfaults":        {"*", "cmd/internal/cli"},
	"cmd/knocksim":         {"extract/knocksim"},
	"cmd/prospector":       {"*", "cmd/internal/cli"},
	"cmd/internal/cli":     {"*", "cmd/internal/view"},
	"cmd/internal/view":    {"*"},
	"cmd/internal/imports": {},
	"cmd/internal/shape":   {},
}

// only lists the packages that may import a library. Other libraries are not restricted.
var only = map[string][]string{
	// Jobs do not depend on the language of the configuration. schemas parses its
	// embedded declarations.
	"github.com/hashicorp/hcl": {"jobs/config", "schemas"},
	// The second reader shares no code with the writer.
	"github.com/xitongsys/parquet-go":            {"sink/verify", "extract/prospect"},
	"github.com/apache/arrow/go/v15/parquet":     {"sink/parquetfile", "cmd/bench"},
	"cloud.google.com/go/storage":                {"sink/store/gcs", "cmd/gcsfaults"},
	"github.com/hashicorp/cli":                   {"cmd/internal/cli"},
	"github.com/fsouza/fake-gcs-server":          {"cmd/gcsfaults"},
	"github.com/rogpeppe/go-internal/testscript": {},
}

// notLinked maps a package to a library that must not be among its dependencies, direct
// or indirect.
var notLinked = map[string]string{
	// The second reader shares no code with the writer.
	"sink/verify": "github.com/apache/arrow",
	// Plain types do not depend on the format of rows in memory.
	"schemas": "github.com/apache/arrow",
	"sink":    "github.com/apache/arrow",
}

func TestNotLinked(t *testing.T) {
	for dir, library := range notLinked {
		out, err := exec.Command("go", "list", "-deps", "prospector/"+dir).CombinedOutput()
		if err != nil {
			t.Fatalf("go list -deps prospector/%s: %v\n%s", dir, err, out)
		}
		for linked := range strings.Lines(string(out)) {
			if strings.HasPrefix(linked, library) {
				t.Errorf("%s links %s", dir, strings.TrimSpace(linked))
			}
		}
	}
}

func TestImports(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		seen[dir] = true
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			check(t, path, dir, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range seen {
		if _, ok := allowed[dir]; !ok {
			t.Errorf("package %s is not in the table allowed: add it", dir)
		}
	}
	for dir := range allowed {
		if !seen[dir] {
			t.Errorf("package %s is in the table allowed, but does not exist", dir)
		}
	}
}

func check(t *testing.T, path, dir, imported string) {
	if pkg, internal := strings.CutPrefix(imported, "prospector/"); internal {
		may := allowed[dir]
		if !slices.Contains(may, pkg) && (!slices.Contains(may, "*") || strings.HasPrefix(pkg, "cmd/")) {
			t.Errorf("%s imports %s, which %s may not", path, imported, dir)
		}
	}
	for library, users := range only {
		of := imported == library || strings.HasPrefix(imported, library+"/")
		below := func(user string) bool { return dir == user || strings.HasPrefix(dir, user+"/") }
		if of && !slices.ContainsFunc(users, below) && dir != "sink/store/storetest" {
			t.Errorf("%s imports %s, which only %v may", path, imported, users)
		}
	}
}
