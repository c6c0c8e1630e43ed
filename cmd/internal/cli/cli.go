// Package cli is the command line: one file a command, each a thin layer between
// flags, jobs/config, jobs/run and the views.
package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/cli"
	"golang.org/x/term"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/config"
	"prospector/jobs/run"
	"prospector/sink/store"
)

// Deps are what main wires in.
type Deps struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
	OpenSink       func(context.Context, jobs.Sink) (store.Store, error)
	OpenBackend    func(context.Context, jobs.Backend) (run.Backend, error)
}

// Run runs the program with its arguments, without its name, and gives its exit
// code.
func Run(d Deps, args []string) int {
	e := &env{Deps: d, dir: "."}
	args, err := e.globalOptions(args)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(e.dir); err == nil && !info.IsDir() {
			err = fmt.Errorf("-chdir=%s: not a directory", e.dir)
		}
	}
	if err != nil {
		fmt.Fprintln(d.Stderr, "Error:", err)
		return 1
	}
	e.view = view.New(e.streams())

	commands := map[string]cli.CommandFactory{}
	for name, make := range map[string]func(*env) *command{
		"init": initCommand, "validate": validateCommand, "plan": planCommand, "apply": applyCommand,
		"show": showCommand, "sql": sqlCommand, "simulate": simulateCommand, "version": versionCommand,
	} {
		commands[name] = func() (cli.Command, error) {
			c := make(e)
			c.name, c.env = name, e
			return c, nil
		}
	}
	program := &cli.CLI{
		Name: "prospector", Args: args, Commands: commands,
		HelpFunc: help, HelpWriter: d.Stdout, ErrorWriter: d.Stderr,
	}
	if len(args) == 1 && (args[0] == "-version" || args[0] == "--version" || args[0] == "-v") {
		program.Args = []string{"version"}
	}
	code, err := program.Run()
	if err != nil {
		fmt.Fprintln(d.Stderr, "Error:", err)
		return 1
	}
	if code == 127 { // an unknown command; the help was printed
		return 1
	}
	return code
}

// env is what every command has.
type env struct {
	Deps
	dir  string // of the configuration, as the user gave it
	view *view.View
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
	s := view.Streams{Out: e.Stdout, Err: e.Stderr}
	if f, ok := e.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.Terminal, s.Color = e.getenv("TERM") != "dumb", e.getenv("NO_COLOR") == ""
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.Width = w
		}
	}
	return s
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
	if name == "" || level.UnmarshalText([]byte(name)) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
}

// dataDir is where a run keeps its disposable files.
func (e *env) dataDir() string {
	if dir := e.getenv("PROSPECTOR_DATA_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(e.dir, ".prospector")
}

// failed prints an error as diagnostics and gives the exit code.
func (e *env) failed(err error) int {
	if errors.Is(err, context.Canceled) {
		e.view.Diagnostics(jobs.Diagnostics{{Severity: jobs.Error, Summary: "Interrupted",
			Detail: "Nothing is half-written. What was fetched is kept, and the next run goes on from there."}})
		return 1
	}
	e.view.Diagnostics(jobs.Diagnose(err, "The command failed"))
	return 1
}

// interruptible gives a context that the first interrupt ends; the second one
// ends the program.
func (e *env) interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			e.view.Printf("\nInterrupt received. Stopping gracefully; interrupt again to stop at once.\n")
			signal.Stop(signals) // the next one has its usual effect
			cancel()
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, cancel
}

// command is one command of the program: a cli.Command made of its flags, so that
// its help cannot disagree with them.
type command struct {
	env      *env
	name     string
	synopsis string // a line without a full stop
	args     string // what follows the options in the usage line
	about    string // paragraphs
	flags    func(*flag.FlagSet)
	// run is called with the arguments after the flags and gives the exit code.
	run func(args []string) int
}

func (c *command) Synopsis() string { return c.synopsis }

func (c *command) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(fs)
	}
	return fs
}

func (c *command) Help() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Usage: prospector [global options] %s", c.name)
	fs := c.flagSet()
	any := false
	fs.VisitAll(func(*flag.Flag) { any = true })
	if any {
		b.WriteString(" [options]")
	}
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	fmt.Fprintf(&b, "\n\n  %s\n", strings.ReplaceAll(c.about, "\n", "\n  "))
	if any {
		b.WriteString("\nOptions:\n")
		fs.VisitAll(func(f *flag.Flag) {
			value, usage := flag.UnquoteUsage(f)
			name := "-" + f.Name
			if value != "" {
				name += "=" + strings.ToUpper(value)
			}
			fmt.Fprintf(&b, "\n  %-22s %s\n", name, strings.ReplaceAll(usage, "\n", "\n"+strings.Repeat(" ", 25)))
		})
	}
	return strings.TrimRight(b.String(), "\n")
}

func (c *command) Run(args []string) int {
	fs := c.flagSet()
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(c.env.Stdout, c.Help())
			return 0
		}
		fmt.Fprintf(c.env.Stderr, "Error: %s: %v\n\nFor its options: prospector %s -help\n", c.name, err, c.name)
		return 1
	}
	if fs.NArg() > 0 && c.args == "" {
		fmt.Fprintf(c.env.Stderr, "Error: %s takes no argument, but got %q\n\nFor its options: prospector %s -help\n", c.name, fs.Arg(0), c.name)
		return 1
	}
	return c.run(fs.Args())
}

// variables are the flags that set variables.
type variables struct{ vars, files []string }

func (v *variables) register(fs *flag.FlagSet) {
	fs.Func("var", "Set a variable of the configuration: -var 'name=`value`'.\nMay be given several times.", func(s string) error {
		v.vars = append(v.vars, s)
		return nil
	})
	fs.Func("var-file", "Set variables from a `file`. May be given several times.", func(s string) error {
		v.files = append(v.files, s)
		return nil
	})
}

// configOptions are the variables' values. Files are relative to -chdir.
func (e *env) configOptions(v *variables) config.Options {
	o := config.Options{Vars: v.vars, Environ: e.Environ}
	for _, f := range v.files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(e.dir, f)
		}
		o.VarFiles = append(o.VarFiles, f)
	}
	return o
}

// load reads the configuration and prints what is wrong with it.
func (e *env) load(v *variables) (*jobs.Configuration, bool) {
	c, ds := config.Load(e.dir, e.configOptions(v))
	e.view.Diagnostics(ds)
	return c, !ds.HasErrors()
}

func help(commands map[string]cli.CommandFactory) string {
	var b strings.Builder
	b.WriteString(`Usage: prospector [global options] <command> [args]

  Prospector exports the events of Knock CRM prospects into a lake of
  hive-partitioned Parquet, the way Terraform changes infrastructure.

Main commands:
`)
	list := func(names ...string) {
		for _, name := range names {
			c, err := commands[name]()
			if err == nil {
				fmt.Fprintf(&b, "  %-12s  %s\n", name, c.Synopsis())
			}
		}
	}
	list("init", "validate", "plan", "apply")
	b.WriteString("\nOther commands:\n")
	list("show", "sql", "simulate", "version")
	b.WriteString(`
Global options (before the command):
  -chdir=DIR    Use the configuration in another directory
  -help         Show this, or with a command, the help of that
  -version      Like the version command`)
	return b.String()
}
