// Command gcsfaults tries prospector against an emulator of Cloud Storage that is
// disturbed on purpose. Package gcsfault describes the faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: gcsfaults COMMAND [flags]

Tries prospector against an emulator of Cloud Storage on this machine, with faults.

Commands:
`

// command is a subcommand.
type command struct {
	name, synopsis string
	about          string // the rest of its help
	// flags declares the flags and returns the function that runs the command.
	flags func(*flag.FlagSet) func(ctx context.Context, out io.Writer) error
}

var commands = []command{serveCommand, trialsCommand, speedCommand, memoryCommand}

// run runs a command and returns its exit code: 0 on success, 1 on an error, and 2 for
// invalid arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	help := func() {
		fmt.Fprint(stderr, usage)
		for _, c := range commands {
			fmt.Fprintf(stderr, "  %-8s %s\n", c.name, c.synopsis)
		}
		fmt.Fprint(stderr, "\nFor the flags of a command: gcsfaults COMMAND -help\n")
	}
	if len(args) == 0 || args[0] == "-help" || args[0] == "--help" || args[0] == "-h" {
		help()
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "There is no command %q.\n\n", args[0])
	help()
	return 2
}

func (c command) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gcsfaults "+c.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: gcsfaults %s [flags]\n\n%s\nFlags:\n", c.name, c.about)
		flags.PrintDefaults()
	}
	execute := c.flags(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "Unexpected argument %q. See gcsfaults %s -help.\n", flags.Arg(0), c.name)
		return 2
	}
	if err := execute(ctx, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
