package jobs

import (
	"errors"
	"fmt"
	"strings"
)

// Severity is the severity of a Diagnostic.
type Severity string

// The severities. An error stops the command; a warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is a problem shown to the user: what failed, where, why, and what
// to do.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Summary is one short line without a period.
	Summary string `json:"summary"`
	// Detail is one or more sentences: why, and what to do next.
	Detail string `json:"detail,omitempty"`
	// Address is the address of the affected block or object, such as
	// job.prospect_events, or "".
	Address string `json:"address,omitempty"`
	// Origin is the source range in the configuration, or nil.
	Origin *Origin `json:"origin,omitempty"`
}

func (d Diagnostic) Error() string {
	var b strings.Builder
	if d.Origin != nil {
		fmt.Fprintf(&b, "%s:%d: ", d.Origin.Filename, d.Origin.Line)
	}
	b.WriteString(d.Summary)
	if d.Detail != "" {
		b.WriteString(": " + d.Detail)
	}
	return b.String()
}

// Origin is a range of a configuration file, with its text.
type Origin struct {
	Filename string `json:"filename"` // as shown to the user
	Line     int    `json:"line"`     // 1-based
	Column   int    `json:"column"`   // 1-based, in characters
	// Context is the surrounding block, such as `source "knock" "production"`.
	Context string `json:"context,omitempty"`
	// Code is the line without its newline. HighlightStart and HighlightEnd are
	// the byte offsets of the range in Code.
	Code           string `json:"code,omitempty"`
	HighlightStart int    `json:"highlight_start"`
	HighlightEnd   int    `json:"highlight_end"`
}

// Diagnostics are the problems of one step. Use Err to treat them as an error.
type Diagnostics []Diagnostic

// HasErrors reports whether one of the diagnostics is an error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Err returns the diagnostics, or nil if none of them is an error.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// Diagnose returns the diagnostics that an error wraps. For any other error, it
// returns a diagnostic with the given summary and the text of the error.
func Diagnose(err error, summary string) Diagnostics {
	if err == nil {
		return nil
	}
	var many Diagnostics
	if errors.As(err, &many) {
		return many
	}
	var one Diagnostic
	if errors.As(err, &one) {
		return Diagnostics{one}
	}
	return Diagnostics{{Severity: Error, Summary: summary, Detail: err.Error()}}
}

// maxListed is how many items of a kind a diagnostic lists.
const maxListed = 10

// List joins the lines of a list for a diagnostic. It shortens a long list, and
// adds the number of omitted lines.
func List(lines []string) string {
	if more := len(lines) - maxListed; more > 0 {
		lines = append(lines[:maxListed:maxListed], fmt.Sprintf("  … and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Count returns a number with its noun, such as "1 row" or "2 rows".
func Count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
