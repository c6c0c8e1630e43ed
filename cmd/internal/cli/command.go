package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/cli"
	"github.com/posener/complete"

	"prospector/jobs"
	"prospector/jobs/config"
	"prospector/jobs/plan"
	"prospector/sink/ddl"
)

// command is one command of the program. Its help and its completion follow from its
// flags.
type command struct {
	env      *env
	name     string
	synopsis string // a line without a full stop
	args     string // what follows the options in the usage line
	about    string // paragraphs
	flags    func(*flag.FlagSet)
	// run receives the arguments after the flags and returns the exit code.
	run func(c *command, args []string) int
}

var _ cli.CommandAutocomplete = (*command)(nil)

func (c *command) Synopsis() string { return c.synopsis }

func (c *command) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(fs)
	}
	fs.BoolFunc("no-color", "Print no colors. The environment variable NO_COLOR does the same.", func(string) error {
		c.env.view.Color = false
		return nil
	})
	return fs
}

func (c *command) Help() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Usage: prospector [global options] %s [options]", c.name)
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	b.WriteString("\n\n")
	for paragraph := range strings.SplitSeq(c.about, "\n\n") {
		if !strings.HasPrefix(paragraph, " ") {
			paragraph = fill(paragraph, helpWidth-2)
		}
		b.WriteString(indent(paragraph, 2) + "\n\n")
	}
	b.WriteString("Options:\n")
	c.flagSet().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		name := "-" + f.Name
		if bare, ok := f.Value.(interface{ IsBoolFlag() bool }); value != "" && (!ok || !bare.IsBoolFlag()) {
			name += "=" + strings.ToUpper(value)
		}
		switch f.DefValue {
		case "", "0", "0s", "false":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		if len(name) > 22 {
			name += "\n" + strings.Repeat(" ", 25)
		}
		fmt.Fprintf(&b, "\n  %-23s%s\n", name, strings.TrimSpace(indent(fill(usage, helpWidth-25), 25)))
	})
	return strings.TrimRight(b.String(), "\n")
}

// helpWidth is the width of the help in columns, which fits every terminal.
const helpWidth = 80

// indent moves every line to the right unless it is empty.
func indent(text string, columns int) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", columns) + line
		}
	}
	return strings.Join(lines, "\n")
}

// fill breaks a text into lines of at most width characters.
func fill(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch n := utf8.RuneCountInString(word); {
		case column == 0:
			column = n
		case column+1+n > width:
			b.WriteByte('\n')
			column = n
		default:
			b.WriteByte(' ')
			column += 1 + n
		}
		b.WriteString(word)
	}
	return b.String()
}

func (c *command) Run(args []string) int {
	fs := c.flagSet()
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			c.env.write(c.Help() + "\n")
			return 0
		}
		return c.usage("%v", err)
	}
	for _, arg := range fs.Args() {
		if len(arg) > 1 && arg[0] == '-' {
			return c.usage("options go before arguments: %s is after %s", arg, fs.Arg(0))
		}
	}
	if fs.NArg() > 0 && c.args == "" {
		return c.usage("takes no arguments, but got %q", fs.Arg(0))
	}
	return c.run(c, fs.Args())
}

// AutocompleteFlags implements cli.CommandAutocomplete.
func (c *command) AutocompleteFlags() complete.Flags {
	flags := complete.Flags{"-help": complete.PredictNothing}
	c.flagSet().VisitAll(func(f *flag.Flag) {
		var predict complete.Predictor = complete.PredictAnything
		if bare, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && bare.IsBoolFlag() {
			predict = complete.PredictNothing
		}
		switch f.Name {
		case "var-file", "out":
			predict = complete.PredictFiles("*")
		case "dialect":
			predict = complete.PredictSet(ddl.Dialects()...)
		case "accept":
			predict = complete.PredictSet(plan.Guards()...)
		}
		flags["-"+f.Name] = predict
	})
	return flags
}

// AutocompleteArgs implements cli.CommandAutocomplete.
func (c *command) AutocompleteArgs() complete.Predictor {
	switch {
	case c.name == "help":
		return complete.PredictSet(topics()...)
	case strings.Contains(c.args, "PLAN") || strings.Contains(c.args, "FILE"):
		return complete.PredictFiles("*")
	}
	return complete.PredictNothing
}

// variables holds the flags that set variables.
type variables struct{ vars, files []string }

func (v *variables) register(fs *flag.FlagSet) {
	fs.Func("var", "Set a variable of the configuration to a value, `name=value`. May be given several times.", func(s string) error {
		v.vars = append(v.vars, s)
		return nil
	})
	fs.Func("var-file", "Set variables from a `file`. May be given several times.", func(s string) error {
		v.files = append(v.files, s)
		return nil
	})
}

// configOptions returns the options for loading the configuration. Files are relative
// to -chdir.
func (e *env) configOptions(v *variables) config.Options {
	o := config.Options{Sources: e.Sources, Stores: e.Stores, Vars: v.vars, Environ: e.Environ}
	for _, f := range v.files {
		o.VarFiles = append(o.VarFiles, e.resolve(f))
	}
	return o
}

// load reads the configuration and prints its diagnostics. ok is false if it has errors.
func (e *env) load(v *variables) (c *jobs.Configuration, ok bool) {
	return e.loadWith(e.configOptions(v))
}

func (e *env) loadWith(o config.Options) (*jobs.Configuration, bool) {
	c, ds := config.Load(e.dir, o)
	e.diagnoser.Diagnostics(ds)
	return c, !ds.HasErrors()
}

// addressFlag declares a flag that adds an address to a list.
func addressFlag(fs *flag.FlagSet, name, usage string, into *[]jobs.Address) {
	fs.Func(name, usage, func(s string) error {
		a, err := jobs.ParseAddress(s)
		if err == nil {
			*into = append(*into, a)
		}
		return err
	})
}
