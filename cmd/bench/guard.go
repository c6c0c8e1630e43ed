package main

import (
	"fmt"
	"io"
	"strings"
)

// The guard checks ratios. Absolute times depend on the machine and its load, so the
// guard compares prospector with peers that did the same work in the same run. It uses
// processor time, on which other load has little effect. Each bound leaves about a
// factor of two, so that regressions break it, but noise does not.

// guardEvents is large enough to outweigh the start of processes, and small enough to
// run the guard on every change.
const guardEvents = 200_000

// bound is a limit of a ratio.
type bound struct {
	what  string
	ratio func(comparison) (float64, bool) // false if not measured
	least bool                             // limit is a minimum; otherwise it is a maximum
	limit float64
}

func cpuRatio(name, to string) func(comparison) (float64, bool) {
	return func(c comparison) (float64, bool) {
		a, ok := c.find(name)
		b, ok2 := c.find(to)
		return a.CPUSeconds / b.CPUSeconds, ok && ok2
	}
}

var bounds = []bound{
	{"processor time of the naive loop, as a multiple of prospector's", cpuRatio("naive", onDisk), true, 1.2},
	{"processor time of DuckDB, as a multiple of prospector's", cpuRatio("duckdb", onDisk), true, 0.5},
	{"processor time with ZSTD, as a multiple of Snappy's", cpuRatio(withCodec("zstd"), onDisk), false, 2},
	{"peak memory of prospector, as a multiple of the naive loop's", func(c comparison) (float64, bool) {
		own, ok := c.find(onDisk)
		naive, ok2 := c.find("naive")
		return float64(own.PeakBytes) / float64(naive.PeakBytes), ok && ok2
	}, false, 1.5},
	{"size of prospector's files, as a multiple of DuckDB's for the same rows", func(c comparison) (float64, bool) {
		own, ok := c.find(onDisk)
		return float64(own.Bytes) / float64(c.Rewritten.Bytes), ok && c.Rewritten.Bytes > 0
	}, false, 1.5},
}

// guard prints the ratios, and reports whether every bound holds. It also returns false
// if the result of a peer differs, since the ratios are then meaningless.
func guard(w io.Writer, c comparison) (holds bool) {
	holds = true
	for _, e := range c.Entries {
		if !e.isCorrect() {
			holds = false
			fmt.Fprintf(w, "%s: %s\n", e.Name, e.verdict())
		}
	}
	fmt.Fprintf(w, "\nRatios of this run, with %s events, and their bounds:\n\n", count(c.World.Events))
	g := grid{{"", "measured", "bound", ""}}
	for _, b := range bounds {
		limit := "at most " + times(b.limit)
		if b.least {
			limit = "at least " + times(b.limit)
		}
		ratio, ok := b.ratio(c)
		switch {
		case !ok:
			g = append(g, []string{b.what, "–", limit, "not measured"})
		case b.least && ratio < b.limit, !b.least && ratio > b.limit:
			holds = false
			g = append(g, []string{b.what, times(ratio), limit, "broken"})
		default:
			g = append(g, []string{b.what, times(ratio), limit, "holds"})
		}
	}
	var text strings.Builder
	g.write(&text, false)
	fmt.Fprint(w, text.String())
	return holds
}
