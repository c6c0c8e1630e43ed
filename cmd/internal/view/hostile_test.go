package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
	"prospector/schemas"
)

// hostile are names that a server, a file system or a state could choose to make
// a terminal show something else. FORGED represents a message of prospector.
var hostile = map[string]string{
	"line feed":               "x\nFORGED",
	"carriage return":         "x\rFORGED",
	"both":                    "x\r\nFORGED",
	"line of its own":         "\nFORGED\n",
	"vertical tab":            "x\vFORGED",
	"form feed":               "x\fFORGED",
	"next line":               "x\u0085FORGED",
	"line separator":          "x\u2028FORGED",
	"paragraph separator":     "x\u2029FORGED",
	"inverse":                 "\x1b[7mx",
	"erased screen":           "\x1b[2J\x1b[HFORGED",
	"erased line":             "x\x1b[2K\x1b[GFORGED",
	"cursor up":               "\x1b[1A\x1b[2KFORGED",
	"window title":            "\x1b]0;FORGED\a",
	"link":                    "\x1b]8;;https://example.com\x1b\\x\x1b]8;;\x1b\\",
	"clipboard":               "\x1b]52;c;Rk9SR0VE\a",
	"device control":          "\x1bP$q\"p\x1b\\",
	"eight-bit CSI":           "\u009b2J",
	"eight-bit CSI, raw":      "\x9b2J",
	"eight-bit OSC":           "\u009d0;FORGED\u009c",
	"backspaces":              "x\b\b\bFORGED",
	"NUL":                     "x\x00y",
	"bell":                    "\a\a",
	"DEL":                     "x\x7fy",
	"shift out":               "\x0ex\x0f",
	"tab":                     "x\ty",
	"right-to-left override":  "x\u202eDEGROF",
	"isolates":                "\u2066x\u2069",
	"Arabic letter mark":      "\u061cx",
	"zero width":              "x\u200b\u200c\u200dy\ufeff",
	"soft hyphen":             "x\u00ady",
	"tags":                    "x\U000e0046\U000e007f",
	"filler":                  "x\u3164y",
	"half a character":        "x\xe6\x97",
	"surrogate":               "x\xed\xa0\xbdy",
	"formats":                 "%s%d%n%!(EXTRA)",
	"HCL":                     "\"}\nFORGED = \"${env(\"HOME\")} %{ if true }\" # */",
	"long":                    strings.Repeat("x", 1<<14),
	"long, of characters":     strings.Repeat("ü\x1b", 1<<13),
	"what looks like an end":  "x\n\n╵\nFORGED",
	"a table's row of dashes": "\t\n\t\x1b[0m\nFORGED",
}

// poison puts a name into every string of a value, except for the fields in keep, and
// returns the value.
func poison[T any](value T, name string, keep ...string) T {
	poisonValue(reflect.ValueOf(&value).Elem(), name, keep)
	return value
}

