package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"prospector/jobs"
)

// FuzzLoad checks what Load promises for any file: no panic, a configuration or an
// error, places that are in the file, and no secret.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.hcl")
	for _, name := range append(files, "../demo/main.hcl", "../nightly/main.hcl", "../nightly/variables.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add(minimal + `
check "it" {
  job = job.events
  assert {
    condition     = staged.rows > 1 && staged.newest_event_age_hours < 2 && alltrue([for c, s in staged.null_share : s < 0.1])
    error_message = "${staged.rows} ${var.key}"
  }
}
job "many" {
  for_each = { a = var.key }
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
moved {
  from = job.old
  to   = job.many["a"]
}`)
	f.Add(withSchema(`
extends     = "knock_events"
event_types = ["VOICE_*"]
hash_key    = var.key
column "sentiment" {
  type   = string
  from   = ["data.sentiment", var.key]
  policy = "hash"
}
column "message_body" { policy = "redact" }`))
	const secret = "Sw0rdf1sh-Sw0rdf1sh"
	dir := write(f, map[string]string{"a.hcl": `variable "key" { sensitive = true }`})
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 8<<10 {
			t.Skip("long inputs find nothing that short ones do not")
		}
		for _, name := range []string{"main.hcl", "prospector.hclvars"} {
			writeFile(t, filepath.Join(dir, name), src)
			c, diags := loadDir(dir, Options{Environ: []string{"PROSPECTOR_VAR_key=" + secret}})
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if (c == nil) != diags.HasErrors() {
				t.Errorf("a configuration: %v, errors: %v", c != nil, diags.HasErrors())
			}
			if c != nil {
				c.Digest()
				for _, check := range c.Checks {
					for _, a := range check.Assertions {
						for _, r := range []jobs.Result{{}, result} {
							holds, message, problems := a.Evaluate(r)
							if holds && (message != "" || len(problems) > 0) || !holds && (message == "") != (len(problems) > 0) {
								t.Errorf("%s: holds: %v, %q\n%s", check.Address, holds, message, render(problems))
							}
							diags = append(diags, problems...)
							diags = append(diags, jobs.Diagnostic{Detail: message})
						}
					}
				}
			}
			for _, d := range diags {
				o := d.Origin
				if o != nil && (o.Line < 1 || o.HighlightStart < 0 || o.HighlightEnd < o.HighlightStart || o.HighlightEnd > len(o.Code)) {
					t.Errorf("a place that is not there: %+v", o)
				}
			}
			// nonsensitive may show a secret: that is its purpose.
			if !strings.Contains(src, "nonsensitive") && strings.Contains(render(diags), secret) {
				t.Errorf("the secret shows:\n%s", render(diags))
			}
		}
	})
}

// FuzzFormat checks that Format changes only white space, and nothing the second time.
func FuzzFormat(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.hcl")
	for _, name := range append(files, "../demo/main.hcl", "../nightly/main.hcl", "../nightly/variables.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, src := range unformatted {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 8<<10 {
			t.Skip("long inputs find nothing that short ones do not")
		}
		holdFormat(t, src)
	})
}

func holdFormat(t *testing.T, src []byte) {
	t.Helper()
	before := bytes.Clone(src)
	out, diags := Format(src, "main.hcl")
	if !bytes.Equal(before, src) {
		t.Error("the source itself is changed")
	}
	if (out == nil) != diags.HasErrors() {
		t.Fatalf("an output: %v, errors: %v", out != nil, diags.HasErrors())
	}
	if out == nil {
		return
	}
	again, diags := Format(out, "main.hcl")
	if diags.HasErrors() || !bytes.Equal(out, again) {
		t.Errorf("once:\n%q\ntwice:\n%q\n%s", out, again, render(diags))
	}
	if a, b := words(src), words(out); a != b {
		t.Errorf("before:\n%s\nafter:\n%s", a, b)
	}
}

// words returns a text without the white space outside of strings.
func words(src []byte) string {
	var b strings.Builder
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	for _, t := range tokens {
		text := string(t.Bytes)
		if t.Type == hclsyntax.TokenComment || t.Type == hclsyntax.TokenNewline {
			text = strings.TrimSpace(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}
