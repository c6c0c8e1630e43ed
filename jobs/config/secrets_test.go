package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"prospector/jobs"
)

// The value of a sensitive variable, and what it is set from, never appears in a
// diagnostic, or in an output that is not declared sensitive.
func TestSecretEscapes(t *testing.T) {
	const secret = "Sw0rdf1sh-Sw0rdf1sh"
	const declared = `
variable "key"   { sensitive = true }
variable "keys"  {
  type      = map(string)
  sensitive = true
  default   = {}
}
variable "plain" { default = "" }
source "simulator" "s" {}
sink "local" "lake" { path = "lake" }
`
	output := func(value string) string { return "output \"o\" { value = " + value + " }\n" }
	local := func(value string) string { return "locals { x = " + value + " }\n" }
	tests := []struct{ name, body string }{
		{"the variable", output(`var.key`)},
		{"env", output(`env("PROSPECTOR_VAR_key")`)},
		{"env of a part of its name", output(`env("PROSPECTOR_VAR_${"key"}")`)},
		{"env of a computed name", output(`env(join("_", ["PROSPECTOR", "VAR", "key"]))`)},
		{"env with a default", output(`env("UNSET", env("PROSPECTOR_VAR_key"))`)},
		{"env of what the variable was set from", output(`env("KNOCK_KEY")`)},
		{"env that holds it", output(`env("KNOCK_URL")`)},
		{"env of a sensitive map", output(`env("PROSPECTOR_VAR_keys")`)},
		{"file of variables", output(`file("prospector.hclvars")`)},
		{"file that holds it", output(`file("key.txt")`)},
		{"file in base64", output(`base64encode(file("key.txt"))`)},
		{"template", output(`"${var.key}!"`)},
		{"template directive", output(`"%{ if var.key != "" }${var.key}%{ endif }"`)},
		{"condition", output(`var.key != "" ? var.key : ""`)},
		{"element", output(`[var.key][0]`)},
		{"object", output(`{ a = { b = [var.key] } }`)},
		{"object key", output(`{ (var.key) = 1 }`)},
		{"for value", output(`[for k in [var.key] : upper(lower(k))]`)},
		{"for key", output(`{ for k in [var.key] : k => 1 }`)},
		{"for over characters", output(`[for i in range(3) : substr(var.key, i, 1)]`)},
		{"jsonencode", output(`jsonencode({ a = var.key })`)},
		{"jsondecode", output(`jsondecode("[\"${var.key}\"]")`)},
		{"keys", output(`keys({ (var.key) = 1 })`)},
		{"zipmap", output(`zipmap([var.key], [1])`)},
		{"merge", output(`merge({ a = 1 }, { b = var.key })`)},
		{"lookup", output(`lookup({ a = var.key }, "a", "")`)},
		{"coalesce", output(`coalesce("", var.key)`)},
		{"try", output(`try(var.key, "")`)},
		{"one", output(`one([var.key])`)},
		{"transpose", output(`transpose({ a = [var.key] })`)},
		{"matchkeys", output(`matchkeys([var.key], ["a"], ["a"])`)},
		{"flatten", output(`flatten([[var.key]])`)},
		{"split", output(`split("-", var.key)`)},
		{"regex", output(`regex(".*", var.key)`)},
		{"strrev", output(`strrev(strrev(var.key))`)},
		{"format", output(`format("%s", var.key)`)},
		{"sensitive map", output(`var.keys`)},
		{"sensitive map's keys", output(`keys(var.keys)`)},
		{"sensitive map by a local", local(`var.keys["a"]`) + output(`local.x`)},
		{"error of a function", local(`parseint(var.key, 10)`)},
		{"error of a function on env", local(`parseint(env("PROSPECTOR_VAR_key"), 10)`)},
		{"error of a function on file", local(`jsondecode(file("key.txt"))`)},
		{"error of a conversion", local(`tonumber(env("KNOCK_KEY"))`)},
		{"error of an index", local(`{ a = 1 }[var.key]`)},
		{"error of an index by env", local(`{ a = 1 }[env("PROSPECTOR_VAR_key")]`)},
		{"error of an attribute", local(`jsondecode("{\"${var.key}\": 1}").b`)},
		{"error of try", local(`try(tonumber(var.key), parseint(var.key, 10))`)},
		{"error of operands", local(`var.key + 1`)},
		{"error of env", local(`env(var.key)`)},
		{"error of file", local(`file(var.key)`)},
		{"fileexists", output(`fileexists(var.key)`)},
		{"path of a sink", `sink "local" "other" { path = var.key }`},
		{"bucket", `sink "gcs" "other" { bucket = var.key }`},
		{"path of a sink by env", `sink "local" "other" { path = env("PROSPECTOR_VAR_key") }`},
		{"type of a value", `sink "local" "other" { path = [var.key] }`},
		{"file of prospects", "prospects \"p\" { file = var.key }\n"},
		{"endpoint", "source \"knock\" \"k\" { endpoint = var.key }\n"},
		{"endpoint with a password", "source \"knock\" \"k\" { endpoint = \"https://u:${var.key}@example.com\" }\n"},
		{"endpoint by env", "source \"knock\" \"k\" { endpoint = env(\"KNOCK_URL\") }\n"},
		{"for_each", "job \"j\" {\n for_each = toset([var.key])\n source = source.simulator.s\n sinks = [sink.local.lake]\n}\n"},
		{"for_each by env", "job \"j\" {\n for_each = { (env(\"PROSPECTOR_VAR_key\")) = 1 }\n source = source.simulator.s\n sinks = [sink.local.lake]\n}\n"},
		{"for_each of a sensitive map", "job \"j\" {\n for_each = var.keys\n source = source.simulator.s\n sinks = [sink.local.lake]\n}\n"},
		{"job's compression", "job \"j\" {\n compression = var.key\n source = source.simulator.s\n sinks = [sink.local.lake]\n}\n"},
		{"job's partition_by", "job \"j\" {\n partition_by = [var.key]\n source = source.simulator.s\n sinks = [sink.local.lake]\n}\n"},
		{"error_message", "variable \"v\" {\n default = 1\n validation {\n condition = var.v == 2 && var.key != \"\"\n error_message = \"no ${var.key}\"\n }\n}\n"},
		{"error_message by env", "variable \"v\" {\n default = 1\n validation {\n condition = var.v == 2\n error_message = \"no ${env(\"PROSPECTOR_VAR_key\")}\"\n }\n}\n"},
		{"condition", "variable \"v\" {\n default = 1\n validation {\n condition = var.v == 1 && var.key\n error_message = \"no\"\n }\n}\n"},
		{"check", "check \"c\" {\n assert {\n condition = staged.rows == var.key\n error_message = \"no ${var.key}\"\n }\n}\n"},
		{"unused label", "variable \"z\" { default = sensitive(\"" + secret + "\") }\n"},
		{"literal that is sensitive", local("parseint(sensitive(\"" + secret + "\"), 10)")},
		{"default that is sensitive", "variable \"z\" {\n sensitive = true\n type = number\n default = \"" + secret + "\"\n}\n"},
		{"default that is read", "variable \"z\" {\n sensitive = true\n default = \"" + secret + "2\"\n}\n" + output(`file("main.hcl")`)},
	}
	if len(tests) < 60 {
		t.Errorf("%d ways", len(tests))
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := write(t, map[string]string{
				"main.hcl":           declared + test.body,
				"prospector.hclvars": "keys = { a = \"" + secret + "\", \"" + secret + "\" = \"b\" }\n",
				"key.txt":            "  " + secret + "\n",
			})
			c, diags := loadDir(dir, Options{Environ: []string{
				"PROSPECTOR_VAR_key=" + secret, "KNOCK_KEY=" + secret, "KNOCK_URL=https://example.com/" + secret + "/", `PROSPECTOR_VAR_keys={a="1"}`,
			}})
			if c == nil && !diags.HasErrors() {
				t.Error("there is neither a configuration nor an error")
			}
			hidden := func(what string, value any) {
				t.Helper()
				b, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range []string{secret, strings.ToUpper(secret), "U3cwcmRmMXNo", `{a="1"}`} {
					if strings.Contains(string(b), text) || strings.Contains(fmt.Sprint(value), text) {
						t.Errorf("the secret shows in %s: %s", what, b)
					}
				}
			}
			hidden("a diagnostic", diags)
			if c != nil {
				hidden("an output", c.Outputs)
				for _, check := range c.Checks {
					for _, a := range check.Assertions {
						_, message, problems := a.Evaluate(jobs.Result{})
						hidden("a check", append(problems, jobs.Diagnostic{Detail: message}))
					}
				}
			}
		})
	}
}

// A text that sets no sensitive variable is not sensitive.
func TestNotSecret(t *testing.T) {
	dir := write(t, map[string]string{
		"main.hcl": minimal + `
variable "key" { sensitive = true }
variable "no" {
  sensitive = false
  default   = "nothing to hide"
}
output "home"  { value = env("HOME") }
output "short" { value = env("SHORT") }
output "no"    { value = env("PROSPECTOR_VAR_no") }
output "file"  { value = file("a.txt") }
output "is"    { value = issensitive(env("PROSPECTOR_VAR_key")) }
`,
		"a.txt": "abc is short",
	})
	c := load(t, dir, Options{Environ: []string{"HOME=/home/ann", "PROSPECTOR_VAR_key=abc", "SHORT=abc", "PROSPECTOR_VAR_no=nothing to hide"}})
	want := map[string]any{"home": "/home/ann", "short": "abc", "no": "nothing to hide", "file": "abc is short", "is": true}
	for _, o := range c.Outputs {
		if o.Value != want[o.Name] {
			t.Errorf("%s is %v, not %v", o.Name, o.Value, want[o.Name])
		}
	}
	if len(c.Outputs) != len(want) {
		t.Errorf("%d outputs", len(c.Outputs))
	}
}
