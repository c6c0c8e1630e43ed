// Command knocksim serves a simulated Knock API on the loopback interface, and writes
// the IDs of its prospects. Package knocksim describes what it simulates.
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

	"prospector/extract/knocksim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: knocksim [flags]

Serves a simulated Knock Get Prospect Events API on this machine until it is
interrupted, and then prints what it has served. The same flags always give the same
prospects and events. A later -as-of gives the same world some days later.

  knocksim -prospects 500 -events 20000 -ids prospects.csv
  knocksim -prospects 500 -events 20000 -addr 127.0.0.1:8080 -fault-rate 0.1

Flags:
`

// run runs the command and returns its exit code: 0 on success, 1 on an error, and 2 for
// invalid flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options := knocksim.Options{Seed: 1, Prospects: 500, Events: 20_000}
	flags := flag.NewFlagSet("knocksim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	options.RegisterFlags(flags)
	addr := flags.String("addr", "127.0.0.1:0", "Listen on this loopback `address`; port 0 selects a free port")
	ids := flags.String("ids", "", `Write the prospect IDs to this CSV `+"`file`"+` ("-" is standard output), and exit.`)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "Unexpected argument %q: knocksim accepts only flags. See knocksim -help.\n", flags.Arg(0))
		return 2
	}
	simulator, err := knocksim.New(options)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if *ids != "" {
		err = writeIDs(simulator, *ids, stdout)
	} else {
		err = knocksim.Serve(ctx, *addr, simulator, func(url string) { fmt.Fprint(stdout, simulator.Greeting(url)) })
		if err == nil {
			fmt.Fprintln(stdout, simulator.Stats())
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func writeIDs(s *knocksim.Simulator, path string, stdout io.Writer) error {
	if path == "-" {
		return s.WriteIDs(stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(s.WriteIDs(f), f.Close())
}
