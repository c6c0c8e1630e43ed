package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/knock"
)

// Of several assignments to a variable, the last one counts.
func TestPrecedence(t *testing.T) {
	const main = minimal + `
variable "v" { default = "default" }
output "v" { value = var.v }
`
	for n, want := range []string{"default", "environment", "prospector.hclvars", "a.auto", "b.auto", "first file", "second file", "first var", "second=var"} {
		t.Run(want, func(t *testing.T) {
			files, o := map[string]string{"main.hcl": main}, Options{}
			set := func(name, value string) { files[name] = fmt.Sprintf("v = %q\n", value) }
			for _, step := range []func(){
				func() { o.Environ = []string{"PROSPECTOR_VAR_v=environment", "PROSPECTOR_VAR_other=ignored"} },
				func() { set("prospector.hclvars", "prospector.hclvars") },
				func() { set("a.auto.hclvars", "a.auto") },
				func() { set("b.auto.hclvars", "b.auto") },
				func() { set("one", "first file"); o.VarFiles = []string{"one"} },
				func() { set("a-second", "second file"); o.VarFiles = append(o.VarFiles, "a-second") },
				func() { o.Vars = []string{"v=first var"} },
				func() { o.Vars = append(o.Vars, "v=second=var") },
			}[:n] {
				step()
			}
			t.Chdir(write(t, files))
			if got := load(t, ".", o).Outputs[0].Value; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestVariableTypes(t *testing.T) {
	for _, c := range []struct {
		name, attributes, text string
		want                   any
	}{
		{"a string is literal", `type = string`, `["a"]`, `["a"]`},
		{"so is one without a type", ``, `1`, "1"},
		{"a number", `type = number`, `1e3`, 1000.},
		{"a bool", `type = bool`, `true`, true},
		{"a list is an expression", `type = list(number)`, `[1, "2"]`, []any{1., 2.}},
		{"a map", `type = map(string)`, `{ a = 1 }`, map[string]any{"a": "1"}},
		{"an object with defaults", `type = object({ a = string, b = optional(number, 5) })`, `{ a = "x" }`, map[string]any{"a": "x", "b": 5.}},
		{"anything", `type = any`, `{ a = [true] }`, map[string]any{"a": []any{true}}},
		{"null", `type = list(string)`, `null`, nil},
		{"null is the default", "type = list(string)\n nullable = false\n default = [1]", `null`, []any{"1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.hcl": fmt.Sprintf("%s\nvariable \"v\" {\n%s\n}\noutput \"v\" { value = var.v }\n", minimal, c.attributes)})
			for _, o := range []Options{{Vars: []string{"v=" + c.text}}, {Environ: []string{"PROSPECTOR_VAR_v=" + c.text}}} {
				if d := cmp.Diff(c.want, load(t, dir, o).Outputs[0].Value); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// Errors in variables that need more than a file.
func TestBadAssignments(t *testing.T) {
	const main = minimal + `
variable "key" {
  type      = object({ inner = number })
  sensitive = true
  default   = { inner = 1 }
}
variable "count" {
  type     = number
  default  = 1
}
variable "names" {
  type     = list(string)
  nullable = false
}
`
	names := Options{Vars: []string{`names=["a"]`}}
	for _, c := range []struct {
		name    string
		files   map[string]string
		options Options
		want    []string // severity: summary, place
		detail  string   // of the last, in part
	}{
		{"undeclared on the command line", nil, Options{Vars: []string{"cuont=sk_live", `names=["a"]`}},
			[]string{"error: Value for undeclared variable"}, `sets "cuont", but the configuration declares no such variable. Did you mean "count"?`},
		{"no equals sign", nil, Options{Vars: []string{"sk_live", `names=["a"]`}}, []string{"error: Invalid -var option"}, "no equals sign"},
		{"undeclared in a file", map[string]string{"prospector.hclvars": "cuont = \"sk_live\"\n"}, names,
			[]string{"warning: Value for undeclared variable, prospector.hclvars:1 | cuont = *********"}, `Did you mean "count"?`},
		{"undeclared in the environment", nil, Options{Vars: names.Vars, Environ: []string{"PROSPECTOR_VAR_cuont=1"}}, nil, ""},
		{"broken file", map[string]string{"x.auto.hclvars": "count = 1\nkey = \"sk_live\n"}, Options{},
			[]string{"error: Invalid multi-line string, x.auto.hclvars:2 | key = ********", "error: Unterminated template string, x.auto.hclvars:2 | key = ********"}, ""},
		{"key without quotes", map[string]string{"x.auto.hclvars": "count = sk_live\n"}, names,
			[]string{"error: Variables not allowed, x.auto.hclvars:1 | count = *******"}, "Variables may not be used here."},
		{"block in a file", map[string]string{"x.auto.hclvars": "variable \"count\" {}\n"}, names,
			[]string{`error: Unexpected "variable" block, x.auto.hclvars:1 | ******** ******* **`}, ""},
		{"missing file", nil, Options{VarFiles: []string{"none.hclvars"}, Vars: names.Vars}, []string{"error: Cannot read a configuration file"}, "none.hclvars: no such file"},
		{"wrong type from a file", map[string]string{"prospector.hclvars": "count = \"sk_live\"\n"}, names,
			[]string{"error: Invalid value for variable, prospector.hclvars:1 | count = *********"}, "from prospector.hclvars does not fit its type: a number is required"},
		{"wrong type from -var", nil, Options{Vars: []string{`names=["a"]`, "count=sk_live"}},
			[]string{`error: Invalid value for variable, main.hcl:14 | variable "count" {`}, "The value of var.count from -var does not fit its type: a number is required."},
		{"wrong type, sensitive", nil, Options{Vars: []string{`names=["a"]`, `key={sk_live=1}`}},
			[]string{`error: Invalid value for variable, main.hcl:9 | variable "key" {`}, "it must be of type object({inner=number})."},
		{"no expression, sensitive", nil, Options{Vars: []string{`names=["a"]`}, Environ: []string{`PROSPECTOR_VAR_key=sk_live!`}},
			[]string{`error: Invalid value for variable, main.hcl:9 | variable "key" {`}, hiddenDetail},
		{"no expression", nil, Options{Vars: []string{`names=[`}}, []string{`error: Invalid value for variable, main.hcl:18 | variable "names" {`}, "from -var is not an expression of its type, list(string)."},
		{"null where there may be none", nil, Options{Vars: []string{`names=null`}}, []string{`error: Invalid value for variable, main.hcl:18 | variable "names" {`}, "nullable = false forbids"},
		{"missing", nil, Options{}, []string{`error: No value for required variable, main.hcl:18 | variable "names" {`}, "-var 'names=VALUE'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, c.files)
			writeFile(t, filepath.Join(dir, "main.hcl"), main)
			t.Chdir(dir)
			_, diags := loadDir(".", c.options)
			var got []string
			detail := ""
			for _, d := range diags {
				line := fmt.Sprintf("%s: %s", d.Severity, d.Summary)
				if o := d.Origin; o != nil {
					line += fmt.Sprintf(", %s:%d | %s", o.Filename, o.Line, o.Code)
				}
				got, detail = append(got, line), d.Detail
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if !strings.Contains(detail, c.detail) {
				t.Errorf("detail %q, want %q", detail, c.detail)
			}
			if strings.Contains(render(diags), "sk_live") {
				t.Errorf("the value shows:\n%s", render(diags))
			}
		})
	}
}

// A sensitive value reaches its attribute, and nothing else.
func TestSensitive(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": `
variable "key" {
  type      = string
  sensitive = true
}
variable "endpoint" { 
  sensitive = true
  default   = "https://syndication.knockrentals.com"
}
source "knock" "production" {
  endpoint = var.endpoint
  api_key  = trimspace(var.key)
}
prospects "crm" { file = "-" }
sink "gcs" "lake" { bucket = "acme-lake" }
job "events" {
  source    = source.knock.production
  prospects = prospects.crm
  sinks     = [sink.gcs.lake]
}
output "api" {
  value     = source.knock.production.endpoint
  sensitive = true
}
output "table" { value = job.events.uris }
`})
	c := load(t, dir, Options{Vars: []string{"key=s3cr3t\n"}})
	if got := c.Jobs[0].Source.Settings.(*knock.Settings).APIKey.Reveal(); got != "s3cr3t" {
		t.Errorf("the key is %q", got)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", c.Jobs[0].Source)} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("the key shows: %s", text)
		}
	}
	if d := cmp.Diff([]any{"gs://acme-lake/events"}, c.Outputs[1].Value); d != "" || c.Outputs[1].Sensitive || !c.Outputs[0].Sensitive {
		t.Errorf("outputs %+v", c.Outputs)
	}

	writeFile(t, filepath.Join(dir, "more.hcl"), "output \"more\" { value = source.knock.production.endpoint }\n")
	if _, diags := loadDir(dir, Options{Vars: []string{"key=k"}}); len(diags) != 1 || diags[0].Summary != "Output refers to sensitive values" {
		t.Errorf("a sensitive endpoint can be shown:\n%s", render(diags))
	}
}

func TestValidation(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
variable "least" { default = 10 }
variable "many" {
  type    = number
  default = 20
  validation {
    condition     = var.many >= var.least
    error_message = "many is ${var.many}, less than ${local.limit}."
  }
  validation {
    condition     = var.many < 1000 && floor(var.many) == var.many
    error_message = "many must be whole and small."
  }
}
variable "maybe" {
  type    = string
  default = null
  validation {
    condition     = var.maybe == null ? true : startswith(var.maybe, "x")
    error_message = "${substr(var.maybe, 0, 1)} is not x" # no value where the condition holds
  }
}
locals { limit = var.least }
output "many" { value = var.many }
`})
	t.Chdir(dir)
	for _, c := range []struct {
		name string
		vars []string
		want []string // details
	}{
		{"the defaults", nil, nil},
		{"valid", []string{"many=999", "maybe=xyz"}, nil},
		{"too small", []string{"many=9"}, []string{"many is 9, less than 10.\n\nThis was checked by the validation rule at main.hcl:13."}},
		{"of another variable", []string{"least=21"}, []string{"many is 20, less than 21.\n\nThis was checked by the validation rule at main.hcl:13."}},
		{"both", []string{"many=0.5"}, []string{
			"many is 0.5, less than 10.\n\nThis was checked by the validation rule at main.hcl:13.",
			"many must be whole and small.\n\nThis was checked by the validation rule at main.hcl:17."}},
		{"not x", []string{"maybe=yes"}, []string{"y is not x\n\nThis was checked by the validation rule at main.hcl:25."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, diags := loadDir(".", Options{Vars: c.vars})
			var got []string
			for _, d := range diags {
				got = append(got, d.Detail)
				if d.Summary != "Invalid value for variable" || !strings.HasPrefix(d.Origin.Code, "variable ") {
					t.Errorf("%s", render(diags))
				}
			}
			if d := cmp.Diff(c.want, got); d != "" || (config == nil) != (len(c.want) > 0) {
				t.Error(d)
			}
		})
	}
}
