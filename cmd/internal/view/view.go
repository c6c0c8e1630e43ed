// Package view prints for people: diagnostics, plans, progress and results, in
// the conventions of Terraform. It decides nothing.
package view

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"prospector/jobs"
)

// Streams are where a View prints, and what it knows of the reader there.
type Streams struct {
	Out, Err io.Writer
	Color    bool
	// Terminal is true when Out is one: then progress is a bar that moves.
	Terminal bool
	// Width is that of the terminal, in columns.
	Width int
}

// View prints. Its methods may be called concurrently.
type View struct {
	Streams
	mu  sync.Mutex
	bar bool // a progress bar stands on the last line
	run progressState
}

// New makes a View.
func New(s Streams) *View {
	if s.Width <= 0 {
		s.Width = 80
	}
	return &View{Streams: s}
}

// Printf prints to the output.
func (v *View) Printf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	fmt.Fprintf(v.Out, format, args...)
}

func (v *View) clearBar() {
	if v.bar {
		fmt.Fprint(v.Out, "\r\033[K")
		v.bar = false
	}
}

// The colours that Terraform uses.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
	under  = "4"
)

func (v *View) paint(text string, codes ...string) string {
	if !v.Color || text == "" {
		return text
	}
	return "\033[" + strings.Join(codes, ";") + "m" + text + "\033[0m"
}

// Diagnostics prints problems to the error stream, each with the line of the
// configuration that it is about.
func (v *View) Diagnostics(ds jobs.Diagnostics) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	for _, d := range ds {
		fmt.Fprint(v.Err, "\n"+v.diagnostic(d))
	}
}

func (v *View) diagnostic(d jobs.Diagnostic) string {
	color, label := red, "Error: "
	if d.Severity == jobs.Warning {
		color, label = yellow, "Warning: "
	}
	var b strings.Builder
	b.WriteString(v.paint(label, bold, color) + v.paint(d.Summary, bold) + "\n")
	if o := d.Origin; o != nil {
		fmt.Fprintf(&b, "\n  on %s line %d", o.Filename, o.Line)
		if o.Context != "" {
			fmt.Fprintf(&b, ", in %s", o.Context)
		}
		b.WriteString(":\n")
		if o.Code != "" {
			fmt.Fprintf(&b, "  %2d: %s\n", o.Line, v.highlight(o))
		}
	} else if d.Address != "" {
		fmt.Fprintf(&b, "\n  with %s\n", d.Address)
	}
	if d.Detail != "" {
		b.WriteString("\n" + wrap(d.Detail, v.Width-2) + "\n")
	}
	bar := v.paint("│", color) + " "
	if !v.Color {
		return b.String()
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	return v.paint("╷", color) + "\n" + bar + strings.Join(lines, "\n"+bar) + "\n" + v.paint("╵", color) + "\n"
}

func (v *View) highlight(o *jobs.Origin) string {
	from, to := o.HighlightStart, o.HighlightEnd
	if from < 0 || to > len(o.Code) || from >= to {
		return o.Code
	}
	return o.Code[:from] + v.paint(o.Code[from:to], under) + o.Code[to:]
}

// wrap breaks long lines at blanks; lines that are indented are left alone.
func wrap(text string, width int) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, " ") {
			out = append(out, line)
			continue
		}
		current, length := "", 0
		for word := range strings.SplitSeq(line, " ") {
			n := len([]rune(word))
			if length > 0 && length+1+n > width {
				out = append(out, current)
				current, length = "", 0
			}
			if length > 0 {
				current, length = current+" ", length+1
			}
			current, length = current+word, length+n
		}
		out = append(out, current)
	}
	return strings.Join(out, "\n")
}

// count writes a number with thousands separators.
func count[N int | int64](n N) string {
	digits := fmt.Sprint(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plural is "1 row", "2 rows".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// size writes a number of bytes with a decimal unit.
func size(bytes int64) string {
	switch b := float64(bytes); {
	case bytes < 1e3:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1e6:
		return fmt.Sprintf("%.1f kB", b/1e3)
	case bytes < 1e9:
		return fmt.Sprintf("%.1f MB", b/1e6)
	default:
		return fmt.Sprintf("%.1f GB", b/1e9)
	}
}
