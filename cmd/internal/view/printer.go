package view

import (
	"io"
	"sync"

	"prospector/jobs"
	"prospector/jobs/plan"
)

// Streams are where a Human prints, and what is known about the reader.
type Streams struct {
	Out, Err io.Writer
	Color    bool
	// Terminal is true if Out is a terminal. Progress is then a moving bar.
	Terminal bool
	// Width is the width of the terminal in columns.
	Width int
	// Automation is true if no person reads the output, so that hints are omitted.
	Automation bool
}

// printer writes text to the streams. Its methods may be called concurrently.
type printer struct {
	Streams
	mu  sync.Mutex
	bar bool // whether a progress bar is on the last line
}

// Printf prints to the output. Its arguments are escaped as Format does.
func (v *printer) Printf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.locked(format, args...)
}

func (v *printer) locked(format string, args ...any) {
	v.clearBar()
	writeText(v.Out, Format(format, args...))
}

// Errorf prints to the error stream.
func (v *printer) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	writeText(v.Err, Format(format, args...))
}

// writeText writes text to a stream. It ignores errors, since the stream remembers them.
func writeText(to io.Writer, text Text) { _, _ = io.WriteString(to, string(text)) }

// clearLine moves the cursor to the beginning of the line on a terminal and clears
// the line.
const clearLine Text = "\r\033[K"

func (v *printer) clearBar() {
	if v.bar {
		writeText(v.Out, clearLine)
		v.bar = false
	}
}

// The colors that Terraform uses.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
	under  = "4"
)

func (v *printer) paint(text string, codes ...string) Text {
	return v.color(Format("%s", text), codes...)
}

func (v *printer) color(text Text, codes ...string) Text {
	if !v.Color || text == "" {
		return text
	}
	return painted(text, codes)
}

// Diagnostics prints problems to the error stream, each with its line of the
// configuration.
func (v *printer) Diagnostics(ds jobs.Diagnostics) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearBar()
	for _, d := range ds {
		writeText(v.Err, "\n"+v.diagnostic(d))
	}
}

// diagnostic formats a problem. All lines but the first are indented or marked, so
// that no line of an error's text can look like another message.
func (v *printer) diagnostic(d jobs.Diagnostic) Text {
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

// Note prints a remark that needs no action.
func (v *printer) Note(summary, detail string) {
	v.Printf("\n%s%s\n\n%s", v.paint("Note: ", bold), summary, prefixed(paragraphs(detail, v.Width-4), "  "))
}

func (v *printer) highlight(o *jobs.Origin) Text {
	from, to := o.HighlightStart, o.HighlightEnd
	if from < 0 || to > len(o.Code) || from >= to {
		return code(o.Code)
	}
	return code(o.Code[:from]) + v.color(code(o.Code[from:to]), under) + code(o.Code[to:])
}

// Hint prints a suggestion for what to do next, except with Automation.
func (v *printer) Hint(text Text) { v.Printf("%s", v.hint(text)) }

// hint returns a suggestion, or nothing with Automation.
func (v *printer) hint(text Text) Text {
	if v.Automation {
		return ""
	}
	return text
}

// symbol returns the symbol of an action in a plan.
func (v *printer) symbol(a plan.Action) Text {
	switch a {
	case plan.Create:
		return v.paint("+", green)
	case plan.Update:
		return v.paint("~", yellow)
	case plan.Delete:
		return v.paint("-", red)
	case plan.Replace:
		return v.paint("-", red) + "/" + v.paint("+", green)
	}
	return " "
}
