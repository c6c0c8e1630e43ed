package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
)

var update = flag.Bool("update", false, "write the expected diagnostics of testdata")

// secrets are in the files of testdata, or in the environment. No diagnostic may contain
// one.
var secrets = []string{"s3cr3t", "S3CR3T", "sk_live", "hunter2"}

// TestBad loads every testdata/bad/NAME.hcl as a directory's only file and
// expects the diagnostics in NAME.txt.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hcl")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden, err := filepath.Abs(strings.TrimSuffix(file, ".hcl") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			dir := write(t, map[string]string{"main.hcl": string(src)})
			t.Chdir(dir)
			c, diags := loadDir(".", Options{Environ: []string{"PROSPECTOR_VAR_key=s3cr3t"}})
			if c != nil || !diags.HasErrors() {
				t.Errorf("loaded: %v, errors: %v", c != nil, diags.HasErrors())
			}
			got := replaced(render(diags), dir)
			for _, secret := range secrets {
				if strings.Contains(got, secret) {
					t.Errorf("%q shows", secret)
				}
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("diagnostics differ (-want +got); -update writes them\n%s", d)
			}
		})
	}
}

func replaced(text, dir string) string { return strings.ReplaceAll(text, dir, "DIR") }

// render returns everything that a diagnostic has.
func render(diags jobs.Diagnostics) string {
	var b strings.Builder
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s\n", d.Severity, d.Summary)
		if d.Address != "" {
			fmt.Fprintf(&b, "  with %s\n", d.Address)
		}
		if o := d.Origin; o != nil {
			fmt.Fprintf(&b, "  at %s:%d:%d", o.Filename, o.Line, o.Column)
			if o.Context != "" {
				fmt.Fprintf(&b, ", in %s", o.Context)
			}
			fmt.Fprintf(&b, "\n  | %s\n", o.Code)
			fmt.Fprintf(&b, "  | %s%s\n", strings.Repeat(" ", o.HighlightStart), strings.Repeat("^", o.HighlightEnd-o.HighlightStart))
		}
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(d.Detail, "\n", "\n  "))
	}
	return b.String()
}

// write makes a directory with files.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text)
	}
	return dir
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
