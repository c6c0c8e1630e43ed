package config

import (
	"strings"
	"testing"
)

// An edit of a file changes the digest only if it changes the meaning.
func TestDigestOfFiles(t *testing.T) {
	const main = `
variable "key" {
  default   = "k"
  sensitive = true
}
source "knock" "production" {
  endpoint = "https://example.com"
  api_key  = var.key
}
prospects "crm" { file = "ids.csv" }
sink "local" "lake" { path = "lake" }
job "events" {
  source      = source.knock.production
  prospects   = prospects.crm
  sinks       = [sink.local.lake]
  compression = "zstd"
}
check "rows" {
  job = job.events
  assert {
    condition     = staged.rows > 1
    error_message = "Too few."
  }
  assert {
    condition     = staged.rows < 100
    error_message = "Too many."
  }
}
output "table" { value = job.events.uris }
`
	digest := func(files map[string]string, o Options) string {
		t.Helper()
		return load(t, write(t, files), o).Digest()
	}
	want := digest(map[string]string{"main.hcl": main}, Options{})
	for _, c := range []struct{ name, old, new string }{
		{"a comment", "job \"events\" {", "# The table.\njob \"events\" { // of events"},
		{"white space", "  compression = \"zstd\"", "\n\n\tcompression=\"zstd\"  "},
		{"a default spelt out", "endpoint = ", "page_size = 100\n  endpoint = "},
		{"a value by another way", "\"lake\" }", "\"${\"la\"}ke\" }"},
		{"the place of a path", "\"ids.csv\"", "\"./ids.csv\""},
		{"the space of a condition", "staged.rows > 1", "staged.rows>1 # at least"},
		{"a sensitive output", "output", "output \"key\" {\n  value = var.key\n  sensitive = true\n}\noutput"},
		{"where the state is", "variable", "prospector {\n backend \"gcs\" { bucket = \"acme-state\" }\n}\nvariable"},
		{"an API key", "\"k\"", "\"l\""},
	} {
		if got := digest(map[string]string{"main.hcl": strings.Replace(main, c.old, c.new, 1)}, Options{}); got != want {
			t.Errorf("%s counts", c.name)
		}
	}
	for _, c := range []struct{ name, old, new string }{
		{"the endpoint", "https://example.com", "https://example.org"},
		{"the page size", "endpoint = ", "page_size = 101\n  endpoint = "},
		{"the codec", "zstd", "gzip"},
		{"the prospects", "ids.csv", "other.csv"},
		{"a condition", "staged.rows > 1", "staged.rows > 2"},
		{"a message", "Too few.", "Too  few."},
		{"a policy", "compression", "lifecycle { prevent_destroy = true }\n  compression"},
		{"a table", "compression", "table = \"other\"\n  compression"},
		{"a move", "output", "moved {\n from = job.old\n to = job.events\n}\noutput"},
		{"a removal", "output", "removed { from = job.old }\noutput"},
		{"an unused sink", "output", "sink \"local\" \"other\" { path = \"other\" }\noutput"},
		{"an output", "output", "output \"one\" { value = 1 }\noutput"},
	} {
		if got := digest(map[string]string{"main.hcl": strings.Replace(main, c.old, c.new, 1)}, Options{}); got == want {
			t.Errorf("%s does not count", c.name)
		}
	}

	// Neither the order of blocks nor their distribution over files counts.
	at := strings.Index(main, "prospects \"crm\"")
	if got := digest(map[string]string{"a.hcl": main[at:], "b.hcl": main[:at]}, Options{}); got != want {
		t.Error("the order of blocks counts")
	}
	moved := map[string]string{"main.hcl": main + `
removed { from = job.x }
removed { from = job.y }
moved {
  from = job.a
  to   = job.b
}
moved {
  from = job.b
  to   = job.events
}`}
	one := digest(moved, Options{})
	moved["main.hcl"] = main + `
moved {
  from = job.b
  to   = job.events
}
moved {
  from = job.a
  to   = job.b
}
removed { from = job.y }
removed { from = job.x }`
	if digest(moved, Options{}) != one {
		t.Error("the order of moves counts")
	}
	swapped := strings.Replace(strings.Replace(strings.Replace(main, "> 1", "< X", 1), "< 100", "> 1", 1), "< X", "< 100", 1)
	swapped = strings.Replace(strings.Replace(strings.Replace(swapped, "few", "X", 1), "many", "few", 1), "X", "many", 1)
	if digest(map[string]string{"main.hcl": swapped}, Options{}) != want {
		t.Error("the order of assertions counts")
	}
}

// Saved plans hold the digest of their configuration, so the attributes of a source
// must count in the same way in every version.
func TestDigestOfSources(t *testing.T) {
	const rest = `
prospects "crm" { file = "ids.csv" }
sink "local" "lake" { path = "lake" }
job "events" {
  sinks  = [sink.local.lake]
  source = `
	for _, c := range []struct{ source, use, want string }{
		{`
source "knock" "production" {
  endpoint            = "https://example.com/"
  api_key             = "k"
  requests_per_second = 2.5
}`, "source.knock.production\n prospects = prospects.crm", "d91d265719da885f169868251ceeab9b"},
		{`
source "simulator" "demo" {
  seed           = 9
  as_of          = "2022-01-10T02:00:00+02:00"
  fault_rate     = 0.25
  vendor_changes = true
}`, "source.simulator.demo", "faf8b0bf3855aa545ddf74b857cb6c74"},
	} {
		dir := write(t, map[string]string{"main.hcl": c.source + rest + c.use + "\n}\n"})
		if got := load(t, dir, Options{}).Digest(); got != c.want {
			t.Errorf("the digest is %s, want %s, for%s", got, c.want, c.source)
		}
	}
}

// Saved plans hold the digest of their configuration, so it must not change.
func TestDigestIsStable(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": `
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
sink "local" "elsewhere" { path = "/var/lake" }
sink "gcs" "lake" {
  bucket = "acme-lake"
  prefix = "/knock/"
}
sink "gcs" "root" { bucket = "acme-lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake, sink.local.lake, sink.local.elsewhere]
}
`})
	const want = "e0326421ca65c29394ddb1df0fecee89"
	if got := load(t, dir, Options{}).Digest(); got != want {
		t.Errorf("the digest is %s, want %s", got, want)
	}
}
