package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"prospector/sink/store/gcs/gcsfault"
)

// timeout is the timeout of sinks and backends.
const timeout = time.Second

// trial is one trial. Its name and the seed of the runner determine all of its random
// numbers.
type trial struct {
	number  int
	seed    uint64 // of the runner
	speedup int
	random  *rand.Rand
	dir     string
	what    string // a description, for people

	mu     sync.Mutex
	labs   []*lab
	faults []string
}

func newTrial(r *runner, name string, number int) *trial {
	h := fnv.New64a()
	fmt.Fprint(h, name)
	return &trial{
		number: number, seed: r.seed, speedup: r.speedup,
		random: rand.New(rand.NewPCG(r.seed, h.Sum64())),
		dir:    filepath.Join(r.dir, strings.ReplaceAll(name, "/", "-")),
	}
}

// layout is a world and the shape of its table.
type layout struct {
	name  string
	world world
	shape shape
}

var types = []string{"SMS_MESSAGE", "EMAIL_MESSAGE", "WEB_MESSAGE"}

var (
	smallFiles   = layout{"small files", world{prospects: 6, events: 12, text: 100, types: types}, shape{`["event_type", "event_date"]`, "256MiB"}}
	severalFiles = layout{"several files per partition", world{prospects: 5, events: 20, text: 60_000, types: types}, shape{`["event_type"]`, "1MiB"}}
	largeFiles   = layout{"large files", world{prospects: 5, events: 20, text: 250_000, types: types[:2]}, shape{`["event_type"]`, "256MiB"}}
)

// options returns the options of a lab without faults.
func (l *layout) options(seed uint64) *labOptions {
	w := &l.world
	return &labOptions{
		world: &world{seed: seed, prospects: w.prospects, events: w.events, text: w.text, types: w.types},
		shape: l.shape, timeout: timeout,
	}
}

// draw draws a layout, the behaviour of the service, and the seed of the faults.
func (t *trial) draw() *labOptions {
	layouts := [10]*layout{&largeFiles, &largeFiles, &severalFiles, &severalFiles}
	of := layouts[t.random.IntN(len(layouts))]
	if of == nil {
		of = &smallFiles
	}
	t.what = of.name
	o := of.options(t.random.Uint64())
	o.faults.Seed = t.random.Uint64()
	// Requests of sessions are rare, and so are sessions that end early.
	o.faults.Rates = map[gcsfault.Kind]float64{gcsfault.Start: 0.7, gcsfault.Send: 0.7, gcsfault.Query: 0.5}
	stalls, damage := t.random.IntN(3) == 0, t.random.IntN(3) == 0
	o.faults.Faults = append(selectFaults(stalls, damage), slices.Repeat([]gcsfault.Fault{gcsfault.SessionNotFound, gcsfault.SessionGone}, 3)...)
	if stalls {
		t.what += ", stalls"
	}
	if damage {
		t.what += ", damage"
	}
	if o.faithful.CheckStart = t.random.IntN(2) == 0; o.faithful.CheckStart {
		t.what += ", early preconditions"
	}
	if t.random.IntN(4) == 0 {
		o.faults.PageSize = 1
		t.what += ", pages of one entry"
	}
	if t.random.IntN(5) == 0 {
		o.faithful.WriteInterval = time.Second
		t.what += ", one write a second"
	}
	return o
}

// lab starts a lab, which ends with the trial.
func (t *trial) lab(ctx context.Context, o *labOptions) (*lab, error) {
	o.faults.Stall = 20 * o.timeout
	o.faults.Log = func(r gcsfault.Request, f gcsfault.Fault) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.faults = append(t.faults, fmt.Sprintf("%s %s: %s", r.Kind, r.Object, f))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l, err := newLab(ctx, filepath.Join(t.dir, fmt.Sprint(len(t.labs))), o)
	if err == nil {
		t.labs = append(t.labs, l)
	}
	return l, err
}

// close ends the labs, removes their files, and returns their counts.
func (t *trial) close() gcsfault.Counts {
	total := newCounts()
	for _, l := range t.labs {
		l.close()
		add(&total, l.proxy.Counts())
	}
	os.RemoveAll(t.dir) // the runner removes what remains, and reports errors
	return total
}

// printFaults prints all faults or the last ones.
func (t *trial) printFaults(out io.Writer, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := max(0, len(t.faults)-20)
	if all {
		from = 0
	}
	for i, fault := range t.faults[from:] {
		fmt.Fprintf(out, "  fault %d: %s\n", from+i+1, fault)
	}
}
