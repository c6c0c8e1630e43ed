package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/extract/knock"
	"prospector/extract/simulator"
	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

// minimal is a configuration with only what it needs.
const minimal = `
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
`

func load(t *testing.T, dir string, o Options) *jobs.Configuration {
	t.Helper()
	c, diags := loadDir(dir, o)
	if len(diags) > 0 {
		t.Fatalf("diagnostics:\n%s", render(diags))
	}
	return c
}

// sameValues compares configurations without their places in files.
var sameValues = cmp.Options{
	cmpopts.IgnoreTypes(jobs.Block{}),
	cmp.Comparer(func(a, b *store.Kind) bool { return a == b }),
}

func TestDefaults(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
source "knock" "production" {
  endpoint = "https://syndication.knockrentals.com/"
  api_key  = "k"
}
prospects "crm" { file = "-" }
job "real" {
  source    = source.knock.production
  prospects = prospects.crm
  sinks     = [sink.local.lake]
}`})
	got := load(t, dir, Options{})
	lake := jobs.Sink{Location: local.At(filepath.Join(dir, "lake"))}
	want := &jobs.Configuration{
		Dir:         dir,
		Backend:     jobs.Backend{Location: local.At(dir), Key: "prospector.state.json"},
		MemoryLimit: 384 << 20,
		Jobs: []jobs.Job{{
			TableName: "events",
			Source: jobs.Source{Kind: "simulator", PageSize: 100, Concurrency: 8, Timeout: 30 * time.Second, MaxAttempts: 6,
				Settings: &simulator.Settings{Seed: 1, Prospects: 500, Events: 20000, AsOf: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC)}},
			Sinks: []jobs.Sink{lake}, Schema: schemas.KnockEvents(), Compression: jobs.Snappy, TargetFileSize: 256 << 20,
		}, {
			TableName: "real",
			Source: jobs.Source{Kind: "knock", PageSize: 100, Concurrency: 8, RequestsPerSecond: 10, Timeout: 30 * time.Second, MaxAttempts: 6,
				Settings: &knock.Settings{Endpoint: "https://syndication.knockrentals.com", APIKey: "k"}},
			Prospects: &jobs.Prospects{File: "-"},
			Sinks:     []jobs.Sink{lake}, Schema: schemas.KnockEvents(), Compression: jobs.Snappy, TargetFileSize: 256 << 20,
		}},
		Sinks: []jobs.Sink{lake},
	}
	if d := cmp.Diff(want, got, sameValues); d != "" {
		t.Error(d)
	}
}

func TestEveryAttribute(t *testing.T) {
	dir := write(t, map[string]string{
		"settings.hcl": `
prospector {
  required_version = "~> 0.1, != 0.1.7"
  memory_limit     = "1.5GiB"
  backend "local" { path = "state/here.json" }
}
variable "cold" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether the lake is rarely read."
}
locals {
  compression = var.cold ? "zstd" : "snappy" # zstd is smaller, and slower to write
  sinks       = [sink.gcs.lake, local.second]
  second      = sink.local.lake
  bucket      = "acme-${lower(local.name)}"
  name        = "LAKE"
}`,
		"main.hcl": `
