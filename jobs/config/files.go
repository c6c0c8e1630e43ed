package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"prospector/jobs"
	"prospector/schemas"
)

// Limits of files. HCL's parser recurses without a limit, with about 10 KB of stack for
// each open bracket and a few KB for each operator.
const (
	maxConfiguration = 64 << 10 // bytes
	maxNesting       = 200      // brackets, quotes and templates
	maxText          = 1 << 20  // bytes of a text that the function file reads
	maxLock          = 16 << 20 // bytes of the schema lock, which has about 2 KB a table
)

// readConfiguration parses the directory's files, in the order of their names.
func (l *loader) readConfiguration() []hcl.Body {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		l.failNowhere("Cannot read the working directory", fmt.Sprintf("%s. Name another directory with -chdir=DIR.", capital(err.Error())))
		return nil
	}
	var bodies []hcl.Body
	found := false
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".hcl") {
			continue
		}
		found = true
		if body := l.parse(filepath.Join(l.shown, name), maskConfiguration); body != nil {
			bodies = append(bodies, body)
		}
	}
	if !found {
		l.failNowhere("No configuration files", fmt.Sprintf(
			"The directory %s has no *.hcl file. A configuration declares a source, a sink and a job. jobs/demo/main.hcl in prospector's repository is an example. Name another directory with -chdir=DIR.",
			l.dir))
	}
	return bodies
}

// parse reads one file, and keeps the text that mask leaves readable.
func (rep *reporter) parse(name string, mask func([]byte, *hclsyntax.Body, bool) []byte) *hclsyntax.Body {
	src, err := readText(name, maxConfiguration)
	if err != nil {
		rep.failNowhere("Cannot read a configuration file", capital(err.Error())+".")
		return nil
	}
	return rep.parseText(name, src, mask)
}

// parseText is parse for a text.
func (rep *reporter) parseText(name string, src []byte, mask func([]byte, *hclsyntax.Body, bool) []byte) *hclsyntax.Body {
	if at, deep := tooDeep(name, src); deep {
		rep.files[name], rep.text[name] = &hcl.File{}, mask(src, nil, true)
		rep.fail(at, "", "Too many open brackets", fmt.Sprintf("More than %d brackets or quotes are open here, which is more than this program can read.", maxNesting))
		return nil
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	body, _ := file.Body.(*hclsyntax.Body)
	rep.files[name] = file
	rep.text[name] = mask(src, body, diags.HasErrors())
	rep.report("", false, diags)
	return body
}

// lock reads the schema lock, which may be missing. A broken lock is an error, unless
// it will be replaced.
func (l *loader) lock(replace bool) schemas.Lock {
	name := filepath.Join(l.shown, schemas.LockFile)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	src, err := readText(name, maxLock)
	var lock schemas.Lock
	if err == nil {
		lock, err = parseLock(name, src)
	}
	switch {
	case err == nil:
		return lock
	case replace:
		l.diags = append(l.diags, jobs.Diagnostic{Severity: jobs.Warning, Summary: "The schema lock cannot be read",
			Detail: capital(err.Error()) + ". It will be rewritten."})
	default:
		l.failNowhere("The schema lock cannot be read", fmt.Sprintf(
			"%s. Restore the file %s from version control, or run prospector init -upgrade, which rewrites it and accepts every schema as it is declared now.", capital(err.Error()), name))
	}
	return nil
}

func parseLock(name string, src []byte) (schemas.Lock, error) {
	if at, deep := tooDeep(name, src); deep {
		return nil, fmt.Errorf("%s: more than %d brackets are open", at, maxNesting)
	}
	return schemas.ParseLock(name, src)
}

// tooDeep finds the first place where more than maxNesting brackets are open.
func tooDeep(name string, src []byte) (at hcl.Range, deep bool) {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	depth := 0
	for _, t := range tokens {
		depth += nesting(t.Type)
		if depth > maxNesting {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}

// nesting is 1 for a token that opens something, -1 for one that closes it.
func nesting(t hclsyntax.TokenType) int {
	switch t {
	case hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenOQuote,
		hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		return 1
	case hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenCQuote,
		hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
		return -1
	}
	return 0
}

// readText reads a regular file of at most a number of bytes. A pipe or a device could
// block the command.
func readText(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is not a regular file")}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(src)) > most {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it has more than %d bytes", most)}
	}
	return src, err
}
