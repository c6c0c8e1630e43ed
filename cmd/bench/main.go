// Bench compares the performance of prospector with that of its peers: the same work
// on the same pages in the same run. See -help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) == 2 && os.Args[1] == workCommand {
		os.Exit(work(ctx, os.Stdin, os.Stdout, os.Stderr))
	}
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: go run ./cmd/bench [flags]

Measures how fast prospector exports simulated events: from pages of JSON to a
published, partitioned and verified lake of Parquet files. Its peers do the same work:

  naive    a loop in Go, with encoding/json and Arrow, on one core
  duckdb   one COPY of a query, as fast as we could make it
  pyarrow  Python's json and pyarrow's data set writer
  dlt      a dlt pipeline

The last three need Python with these packages. Peers that are not installed are
skipped. All results are compared with prospector's, value by value: a peer with a
different result gets no ratio. Each measurement runs in its own process, so that
processor time and peak memory are measured separately. The runs alternate, and the
best one counts. The report also shows which budgets are met.

  go run ./cmd/bench
  go run ./cmd/bench -events 10M -peers duckdb
  go run ./cmd/bench -python venv/bin/python -markdown

The default takes several minutes. 10M events take much longer, and 12 GB of disk.
GOMAXPROCS applies to the peers as well: with GOMAXPROCS=2, each has two threads.

Flags:
`

// options are the values of the flags.
type options struct {
	worlds         []world
	peers          []string
	python, dir    string
	needPython     bool // the user has set -python, so it must work
	compression    string
	runs           int
	json, markdown bool
	guard          bool
}

// command runs the program and returns its exit code: 1 if the run failed or a bound
// of the guard is broken, 2 if the flags are invalid, otherwise 0.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	ok, err := o.run(ctx, stdout, stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "Interrupted. No results are printed, and nothing is left in -dir.")
		return 1
	case err != nil:
		fmt.Fprintln(stderr, err)
	}
	if err != nil || !ok {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	events := flags.String("events", "100k,1M", "`numbers` of events to export, separated by commas")
	names := flags.String("peers", peerNames(), "`names` of the peers, separated by commas")
	flags.StringVar(&o.python, "python", "python3", "the Python `program` for the peers that need one")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "`directory` for temporary files; the measurements include the speed of its disk")
	flags.StringVar(&o.compression, "compression", "snappy", "`codec` of the Parquet files: snappy or zstd")
	flags.IntVar(&o.runs, "runs", 3, "`number` of runs, of which the best counts; pyarrow and dlt run once")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.BoolVar(&o.markdown, "markdown", false, "print the tables as Markdown")
	flags.BoolVar(&o.guard, "guard", false, "check ratios against wide bounds, and exit with 1 if one is broken; changes the defaults to -events "+short(guardEvents)+" -peers naive,duckdb -runs 2")
	if err := flags.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = errors.New("see go run ./cmd/bench -help") // flags has printed the error
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see go run ./cmd/bench -help", flags.Arg(0))
	}
	if o.guard && o.json {
		return o, errors.New("-guard cannot be combined with -json: the guard prints text")
	}
	if o.guard && !isSet(flags, "events") {
		*events = short(guardEvents)
	}
	if o.guard && !isSet(flags, "peers") {
		*names = "naive,duckdb"
	}
	if o.guard && !isSet(flags, "runs") {
		o.runs = 2
	}
	o.needPython = isSet(flags, "python")
	if !slices.Contains([]string{"snappy", "zstd"}, o.compression) {
		return o, fmt.Errorf("-compression: %q is not supported; use snappy or zstd", o.compression)
	}
	if o.runs < 1 {
		return o, fmt.Errorf("-runs: %d is too few; use at least 1", o.runs)
	}
	if err := o.setEvents(*events); err != nil {
		return o, err
	}
	return o, o.setPeers(*names)
}

func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func (o *options) setEvents(numbers string) error {
	for text := range strings.SplitSeq(numbers, ",") {
		n, err := parseCount(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("-events: %w", err)
		}
		o.worlds = append(o.worlds, newWorld(n))
	}
	slices.SortFunc(o.worlds, func(a, b world) int { return a.Events - b.Events })
	o.worlds = slices.Compact(o.worlds)
	return nil
}

func (o *options) setPeers(names string) error {
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.ContainsFunc(peers, func(p peer) bool { return p.name == name }) {
			return fmt.Errorf("-peers: there is no peer %q; the peers are %s", name, peerNames())
		}
		o.peers = append(o.peers, name)
	}
	return nil
}

// run measures and prints the report. ok is false if a bound of the guard is broken.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) (ok bool, err error) {
	if err := roomFor(o.dir, o.worlds[len(o.worlds)-1]); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp(o.dir, "prospector-bench-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := bench{dir: dir, compression: o.compression, runs: o.runs, progress: stderr}
	r := report{Machine: thisMachine(), Date: today(time.Now()), Compression: o.compression, Runs: o.runs}
	if b.python, err = newPython(o.python, dir+"/peers"); err != nil {
		return false, err
	}
	for _, p := range peers {
		if !slices.Contains(o.peers, p.name) {
			continue
		}
		if p.module != "" {
			if p.version, err = b.python.version(ctx, p.module); err != nil {
				if o.guard && o.needPython { // the guard must not pass without a measurement
					return false, fmt.Errorf("the guard needs %s, which %s cannot run: %w", p.name, o.python, err)
				}
				r.Skipped = append(r.Skipped, fmt.Sprintf("%s, which %s cannot run: %v", p.name, o.python, err))
				continue
			}
		}
		b.peers = append(b.peers, p)
	}
	others := watchOthers()
	focus := focusOf(o.worlds)
	for _, w := range o.worlds {
		c, err := b.compare(ctx, w, w == focus)
		if err != nil {
			return false, err
		}
		r.Comparisons = append(r.Comparisons, c)
	}
	r.Others = others.share()
	if o.guard {
		if err := r.write(stdout, o.markdown); err != nil {
			return false, err
		}
		return guard(stdout, r.Comparisons[len(r.Comparisons)-1]), nil
	}
	r.Budgets = budgets(r.Comparisons, focus, o.compression)
	if o.json {
		return true, r.writeJSON(stdout)
	}
	return true, r.write(stdout, o.markdown)
}

// bytesPerEvent is an upper bound of the disk space for an event: in the pages, the
// journal, the stage and two tables.
const bytesPerEvent = 1200

// roomFor returns an error if the disk of dir has too little space for a world.
func roomFor(dir string, w world) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("reading the free space in %s: %w", dir, err)
	}
	free, need := uint64(disk.Bavail)*uint64(disk.Bsize), uint64(w.Events)*bytesPerEvent
	if free < need {
		return fmt.Errorf("%s events need %d MB in %s, but %d MB are free; free some space, or set -dir", count(w.Events), need/1e6, dir, free/1e6)
	}
	return nil
}
