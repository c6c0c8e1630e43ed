package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hint matches the name of the program and the two words after it.
var hint = regexp.MustCompile(`prospector ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?`)

// inSentence reports whether a word after the name of the program is part of a
// sentence, as in "prospector writes". No command is such a word.
func inSentence(word string) bool {
	return strings.HasSuffix(word, "s") || slices.Contains(strings.Fields("against and block can cannot could did had hash inside never no sent will with wrote"), word)
}

// TestCommandsInMessages checks that every command in a message or a help page exists, so
// that renaming a command leaves no stale hint.
func TestCommandsInMessages(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	names := commands()
	found := make(map[string]bool)
	check := func(where, text string) {
		for _, m := range hint.FindAllStringSubmatch(text, -1) {
			name := m[1]
			if _, ok := groups[name]; ok && m[2] != "" {
				name += " " + m[2]
			}
			if _, ok := groups[name]; ok || names[name] != nil {
				found[name] = true
			} else if !inSentence(m[1]) {
				t.Errorf("%s: there is no command %q; if this is a sentence, add the word to inSentence", where, m[0])
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					check(files.Position(lit.Pos()).String(), text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics() {
		text, _ := topic(name)
		check("help "+name, text)
	}
	for name := range names {
		if first, _, _ := strings.Cut(name, " "); inSentence(first) {
			t.Errorf("the test treats the command %q as a part of a sentence", name)
		}
	}
	if len(found) < 10 {
		t.Errorf("only these commands are in messages: %v", found)
	}
}