func poisonValue(v reflect.Value, name string, keep []string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Pointer:
		if !v.IsNil() {
			poisonValue(v.Elem(), name, keep)
		}
	case reflect.Interface:
		if !v.IsNil() {
			inner := reflect.New(v.Elem().Type()).Elem()
			inner.Set(v.Elem())
			poisonValue(inner, name, keep)
			v.Set(inner)
		}
	case reflect.Struct:
		for field, of := range v.Fields() {
			if field.IsExported() && !slices.Contains(keep, field.Name) {
				poisonValue(of, name, keep)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len()) // a copy, because the built-in table is shared
		reflect.Copy(out, v)
		v.Set(out)
		for i := range v.Len() {
			poisonValue(v.Index(i), name, keep)
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		out := reflect.MakeMap(v.Type())
		for key, of := range v.Seq2() {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			k.Set(key)
			e.Set(of)
			poisonValue(k, name, keep)
			poisonValue(e, name, keep)
			out.SetMapIndex(k, e)
		}
		v.Set(out)
	}
}

// printAll calls every method of a view with values that contain the name.
func printAll(v *Human, name string, keep ...string) {
	p := poison(fakePlan(), name, keep...)
	legible := poison(fakePlan(), name, append(keep, "Action", "Address", "Mode", "Partition")...)
	destroy := poison(fakePlan(), name, append(keep, "Action", "Mode")...)
	destroy.Mode = plan.Destroy
	many := poison(fakePlan(), name, append(keep, "Action", "Partition")...)
	for range 2 * foldAbove {
		many.Jobs[0].Output.Changes = append(many.Jobs[0].Output.Changes, many.Jobs[0].Output.Changes[0])
	}
	nothing := &plan.Plan{Mode: plan.Normal, Jobs: []plan.Job{{Address: name, Source: plan.Source{Reading: p.Jobs[0].Source.Reading}}}}
	job := jobs.Job{Block: jobs.Block{Address: name}, TableName: name, Schema: poison(schemas.KnockEvents(), name, keep...)}
	held := state.LockInfo{ID: name, Operation: name, Who: name, Created: fakeTime, Path: name, Lease: time.Second}
	s := poison(fakeState(), name, keep...)
	diagnostics := poison(jobs.Diagnostics{fakeWarning, fakeError, {Severity: jobs.Error, Summary: "Bare", Detail: "x", Address: "a"}}, name, keep...)
	outputs := []jobs.Output{{Name: name, Value: name}, {Name: name, Value: map[string]any{name: []any{name, 1.5, nil, true}}}}

	v.Diagnostics(diagnostics)
	v.Waiting(&state.LockedError{Holder: held})
	v.JobStarted(name, 5)
	v.Resumed(name, 5, 9)
	v.Progress(read.Progress{Job: name, Prospects: 3, Of: 5, Failed: 1})
	v.Staged(name)
	for _, p := range []*plan.Plan{p, legible, destroy, many, nothing} {
		v.Plan(p)
		v.Applying(p)
		for _, j := range p.Jobs {
			for _, c := range j.Output.Changes {
				v.ApplyStarted(j.Address, c)
				v.ApplyDone(j.Address, c, time.Second)
			}
		}
		v.Applied(p)
		v.Cancelled(p.Mode)
	}
	v.Saved(name)
	v.Outputs(outputs)
	v.Validated(&jobs.Configuration{Jobs: []jobs.Job{job}}, true)
	v.Verifying(1, 2)
	v.Verified(audit.Result{Findings: poison([]audit.Finding{{Job: "a", Sink: "a", URI: "a", Problem: "a"}}, name, keep...)})
	v.State(s)
	of := fakeState().Jobs[`job.events["north"]`]
	delete(of.Sinks, "sink.gcs.lake") // it is empty, and now has the same name as the other sink
	of = poison(of, name, keep...)
	for _, sink := range of.Sinks {
		for _, p := range sink.Partitions {
			sink.Partitions[fakePartition] = p
		}
	}
	s.Jobs = map[string]*state.Job{"job.events": of} // an address that Resource accepts
	for _, address := range []string{"job.events", `job.events.partition["` + fakePartition + `"]`} {
		if a, err := jobs.ParseAddress(address); err != nil || !v.Resource(s, a) {
			panic("the state does not have " + address)
		}
	}
	v.Runs(poison([]ledger.Record{{ID: "a", Operation: "a", Who: "a", Error: "a", Outcome: "a", Jobs: []ledger.JobRecord{{Address: "a"}}}}, name, keep...))
	v.Table(job)
	v.SchemaDiff(poison(SchemaDiff{Jobs: []JobDiff{{Address: "a", New: true}, {Address: "b", Changes: []schemas.Change{{Column: "a", Before: "a", After: "b"}}}}, Gone: []string{"a"}}, name, keep...))
	survey := schemas.Survey{
		EventTypes: map[string]int64{name: 1},
		Unmapped:   map[schemas.Field]int64{{EventType: name, Path: "data." + name, Kind: schemas.KindString}: 1, {EventType: name, Path: "data.b", Kind: schemas.KindString}: 1},
		Mismatched: map[schemas.Field]int64{{EventType: name, Path: name, Kind: schemas.KindNumber}: 1}, Further: 2,
	}
	v.Proposals(ProposalsFor(jobs.Job{Block: jobs.Block{Address: name}, TableName: name, Schema: schemas.KnockEvents()}, survey))
	v.Retrying(errors.New(name))
	v.Hint(Format("%s\n", name))
	v.Errorf("%s %v\n", name, os.ErrNotExist)
}

// Only the view itself prints control sequences, and no name begins a line.
func TestHostileNames(t *testing.T) {
	own := regexp.MustCompile(`\x1b\[(0|1|2|4|31|32|33|1;31|1;32|1;33|31;1)m|\r\x1b\[K`)
	// Texts of several lines are indented below a headline.
	lines := []string{"Detail", "Problem"}
	for kind, name := range hostile {
		t.Run(kind, func(t *testing.T) {
			for _, test := range []struct {
				streams Streams
				keep    []string
				forged  *regexp.Regexp
			}{
				{Streams{}, lines, regexp.MustCompile(`(?m)^[\s│]*FORGED`)},
				{Streams{}, nil, regexp.MustCompile(`(?m)^FORGED`)},
				{Streams{Color: true, Terminal: true}, lines, regexp.MustCompile(`(?m)^[\s│]*FORGED`)},
				{Streams{Color: true, Terminal: true}, nil, regexp.MustCompile(`(?m)^FORGED`)},
			} {
				var out bytes.Buffer
				test.streams.Out, test.streams.Err = &out, &out
				printAll(NewHuman(test.streams), name, test.keep...)
				text := out.String()
				if test.streams.Color {
					text = own.ReplaceAllString(text, "")
				}
				checkPrintable(t, text)
				if at := test.forged.FindStringIndex(text); at != nil {
					t.Errorf("a line is forged: %q", text[max(0, at[0]-200):at[1]])
				}
				for line := range strings.Lines(text) {
					if len(line) > 1<<17 { // an output's value may be long
						t.Errorf("a line has %d bytes", len(line))
					}
				}
			}
		})
	}
}

// JSON has the same values in printable characters.
func TestHostileJSON(t *testing.T) {
	for kind, name := range hostile {
		t.Run(kind, func(t *testing.T) {
			p, s := poison(fakePlan(), name), poison(fakeState(), name)
			var out bytes.Buffer
			v := NewJSON(&out, func() time.Time { return fakeTime })
			v.Plan(p)
			v.Diagnostics(poison(jobs.Diagnostics{fakeWarning, fakeError}, name))
			v.Applying(p)
			v.ApplyDone(name, p.Jobs[0].Output.Changes[0], time.Second)
			v.Waiting(&state.LockedError{Holder: state.LockInfo{ID: name, Who: name, Operation: name, Path: name}})
			v.Saved(name)
			v.Outputs([]jobs.Output{{Name: name, Value: name}})
			v.Verified(audit.Result{Findings: []audit.Finding{{Job: name, Sink: name, URI: name, Problem: name}}})
			for line := range strings.Lines(out.String()) {
				checkPrintable(t, line)
				if !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %.200s", line)
				}
			}
			for _, document := range []func() ([]byte, error){
				func() ([]byte, error) { return PlanJSON(p) },
				func() ([]byte, error) { return StateJSON(s) },
				func() ([]byte, error) { return RunsJSON([]ledger.Record{{ID: name, Who: name, Error: name}}) },
				func() ([]byte, error) { return json.Marshal(OutputsOf([]jobs.Output{{Name: name, Value: name}})) },
				func() ([]byte, error) { return SchemaDiffJSON(SchemaDiff{Gone: []string{name}}) },
				func() ([]byte, error) {
					return TablesJSON([]jobs.Job{{Block: jobs.Block{Address: name}, TableName: name, Schema: poison(schemas.KnockEvents(), name)}})
				},
			} {
				b, err := document()
				if err != nil {
					t.Fatal(err)
				}
				safe := Document(b)
				checkPrintable(t, string(safe))
				var before, after any
				if json.Unmarshal(b, &before) != nil || json.Unmarshal([]byte(safe), &after) != nil || !reflect.DeepEqual(before, after) {
					t.Errorf("another value: %.200s", safe)
				}
			}
		})
	}
}

