package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
)

// unformatted are texts that are difficult to format.
var unformatted = []string{
	"", "\n", "# only a comment", "a=1", "a=1\r\nbb=2\r\n", "a = <<EOT\n  b\n    c ${ d }\nEOT\n", "a = <<-EOT\n  b\n  EOT\n",
	"a = \"  ${  b  }  %{ if c }  d%{ endif }\"\n", "b {\nc=[1,\n2,\n]\n/* d */ e=1 // f\n}\n", "a = {b=1, c : 2}\n", "a = b?c:d\n", "a=!b&&-c\n",
	"a = [for x in y:x...]\n", "\t\ta=1 \t\n\n\n\n", "a {}\nb \"c\" \"d\"{\n}\n", "a = (\n1\n+\n2\n)\n", "a = x[ 0 ].*.y\n", "/* a\n   b */\nc = 1\n",
	"a = \"$${b} %%{c}\"\n", "a = 1 # b\nlonger = 2 # c\n", "a = 1 /* b */\n",
	"schema \"a\"{\ncolumn \"b\"{\ntype=string # bare\nfrom=[\"c\"]\n}\n}\n",
}

func TestFormat(t *testing.T) {
	const src = "job   \"events\"{\n" +
		"source=source.simulator.demo # whence\n" +
		"  sinks = [ sink.local.lake,\n" +
		"sink.gcs.lake ]\n" +
		"\n" +
		"    lifecycle {\n" +
		"prevent_destroy=true\n" +
		"}\n" +
		"}\n"
	const want = `job "events" {
  source = source.simulator.demo # whence
  sinks = [sink.local.lake,
  sink.gcs.lake]

  lifecycle {
    prevent_destroy = true
  }
}
`
	out, diags := Format([]byte(src), "main.hcl")
	if d := cmp.Diff(want, string(out)); d != "" || len(diags) > 0 {
		t.Errorf("%s\n%s", d, render(diags))
	}
	for _, src := range unformatted {
		holdFormat(t, []byte(src))
	}
	files, err := filepath.Glob("../*/*.hcl")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out, diags := Format(src, name)
		if d := cmp.Diff(string(src), string(out)); d != "" || len(diags) > 0 {
			t.Errorf("%s is not in canonical format: %s\n%s", name, d, render(diags))
		}
	}
}

// A text is left unformatted if formatting would change more than white space.
func TestSameTokens(t *testing.T) {
	const src = "a = [1, \"b \"] # c\n"
	for other, want := range map[string]bool{
		src: true, "a=[ 1,\"b \" ]   # c  \n": true,
		"a = [1, \"b\"] # c\n": false, "a = [1, \"b \"] # d\n": false, "a = [1, \"b \"]\n": false, "a = [2, \"b \"] # c\n": false, "": false,
	} {
		if got := sameTokens([]byte(src), []byte(other)); got != want {
			t.Errorf("%q: %v", other, got)
		}
	}
}

// A parse error shows its line, without secrets in it.
func TestFormatRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file, src string
		want            []jobs.Diagnostic
	}{
		{"a broken key", "main.hcl", "source \"knock\" \"a\" {\n  api_key = \"sk_live\n}\n", []jobs.Diagnostic{
			{Summary: "Invalid multi-line string", Origin: &jobs.Origin{Filename: "main.hcl", Line: 2, Code: "  api_key = \"*******"}},
			{Summary: "Invalid multi-line string", Origin: &jobs.Origin{Filename: "main.hcl", Line: 3, Code: "*"}},
			{Summary: "Unterminated template string", Origin: &jobs.Origin{Filename: "main.hcl", Line: 2, Code: "  api_key = \"*******"}}}},
		{"a broken variable", "x/prospector.hclvars", "a = sk_live sk_live\n", []jobs.Diagnostic{
			{Summary: "Missing newline after argument", Origin: &jobs.Origin{Filename: "x/prospector.hclvars", Line: 1, Code: "a = ******* *******"}}}},
		{"too deep", "main.hcl", "a = " + strings.Repeat("(", 300), []jobs.Diagnostic{
			{Summary: "Too many open brackets", Origin: &jobs.Origin{Filename: "main.hcl", Line: 1, Code: "a = " + strings.Repeat("(", 300)}}}},
		{"too long", "main.hcl", strings.Repeat("# more\n", 10_000), []jobs.Diagnostic{{Summary: "Cannot read a configuration file"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, diags := Format([]byte(c.src), c.file)
			if out != nil {
				t.Errorf("an output: %q", out)
			}
			var got []jobs.Diagnostic
			for _, d := range diags {
				short := jobs.Diagnostic{Summary: d.Summary}
				if o := d.Origin; o != nil {
					short.Origin = &jobs.Origin{Filename: o.Filename, Line: o.Line, Code: o.Code}
				}
				got = append(got, short)
				if d.Severity != jobs.Error || d.Detail == "" {
					t.Errorf("%+v", d)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" || strings.Contains(render(diags), "sk_live") {
				t.Errorf("%s\n%s", d, render(diags))
			}
		})
	}
}