source "simulator" "demo" {
  seed = 18446744073709551615
  prospects = 7
  events = 70
  as_of = "2022-01-10T02:00:00+02:00"
  fault_rate = 0.25
  page_size = "10"
  concurrency = 2
  requests_per_second = 0.5
  timeout = "1m30s"
  max_attempts = 1
}
prospects "crm" {
  file   = "crm/ids.jsonl"
  column = "id"
}
sink "local" "lake" { path = "/var/the lake/" }
sink "gcs" "lake" {
  bucket = local.bucket
  prefix = "/knock/events/"
}
job "prospect-events" {
  source       = source.simulator.demo
  prospects    = prospects.crm
  sinks        = local.sinks
  partition_by = ["event_month", "event_type"]
  compression  = local.compression

  target_file_size = "64 MB"
}
output "tables" { value = job.prospect-events.uris }
output "mixed" {
  description = "Of every type."
  value = { name = job.prospect-events.name, n = 1.5, yes = true, none = null, list = [sink.gcs.lake.bucket, prospects.crm.column] }
}
output "hidden" {
  value     = sensitive("s")
  sensitive = true
}`,
		".hidden.hcl": "this is not read",
		"notes.txt":   "nor is this",
	})
	table, err := schemas.KnockEvents().PartitionedBy("event_month", "event_type")
	if err != nil {
		t.Fatal(err)
	}
	want := &jobs.Configuration{
		Dir:         dir,
		Backend:     jobs.Backend{Location: local.At(filepath.Join(dir, "state")), Key: "here.json"},
		MemoryLimit: 3 << 29,
		Jobs: []jobs.Job{{
			TableName: "prospect-events",
			Source: jobs.Source{Kind: "simulator", PageSize: 10, Concurrency: 2, RequestsPerSecond: 0.5, Timeout: 90 * time.Second, MaxAttempts: 1,
				Settings: &simulator.Settings{Seed: 1<<64 - 1, Prospects: 7, Events: 70, AsOf: time.Date(2022, 1, 10, 0, 0, 0, 0, time.UTC), FaultRate: 0.25}},
			Prospects:   &jobs.Prospects{File: filepath.Join(dir, "crm/ids.jsonl"), Column: "id"},
			Sinks:       []jobs.Sink{{Location: gcs.At("acme-lake", "knock/events")}, {Location: local.At("/var/the lake")}},
			Schema:      table,
			Compression: jobs.ZSTD, TargetFileSize: 64_000_000,
		}},
		Sinks: []jobs.Sink{{Location: gcs.At("acme-lake", "knock/events")}, {Location: local.At("/var/the lake")}},
		Outputs: []jobs.Output{
			{Name: "hidden", Value: "s", Sensitive: true},
			{Name: "mixed", Value: map[string]any{"name": "prospect-events", "n": 1.5, "yes": true, "none": nil, "list": []any{"acme-lake", "id"}}},
			{Name: "tables", Value: []any{"gs://acme-lake/knock/events/prospect-events", "file:///var/the%20lake/prospect-events"}},
		},
	}
	if d := cmp.Diff(want, load(t, dir, Options{}), sameValues); d != "" {
		t.Error(d)
	}
}

// A later stage reports a place in the source. It names the directory as the caller did.
func TestBlocks(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal})
	t.Chdir(filepath.Dir(dir))
	j := load(t, filepath.Base(dir), Options{}).Jobs[0]
	file := filepath.Join(filepath.Base(dir), "main.hcl")
	for _, c := range []struct {
		name      string
		block     jobs.Block
		attribute string
		want      jobs.Origin
	}{
		{"an attribute", j.Sinks[0].Block, "path", jobs.Origin{Filename: file, Line: 3, Column: 30, Context: `sink "local" "lake"`,
			Code: `sink "local" "lake" { path = "lake" }`, HighlightStart: 29, HighlightEnd: 35}},
		{"a default", j.Block, "compression", jobs.Origin{Filename: file, Line: 4, Column: 1, Context: `job "events"`,
			Code: `job "events" {`, HighlightStart: 0, HighlightEnd: 12}},
		{"a source", j.Source.Block, "", jobs.Origin{Filename: file, Line: 2, Column: 1, Context: `source "simulator" "demo"`,
			Code: `source "simulator" "demo" {}`, HighlightStart: 0, HighlightEnd: 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, *c.block.Diagnose(c.attribute, "s", "d").Origin); d != "" {
				t.Error(d)
			}
		})
	}
	if got := j.Source.Address + " " + j.Sinks[0].Address + " " + j.Address; got != "source.simulator.demo sink.local.lake job.events" {
		t.Errorf("addresses %s", got)
	}
}

func TestReadyConfigurations(t *testing.T) {
	demo := load(t, "../demo", Options{})
	if len(demo.Jobs) != 1 || demo.Jobs[0].Source.Kind != "simulator" || len(demo.Outputs) != 1 {
		t.Errorf("demo: %+v", demo)
	}

	if c, diags := loadDir("../nightly", Options{}); c != nil || len(diags) != 2 {
		t.Errorf("nightly without its two required variables:\n%s", render(diags))
	}
	nightly := load(t, "../nightly", Options{
		VarFiles: []string{"../nightly/example.auto.hclvars.example"},
		Environ:  []string{"PROSPECTOR_VAR_knock_api_key=k"},
	})
	j := nightly.Jobs[0]
	if j.Source.Settings.(*knock.Settings).APIKey != "k" || j.Sinks[0].URI(j.TableName) != "gs://acme-lake/knock/prospect_events" {
		t.Errorf("nightly: %+v", nightly)
	}
	if _, err := os.Stat(j.Prospects.File); err != nil {
		t.Error(err)
	}
}

func TestNothingToLoad(t *testing.T) {
	for name, dir := range map[string]string{
		"No configuration files":            write(t, map[string]string{".main.hcl": minimal}),
		"Cannot read the working directory": filepath.Join(t.TempDir(), "nowhere"),
	} {
		c, diags := loadDir(dir, Options{})
		if c != nil || len(diags) != 1 || diags[0].Summary != name || !strings.Contains(diags[0].Detail, dir) {
			t.Errorf("%s: %v\n%s", name, c, render(diags))
		}
	}
}

func TestRemoteBackend(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
variable "bucket" { default = "acme-state" }
prospector {
  backend "gcs" {
    bucket = var.bucket
    prefix = "/knock/nightly/"
  }
}`})
	got := load(t, dir, Options{}).Backend
	if got.Address != "backend.gcs" || got.Attributes["bucket"].Line != 12 || got.Origin.Line != 11 {
		t.Errorf("its block: %+v", got.Block)
	}
	if d := cmp.Diff(jobs.Backend{Location: gcs.At("acme-state", "knock/nightly"), Key: "prospector.state.json"}, got, sameValues); d != "" {
		t.Error(d)
	}
}

