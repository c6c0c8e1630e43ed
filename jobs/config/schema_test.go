package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/schemas"
)

// withSchema is a configuration with one job, whose schema has the text as its body.
func withSchema(body string) string {
	return strings.Replace(minimal, "source = source", "schema = schema.mine\n  source = source", 1) +
		"variable \"key\" { sensitive = true }\nschema \"mine\" {\n" + body + "\n}\n"
}

var withKey = Options{Environ: []string{"PROSPECTOR_VAR_key=sixteen bytes or more"}}

func TestSchema(t *testing.T) {
	body := func(change func(c *schemas.Column)) schemas.Column {
		c, _ := schemas.KnockEvents().Column("message_body")
		change(&c)
		return c
	}
	sentiment := schemas.Column{Name: "sentiment", Type: schemas.String, From: []string{"data.sentiment", "data.analysis.sentiment"},
		When: []string{"SMS_MESSAGE", "EMAIL_*"}, Policy: schemas.Hash, PII: true, Description: "How it sounds."}
	for _, c := range []struct {
		name, body string
		base       schemas.Table
		columns    []schemas.Column
		change     func(*schemas.Table)
	}{
		{name: "nothing is the core", base: schemas.KnockEvents().Core()},
		{name: "null extends nothing", body: `extends = null`, base: schemas.KnockEvents().Core()},
		{name: "the built-in table", body: `extends = "knock_events"`, base: schemas.KnockEvents()},
		{name: "all of a column", base: schemas.KnockEvents().Core(), columns: []schemas.Column{sentiment}, body: `
hash_key = var.key
column "sentiment" {
  type        = string
  from        = ["data.sentiment", "data.analysis.sentiment"]
  when        = ["SMS_MESSAGE", "EMAIL_*"]
  pii         = true
  policy      = "hash"
  description = "How it sounds."
}`},
		{name: "a type in quotes, and a name of it that is a value", base: schemas.KnockEvents().Core(), body: `
column "a" {
  type = "float64"
  from = ["a"]
}
column "b" {
  type = local.json
  from = ["b"]
}
}
locals {
  json = "json"`, columns: []schemas.Column{
			{Name: "a", Type: schemas.Float64, From: []string{"a"}}, {Name: "b", Type: schemas.JSON, From: []string{"b"}}}},
		{name: "what is not said is inherited", base: schemas.KnockEvents(), body: `
extends = "knock_events"
column "message_body" { policy = "redact" }`,
			columns: []schemas.Column{body(func(c *schemas.Column) { c.Policy = schemas.Redact })}},
		{name: "what is said is not", base: schemas.KnockEvents(), body: `
extends = "knock_events"
column "message_body" {
  from        = ["data.words"]
  when        = ["SMS_MESSAGE"]
  pii         = false
  description = ""
}`,
			columns: []schemas.Column{body(func(c *schemas.Column) {
				c.From, c.When, c.PII, c.Description = []string{"data.words"}, []string{"SMS_MESSAGE"}, false, ""
			})}},
		{name: "what the table does with the unexpected", base: schemas.KnockEvents().Core(), body: `
description   = "Mine."
event_types   = ["VOICE_*"]
unknown_field = "drop"
unknown_type  = "quarantine"
mismatch      = "fail"`,
			change: func(t *schemas.Table) {
				t.Description, t.EventTypes = "Mine.", append(t.EventTypes, "VOICE_*")
				t.UnknownField, t.UnknownType, t.Mismatch = schemas.Discard, schemas.Quarantine, schemas.Fail
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.base
			want.Name, want.Description = "mine", ""
			if strings.Contains(c.body, "hash_key") {
				want.HashKey = schemas.NewKey("sixteen bytes or more")
			}
			if c.change != nil {
				c.change(&want)
			}
			want, err := want.Declare(c.columns...)
			if err != nil {
				t.Fatal(err)
			}
			job := load(t, write(t, map[string]string{"main.hcl": withSchema(c.body)}), withKey).Jobs[0]
			if d := cmp.Diff(want, job.Schema, cmp.Comparer(schemas.Key.Equal)); d != "" {
				t.Errorf("the table is another one (-want +got):\n%s", d)
			}
			if job.SchemaBlock.Address != "schema.mine" || job.SchemaBlock.Origin.Line == 0 {
				t.Errorf("the schema's block is %+v", job.SchemaBlock)
			}
		})
	}
}

