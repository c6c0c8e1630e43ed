package main

import (
	"fmt"
	"math"
)

// budget is a performance goal and its measurement.
type budget struct {
	What     string `json:"what"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured"` // or why it was not measured
	// Verdict is "met", "missed" or "not measured".
	Verdict string `json:"verdict"`
}

func judge(what, wanted, measured string, met bool) budget {
	verdict := "missed"
	if met {
		verdict = "met"
	}
	return budget{what, wanted, measured, verdict}
}

func notMeasured(what, wanted, why string) budget { return budget{what, wanted, why, "not measured"} }

// focusOf returns the world that most budgets apply to: the one with a million events
// or, if it is not measured, the largest.
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

// measured holds the measurements for the budgets.
type measured struct {
	all         []comparison
	focus       comparison
	own         entry // prospector's, of the focus
	compression string
}

// budgets compares the measurements with the goals.
func budgets(all []comparison, focus world, compression string) []budget {
	m := measured{all: all, compression: compression}
	for _, c := range all {
		if c.World == focus {
			m.focus = c
		}
	}
	m.own, _ = m.focus.find(onDisk)
	out := []budget{m.speed(), m.server(), m.memory(million), m.memory(10 * million), m.size(), m.growth(), m.cores(), m.zstd()}
	for _, n := range m.focus.Nights {
		out = append(out, m.night(n))
	}
	return out
}

// at describes the focus.
func (m measured) at() string { return ", " + count(m.focus.World.Events) + " events" }

func (m measured) speed() budget {
	const what, wanted = "pages on disk to the lake, 1,000,000 events", "8.00 × as fast as DuckDB"
	duck, ok := m.focus.find("duckdb")
	switch {
	case m.focus.World.Events != million:
		return notMeasured(what, wanted, "needs -events 1M")
	case !ok:
		return notMeasured(what, wanted, "DuckDB has no correct result")
	}
	ratio := duck.Seconds / m.own.Seconds
	return judge(what, wanted, times(ratio), ratio >= 8)
}

func (m measured) server() budget {
	const what, wanted = "apply from a server, server included, 1,000,000 events", "at most 6.00 s"
	server, ok := m.focus.find(served)
	if !ok || m.focus.World.Events != million {
		return notMeasured(what, wanted, "needs -events 1M")
	}
	return judge(what, wanted, seconds(server.Seconds), server.Seconds <= 6)
}

func (m measured) memory(events int) budget {
	what, wanted := "peak memory, "+count(events)+" events", "at most 512 MiB"
	for _, c := range m.all {
		if c.World.Events != events {
			continue
		}
		peak := int64(0)
		for _, name := range []string{onDisk, served} {
			e, _ := c.find(name)
			peak = max(peak, e.PeakBytes)
		}
		return judge(what, wanted, mebibytes(peak)+" MiB", peak <= 512<<20)
	}
	return notMeasured(what, wanted, "needs -events "+short(events))
}

func (m measured) size() budget {
	what, wanted := "size of the same rows and columns"+m.at(), "at most DuckDB's"
	rewritten := m.focus.Rewritten.Bytes
	if rewritten == 0 {
		return notMeasured(what, wanted, "DuckDB is not installed")
	}
	ratio := float64(m.own.Bytes) / float64(rewritten)
	return judge(what, wanted, fmt.Sprintf("%.2f × (%s and %s MB)", ratio, megabytes(m.own.Bytes), megabytes(rewritten)), ratio <= 1)
}

// growth compares the time per event of the smallest and the largest world.
func (m measured) growth() budget {
	const what, wanted = "time per event, 100,000 to 10,000,000 events", "at most +15 %"
	smallest, largest := m.all[0], m.all[0]
	for _, c := range m.all {
		if c.World.Events < smallest.World.Events {
			smallest = c
		}
		if c.World.Events > largest.World.Events {
			largest = c
		}
	}
	if smallest.World == largest.World {
		return notMeasured(what, wanted, "needs more than one size")
	}
	few, _ := smallest.find(onDisk)
	many, _ := largest.find(onDisk)
	growth := many.Seconds/float64(largest.World.Events)/(few.Seconds/float64(smallest.World.Events)) - 1
	text := fmt.Sprintf("%+.0f %% from %s to %s", growth*100, short(smallest.World.Events), short(largest.World.Events))
	return judge(what, wanted, text, growth <= 0.15)
}

func (m measured) cores() budget {
	what, wanted := "speed-up from one core to two"+m.at(), "at least 1.70 ×"
	two, ok := m.focus.find(twoCore)
	if !ok {
		two = m.own
	}
	one, ok := m.focus.find(oneCore)
	if !ok {
		return notMeasured(what, wanted, "there is one core")
	}
	ratio := one.Seconds / two.Seconds
	return judge(what, wanted, times(ratio), ratio >= 1.7)
}

func (m measured) zstd() budget {
	what, wanted := "time with ZSTD, as a multiple of Snappy's"+m.at(), "at most 1.50 ×"
	ratio, ok := m.zstdRatio()
	if !ok {
		return notMeasured(what, wanted, "needs -compression snappy or zstd")
	}
	return judge(what, wanted, times(ratio), ratio <= 1.5)
}

// zstdRatio returns the time with ZSTD as a multiple of the time with Snappy.
func (m measured) zstdRatio() (float64, bool) {
	if zstd, ok := m.focus.find(withCodec("zstd")); ok && m.compression == "snappy" {
		return zstd.Seconds / m.own.Seconds, true
	}
	if snappy, ok := m.focus.find(withCodec("snappy")); ok && m.compression == "zstd" {
		return m.own.Seconds / snappy.Seconds, true
	}
	return 0, false
}

func (m measured) night(n night) budget {
	if n.Touched == 0 {
		return judge(n.Name+m.at(), "no byte of the lake read or written",
			fmt.Sprintf("%s read, %s written", bytesText(n.BytesRead), bytesText(n.BytesWritten)), n.BytesRead+n.BytesWritten == 0)
	}
	share := func(bytes int64) float64 { return 100 * float64(bytes) / float64(n.BytesAll) }
	touched, read, written := share(n.BytesTouched), share(n.BytesRead), share(n.BytesWritten)
	return judge(
		fmt.Sprintf("a night that touches %d of %d partitions%s", n.Touched, n.Partitions, m.at()),
		fmt.Sprintf("about %.1f %% of the lake read and written", touched),
		fmt.Sprintf("%.1f %% read, %.1f %% written", read, written),
		math.Max(read, written) <= 1.5*touched)
}