func checkPrintable(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("not UTF-8")
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
	}); i >= 0 {
		t.Errorf("not printable at byte %d: %q", i, text[max(0, i-100):min(i+10, len(text))])
	}
}

// If several event types have times in the same form, one block for the column is
// enough, and HCL refuses a second one.
func TestProposedTimes(t *testing.T) {
	field := func(eventType string) schemas.Field {
		return schemas.Field{EventType: eventType, Path: "eventTime", Kind: schemas.KindInteger}
	}
	survey := schemas.NewSurvey()
	for eventType, form := range map[string]schemas.TimeForms{"A": schemas.InMillis, "B": schemas.InMillis, "C": schemas.InSeconds} {
		survey.Mismatched[field(eventType)], survey.Times[field(eventType)] = 1, form
	}
	var out bytes.Buffer
	NewHuman(Streams{Out: &out, Err: &out}).Proposals(ProposalsFor(jobs.Job{Block: jobs.Block{Address: "job.a"}, TableName: "a", Schema: schemas.KnockEvents()}, survey))
	for _, once := range []string{`column "event_time" {`, "With the block of event_time above, it does.", "The block of event_time above is for times in another format"} {
		if n := strings.Count(out.String(), once); n != 1 {
			t.Errorf("%q is printed %d times:\n%s", once, n, &out)
		}
	}
}