// The state may be above tables, next to them, and in another bucket.
func TestStateBesideTables(t *testing.T) {
	for _, backend := range []string{
		`bucket = "acme-lake"`, `bucket = "acme-lake"
prefix = "knock"`, `bucket = "acme-lake"
prefix = "knock/events-2"`, `bucket = "acme-lake"
prefix = "knock/state"`, `bucket = "acme-state"
prefix = "knock/events"`,
	} {
		dir := write(t, map[string]string{"main.hcl": "prospector {\nbackend \"gcs\" {\n" + backend + `
}
}
source "simulator" "demo" {}
sink "gcs" "lake" {
  bucket = "acme-lake"
  prefix = "knock"
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake]
}`})
		load(t, dir, Options{})
	}
}

// After the last job is removed, the state still has the tables that it published.
func TestNoJobsLeft(t *testing.T) {
	for name, main := range map[string]string{
		"a sink":       `sink "local" "lake" { path = "lake" }`,
		"a removal":    `removed { from = job.events }`,
		"no instances": minimal[:strings.Index(minimal, "  source")] + "for_each = {}\n" + minimal[strings.Index(minimal, "  source"):],
	} {
		t.Run(name, func(t *testing.T) {
			if c := load(t, write(t, map[string]string{"main.hcl": main}), Options{}); len(c.Jobs) > 0 {
				t.Errorf("%d jobs", len(c.Jobs))
			}
		})
	}
}

func TestSatisfies(t *testing.T) {
	for _, c := range []struct {
		constraint string
		want       bool
	}{
		{"0.1.0", true}, {"= 0.1.0", true}, {"0.1.1", false}, {"!= 0.1.0", false}, {"!=0.2", true},
		{">= 0.1.0", true}, {">= 0.1.1", false}, {"> 0.1", false}, {"> 0.0.9", true},
		{"< 0.1.0", false}, {"< 0.1.1", true}, {"<= 0.1", true}, {"<= 0.0.99", false},
		{"~> 0.1.0", true}, {"~> 0.0.9", false}, {"~> 0.0", true}, {"~> 1.0", false}, {"~> 0", true},
		{">= 0.1, < 0.2", true}, {">= 0.1, < 0.1", false}, {"< 0.1, >= 0.1", false},
	} {
		if got, err := satisfies("0.1.0", c.constraint); got != c.want || err != nil {
			t.Errorf("%q: %v, %v", c.constraint, got, err)
		}
	}
	for _, bad := range []string{"", "one", ">= 1,", "=> 1", ">= v1", "1.2.3.4", ">= 0.1.0-beta"} {
		if _, err := satisfies("0.1.0", bad); err == nil {
			t.Errorf("%q is taken for a constraint", bad)
		}
	}
}

