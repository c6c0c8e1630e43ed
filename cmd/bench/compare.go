package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// bench is one run of this program.
type bench struct {
	dir         string // removed at the end
	python      python
	peers       []peer // the installed ones
	compression string
	runs        int
	progress    io.Writer
}

// comparison holds the measurements with the pages of one world.
type comparison struct {
	World     world   `json:"world"`
	JSONBytes int64   `json:"json_bytes"`
	Entries   []entry `json:"entries"` // prospector's first
	Nights    []night `json:"nights,omitempty"`
	// Rewritten is the size of the same table when DuckDB writes it, or zero if it was
	// not measured.
	Rewritten size `json:"rewritten,omitzero"`
}

// entry is the result of one way to do the work.
type entry struct {
	Name      string `json:"name"`
	Shortfall string `json:"shortfall,omitempty"`
	cost
	size
	Runs int `json:"runs"`
	// Differences lists differences from prospector's table. An entry with differences
	// has no ratio, because its result is wrong.
	Differences []string `json:"differences,omitempty"`
	Failed      string   `json:"failed,omitempty"`
}

func (e entry) isCorrect() bool { return e.Failed == "" && len(e.Differences) == 0 }

// verdict describes the result.
func (e entry) verdict() string {
	text := "same"
	switch {
	case e.Failed != "":
		return "failed: " + e.Failed
	case len(e.Differences) > 0:
		text = "different result: " + strings.Join(e.Differences, ", ")
	}
	if e.Shortfall != "" {
		text += "; " + e.Shortfall
	}
	return text
}

// night is a run after the table was published.
type night struct {
	Name string `json:"name"`
	cost
	Partitions, Touched     int
	BytesRead, BytesWritten int64 // of the lake
	BytesTouched, BytesAll  int64 // size of the touched partitions and of all partitions, after the run
}

// The names of prospector's own entries.
const (
	onDisk  = "prospector"
	served  = "prospector, from a server"
	oneCore = "prospector, on one core"
	twoCore = "prospector, on two cores" // if there are more
)

func withCodec(compression string) string { return onDisk + ", " + compression }

// find returns the entry whose name begins with name, and whether its result is
// correct.
func (c comparison) find(name string) (entry, bool) {
	for _, e := range c.Entries {
		if e.Name == name || strings.HasPrefix(e.Name, name+" ") {
			return e, e.isCorrect() && e.Runs > 0
		}
	}
	return entry{}, false
}

// contestant is a way to do the work, which writes the table to a directory, output.
type contestant struct {
	entry
	runs  int
	do    func(ctx context.Context, output string) (cost, error)
	print fingerprint
}

// compare measures all contestants with the pages of a world. It makes some measurements
// only if the world is the focus.
func (b *bench) compare(ctx context.Context, w world, focus bool) (out comparison, err error) {
	out.World = w
	dir := filepath.Join(b.dir, fmt.Sprint(w.Events))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	pages, journal := filepath.Join(dir, "pages.ndjson"), filepath.Join(dir, "journal")
	if out.JSONBytes, err = b.writePages(ctx, w, pages); err != nil {
		return out, fmt.Errorf("writing the pages: %w", err)
	}
	all := append(b.own(w, journal, focus), b.ofPeers(w, pages)...)
	if err := b.alternate(ctx, w, all, filepath.Join(dir, "output")); err != nil {
		return out, err
	}
	reference := all[1].print
	all[0], all[1] = all[1], all[0]
	for _, c := range all {
		if c.Failed == "" {
			c.Differences = reference.differences(c.print)
		}
		out.Entries = append(out.Entries, c.entry)
	}
	if focus {
		err = b.measureNights(ctx, &out, dir, journal)
	}
	return out, err
}

