package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileNames are names that an API could use for an event type or a field. The lake
// also has a file for each name that is valid for files.
var hostileNames = []string{
	"x\nFORGED", "x\rFORGED", "x\r\nFORGED", "\nFORGED\n", "x\vFORGED", "x\u0085FORGED", "x\u2028FORGED", "x\u2029FORGED",
	"\x1b[31mred", "\x1b[2J\x1b[HFORGED", "\x1b[1A\x1b[2KFORGED", "\x1b]0;FORGED\a", "\x1b]52;c;Rk9SR0VE\a", "\u009b2J", "\u009d0;x\u009c",
	"x\b\bFORGED", "x\x7f", "x\ty", "x\u202eDEGROF", "\u2066x\u2069", "x\u200b\ufeffy", "x\u00ady", "x\U000e0046", "x\u3164y", "%s%d%!(EXTRA)",
	"\"}\nFORGED = \"${env(\"HOME\")}\" # */", "'; DROP TABLE x; --", "日本 Tür", strings.Repeat("long\x1b[7m", 100),
}

// An API and a file system choose the names. No command prints one that a terminal
// would interpret, or that looks like a line of the program.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "broken") {
			w.Header().Set("Content-Type", "text/\x1b[31mFORGED")
			http.Error(w, strings.Join(hostileNames, " "), http.StatusTeapot)
			return
		}
		var edges []any
		for i, name := range hostileNames {
			edges = append(edges, map[string]any{"node": map[string]any{
				"type": name, "createdAt": fmt.Sprintf("2022-01-13T19:27:%02dZ", i), "eventTime": "2022-01-13T19:27:37Z",
				name: name, "data": map[string]any{name: 1, "status": []string{name}}, "source": name,
			}})
			if i%5 == 0 {
				edges = append(edges, map[string]any{"node": name})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"edges": edges, "pageInfo": map[string]any{"hasNextPage": false}})
	}))
	defer api.Close()

	config := fmt.Sprintf(`
variable "name" { default = "" }
source "knock" "k" {
  endpoint     = %q
  api_key      = "k"
  max_attempts = 1
}
prospects "p" { file = "ids.txt" }
sink "local" "lake" { path = "lake" }
job "events" {
  source       = source.knock.k
  prospects    = prospects.p
  sinks        = [sink.local.lake]
  partition_by = ["event_type"]
}
check "names" {
  job      = job.events
  severity = "warning"
  assert {
    condition     = staged.rows < 0
    error_message = "It is ${env("NAME")}."
  }
}
output "name" { value = env("NAME", "") }
`, api.URL)
	write(t, dir, config)
	if err := os.WriteFile(filepath.Join(dir, "ids.txt"), []byte("1\nbroken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The user's own messages and file names may have several lines.
	own := strings.NewReplacer("FORGED", "OWN")
	names := own.Replace(strings.Join(hostileNames, "\n"))
	environ := append(os.Environ(), "NAME="+own.Replace(strings.Join(hostileNames, " ")), "PROSPECTOR_LOG=debug")
	run := func(args ...string) (stdout, stderr string) {
		t.Helper()
		c, errors := command(t, dir, args...)
		var out bytes.Buffer
		c.Stdout, c.Env = &out, environ
		code := exitCode(t, c)
		where := fmt.Sprintf("prospector %.100q exits with %d", args, code)
		if strings.Contains(errors.String(), "panic") || code > 3 {
			t.Errorf("%s:\n%s", where, errors)
		}
		for _, printed := range []string{out.String(), errors.String()} {
			checkPrinted(t, where, printed)
		}
		if strings.Contains(strings.Join(args, " "), "-json") {
			for line := range strings.Lines(out.String()) {
				if strings.HasPrefix(line, `{"`) && !json.Valid([]byte(line)) {
					t.Errorf("%s: not JSON: %.300s", where, line)
				}
			}
		}
		return out.String(), errors.String()
	}

	run("plan")
	run("plan", "-json")
	run("plan", "-out=night.plan")
	run("show", "night.plan")
	run("show", "-json", "night.plan")
	run("schema", "infer", "night.plan")
	if out, errors := run("apply", "-auto-approve"); !strings.Contains(out, "Apply complete") {
		t.Fatalf("nothing is published:\n%s%s", out, errors)
	}
	for _, name := range hostileNames {
		if file := strings.NewReplacer("/", "_", "\x00", "").Replace(name); len(file) < 200 {
			if err := os.WriteFile(filepath.Join(dir, "lake", "events", file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	published, err := filepath.Glob(filepath.Join(dir, "lake", "events", "*", "*.parquet"))
	if err != nil || len(published) < 20 {
		t.Fatal(published, err)
	}
	for _, file := range published[:3] {
		if err := os.Truncate(file, 100); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"validate"}, {"validate", "-json"}, {"verify"}, {"verify", "-json"}, {"plan"}, {"plan", "-json"}, {"plan", "-refresh-only"},
		{"apply", "-auto-approve", "-json"}, {"show"}, {"show", "-json"}, {"show", "-runs"}, {"show", "-runs", "-json"}, {"output"}, {"output", "-json"}, {"output", "name"},
		{"state", "list"}, {"state", "show", "job.events"}, {"state", "pull"}, {"schema", "show"}, {"schema", "show", "-json"}, {"schema", "diff"}, {"schema", "infer"},
		{"sql", "-dialect=duckdb"}, {"sql", "-dialect=bigquery", "-dataset=" + names}, {"sql", "-dialect=" + names}, {"sql", "-dialect=spark", "-job=" + names},
		{names}, {"plan", names}, {"plan", "-" + names}, {"plan", "-target=" + names}, {"plan", "-var", names}, {"plan", "-var", "name=" + names}, {"plan", "-var-file=" + names},
		{"show", names}, {"output", names}, {"state", "show", names}, {"state", "rm", names}, {"state", names}, {"schema", names}, {"force-unlock", "-force", names}, {"help", names},
		{"fmt", names}, {"apply", names}, {"-chdir=" + names, "plan"}, {"plan", "-out=" + names}, {"state", "push", names},
		{"erase", "-auto-approve", "-prospect=" + names}, {"erase", "-auto-approve", "-json", "-prospect=" + names},
		{"destroy", "-auto-approve"},
	} {
		run(args...)
	}

	for _, handling := range []string{"unknown_type", "unknown_field"} {
		write(t, dir, fmt.Sprintf("%s\nschema \"s\" {\n  extends = \"knock_events\"\n  %s = \"fail\"\n}\n",
			strings.Replace(config, `job "events" {`, "job \"events\" {\n  schema = schema.s", 1), handling))
		if _, errors := run("plan"); !strings.Contains(errors, "An event does not match the schema") {
			t.Errorf("%s: %s", handling, errors)
		}
	}

	write(t, dir, names)
	run("validate")
	run("validate", "-json")
	run("fmt", "-check")
}

// checkPrinted fails on control sequences of terminals, and on forged lines.
func checkPrinted(t *testing.T, where, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: the output is not UTF-8", where)
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
	}); i >= 0 {
		t.Errorf("%s: not printable at byte %d: %q", where, i, text[max(0, i-100):min(i+10, len(text))])
	}
	if at := regexp.MustCompile(`(?m)^[\s│]*FORGED|^OWN`).FindStringIndex(text); at != nil {
		t.Errorf("%s: a line is forged: %q", where, text[max(0, at[0]-300):at[1]])
	}
}
