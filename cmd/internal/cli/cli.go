// Package cli is the command line: one file a command, each a thin layer between
// flags, jobs/config, jobs/run and the views.
package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/cli"
	"github.com/posener/complete"
	"golang.org/x/term"

	"prospector/cmd/internal/view"
	"prospector/extract"
	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Deps are what main wires in.
type Deps struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
	// Sources and Stores are the kinds that a configuration can name.
	Sources extract.Kinds
	Stores  store.Kinds
}

// Run runs the program with its arguments, without its name, and gives its exit
// code.
func Run(d Deps, args []string) int {
	e := &env{Deps: d, dir: ".", stopped: make(chan struct{}), out: &output{to: d.Stdout}}
	e.Stdout = e.out
	e.view = view.NewHuman(e.streams())
	e.diagnoser = e.view
	args, err := e.globalOptions(args)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(e.dir); err == nil && !info.IsDir() {
			err = fmt.Errorf("-chdir=%s: not a directory", e.dir)
		}
	}
	if err != nil {
		e.view.Errorf("Error: %s\n", err)
		return 1
	}

	// The command is not waited for when the user will not: a second
	// interrupt ends the program wherever it is.
	ended := make(chan int, 1)
	go func() { ended <- e.exit(e.run(args)) }()
	select {
	case code := <-ended:
		return code
	case <-e.stopped:
		told := make(chan struct{})
		go func() { e.diagnoser.Aborted(); close(told) }()
		select {
		case <-told:
		case <-time.After(time.Second): // nobody reads it
		}
		return 1
	}
}

// commands are all, by their names.
func commands() map[string]func(*env) *command {
	return map[string]func(*env) *command{
		"init": initCommand, "validate": validateCommand, "plan": planCommand, "apply": applyCommand, "destroy": destroyCommand, "erase": eraseCommand,
		"fmt": fmtCommand, "show": showCommand, "output": outputCommand, "verify": verifyCommand, "sql": sqlCommand,
		"schema show": schemaShowCommand, "schema diff": schemaDiffCommand, "schema infer": schemaInferCommand,
		"state list": stateListCommand, "state show": stateShowCommand, "state rm": stateRmCommand,
		"state pull": statePullCommand, "state push": statePushCommand,
		"force-unlock": forceUnlockCommand, "simulate": simulateCommand, "version": versionCommand, "help": helpCommand,
	}
}

func (e *env) run(args []string) int {
	factories := map[string]cli.CommandFactory{
		"schema": func() (cli.Command, error) { return schemaCommand{e}, nil },
		"state":  func() (cli.Command, error) { return stateCommand{e}, nil },
	}
	for name, make := range commands() {
		factories[name] = func() (cli.Command, error) {
			c := make(e)
			c.name, c.env = name, e
			return c, nil
		}
	}
	program := &cli.CLI{
		Name: "prospector", Args: args, Commands: factories,
		HelpFunc: help, HelpWriter: e.Stdout, ErrorWriter: e.Stderr,
		Autocomplete: true, AutocompleteInstall: "install-autocomplete", AutocompleteUninstall: "uninstall-autocomplete",
		AutocompleteGlobalFlags: complete.Flags{"-chdir": complete.PredictDirs("*")},
	}
	if len(args) == 1 && (args[0] == "-version" || args[0] == "--version" || args[0] == "-v") {
		program.Args = []string{"version"}
	}
	if len(args) > 0 && e.getenv("COMP_LINE") == "" {
		if name := args[0]; !known(name, factories) {
			e.view.Errorf("Error: there is no command or global option %q\n\nFor what there is: prospector -help\n", name)
			return 1
		}
	}
	code, err := program.Run()
	if err != nil {
		e.view.Errorf("Error: %s\n", err)
		return 1
	}
	if code == 127 { // no command; the help was printed
		return 1
	}
	return code
}

// known reports whether the first word after the global options can be one.
func known(word string, commands map[string]cli.CommandFactory) bool {
	switch strings.TrimLeft(word, "-") {
	case "h", "help", "v", "version", "install-autocomplete", "uninstall-autocomplete":
		return true
	}
	return commands[word] != nil
}

// env is what every command has.
type env struct {
	Deps
	dir  string // of the configuration, as the user gave it
	view *view.Human
	// diagnoser is who tells of problems: the view, unless the command was
	// asked for JSON.
	diagnoser view.Diagnoser
	out       *output // what Stdout is
	// stopped is closed by the second interrupt.
	stopped chan struct{}
}