// writePages writes the pages of a world to a file, and returns its size.
func (b *bench) writePages(ctx context.Context, w world, path string) (int64, error) {
	b.log(w, "writing the pages")
	if err := runWork(ctx, task{Do: "pages", World: w, Pages: path}, &struct{}{}); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// own returns prospector's contestants. The first one reads from a server and keeps
// the journal, which the others read.
func (b *bench) own(w world, journal string, focus bool) []*contestant {
	do := func(do, compression string, cores int) func(context.Context, string) (cost, error) {
		return func(ctx context.Context, output string) (cost, error) {
			t := task{Do: do, World: w, Journal: journal, Output: output, Compression: compression, Cores: cores}
			if _, err := os.Stat(journal); do == "apply" && err == nil {
				t.Journal = "" // an earlier run has kept it
			}
			var e exported
			err := runWork(ctx, t, &e)
			return e.cost, err
		}
	}
	all := []*contestant{
		{entry: entry{Name: served}, do: do("apply", b.compression, 0)},
		{entry: entry{Name: onDisk}, do: do("replay", b.compression, 0)},
	}
	if !focus {
		return all
	}
	other := "zstd"
	if b.compression == other {
		other = "snappy"
	}
	all = append(all, &contestant{entry: entry{Name: withCodec(other)}, do: do("replay", other, 0)})
	cores := runtime.GOMAXPROCS(0)
	if cores > 1 {
		all = append(all, &contestant{entry: entry{Name: oneCore}, do: do("replay", b.compression, 1)})
	}
	if cores > 2 {
		all = append(all, &contestant{entry: entry{Name: twoCore}, do: do("replay", b.compression, 2)})
	}
	return all
}

// ofPeers returns the contestants of the peers that are measured at this size.
func (b *bench) ofPeers(w world, pages string) (all []*contestant) {
	for _, p := range b.peers {
		if p.most > 0 && w.Events > p.most {
			continue
		}
		all = append(all, &contestant{entry: entry{Name: p.title(), Shortfall: p.shortfall}, runs: p.runs,
			do: func(ctx context.Context, output string) (cost, error) {
				return p.do(ctx, b.python, pages, output, b.compression)
			}})
	}
	return all
}

// alternate measures all contestants once before it measures each of them again, so
// that other load on the machine affects them alike.
func (b *bench) alternate(ctx context.Context, w world, all []*contestant, output string) error {
	for run := range b.runs {
		for _, c := range all {
			if c.Failed != "" || c.runs > 0 && run >= c.runs {
				continue
			}
			b.log(w, "%s, run %d of %d", c.Name, run+1, b.runs)
			if err := c.measure(ctx, output); err != nil {
				return fmt.Errorf("%s events, %s: %w", count(w.Events), c.Name, err)
			}
		}
	}
	return nil
}

// measure does the work once. It records the failure of a peer as a result, but returns
// the failure of prospector as an error.
func (c *contestant) measure(ctx context.Context, output string) error {
	defer os.RemoveAll(output)
	took, err := c.do(ctx, output)
	if err == nil && c.Runs == 0 {
		if c.size, err = sizeOf(output); err == nil {
			err = runWork(ctx, task{Do: "fingerprint", Output: output}, &c.print)
		}
	}
	if err != nil {
		if ctx.Err() != nil || strings.HasPrefix(c.Name, onDisk) {
			return err
		}
		c.Failed = err.Error()
		return nil
	}
	if c.Runs > 0 {
		took = took.best(c.cost)
	}
	c.cost = took
	c.Runs++
	return nil
}

// measureNights measures runs after the table was published, and the size of the same
// table when DuckDB writes it.
func (b *bench) measureNights(ctx context.Context, out *comparison, dir, journal string) error {
	w := out.World
	b.log(w, "the nights after")
	t := task{Do: "replay", World: w, Journal: journal, Output: filepath.Join(dir, "house"), Compression: b.compression}
	if err := runWork(ctx, t, &exported{}); err != nil {
		return err
	}
	lake := newHouse(t.Output, t.Compression, w).tablePath()
	if slices.ContainsFunc(b.peers, func(p peer) bool { return p.name == "duckdb" }) {
		rewritten := filepath.Join(dir, "rewritten")
		err := b.python.run(ctx, &cost{}, "rewrite_with_duckdb.py", lake, rewritten, b.compression, fmt.Sprint(runtime.GOMAXPROCS(0)))
		if err == nil {
			out.Rewritten, err = sizeOf(rewritten)
		}
		if err != nil {
			return fmt.Errorf("rewriting the table with DuckDB: %w", err)
		}
	}
	t.Do, t.Journal = "night", ""
	for _, n := range []struct {
		name    string
		changed []part
	}{
		{"a night without change", nil},
		// Two of 186 partitions. Their types have a third of all events.
		{"a night that touches 1 % of the partitions", []part{
			{"Knockbot replied", "KNOCKBOT_MESSAGE", "2022-01-10"},
			{"An email was sent via knock", "EMAIL_MESSAGE", "2022-01-20"},
		}},
	} {
		t.Changed = n.changed
		measured, err := t.measureNight(ctx, lake)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		measured.Name = n.name
		out.Nights = append(out.Nights, measured)
	}
	return nil
}

// measureNight runs one night and measures the lake after it.
func (t task) measureNight(ctx context.Context, lake string) (night, error) {
	var e exported
	if err := runWork(ctx, t, &e); err != nil {
		return night{}, err
	}
	all, err := sizeOf(lake)
	if err != nil {
		return night{}, err
	}
	n := night{
		cost: e.cost, Partitions: e.Partitions, Touched: e.Touched,
		BytesRead: e.BytesRead, BytesWritten: e.BytesWritten, BytesAll: all.Bytes,
	}
	for _, p := range t.Changed {
		touched, err := sizeOf(filepath.Join(lake, "event_type="+p.Type, "event_date="+p.Day))
		if err != nil {
			return night{}, err
		}
		n.BytesTouched += touched.Bytes
	}
	return n, nil
}

func (b *bench) log(w world, format string, args ...any) {
	fmt.Fprintf(b.progress, "%s events: %s\n", count(w.Events), fmt.Sprintf(format, args...))
}
