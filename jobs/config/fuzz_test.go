package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad holds Load to what it promises whatever a file has in it: an end
// without a panic, a configuration or an error, places that are in the file,
// and no secret.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.hcl")
	for _, name := range append(files, "../demo/main.hcl", "../nightly/main.hcl", "../nightly/variables.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	const secret = "Sw0rdf1sh-Sw0rdf1sh"
	dir := write(f, map[string]string{"a.hcl": `variable "key" { sensitive = true }`})
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 8<<10 {
			t.Skip("long inputs find nothing that short ones do not")
		}
		for _, name := range []string{"main.hcl", "prospector.hclvars"} {
			writeFile(t, filepath.Join(dir, name), src)
			c, diags := Load(dir, Options{Environ: []string{"PROSPECTOR_VAR_key=" + secret}})
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if (c == nil) != diags.HasErrors() {
				t.Errorf("a configuration: %v, errors: %v", c != nil, diags.HasErrors())
			}
			for _, d := range diags {
				o := d.Origin
				if o != nil && (o.Line < 1 || o.HighlightStart < 0 || o.HighlightEnd < o.HighlightStart || o.HighlightEnd > len(o.Code)) {
					t.Errorf("a place that is not there: %+v", o)
				}
			}
			// Two functions are there to show what they are asked for.
			if !strings.Contains(src, "env") && !strings.Contains(src, "nonsensitive") && strings.Contains(render(diags), secret) {
				t.Errorf("the secret shows:\n%s", render(diags))
			}
		}
	})
}
