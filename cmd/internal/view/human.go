package view

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/plan"
)

// Streams are where a Human prints, and what it knows of the reader there.
type Streams struct {
	Out, Err io.Writer
	Color    bool
	// Terminal is true when Out is one: then progress is a bar that moves.
	Terminal bool
	// Width is that of the terminal, in columns.
	Width int
	// Automation is true when nobody is there to be told what to do next.
	Automation bool
}

// Human prints for people, in the conventions of Terraform. Its methods may be called concurrently.
type Human struct {
	Streams
	mu  sync.Mutex
	bar bool // a progress bar stands on the last line
	run progressState
}

// NewHuman makes a Human.
func NewHuman(s Streams) *Human {
	if s.Width <= 0 {
		s.Width = 80
	}
	return &Human{Streams: s}
}

// Printf prints to the output. Its arguments are escaped as Format does.
func (v *Human) Printf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.locked(format, args...)
}

func (v *Human) locked(format string, args ...any) {
	v.clearBar()
	print(v.Out, Format(format, args...))
}

// Errorf prints to the error stream.
func (v *Human) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	print(v.Err, Format(format, args...))
}

// print is where text leaves for a stream. Who asks for the output learns of an
// error there.
func print(to io.Writer, text Text) { _, _ = io.WriteString(to, string(text)) }

// clearLine moves the cursor to the beginning of a terminal's line, and empties
// the line.
const clearLine Text = "\r\033[K"

func (v *Human) clearBar() {
	if v.bar {
		print(v.Out, clearLine)
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

func (v *Human) paint(text string, codes ...string) Text {
	return v.color(Format("%s", text), codes...)
}

func (v *Human) color(text Text, codes ...string) Text {
	if !v.Color || text == "" {
		return text
	}
	return painted(text, codes)
}

// Diagnostics prints problems to the error stream, each with the line of the
// configuration that it is about.
func (v *Human) Diagnostics(ds jobs.Diagnostics) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	for _, d := range ds {
		print(v.Err, "\n"+v.diagnostic(d))
	}
}

// diagnostic is a problem in lines that are all indented or marked but the first:
// an error's text may have several, and none may look like another message.
func (v *Human) diagnostic(d jobs.Diagnostic) Text {
	color, label := red, "Error: "
	if d.Severity == jobs.Warning {
		color, label = yellow, "Warning: "
	}
	text := v.paint(label, bold, color) + v.paint(d.Summary, bold) + "\n"
	if o := d.Origin; o != nil {
		text += Format("\n  on %s line %d", o.Filename, o.Line)
		if o.Context != "" {
			text += Format(", in %s", o.Context)
		}
		text += ":\n"
		if o.Code != "" {
			text += Format("  %2d: %s\n", o.Line, v.highlight(o))
		}
	} else if d.Address != "" {
		text += Format("\n  with %s\n", d.Address)
	}
	if d.Detail != "" {
		text += "\n" + prefixed(paragraphs(d.Detail, v.Width-4), "  ")
	}
	if !v.Color {
		return text
	}
	return v.paint("╷", color) + "\n" + prefixed(text, v.paint("│", color)+" ") + v.paint("╵", color) + "\n"
}

func (v *Human) highlight(o *jobs.Origin) Text {
	from, to := o.HighlightStart, o.HighlightEnd
	if from < 0 || to > len(o.Code) || from >= to {
		return code(o.Code)
	}
	return code(o.Code[:from]) + v.color(code(o.Code[from:to]), under) + code(o.Code[to:])
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

// What is said when a run is stopped.
const (
	interrupting = "Interrupt received. Stopping gracefully: what is in flight is finished, and what was fetched is kept. Interrupt again to stop at once."
	aborted      = "Stopped at once. No file in a lake is half-written; files that were being published are recorded, and the next run completes or repairs them. " +
		"What was staged stays in the data directory until then. The lock of a state on this machine has ended with this process; that of a remote one runs out by itself, or: prospector force-unlock ID."
)

// Interrupting is Diagnoser's.
func (v *Human) Interrupting() { v.Printf("\n%s\n", paragraphs(interrupting, v.Width-2)) }

// Aborted is Diagnoser's.
func (v *Human) Aborted() { v.Printf("\n%s\n", paragraphs(aborted, v.Width-2)) }

// Cancelled is Operation's.
func (v *Human) Cancelled(m plan.Mode) {
	v.Printf("\n%s cancelled. Nothing was changed.\n", operation(m))
}

// operation is what carries out a plan, at the beginning of a sentence.
func operation(m plan.Mode) string {
	switch m {
	case plan.Destroy:
		return "Destroy"
	case plan.Erase:
		return "Erase"
	}
	return "Apply"
}

// Saved is Operation's.
func (v *Human) Saved(path string) {
	v.Printf("\nSaved the plan to: %s\n\nIt holds events, so keep it as secret as the lake.%s\n", path,
		v.hint(Format("\nTo perform exactly these actions, run:\n\n    prospector apply %s", path)))
}

// Hint prints what to do next, unless nobody does it by hand.
func (v *Human) Hint(text Text) { v.Printf("%s", v.hint(text)) }

// hint is what to do next, for people who do it by hand.
func (v *Human) hint(text Text) Text {
	if v.Automation {
		return ""
	}
	return text
}

// Validated is Validate's.
func (v *Human) Validated(c *jobs.Configuration, valid bool) {
	if valid {
		v.Printf("%s The configuration is valid: %s.\n", v.paint("Success!", bold, green), plural(len(c.Jobs), "job"))
	}
}

// Verifying is Verify's.
func (v *Human) Verifying(done, of int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress("Verifying", Format("%s of %s files", count(done), count(of)), int64(done), int64(of))
}

// Verified is Verify's.
func (v *Human) Verified(r audit.Result) {
	for _, f := range r.Findings {
		v.Printf("\n%s %s\n\n%s", v.paint("Finding:", bold, red), f.URI, prefixed(paragraphs(f.Problem, v.Width-4), "  "))
	}
	what := fmt.Sprintf("%s, %s, %s", plural(r.Files, "file"), plural(r.Rows, "row"), size(r.Bytes))
	if len(r.Findings) == 0 {
		v.Printf("%s Every published file is what the state says: %s.\n", v.paint("Success!", bold, green), what)
		return
	}
	v.Printf("\n%s in %s. prospector plan shows what can be repaired.\n", plural(len(r.Findings), "finding"), what)
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