func TestFunctions(t *testing.T) {
	dir := write(t, map[string]string{"text.txt": "hello\n"})
	for _, c := range []struct {
		expression string
		want       any
	}{
		{`upper("a")`, "A"}, {`lower("A")`, "a"}, {`title("a b")`, "A B"}, {`format("%s-%03d", "a", 7)`, "a-007"},
		{`join("/", ["a", "b"])`, "a/b"}, {`split(",", "a,b")`, []any{"a", "b"}}, {`concat([1], [2])`, []any{1., 2.}},
		{`merge({ a = 1 }, { b = 2 })`, map[string]any{"a": 1., "b": 2.}}, {`lookup({ a = 1 }, "b", 3)`, 3.},
		{`try({}.a, "b")`, "b"}, {`can({}.a)`, false}, {`coalesce("", null, "c")`, "c"}, {`coalesce(null, 2)`, 2.},
		{`tostring(5)`, "5"}, {`tonumber("5")`, 5.}, {`tobool("true")`, true}, {`tolist(toset(["b", "a", "b"]))`, []any{"a", "b"}},
		{`jsonencode({ a = [1] })`, `{"a":[1]}`}, {`jsondecode("{\"a\":null}")`, map[string]any{"a": nil}},
		{`formatdate("YYYY-MM", timeadd("2022-01-31T23:00:00Z", "2h"))`, "2022-02"},
		{`regex("[0-9]+", "a12")`, "12"}, {`replace("a.b", ".", "-")`, "a-b"}, {`replace("a12", "/[0-9]+/", "#")`, "a#"},
		{`trimspace(file("text.txt"))`, "hello"}, {`fileexists("text.txt")`, true}, {`fileexists("other.txt")`, false},
		{`length("héllo")`, 5.}, {`length([1, 2])`, 2.}, {`length({ a = 1 })`, 1.}, {`length(toset([1, 1]))`, 1.},
		{`keys({ b = 1, a = 2 })`, []any{"a", "b"}}, {`values({ b = 1, a = 2 })`, []any{2., 1.}},
		{`flatten([[1], [[2]]])`, []any{1., 2.}}, {`distinct([1, 1])`, []any{1.}}, {`min(2, 1)`, 1.}, {`max(2, 1)`, 2.},
		{`abs(-1)`, 1.}, {`ceil(1.2)`, 2.}, {`floor(1.8)`, 1.}, {`startswith("abc", "ab")`, true}, {`endswith("abc", "ab")`, false},
		{`basename("a/b")`, "b"}, {`dirname("a/b")`, "a"}, {`env("SET")`, "x=y"}, {`env("UNSET", "z")`, "z"}, {`env("UNSET", null)`, nil},
		{`alltrue([true, "true"])`, true}, {`alltrue([true, false])`, false}, {`alltrue([])`, true}, {`alltrue([true, null])`, false},
		{`anytrue([false, true])`, true}, {`anytrue([false, null])`, false}, {`anytrue([])`, false},
		{`sum([1, "2", 3.5])`, 6.5}, {`sum(toset([1, 1, 2]))`, 3.}, {`one([])`, nil}, {`one(["a"])`, "a"}, {`one(toset([1]))`, 1.},
		{`matchkeys(["a", "b", "c"], [1, 2, 1], ["1"])`, []any{"a", "c"}}, {`matchkeys(["a"], ["x"], [])`, []any{}},
		{`transpose({ a = ["x", "y"], b = ["x"] })`, map[string]any{"x": []any{"a", "b"}, "y": []any{"a"}}}, {`transpose({})`, map[string]any{}},
		{`index(["a", "b"], "b")`, 1.}, {`strcontains("abc", "b")`, true}, {`strcontains("abc", "d")`, false},
		{`timecmp("2022-01-01T01:00:00+01:00", "2022-01-01T00:00:00Z")`, 0.}, {`timecmp("2022-01-01T00:00:00Z", "2022-01-01T00:00:00.5Z")`, -1.},
		{`base64encode("é?")`, "w6k/"}, {`base64decode("w6k/")`, "é?"}, {`urlencode("a b&c/é")`, "a+b%26c%2F%C3%A9"},
		{`md5("abc")`, "900150983cd24fb0d6963f7d28e17f72"}, {`sha1("abc")`, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{`sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, {`substr(sha512("abc"), 0, 16)`, "ddaf35a193617aba"},
		{`issensitive(sensitive(1))`, true}, {`issensitive(1)`, false},
		{`nonsensitive(sensitive("a"))`, "a"}, {`[for s in ["a", "b"] : upper(s) if s != "a"]`, []any{"B"}},
	} {
		t.Run(c.expression, func(t *testing.T) {
			main := fmt.Sprintf("%s\noutput \"it\" { value = %s }\n", minimal, c.expression)
			writeFile(t, filepath.Join(dir, "main.hcl"), main)
			got := load(t, dir, Options{Environ: []string{"SET=x=y"}}).Outputs[0].Value
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A function reports wrong arguments, and does not panic.
func TestFunctionRefusals(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ expression, want string }{
		{`sum([])`, "it is empty"}, {`sum(["a"])`, "of numbers"}, {`sum([null])`, "of numbers"}, {`sum({ a = 1 })`, "of numbers"}, {`sum(1)`, "of numbers"},
		{`one([1, 2])`, "at most one element, and has 2"}, {`one(tolist([1, 2]))`, "at most one element, and has 2"}, {`one("a")`, "a list, a set or a tuple"},
		{`matchkeys(["a"], [1, 2], [1])`, "of the same length"}, {`matchkeys(["a"], [{}], ["x"])`, "of the same type"},
		{`transpose({ a = [null] })`, "holds a null"}, {`transpose({ a = null })`, "is null"},
		{`index(["a"], "b")`, "no such value"}, {`index("a", "a")`, "a list or a tuple"},
		{`timecmp("2022-01-01", "2022-01-01T00:00:00Z")`, "not a time"}, {`base64decode("!")`, "not base64"}, {`base64decode("/w==")`, "not text"},
	} {
		t.Run(c.expression, func(t *testing.T) {
			writeFile(t, filepath.Join(dir, "main.hcl"), fmt.Sprintf("%s\noutput \"it\" { value = %s }\n", minimal, c.expression))
			_, diags := loadDir(dir, Options{})
			if len(diags) != 1 || !strings.Contains(diags[0].Detail, c.want) {
				t.Errorf("want %q:\n%s", c.want, render(diags))
			}
		})
	}
}

// A text that would exhaust the parser is refused before it is parsed.
func TestTooMuch(t *testing.T) {
	for name, main := range map[string]string{
		"Too many open brackets":           "locals {\n  a = " + strings.Repeat("[", 300),
		"Cannot read a configuration file": minimal + strings.Repeat("# and so on\n", 10_000),
	} {
		dir := write(t, map[string]string{"main.hcl": main})
		c, diags := loadDir(dir, Options{})
		if c != nil || len(diags) != 1 || diags[0].Summary != name {
			t.Errorf("%s: %v\n%s", name, c, render(diags))
		}
	}
}

// A list of prospects can be an object, with the attributes of its kind of store that
// determine how to reach it.
func TestListInABucket(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": `
source "simulator" "demo" {}
prospects "crm" {
  file         = "gs://acme/lists/tonight's ids.csv"
  column       = "id"
  credentials  = "key.json"
  user_project = "acme-billing"
  timeout      = "10s"
}
sink "gcs" "lake" { bucket = "acme" }
job "events" {
  source    = source.simulator.demo
  prospects = prospects.crm
  sinks     = [sink.gcs.lake]
}
output "list" { value = prospects.crm.file }`})
	c := load(t, dir, Options{})
	want := &jobs.Prospects{
		File: "gs://acme/lists/tonight's ids.csv", Column: "id",
		Object: &jobs.Object{Key: "lists/tonight's ids.csv", Location: store.Location{Kind: gcs.Kind, Settings: &gcs.Settings{Bucket: "acme", Options: gcs.Options{
			Credentials: attribute.Secret(filepath.Join(dir, "key.json")), UserProject: "acme-billing", Timeout: 10 * time.Second,
		}}}},
	}
	if d := cmp.Diff(want, c.Jobs[0].Prospects, sameValues); d != "" {
		t.Error(d)
	}
	if c.Outputs[0].Value != want.File {
		t.Errorf("the output is %v", c.Outputs[0].Value)
	}
}
