package config

import (
	"fmt"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
)

func TestJobPolicies(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
variable "production" { default = true }
job "guarded" {
  source          = source.simulator.demo
  sinks           = [sink.local.lake]
  table           = "events-2"
  on_foreign_file = "delete"
  on_erased       = "export"
  lifecycle { prevent_destroy = var.production }
}
output "guarded" { value = job.guarded }
`})
	c := load(t, dir, Options{})
	plain, guarded := c.Jobs[0], c.Jobs[1]
	if plain.TableName != "events" || plain.PreventDestroy || plain.DeleteForeign || plain.ExportErased {
		t.Errorf("by default: %+v", plain)
	}
	if guarded.TableName != "events-2" || guarded.Address != "job.guarded" || !guarded.PreventDestroy || !guarded.DeleteForeign || !guarded.ExportErased {
		t.Errorf("guarded: %+v", guarded)
	}
	if d := cmp.Diff(map[string]any{
		"id": "job.guarded", "name": "guarded", "table": "events-2", "uris": []any{"file://" + dir + "/lake/events-2"},
	}, c.Outputs[0].Value); d != "" {
		t.Error(d)
	}
	if load(t, dir, Options{Vars: []string{"production=false"}}).Jobs[1].PreventDestroy {
		t.Error("prevent_destroy = false prevents")
	}
}

func TestForEach(t *testing.T) {
	const head = `
source "simulator" "demo" {}
source "simulator" "other" { seed = 2 }
sink "local" "lake" { path = "lake" }
sink "local" "east" { path = "east" }
`
	type instance struct{ Address, Name, Sink, Compression string }
	for _, c := range []struct {
		name, main string
		want       []instance
		output     any
	}{
		{"a set", `
job "events" {
  for_each = toset(["north", "east-1"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
output "it" { value = { for k, j in job.events : k => j.uris } }`,
			[]instance{{`job.events["east-1"]`, "events_east-1", "lake", "snappy"}, {`job.events["north"]`, "events_north", "lake", "snappy"}},
			map[string]any{"east-1": []any{"file://DIR/lake/events_east-1"}, "north": []any{"file://DIR/lake/events_north"}}},
		{"a map", `
job "events" {
  for_each    = { "A b" = "zstd", c = "gzip" }
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  table       = "t_${replace(lower(each.key), " ", "")}"
  compression = each.value
  lifecycle { prevent_destroy = each.key == "c" }
}
output "it" { value = [job.events["A b"].table, job.events["c"].id, job.events["c"]["name"]] }`,
			[]instance{{`job.events["A b"]`, "t_ab", "lake", "zstd"}, {`job.events["c"]`, "t_c", "lake", "gzip"}},
			[]any{"t_ab", `job.events["c"]`, "events"}},
		{"references as values", `
job "events" {
  for_each = { lake = sink.local.lake, east = sink.local.east }
  source   = source.simulator.demo
  sinks    = [each.value]
  table    = "events"
}
output "it" { value = keys(job.events) }`,
			[]instance{{`job.events["east"]`, "events", "east", "snappy"}, {`job.events["lake"]`, "events", "lake", "snappy"}},
			[]any{"east", "lake"}},
		{"in the order of their addresses", `
job "b" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  table  = "a"
}
job "a" {
  for_each = toset(["z"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
output "it" { value = null }`,
			[]instance{{`job.a["z"]`, "a_z", "lake", "snappy"}, {"job.b", "a", "lake", "snappy"}}, nil},
		{"none", `
job "events" {
  for_each = {}
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
output "it" { value = job.events }`, nil, map[string]any{}},
		{"an empty set", `
job "events" {
  for_each    = toset([])
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  compression = each.value
}
output "it" { value = [for j in job.events : j.id] }`, nil, []any{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.hcl": head + c.main})
			t.Chdir(dir)
			config := load(t, ".", Options{})
			var got []instance
			for _, j := range config.Jobs {
				got = append(got, instance{j.Address, j.TableName, path.Base(j.Sinks[0].URI("")), string(j.Compression)})
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(fmt.Sprint(c.output), replaced(fmt.Sprint(config.Outputs[0].Value), dir)); d != "" {
				t.Error(d)
			}
			for _, j := range config.Jobs {
				if want := j.Address == `job.events["c"]`; j.PreventDestroy != want {
					t.Errorf("%s: prevents %v", j.Address, j.PreventDestroy)
				}
			}
		})
	}
}

// A diagnostic about an instance has the place of the job's block.
func TestInstanceBlocks(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `job "more" {
  for_each = toset(["x"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}`})
	t.Chdir(dir)
	j := load(t, ".", Options{}).Jobs[1]
	got := j.Diagnose("sinks", "s", "d")
	want := jobs.Diagnostic{Severity: jobs.Error, Summary: "s", Detail: "d", Address: `job.more["x"]`, Origin: &jobs.Origin{
		Filename: "main.hcl", Line: 11, Column: 14, Context: `job "more"`,
		Code: `  sinks    = [sink.local.lake]`, HighlightStart: 13, HighlightEnd: 30}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A sensitive value stays sensitive in an instance. Its key is shown.
func TestSensitiveEach(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": `
source "simulator" "demo" {}
sink "gcs" "lake" { bucket = "acme-lake" }
job "events" {
  for_each = { a = sensitive(sink.gcs.lake) }
  source   = source.simulator.demo
  sinks    = [each.value]
}
output "keys" { value = keys(job.events) }
output "uris" { value = job.events["a"].uris }
`})
	if _, diags := loadDir(dir, Options{}); len(diags) != 1 || diags[0].Summary != "Output refers to sensitive values" || diags[0].Address != "output.uris" {
		t.Errorf("diagnostics:\n%s", render(diags))
	}
}

// Even the names of the attributes of a sensitive value are hidden.
func TestSensitiveEachValue(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
variable "accounts" {
  type      = object({ hunter2 = string })
  default   = { hunter2 = "a" }
  sensitive = true
}
job "more" {
  for_each    = { a = var.accounts }
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  compression = each.value.codec
}`})
	if _, diags := loadDir(dir, Options{}); len(diags) != 1 || diags[0].Summary != "Unknown attribute" || diags[0].Detail != hiddenDetail {
		t.Errorf("diagnostics:\n%s", render(diags))
	}
}

// An error in one instance does not make the others unknown.
func TestOtherInstances(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
job "more" {
  for_each    = toset(["zstd", "snapy"])
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  compression = each.key
}
check "it" {
  job = job.more["snapy"]
  assert {
    condition     = staged.rows > 0
    error_message = "No rows of ${job.more["zstd"].tabel}."
  }
}
moved {
  from = job.old
  to   = job.more["snapy"]
}
output "all" { value = job.more }
output "keys" { value = keys(job.more)[1] }`})
	_, diags := loadDir(dir, Options{})
	var got []string
	for _, d := range diags {
		got = append(got, d.Summary+" "+d.Address)
	}
	want := []string{`Wrong value for compression job.more["snapy"]`, "Unknown attribute check.it"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, render(diags))
	}
}
