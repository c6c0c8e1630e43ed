// Package shape holds no code. Its test keeps functions, types and packages small
// enough to read.
package shape

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The limits. Tests may exceed them.
const (
	maxFunctionLines = 60
	maxComplexity    = 20   // cyclomatic, function literals included
	maxFields        = 15   // of a struct
	maxMethods       = 25   // of a type or an interface
	maxRunLines      = 2499 // of all files of jobs/run
)

// exceptions lists what may exceed a limit, with the reason.
var exceptions = map[string]string{
	"jobs/planfile.jobV2 fields": "one field for each member of an object in the file format",
}

func TestShape(t *testing.T) {
	var found []finding
	methods := make(map[string]int)
	runLines := 0
	for path, file := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(path))
		lines := func(n ast.Node) int {
			return file.set.Position(n.End()).Line - file.set.Position(n.Pos()).Line + 1
		}
		if dir == "jobs/run" {
			runLines += lines(file.syntax) + file.set.Position(file.syntax.Pos()).Line - 1
		}
		for _, d := range file.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := dir + "." + d.Name.Name
				if d.Recv != nil {
					receiver := dir + "." + receiverName(d.Recv.List[0].Type)
					methods[receiver]++
					name = receiver + "." + d.Name.Name
				}
				found = append(found,
					finding{name, "lines", lines(d), maxFunctionLines},
					finding{name, "complexity", complexity(d), maxComplexity})
			case *ast.GenDecl:
				found = append(found, typeFindings(dir, d)...)
			}
		}
	}
	for name, n := range methods {
		found = append(found, finding{name, "methods", n, maxMethods})
	}
	found = append(found, finding{"jobs/run", "lines", runLines, maxRunLines})
	judge(t, found)
}

// finding is one measure of a function, a type or a package, with its limit.
type finding struct {
	name, measure string
	is, limit     int
}

// typeFindings measures the types of a declaration.
func typeFindings(dir string, d *ast.GenDecl) (found []finding) {
	for _, spec := range d.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		switch u := s.Type.(type) {
		case *ast.StructType:
			found = append(found, finding{dir + "." + s.Name.Name, "fields", u.Fields.NumFields(), maxFields})
		case *ast.InterfaceType:
			found = append(found, finding{dir + "." + s.Name.Name, "methods", u.Methods.NumFields(), maxMethods})
		}
	}
	return found
}

// judge reports findings that exceed their limit without an exception, and exceptions
// that are no longer necessary.
func judge(t *testing.T, found []finding) {
	t.Helper()
	needed := make(map[string]bool)
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.name+a.measure, b.name+b.measure) })
	for _, f := range found {
		if f.is <= f.limit {
			continue
		}
		key := f.name + " " + f.measure
		needed[key] = true
		if _, excepted := exceptions[key]; !excepted {
			t.Errorf("%s: %s is %d, but the limit is %d.\n"+
				"Split it: name the steps of a long function, group the fields of a large struct, move a topic to a package of its own.\n"+
				"If that would make it harder to read, add this to the exceptions in cmd/internal/shape, with the reason:\n\t%q: \"…\",",
				f.name, f.measure, f.is, f.limit, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(exceptions)) {
		if !needed[key] {
			t.Errorf("%s no longer exceeds its limit: remove it from the exceptions in cmd/internal/shape", key)
		}
	}
}

type source struct {
	set    *token.FileSet
	syntax *ast.File
}

// sources parses the module's Go files except tests, and returns them by path.
func sources(t *testing.T) map[string]source {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	files := make(map[string]source)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		files[rel] = source{set, syntax}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no Go files")
	}
	return files
}

// receiverName returns the name of the type of a receiver.
func receiverName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiverName(e.X)
	case *ast.IndexExpr:
		return receiverName(e.X)
	case *ast.IndexListExpr:
		return receiverName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return fmt.Sprintf("%T", e)
}

// complexity returns the cyclomatic complexity: one, plus one for each branch, loop,
// case, && and ||.
func complexity(n ast.Node) int {
	count := 1
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			count++
		case *ast.CaseClause:
			if n.List != nil {
				count++
			}
		case *ast.CommClause:
			if n.Comm != nil {
				count++
			}
		case *ast.BinaryExpr:
			if n.Op == token.LAND || n.Op == token.LOR {
				count++
			}
		}
		return true
	})
	return count
}

func TestComplexity(t *testing.T) {
	for body, want := range map[string]int{
		"":                                     1,
		"if a && b || c { return }":            4,
		"if a {} else if b {} else {}":         3,
		"for { f := func() { if a {} }; f() }": 3,
		"for range a {}; switch { case b, c: default: }": 3,
		"select { case <-a: default: }":                  2,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p; func f() {"+body+"}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := complexity(file); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
