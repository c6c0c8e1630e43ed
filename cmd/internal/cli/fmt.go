package cli

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/config"
)

// The exit codes of fmt besides 0 and 1.
const (
	fmtUnformatted = 3 // -check found files that are not formatted
	fmtBroken      = 2 // a file does not parse
)

func fmtCommand(e *env) *command {
	f := formatting{env: e}
	return &command{
		synopsis: "Rewrite configuration files in the canonical format",
		args:     "[FILE or DIRECTORY ...]",
		about: `Rewrites the *.hcl and *.hclvars files of the directory, or the named files, in
the canonical format, and prints the names of the files that change. "-" formats
standard input to standard output.

The exit code is 0, 3 if -check finds files that are not formatted, or 2 if a
file does not parse. A file that does not parse stays unchanged.`,
		flags: func(flags *flag.FlagSet) {
			flags.BoolVar(&f.check, "check", false, "Rewrite nothing, and exit with 3 if a file is not formatted.")
			flags.BoolVar(&f.diff, "diff", false, "Show the changes.")
			flags.BoolVar(&f.recursive, "recursive", false, "Include subdirectories.")
		},
		run: func(_ *command, args []string) int { return f.run(args) },
	}
}

type formatting struct {
	*env
	check, diff, recursive bool

	unformatted int
}

func (f *formatting) run(args []string) int {
	if len(args) == 1 && args[0] == "-" {
		return f.stdin()
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	code := 0
	for _, arg := range args {
		if err := f.path(f.resolve(arg)); err != nil {
			e := f.failed(err)
			code = max(code, e)
			if broken, ok := errors.AsType[jobs.Diagnostics](err); ok && broken.HasErrors() {
				code = fmtBroken
			}
		}
	}
	if code == 0 && f.check && f.unformatted > 0 {
		return fmtUnformatted
	}
	return code
}

func (f *formatting) stdin() int {
	src, err := readFile(f.env, "-")
	if err != nil {
		return f.failed(err)
	}
	out, ds := config.Format(src, "<stdin>")
	f.diagnoser.Diagnostics(ds)
	if ds.HasErrors() {
		return fmtBroken
	}
	switch {
	case f.diff:
		f.view.Printf("%s", view.Program(diff.Diff("old/<stdin>", src, "new/<stdin>", out)))
	case !f.check:
		f.write(string(out))
	}
	if f.check && !bytes.Equal(src, out) {
		return fmtUnformatted
	}
	return 0
}

// path formats a file, or the files of a directory. If a file does not parse, it still
// formats the others.
func (f *formatting) path(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(err)
	}
	if !info.IsDir() {
		return f.file(path)
	}
	var broken jobs.Diagnostics
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && name != path
		switch {
		case entry.IsDir() && name != path && (hidden || !f.recursive):
			return filepath.SkipDir
		case entry.IsDir() || hidden || filepath.Ext(name) != ".hcl" && filepath.Ext(name) != ".hclvars":
			return nil
		}
		err = f.file(name)
		if ds, ok := errors.AsType[jobs.Diagnostics](err); ok {
			broken = append(broken, ds...)
			return nil
		}
		return err
	})
	if err == nil && len(broken) > 0 {
		err = broken
	}
	return err
}

func (f *formatting) file(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	out, ds := config.Format(src, name)
	if ds.HasErrors() {
		return ds
	}
	if bytes.Equal(src, out) {
		return nil
	}
	f.unformatted++
	f.view.Printf("%s\n", f.shown(name))
	if f.diff {
		f.view.Printf("%s", view.Program(diff.Diff("old/"+f.shown(name), src, "new/"+f.shown(name), out)))
	}
	if f.check {
		return nil
	}
	return rewrite(name, out)
}

// rewrite replaces a file with a temporary sibling, so that the file is never
// half-written. It keeps the permissions.
func rewrite(name string, text []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temp.Name()))
	}
	return err
}