// globalOptions takes the options before the command off.
func (e *env) globalOptions(args []string) ([]string, error) {
	for len(args) > 0 {
		value, ok := strings.CutPrefix(strings.TrimPrefix(args[0], "-"), "-chdir")
		if !ok {
			value, ok = strings.CutPrefix(args[0], "-chdir")
		}
		if !ok {
			break
		}
		dir, ok := strings.CutPrefix(value, "=")
		if !ok || dir == "" {
			return nil, errors.New("-chdir needs a directory: -chdir=DIR")
		}
		e.dir, args = dir, args[1:]
	}
	return args, nil
}

func (e *env) streams() view.Streams {
	s := view.Streams{Out: e.Stdout, Err: e.Stderr, Automation: e.getenv("PROSPECTOR_IN_AUTOMATION") != ""}
	if f, ok := e.out.to.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.Terminal, s.Color = e.getenv("TERM") != "dumb", e.getenv("NO_COLOR") == ""
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.Width = w
		}
	}
	return s
}

// json makes the view of a command that was asked for JSON.
func (e *env) json() *view.JSON {
	v := view.NewJSON(e.Stdout, time.Now)
	e.diagnoser = v
	return v
}

// operation is the view of plan and apply.
func (e *env) operation(asJSON bool) view.Operation {
	if asJSON {
		return e.json()
	}
	return e.view
}

func (e *env) getenv(name string) string {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// logger writes to the error stream what PROSPECTOR_LOG asks for.
func (e *env) logger() *slog.Logger {
	var level slog.Level
	name := e.getenv("PROSPECTOR_LOG")
	if name == "" {
		return slog.New(slog.DiscardHandler)
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "Unknown log level",
			Detail: fmt.Sprintf("PROSPECTOR_LOG is %q, which is none of debug, info, warn, error. Nothing is logged.", name)}})
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
}

// dataDir is where the runs of a configuration keep their disposable files, below
// a root that the user names. PROSPECTOR_DATA_DIR may be shared, so each
// configuration has a directory of its own in it.
func (e *env) dataDir() (root, dir string) {
	shared := e.getenv("PROSPECTOR_DATA_DIR")
	if shared == "" {
		return e.dir, filepath.Join(e.dir, ".prospector")
	}
	of := e.dir
	if abs, err := filepath.Abs(e.dir); err == nil {
		of = abs
	}
	sum := sha256.Sum256([]byte(of))
	return shared, filepath.Join(shared, "prospector", filepath.Base(of)+"-"+hex.EncodeToString(sum[:6]))
}

// failed prints an error as diagnostics and gives the exit code.
func (e *env) failed(err error) int {
	ds := jobs.Diagnose(err, "The command failed")
	_, told := errors.AsType[jobs.Diagnostic](err)
	_, isLink := errors.AsType[*nolink.LinkError](err)
	switch {
	case errors.Is(err, state.ErrLockLost):
		ds = jobs.Diagnostics{{Severity: jobs.Error, Summary: "The lock on the state is lost",
			Detail: err.Error() + ".\n\nAnother run may have taken it, so this one has stopped, and has not written the state. The next run finds out what was published."}}
	case isLink && !told:
		ds = jobs.Diagnostics{{Severity: jobs.Error, Summary: "A symbolic link is in the way", Detail: err.Error() + "."}}
	case errors.Is(err, context.Canceled):
		interrupted := jobs.Diagnostic{Severity: jobs.Error, Summary: "Interrupted",
			Detail: "Nothing is half-written. What was fetched is kept, and the next run goes on from there."}
		if told { // of what the interrupt is not to hide
			ds = append(ds, interrupted)
		} else {
			ds = jobs.Diagnostics{interrupted}
		}
	}
	if e.out.failure() != nil { // -json could not report it
		e.diagnoser = e.view
	}
	e.diagnoser.Diagnostics(ds)
	return 1
}

// usage prints what is wrong with the command's words, and gives the exit code.
func (c *command) usage(format string, args ...any) int {
	c.env.view.Errorf("Error: %s: %s\n\nFor its options: prospector %s -help\n", c.name, view.Format(format, args...), c.name)
	return 1
}

// resolve makes a path of the command line relative to -chdir, as the command's
// configuration is.
func (e *env) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(e.dir, path)
}
