// Package cli is the command line. It has one file for each command or group of
// commands, which is a thin layer between flags, jobs/config, jobs/run and the views.
// The list of commands is in commands.go.
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

	"golang.org/x/term"

	"prospector/cmd/internal/view"
	"prospector/extract"
	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Deps are what main provides.
type Deps struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
	// Sources and Stores are the kinds that a configuration can name.
	Sources extract.Kinds
	Stores  store.Kinds
}

// Run runs the program with its arguments, without its name, and returns its exit
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

	// A second interrupt ends the program at once, without waiting for the command.
	ended := make(chan int, 1)
	go func() { ended <- e.exit(e.run(args)) }()
	select {
	case code := <-ended:
		return code
	case <-e.stopped:
		printed := make(chan struct{})
		go func() { e.diagnoser.Aborted(); close(printed) }()
		select {
		case <-printed:
		case <-time.After(time.Second): // no process reads the output
		}
		return 1
	}
}

// env is the environment of a command: what main provides, and the views.
type env struct {
	Deps
	dir  string // of the configuration, as the user wrote it
	view *view.Human
	// diagnoser reports problems. It is the view, or the JSON view of a command
	// with -json.
	diagnoser view.Diagnoser
	out       *output // equals Stdout
	// stopped is closed by the second interrupt.
	stopped chan struct{}
}

// globalOptions reads the options before the command, and returns the remaining
// arguments.
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

// json returns the view of a command with -json.
func (e *env) json() *view.JSON {
	v := view.NewJSON(e.Stdout, time.Now)
	e.diagnoser = v
	return v
}

// operation returns the view of plan and apply.
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

// logger writes to the error stream at the level that PROSPECTOR_LOG names.
func (e *env) logger() *slog.Logger {
	var level slog.Level
	name := e.getenv("PROSPECTOR_LOG")
	if name == "" {
		return slog.New(slog.DiscardHandler)
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		e.diagnoser.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "Unknown log level",
			Detail: fmt.Sprintf("PROSPECTOR_LOG is %q. It must be debug, info, warn or error. Nothing is logged.", name)}})
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
}

// dataDir returns the directory for the disposable files of runs, and the root above
// it that the user names. Configurations may share PROSPECTOR_DATA_DIR, so each has
// its own directory there.
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

// failed prints an error as diagnostics and returns the exit code.
func (e *env) failed(err error) int {
	ds := jobs.Diagnose(err, "The command failed")
	_, isDiagnostic := errors.AsType[jobs.Diagnostic](err)
	_, isLink := errors.AsType[*nolink.LinkError](err)
	switch {
	case errors.Is(err, state.ErrLockLost):
		ds = jobs.Diagnostics{lostDiagnostic(err)}
	case isLink && !isDiagnostic:
		ds = jobs.Diagnostics{{Severity: jobs.Error, Summary: "A symbolic link is in the way", Detail: err.Error() + "."}}
	case errors.Is(err, context.Canceled):
		interrupted := jobs.Diagnostic{Severity: jobs.Error, Summary: "Interrupted",
			Detail: "No file is half-written. The pages that were read are kept, and the next run continues from there."}
		if isDiagnostic { // which the interrupt must not hide
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

// usage prints an error about the arguments of the command and returns the exit code.
func (c *command) usage(format string, args ...any) int {
	c.env.view.Errorf("Error: %s: %s\n\nFor its options: prospector %s -help\n", c.name, view.Format(format, args...), c.name)
	return 1
}

// resolve interprets a path on the command line relative to -chdir.
func (e *env) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(e.dir, path)
}
