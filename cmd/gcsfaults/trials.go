package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"prospector/sink/store/gcs/gcsfault"
)

var trialsCommand = command{
	name:     "trials",
	synopsis: "Run prospector against faults until enough of them were injected",
	about: `Runs prospector against an emulator of Cloud Storage with faults, and compares the
lake in the bucket with one that prospector writes to local files. If a trial fails,
the command prints how to repeat it, and exits with 1.

  uplink    six files of 5 to 33 MB arrive in one apply at 300 kB/s
  leases    runs that write their states keep their locks
  stall     an apply with one stalled request takes no longer than an undisturbed one,
            the timeout and one attempt
  nights    every request can succeed within four attempts: every command succeeds
  hostile   some requests never succeed: apply fails with the service's reason, and the
            next run without faults repairs the lake

  gcsfaults trials -faults 2000 -seed 7
  gcsfaults trials -seed 7 -only nights/12
`,
	flags: func(fs *flag.FlagSet) func(context.Context, io.Writer) error {
		r := &runner{counts: newCounts()}
		fs.IntVar(&r.faults, "faults", 200, "Run nights and hostile until nights have had this `number` of faults")
		fs.Uint64Var(&r.seed, "seed", 1, "Derive everything from this `number`")
		fs.IntVar(&r.speedup, "speedup", 1, "Run the trial of a slow uplink faster by this `factor`")
		fs.IntVar(&r.parallel, "parallel", 4, "Run this `number` of trials at a time")
		fs.DurationVar(&r.limit, "limit", time.Hour, "Fail if the trials take longer than this `duration`")
		fs.StringVar(&r.only, "only", "", "Run only the trials of this kind, or only the trial with this `name`")
		fs.BoolVar(&r.verbose, "v", false, "Print every fault.")
		return r.run
	},
}

// kinds are the kinds of trials. A trial's name has its kind and a number, as in
// nights/3. The number of trials is 0 if they run until there are enough faults.
var kinds = map[string]struct {
	run func(context.Context, *trial) error
	// few and many are the numbers of trials for less than 2,000 faults and for more.
	few, many int
}{
	"uplink":  {uplink, 1, 2},
	"leases":  {leases, 1, 3},
	"stall":   {oneStall, oneOfEach, len(stalls)},
	"nights":  {nights, 0, 0},
	"hostile": {hostile, 0, 0},
}

// runner runs trials and keeps their results.
type runner struct {
	faults   int
	seed     uint64
	speedup  int
	parallel int
	limit    time.Duration
	only     string
	verbose  bool

	out io.Writer
	dir string

	mu     sync.Mutex
	counts gcsfault.Counts
	nights int // faults in nights
	ran    int
	failed []string // names of trials
}

func (r *runner) run(ctx context.Context, out io.Writer) (err error) {
	kind, number, one := strings.Cut(r.only, "/")
	n, numberErr := strconv.ParseUint(number, 10, 31)
	if _, ok := kinds[kind]; r.only != "" && (!ok || one && numberErr != nil) {
		return fmt.Errorf("-only=%s: there are no such trials; see gcsfaults trials -help", r.only)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("the trials take longer than %v", r.limit))
	defer cancel()
	if r.dir, err = os.MkdirTemp("", "gcsfaults-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	r.out = out
	if one {
		r.try(ctx, kind, int(n))
	} else {
		r.runAll(ctx, kind)
	}
	printCounts(out, r.counts)
	if len(r.failed) > 0 {
		return fmt.Errorf("\n%d of %d trials failed. To repeat the first failure:\n  go run ./cmd/gcsfaults trials -seed %d -only %s",
			len(r.failed), r.ran, r.seed, r.failed[0])
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAll %d trials passed, with %d faults.\n", r.ran, r.counts.Total())
	return nil
}

// runAll runs the trials of one kind, or of all kinds if it is empty, some at a time. It
// ends early after a failure.
func (r *runner) runAll(ctx context.Context, kind string) {
	next, stop := iter.Pull2(r.names(kind))
	defer stop()
	var pulling sync.Mutex
	var workers sync.WaitGroup
	for range max(r.parallel, 1) {
		workers.Go(func() {
			for ctx.Err() == nil {
				pulling.Lock()
				kind, number, ok := next()
				pulling.Unlock()
				if !ok {
					return
				}
				r.try(ctx, kind, number)
			}
		})
	}
	workers.Wait()
}

// names yields trials until enough faults were injected, or until a trial has failed.
func (r *runner) names(only string) iter.Seq2[string, int] {
	return func(yield func(kind string, number int) bool) {
		for _, name := range []string{"uplink", "leases", "stall"} {
			count := kinds[name].few
			if r.faults >= 2000 {
				count = kinds[name].many
			}
			for i := range count {
				if (only == "" || only == name) && !yield(name, i) {
					return
				}
			}
		}
		for i := 0; !r.enough(only) && (only == "" || kinds[only].few == 0); i++ {
			if only != "" && !yield(only, i) || only == "" && !(yield("nights", i) && (i%3 > 0 || yield("hostile", i/3))) {
				return
			}
		}
	}
}

func (r *runner) enough(only string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failed) > 0 || r.nights >= r.faults || only == "hostile" && r.counts.Total() >= r.faults
}

// try runs one trial and prints its result.
func (r *runner) try(ctx context.Context, kind string, number int) {
	name := fmt.Sprintf("%s/%d", kind, number)
	t := newTrial(r, name, number)
	begin := time.Now()
	err := kinds[kind].run(ctx, t)
	counts := t.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.counts, counts)
	if kind == "nights" {
		r.nights += counts.Total()
	}
	r.ran++
	verdict := "ok"
	if err != nil {
		verdict = "FAILED"
		r.failed = append(r.failed, name)
	}
	fmt.Fprintf(r.out, "%-11s %5.1fs %4d faults  %-7s %s\n", name, time.Since(begin).Seconds(), counts.Total(), verdict, t.what)
	if r.verbose || err != nil {
		t.printFaults(r.out, r.verbose)
	}
	if err != nil {
		fmt.Fprintf(r.out, "  %v\n", err)
	}
}
