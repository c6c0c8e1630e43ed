package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// bench is one run of this program.
type bench struct {
	dir         string // gone at the end
	python      python
	peers       []peer // those that can be used
	compression string
	runs        int
	progress    io.Writer
}

// comparison is what was measured with pages of one world.
type comparison struct {
	World     world   `json:"world"`
	JSONBytes int64   `json:"json_bytes"`
	Entries   []entry `json:"entries"` // those of peers after prospector's
	Nights    []night `json:"nights,omitempty"`
	// Rewritten is what the table of the same rows takes by DuckDB's Parquet
	// writer; zero when it was not measured.
	Rewritten size `json:"rewritten,omitzero"`
}

// entry is one way of doing the work.
type entry struct {
	Name      string `json:"name"`
	Shortfall string `json:"shortfall,omitempty"`
	cost
	size
	Runs int `json:"runs"`
	// Differences are what is otherwise than in prospector's table. Such an
	// entry has no ratio: a fast wrong answer does not count.
	Differences []string `json:"differences,omitempty"`
	Failed      string   `json:"failed,omitempty"`
}

func (e entry) right() bool { return e.Failed == "" && len(e.Differences) == 0 }

// verdict says what of the result is to be known.
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
	BytesTouched, BytesAll  int64 // the size of the touched partitions and of all, after it
}

// The names of prospector's own entries.
const (
	onDisk  = "prospector"
	served  = "prospector, from a server"
	oneCore = "prospector, on one core"
	twoCore = "prospector, on two cores" // where there are more
)

func withCodec(compression string) string { return onDisk + ", " + compression }

// find gives an entry by the beginning of its name.
func (c comparison) find(name string) (entry, bool) {
	for _, e := range c.Entries {
		if e.Name == name || strings.HasPrefix(e.Name, name+" ") {
			return e, e.right() && e.Runs > 0
		}
	}
	return entry{}, false
}

// contestant does the work, and leaves the table below output.
type contestant struct {
	entry
	runs  int
	do    func(ctx context.Context, output string) (cost, error)
	print fingerprint
}

// compare measures with the pages of a world. focus are the measurements that are
// made for one size only.
func (b *bench) compare(ctx context.Context, w world, focus bool) (out comparison, err error) {
	out.World = w
	dir := filepath.Join(b.dir, fmt.Sprint(w.Events))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	pages, journal := filepath.Join(dir, "pages.ndjson"), filepath.Join(dir, "journal")
	b.tell(w, "writing the pages")
	if err := runWork(ctx, task{Do: "pages", World: w, Pages: pages}, &struct{}{}); err != nil {
		return out, fmt.Errorf("writing the pages: %w", err)
	}
	info, err := os.Stat(pages)
	if err != nil {
		return out, err
	}
	out.JSONBytes = info.Size()

	own := func(do, compression string, cores int) func(context.Context, string) (cost, error) {
		return func(ctx context.Context, output string) (cost, error) {
			t := task{Do: do, World: w, Journal: journal, Output: output, Compression: compression, Cores: cores}
			if _, err := os.Stat(journal); do == "apply" && err == nil {
				t.Journal = "" // the first one has kept it
			}
			var e exported
			err := runWork(ctx, t, &e)
			return e.cost, err
		}
	}
	all := []*contestant{
		{entry: entry{Name: served}, do: own("apply", b.compression, 0)},
		{entry: entry{Name: onDisk}, do: own("replay", b.compression, 0)},
	}
	if focus {
		other := "zstd"
		if b.compression == other {
			other = "snappy"
		}
		all = append(all, &contestant{entry: entry{Name: withCodec(other)}, do: own("replay", other, 0)})
		cores := runtime.GOMAXPROCS(0)
		if cores > 1 {
			all = append(all, &contestant{entry: entry{Name: oneCore}, do: own("replay", b.compression, 1)})
		}
		if cores > 2 {
			all = append(all, &contestant{entry: entry{Name: twoCore}, do: own("replay", b.compression, 2)})
		}
	}
	for _, p := range b.peers {
		if p.most > 0 && w.Events > p.most {
			continue
		}
		all = append(all, &contestant{entry: entry{Name: p.title(), Shortfall: p.shortfall}, runs: p.runs,
			do: func(ctx context.Context, output string) (cost, error) {
				return p.do(ctx, b.python, pages, output, b.compression)
			}})
	}
	// Alternately, so that whatever else the machine does meets them alike.
	for run := range b.runs {
		for _, c := range all {
			if c.Failed != "" || c.runs > 0 && run >= c.runs {
				continue
			}
			b.tell(w, "%s, run %d of %d", c.Name, run+1, b.runs)
			if err := c.measure(ctx, filepath.Join(dir, "output")); err != nil {
				return out, fmt.Errorf("%s events, %s: %w", count(w.Events), c.Name, err)
			}
		}
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
		err = b.afterwards(ctx, &out, dir, journal)
	}
	return out, err
}

// measure does the work once more. That a peer fails is a result, and that
// prospector does is an error.
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

// afterwards measures what comes after the table is published.
func (b *bench) afterwards(ctx context.Context, out *comparison, dir, journal string) error {
	w := out.World
	b.tell(w, "the nights after")
	t := task{Do: "replay", World: w, Journal: journal, Output: filepath.Join(dir, "house"), Compression: b.compression}
	if err := runWork(ctx, t, &exported{}); err != nil {
		return err
	}
	lake := newHouse(t.Output, t.Compression, w).tablePath()
	for _, p := range b.peers {
		if p.name == "duckdb" {
			rewritten := filepath.Join(dir, "rewritten")
			if err := b.python.run(ctx, &cost{}, "rewrite_with_duckdb.py", lake, rewritten, b.compression, fmt.Sprint(runtime.GOMAXPROCS(0))); err != nil {
				return fmt.Errorf("writing the table again with DuckDB: %w", err)
			}
			var err error
			if out.Rewritten, err = sizeOf(rewritten); err != nil {
				return err
			}
		}
	}
	t.Do, t.Journal = "night", ""
	for _, n := range []struct {
		name    string
		changed []part
	}{
		{"a night without change", nil},
		// Two of 186 partitions, whose types have a third of all events.
		{"a night that touches 1 % of the partitions", []part{
			{"Knockbot replied", "KNOCKBOT_MESSAGE", "2022-01-10"},
			{"An email was sent via knock", "EMAIL_MESSAGE", "2022-01-20"},
		}},
	} {
		t.Changed = n.changed
		var e exported
		if err := runWork(ctx, t, &e); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		all, err := sizeOf(lake)
		if err != nil {
			return err
		}
		entry := night{
			Name: n.name, cost: e.cost, Partitions: e.Partitions, Touched: e.Touched,
			BytesRead: e.BytesRead, BytesWritten: e.BytesWritten, BytesAll: all.Bytes,
		}
		for _, p := range n.changed {
			touched, err := sizeOf(filepath.Join(lake, "event_type="+p.Type, "event_date="+p.Day))
			if err != nil {
				return err
			}
			entry.BytesTouched += touched.Bytes
		}
		out.Nights = append(out.Nights, entry)
	}
	return nil
}

func (b *bench) tell(w world, format string, args ...any) {
	fmt.Fprintf(b.progress, "%s events: %s\n", count(w.Events), fmt.Sprintf(format, args...))
}
