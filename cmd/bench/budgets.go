package main

import (
	"fmt"
	"math"
)

// budget is what was promised, and what was measured.
type budget struct {
	What     string `json:"what"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured"` // or why it was not
	// Verdict is "met", "missed" or "not measured".
	Verdict string `json:"verdict"`
}

func judged(what, wanted, measured string, met bool) budget {
	verdict := "missed"
	if met {
		verdict = "met"
	}
	return budget{what, wanted, measured, verdict}
}

func unmeasured(what, wanted, why string) budget { return budget{what, wanted, why, "not measured"} }

// focusOf is the size for which the budgets are made: a million events or, where
// that is not measured, the largest.
func focusOf(worlds []world) (focus world) {
	for _, w := range worlds {
		if w.Events == million {
			return w
		}
		if w.Events > focus.Events {
			focus = w
		}
	}
	return focus
}

// budgets holds what was measured against what was promised.
func budgets(all []comparison, focus world, compression string) (out []budget) {
	var c comparison
	smallest, largest := all[0], all[0]
	for _, other := range all {
		if other.World == focus {
			c = other
		}
		if other.World.Events < smallest.World.Events {
			smallest = other
		}
		if other.World.Events > largest.World.Events {
			largest = other
		}
	}
	at := ", " + count(focus.Events) + " events"
	own, _ := c.find(onDisk)

	what, wanted := "pages on disk to the lake, 1,000,000 events", "8.00 × as fast as DuckDB"
	switch duck, ok := c.find("duckdb"); {
	case focus.Events != million:
		out = append(out, unmeasured(what, wanted, "needs -events 1M"))
	case !ok:
		out = append(out, unmeasured(what, wanted, "no right result of DuckDB's"))
	default:
		ratio := duck.Seconds / own.Seconds
		out = append(out, judged(what, wanted, times(ratio), ratio >= 8))
	}

	what, wanted = "apply from a server, server included, 1,000,000 events", "at most 6.00 s"
	if server, ok := c.find(served); ok && focus.Events == million {
		out = append(out, judged(what, wanted, seconds(server.Seconds), server.Seconds <= 6))
	} else {
		out = append(out, unmeasured(what, wanted, "needs -events 1M"))
	}

	for _, events := range []int{million, 10 * million} {
		what, wanted = "peak memory, "+count(events)+" events", "at most 512 MiB"
		result := unmeasured(what, wanted, "needs -events "+short(events))
		for _, other := range all {
			if other.World.Events != events {
				continue
			}
			peak := int64(0)
			for _, name := range []string{onDisk, served} {
				e, _ := other.find(name)
				peak = max(peak, e.PeakBytes)
			}
			result = judged(what, wanted, mebibytes(peak)+" MiB", peak <= 512<<20)
		}
		out = append(out, result)
	}

	what, wanted = "size of the same rows and columns"+at, "at most DuckDB's"
	if c.Rewritten.Bytes > 0 {
		ratio := float64(own.Bytes) / float64(c.Rewritten.Bytes)
		out = append(out, judged(what, wanted, fmt.Sprintf("%.2f × (%s and %s MB)", ratio, megabytes(own.Bytes), megabytes(c.Rewritten.Bytes)), ratio <= 1))
	} else {
		out = append(out, unmeasured(what, wanted, "DuckDB is not there"))
	}

	what, wanted = "time per event, 100,000 to 10,000,000 events", "at most +15 %"
	if smallest.World != largest.World {
		few, _ := smallest.find(onDisk)
		many, _ := largest.find(onDisk)
		growth := many.Seconds/float64(largest.World.Events)/(few.Seconds/float64(smallest.World.Events)) - 1
		measured := fmt.Sprintf("%+.0f %% from %s to %s", growth*100, short(smallest.World.Events), short(largest.World.Events))
		out = append(out, judged(what, wanted, measured, growth <= 0.15))
	} else {
		out = append(out, unmeasured(what, wanted, "needs more than one size"))
	}

	what, wanted = "speed-up from one core to two"+at, "at least 1.70 ×"
	two, ok := c.find(twoCore)
	if !ok {
		two = own
	}
	if one, ok := c.find(oneCore); ok {
		ratio := one.Seconds / two.Seconds
		out = append(out, judged(what, wanted, times(ratio), ratio >= 1.7))
	} else {
		out = append(out, unmeasured(what, wanted, "there is one core"))
	}

	what, wanted = "time with ZSTD, as a multiple of Snappy's"+at, "at most 1.50 ×"
	if ratio, ok := zstdRatio(c, compression); ok {
		out = append(out, judged(what, wanted, times(ratio), ratio <= 1.5))
	} else {
		out = append(out, unmeasured(what, wanted, "needs -compression snappy or zstd"))
	}

	for _, n := range c.Nights {
		if n.Touched == 0 {
			out = append(out, judged(n.Name+at, "no byte of the lake read or written",
				fmt.Sprintf("%s read, %s written", bytesText(n.BytesRead), bytesText(n.BytesWritten)), n.BytesRead+n.BytesWritten == 0))
			continue
		}
		share := func(bytes int64) float64 { return 100 * float64(bytes) / float64(n.BytesAll) }
		touched, read, written := share(n.BytesTouched), share(n.BytesRead), share(n.BytesWritten)
		out = append(out, judged(
			fmt.Sprintf("a night that touches %d of %d partitions%s", n.Touched, n.Partitions, at),
			fmt.Sprintf("about %.1f %% of the lake read and written", touched),
			fmt.Sprintf("%.1f %% read, %.1f %% written", read, written),
			math.Max(read, written) <= 1.5*touched))
	}
	return out
}

// zstdRatio is the time with ZSTD, with Snappy's as 1.
func zstdRatio(c comparison, compression string) (float64, bool) {
	own, ok := c.find(onDisk)
	if !ok {
		return 0, false
	}
	if zstd, ok := c.find(withCodec("zstd")); ok && compression == "snappy" {
		return zstd.Seconds / own.Seconds, true
	}
	if snappy, ok := c.find(withCodec("snappy")); ok && compression == "zstd" {
		return own.Seconds / snappy.Seconds, true
	}
	return 0, false
}
