package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"prospector/jobs"
)

// Format returns a configuration or variable file in canonical format. Only white space
// changes. It returns nil for a file that does not parse, and diagnostics with the
// places of the errors. As in Load, the name of the file decides whether they may show
// its values.
func Format(src []byte, filename string) ([]byte, jobs.Diagnostics) {
	l := newReporter()
	if len(src) > maxConfiguration {
		l.failNowhere("Cannot read a configuration file", fmt.Sprintf("%s: it has more than %d bytes.", filename, maxConfiguration))
		return nil, l.diags
	}
	mask := maskConfiguration
	if strings.HasSuffix(filename, ".hclvars") {
		mask = maskVariables
	}
	l.parseText(filename, src, mask)
	if l.diags.HasErrors() {
		return nil, l.diags
	}
	out := hclwrite.Format(src)
	if out == nil {
		out = []byte{} // for an empty file
	}
	if !sameTokens(src, out) {
		return bytes.Clone(src), l.diags // unformatted is better than changed
	}
	return out, l.diags
}

// sameTokens reports whether two texts differ only in white space.
func sameTokens(a, b []byte) bool {
	as, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos)
	bs, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		a, b := as[i].Bytes, bs[i].Bytes
		if t := as[i].Type; t == hclsyntax.TokenComment || t == hclsyntax.TokenNewline {
			a, b = bytes.TrimSpace(a), bytes.TrimSpace(b)
		}
		if as[i].Type != bs[i].Type || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}