// schema infer prints a valid body of a schema, whatever the names of the fields.
func TestHostileProposals(t *testing.T) {
	for kind, name := range hostile {
		var out bytes.Buffer
		survey := schemas.Survey{EventTypes: map[string]int64{name: 1}, Unmapped: map[schemas.Field]int64{
			{EventType: name, Path: "data." + name, Kind: schemas.KindString}: 1, {EventType: name, Path: "data.ok", Kind: schemas.KindString}: 1,
		}}
		NewHuman(Streams{Out: &out, Err: &out}).Proposals(ProposalsFor(jobs.Job{Block: jobs.Block{Address: "job.a"}, TableName: "a", Schema: schemas.KnockEvents()}, survey))
		file, diags := hclsyntax.ParseConfig(out.Bytes(), "a.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Errorf("%s: %v\n%.2000s", kind, diags, &out)
			continue
		}
		body := file.Body.(*hclsyntax.Body)
		if len(body.Attributes) > 0 || slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool { return b.Type != "column" || len(b.Body.Blocks) > 0 }) {
			t.Errorf("%s: the body has more than columns:\n%.2000s", kind, &out)
		}
		proposed := 0
		for line := range strings.Lines(out.String()) {
			_, pasted, ok := strings.Cut(line, "# event_types = ")
			if !ok {
				continue
			}
			proposed++
			expr, diags := hclsyntax.ParseExpression([]byte(pasted), "", hcl.InitialPos)
			if diags.HasErrors() {
				t.Errorf("%s: %.200s: %v", kind, pasted, diags)
			} else if v, diags := expr.Value(nil); diags.HasErrors() || v.LengthInt() != 1 {
				t.Errorf("%s: %.200s: %v", kind, pasted, diags)
			}
		}
		if proposed == 0 {
			t.Errorf("%s: no event type is proposed:\n%.2000s", kind, &out)
		}
	}
}

// Only Printf, Errorf and print write output, and only text.go makes a Text.
func TestOneWayOut(t *testing.T) {
	direct := regexp.MustCompile(`fmt\.(Print|Fprint)\w*\((v\.|e\.|s\.|c\.env\.|f\.|d\.|os\.)|\b(v\.Out|v\.Err|Stdout|Stderr)\.Write|[^a-zA-Z]Text\([^)]`)
	for _, dir := range []string{".", "../cli"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) < 5 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "text.go" {
				continue
			}
			for n, line := range strings.Split(readFile(t, file), "\n") {
				if direct.MatchString(line) {
					t.Errorf("%s:%d prints without Format: %s", file, n+1, strings.TrimSpace(line))
				}
			}
		}
	}
}
