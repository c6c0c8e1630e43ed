package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden lake has two sinks, a vendor that changes its events and a table that
// the user declares.
const goldenConfig = `
variable "as_of" { type = string }

source "simulator" "s" {
  seed           = 12
  prospects      = 12
  events         = 240
  as_of          = var.as_of
  vendor_changes = true
}

sink "local" "lake" { path = "lake" }
sink "local" "copy" { path = "copy" }

schema "tours" {
  extends     = "knock_events"
  event_types = ["APPOINTMENT_*"]
  column "reminders" {
    type = "int64"
    from = ["data.reminders"]
  }
}

job "prospect_events" {
  source       = source.simulator.s
  sinks        = [sink.local.lake, sink.local.copy]
  partition_by = ["event_type", "event_month"]
}

job "tours" {
  source       = source.simulator.s
  sinks        = [sink.local.lake]
  schema       = schema.tours
  partition_by = ["event_date"]
  compression  = "zstd"
}
`

const (
	goldenFirst  = "as_of=2022-01-16T00:00:00Z"
	goldenSecond = "as_of=2022-02-01T00:00:00Z"
)

// TestGoldenNights compares the content digests, the state and the saved plan of two
// nights with golden files. Readers and later versions depend on them, so a change of
// the code must not change them unintentionally.
func TestGoldenNights(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, goldenConfig)
	succeed(t, dir, "apply", "-auto-approve", "-no-color", "-var", goldenFirst)
	golden(t, "first_night_state.json", stateIn(t, dir))
	succeed(t, dir, "plan", "-no-color", "-var", goldenSecond, "-out=night.plan")
	golden(t, "second_night_plan.json", planIn(t, dir, "night.plan"))
	succeed(t, dir, "apply", "-no-color", "-var", goldenSecond, "night.plan")
	golden(t, "second_night_state.json", stateIn(t, dir))
	if out := succeed(t, dir, "plan", "-no-color", "-var", goldenSecond); !strings.Contains(out, "No changes.") {
		t.Errorf("a plan after the second night: %s", out)
	}
}

// TestGoldenPlanIsRead checks that the program reads a plan that an earlier revision
// saved.
func TestGoldenPlanIsRead(t *testing.T) {
	path, err := filepath.Abs(filepath.Join("testdata", "golden", "saved_plan.zip"))
	if err != nil {
		t.Fatal(err)
	}
	out := succeed(t, t.TempDir(), "show", "-json", path)
	golden(t, "saved_plan_show.json", normalized(t, "", []byte(out)))
}

// succeed runs the program in dir and returns its standard output. The program must
// succeed.
func succeed(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c, stderr := command(t, dir, args...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	if code := exitCode(t, c); code != 0 {
		t.Fatalf("prospector %v exited with %d: %s", args, code, stderr)
	}
	return stdout.String()
}

func stateIn(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "prospector.state.json"))
	if err != nil {
		t.Fatal(err)
	}
	return normalized(t, dir, text)
}

// planIn returns the plan in a saved plan, without its staged files.
func planIn(t *testing.T, dir, name string) []byte {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	f, err := archive.Open("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return normalized(t, dir, text)
}

// normalized indents JSON and replaces what differs between two runs: times,
// directories, lineages and generations. The size and the checksum of a file
// depend on the compressor's machine code, and descriptions are prose.
func normalized(t *testing.T, dir string, text []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	for decoder.More() {
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if err := encoder.Encode(without(v, dir)); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func without(v any, dir string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			switch name {
			case "lineage", "generation", "created", "config", "seconds", "elapsed", "timestamp",
				"checksum", "crc32c", "size", "bytes", "bytes_before", "bytes_after",
				"description", "warnings", "warning", "summary", "detail":
				v[name] = "-"
			default:
				v[name] = without(value, dir)
			}
		}
	case []any:
		for i, value := range v {
			v[i] = without(value, dir)
		}
	case string:
		if dir != "" {
			return strings.ReplaceAll(v, dir, "DIR")
		}
	}
	return v
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s differs from this run (-want +got); rewrite it with -update if the change is intended:\n%s", path, diff)
	}
}