func TestSchemaOfJobs(t *testing.T) {
	c := load(t, write(t, map[string]string{"main.hcl": `
source "simulator" "demo" { vendor_changes = true }
sink "local" "lake" { path = "lake" }
schema "narrow" {}
schema "unused" { extends = "knock_events" }
job "events" {
  for_each     = toset(["north", "south"])
  source       = source.simulator.demo
  sinks        = [sink.local.lake]
  schema       = each.key == "north" ? schema.narrow : null
  partition_by = ["event_month"]
  on_missing   = "delete"
}
check "columns" {
  job = job.events["north"]
  assert {
    condition     = length(staged.null_share) == 8
    error_message = "Not the core."
  }
}`}), Options{})
	north, south := c.Jobs[0], c.Jobs[1]
	core, err := schemas.KnockEvents().Core().PartitionedBy("event_month")
	if err != nil {
		t.Fatal(err)
	}
	if north.Schema.Fingerprint() != core.Fingerprint() || north.SchemaBlock.Address != "schema.narrow" {
		t.Errorf("north is %+v", north.Schema)
	}
	if south.Schema.Name != schemas.Builtin || south.SchemaBlock.Address != "" || south.Schema.Keys()[0] != "event_month" {
		t.Errorf("south is %+v", south.Schema)
	}
	if !north.DeleteMissing || !south.DeleteMissing || !north.Source.Settings.(*simulator.Settings).VendorChanges {
		t.Errorf("on_missing or vendor_changes is lost: %+v", north)
	}
	if holds, message, problems := c.Checks[0].Assertions[0].Evaluate(jobs.Result{}); !holds || len(problems) > 0 {
		t.Errorf("the check judges another table: %s %v", message, problems)
	}
}

// No form of the configuration shows a key.
func TestHashKeyIsNotShown(t *testing.T) {
	c := load(t, write(t, map[string]string{"main.hcl": withSchema("hash_key = var.key\ncolumn \"a\" {\n type = string\n from = [\"a\"]\n policy = \"hash\"\n}")}), withKey)
	if text := fmt.Sprintf("%v %+v %#v", c.Jobs[0], c.Jobs[0], c.Jobs[0].Schema.HashKey); strings.Contains(text, "sixteen") {
		t.Errorf("the key shows: %s", text)
	}
	if c.Jobs[0].Schema.HashKey.IsZero() {
		t.Error("there is no key to show")
	}
}

func TestLock(t *testing.T) {
	main := minimal
	lock := schemas.Lock{"job.events": schemas.KnockEvents(), `job.more["a"]`: schemas.KnockEvents().Core()}
	edited := strings.Replace(string(lock.Encode()), "data.body", "data.text", 1)
	for _, c := range []struct {
		name, text string
		want       int // tables
		broken     string
	}{
		{"a lock", string(lock.Encode()), 2, ""},
		{"one of no table", "# nothing\n", 0, ""},
		{"an edited one", edited, 0, "job.events"},
		{"one that is no HCL", "schema {", 0, schemas.LockFile},
		{"one that is too deep", "a = " + strings.Repeat("[", 300), 0, "brackets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.hcl": main, schemas.LockFile: c.text})
			got, diags := loadDir(dir, Options{})
			if c.broken == "" {
				if len(diags) > 0 || got.Lock == nil || len(got.Lock) != c.want {
					t.Fatalf("the lock is %v\n%s", got, render(diags))
				}
				return
			}
			for _, text := range []string{c.broken, filepath.Join(dir, schemas.LockFile), "init -upgrade"} {
				if got != nil || len(diags) != 1 || !strings.Contains(diags[0].Detail, text) {
					t.Fatalf("%q is not in\n%s", text, render(diags))
				}
			}
			got, diags = loadDir(dir, Options{ReplaceLock: true})
			if got == nil || got.Lock != nil || len(diags) != 1 || diags[0].Severity != jobs.Warning || !strings.Contains(diags[0].Detail, c.broken) {
				t.Errorf("about to be replaced, it is %+v\n%s", got, render(diags))
			}
		})
	}
	if c := load(t, write(t, map[string]string{"main.hcl": main}), Options{}); c.Lock != nil {
		t.Errorf("without a file, the lock is %v", c.Lock)
	}
	if c := load(t, write(t, map[string]string{"main.hcl": main, schemas.LockFile: string(lock.Encode())}), Options{}); c.Lock["job.events"].Fingerprint() != lock["job.events"].Unpartitioned().Fingerprint() {
		t.Error("another table is read than was locked")
	}
}
