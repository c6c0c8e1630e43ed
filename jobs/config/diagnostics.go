package config

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"prospector/jobs"
)

// hiddenDetail replaces HCL's description of an error, which may quote a value, if the
// value must not be shown.
const hiddenDetail = "The expression involves a sensitive value, so the details are not shown."

// reporter has the texts of files, and collects diagnostics with places in them.
type reporter struct {
	files map[string]*hcl.File // by name as shown
	text  map[string][]byte    // the same files, with secrets overwritten
	diags jobs.Diagnostics
	// functionNames are suggested for unknown functions.
	functionNames []string
}

func newReporter() *reporter {
	return &reporter{files: map[string]*hcl.File{}, text: map[string][]byte{}}
}

// report adds HCL's diagnostics, without the values that HCL attaches to them. With
// hide, it leaves out the details too.
func (rep *reporter) report(address string, hide bool, diags hcl.Diagnostics) {
	rep.diags = append(rep.diags, rep.translate(address, hide, diags)...)
}

func (rep *reporter) translate(address string, hide bool, diags hcl.Diagnostics) (all jobs.Diagnostics) {
	for _, d := range diags {
		out := jobs.Diagnostic{Severity: jobs.Error, Summary: d.Summary, Detail: d.Detail, Address: address}
		if d.Severity == hcl.DiagWarning {
			out.Severity = jobs.Warning
		}
		if unknown, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			// HCL's own suggestion comes from a map, in random order.
			name := unknown.CalledFunctionNamespace() + unknown.CalledFunctionName()
			out.Detail = "There is no function " + name + "." + didYouMean(nearest(name, rep.functionNames))
		}
		if hide {
			out.Detail = hiddenDetail
		}
		if d.Subject != nil {
			out.Origin = rep.origin(*d.Subject)
		}
		all = append(all, out)
	}
	return all
}

// fail reports an error at a place.
func (rep *reporter) fail(at hcl.Range, address, summary, detail string) {
	rep.diags = append(rep.diags, jobs.Diagnostic{
		Severity: jobs.Error, Summary: summary, Detail: detail, Address: address, Origin: rep.origin(at),
	})
}

// warn reports a problem that does not stop the command.
func (rep *reporter) warn(at hcl.Range, summary, detail string) {
	rep.diags = append(rep.diags, jobs.Diagnostic{Severity: jobs.Warning, Summary: summary, Detail: detail, Origin: rep.origin(at)})
}

// failNowhere reports an error that has no place in the configuration.
func (rep *reporter) failNowhere(summary, detail string) {
	rep.diags = append(rep.diags, jobs.Diagnostic{Severity: jobs.Error, Summary: summary, Detail: detail})
}

// origin describes a place, or returns nil if it is not in a file.
func (rep *reporter) origin(r hcl.Range) *jobs.Origin {
	text, ok := rep.text[r.Filename]
	if !ok {
		return nil
	}
	start := min(r.Start.Byte, len(text))
	line := text[bytes.LastIndexByte(text[:start], '\n')+1:]
	start -= len(text) - len(line)
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	start = min(start, len(line))
	return &jobs.Origin{
		Filename:       r.Filename,
		Line:           r.Start.Line,
		Column:         r.Start.Column,
		Context:        hcled.ContextString(rep.files[r.Filename], r.Start.Byte),
		Code:           string(line),
		HighlightStart: start,
		HighlightEnd:   min(start+max(r.End.Byte-r.Start.Byte, 0), len(line)),
	}
}

// didYouMean returns a sentence to append, or "" without a suggestion.
func didYouMean(suggestion string) string {
	if suggestion == "" {
		return ""
	}
	return ` Did you mean "` + suggestion + `"?`
}

// nearest returns the candidate that is most similar to a misspelled name, or "".
func nearest(name string, candidates []string) string {
	best, distance := "", max(2, utf8.RuneCountInString(name)/3)+1
	for _, c := range candidates {
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(c), nil); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// capital returns the text with an upper-case first letter.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
