package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// report holds the results of one run.
type report struct {
	Machine     machine  `json:"machine"`
	Date        string   `json:"date"`
	Compression string   `json:"compression"`
	Runs        int      `json:"runs"`
	Skipped     []string `json:"skipped,omitempty"` // peers, and why
	// Others is the share of the machine that other processes used during the run,
	// from 0 to 1.
	Others      float64      `json:"others"`
	Comparisons []comparison `json:"comparisons"`
	Budgets     []budget     `json:"budgets"`
}

// machine describes what the results depend on.
type machine struct {
	Cores       int    `json:"cores"`
	Processor   string `json:"processor"`
	MemoryBytes int64  `json:"memory_bytes"` // 0 if unknown
	System      string `json:"system"`
	Go          string `json:"go"`
}

func thisMachine() machine {
	m := machine{
		Cores: runtime.GOMAXPROCS(0), Processor: "unknown processor",
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if n, _ := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); n == 1 {
			m.MemoryBytes = kib << 10
		}
	}
	return m
}

func (m machine) String() string {
	cores := fmt.Sprintf("%d cores of %s", m.Cores, m.Processor)
	if m.Cores == 1 {
		cores = "one core of " + m.Processor
	}
	if m.MemoryBytes > 0 {
		cores += fmt.Sprintf(", %.0f GiB", float64(m.MemoryBytes)/(1<<30))
	}
	return fmt.Sprintf("%s, %s, %s", cores, m.System, m.Go)
}

func (r report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// write prints the report for people, as aligned text or as Markdown.
func (r report) write(w io.Writer, markdown bool) error {
	var b strings.Builder
	paragraph := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n\n", args...) }
	paragraph("%s; %s. Times are the best, and peak memory is the highest, of up to %d runs. The ratio is relative to prospector with pages on disk. MB/s is JSON read, MB is Parquet written.", r.Machine, r.Date, r.Runs)
	for _, c := range r.Comparisons {
		paragraph("%s events of %s prospects, %s MB of JSON on disk, into partitioned %s Parquet:",
			count(c.World.Events), count(c.World.Prospects), megabytes(c.JSONBytes), r.Compression)
		c.grid().write(&b, markdown)
	}
	if r.Others > 0.1 { // kernel threads always use some
		paragraph("Other processes used %.0f %% of the machine during the run, so these results are not reliable. Measure on an idle machine.", r.Others*100)
	}
	for _, skipped := range r.Skipped {
		paragraph("Skipped: %s.", skipped)
	}
	if len(r.Budgets) > 0 {
		g := grid{{"budget", "wanted", "measured", "result"}}
		for _, budget := range r.Budgets {
			g = append(g, []string{budget.What, budget.Wanted, budget.Measured, budget.Verdict})
		}
		g.write(&b, markdown)
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

func (c comparison) grid() grid {
	g := grid{{"", "time", "ratio", "events/s", "MB/s", "CPU", "peak MiB", "files", "MB", "result"}}
	own, _ := c.find(onDisk)
	for _, e := range c.Entries {
		if e.Failed != "" {
			g = append(g, []string{e.Name, "", "", "", "", "", "", "", "", e.verdict()})
			continue
		}
		ratio := ""
		if e.isCorrect() {
			ratio = times(e.Seconds / own.Seconds)
		}
		g = append(g, []string{
			e.Name, seconds(e.Seconds), ratio,
			count(int(float64(c.World.Events) / e.Seconds)), fmt.Sprintf("%.0f", float64(c.JSONBytes)/1e6/e.Seconds),
			seconds(e.CPUSeconds), mebibytes(e.PeakBytes), count(e.Files), megabytes(e.Bytes), e.verdict(),
		})
	}
	for _, n := range c.Nights {
		g = append(g, []string{
			n.Name, seconds(n.Seconds), times(n.Seconds / own.Seconds),
			count(int(float64(c.World.Events) / n.Seconds)), fmt.Sprintf("%.0f", float64(c.JSONBytes)/1e6/n.Seconds),
			seconds(n.CPUSeconds), mebibytes(n.PeakBytes), count(n.Touched), megabytes(n.BytesWritten),
			fmt.Sprintf("%s of the lake read", bytesText(n.BytesRead)),
		})
	}
	return g
}

// grid is a table of strings. Its first row is the header.
type grid [][]string

// write writes the table as text or Markdown. It aligns columns of numbers to the right.
func (g grid) write(b *strings.Builder, markdown bool) {
	widths, right := make([]int, len(g[0])), make([]bool, len(g[0]))
	for i := range widths {
		right[i] = true
		for j, row := range g {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			if j > 0 && row[i] != "" && (row[i][0] < '0' || row[i][0] > '9') {
				right[i] = false
			}
		}
	}
	for j, row := range g {
		var cells []string
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case markdown:
				cells = append(cells, strings.ReplaceAll(cell, "|", `\|`))
			case right[i]:
				cells = append(cells, pad+cell)
			default:
				cells = append(cells, cell+pad)
			}
		}
		if !markdown {
			fmt.Fprintln(b, strings.TrimRight(strings.Join(cells, "  "), " "))
			continue
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
		if j == 0 {
			b.WriteString("|")
			for i := range widths {
				b.WriteString(map[bool]string{true: "---:|", false: "---|"}[right[i]])
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
}

func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.1f s", s)
}

func times(ratio float64) string   { return fmt.Sprintf("%.2f ×", ratio) }
func mebibytes(bytes int64) string { return count(int((bytes + 1<<19) >> 20)) }
func megabytes(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/1e6) }
func today(now time.Time) string   { return now.UTC().Format(time.DateOnly) }

func bytesText(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	return megabytes(bytes) + " MB"
}

// count formats a number with commas: 1,000,000.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short formats a number like a value of -events: 100k, 1M.
func short(n int) string {
	switch {
	case n%million == 0:
		return fmt.Sprintf("%dM", n/million)
	case n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return strconv.Itoa(n)
}

// parseCount parses what short formats.
func parseCount(text string) (int, error) {
	factor := 1
	for suffix, f := range map[string]int{"k": 1000, "M": million} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, factor = rest, f
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000*million/factor {
		return 0, fmt.Errorf("%q is not a number of events; use one such as 100k, 1M or 10M", text)
	}
	return n * factor, nil
}
