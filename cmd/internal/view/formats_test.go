package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"prospector/jobs"
	"prospector/jobs/audit"
	"prospector/jobs/erase"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	"prospector/jobs/state"
	"prospector/schemas"
)

// The following plan and state use every field, so that the tests compare every member
// with the schemas.

var (
	fakeTime    = time.Date(2022, 1, 13, 19, 27, 37, 0, time.UTC)
	fakeDigest  = strings.Repeat("0123456789abcdef", 2)
	fakeContent = schemas.Digest{Hi: 1, Lo: 2}
	fakeOrigin  = &jobs.Origin{Filename: "main.hcl", Line: 3, Column: 5, Context: `job "events"`, Code: "    sede = 1", HighlightStart: 4, HighlightEnd: 8}
	fakeWarning = jobs.Diagnostic{Severity: jobs.Warning, Summary: "Odd", Detail: "It is odd.", Address: "job.events", Origin: fakeOrigin}
	fakeError   = jobs.Diagnostic{Severity: jobs.Error, Summary: "Wrong", Detail: "It is wrong.", Address: "check.fresh", Origin: fakeOrigin}
	fakeWrites  = []plan.Write{{Sink: "sink.local.lake", Action: plan.Update, Key: "events/event_month=2022-01-01/part-00000.parquet", Generation: "1"}}
	fakeField   = schemas.Field{EventType: "a", Path: "data.b", Kind: schemas.KindNumber}
	fakeRows    = plan.Rows{Before: 4, After: 6, Added: 3, Changed: 1, Unchanged: 2, Removed: 1}
)

const fakePartition = "event_month=2022-01-01"

func fakePlan() *plan.Plan {
	changed := plan.Change{Partition: fakePartition, Action: plan.Update, Rows: fakeRows, Before: 10, After: 20, Writes: fakeWrites}
	same := plan.Change{Partition: "event_month=2022-02-01", Action: plan.NoOp, Rows: plan.Rows{Before: 1, After: 1, Unchanged: 1}, Before: 10, After: 10}
	return &plan.Plan{
		Mode: plan.Normal, Lineage: "lineage", Serial: 3, Config: fakeDigest, Created: fakeTime,
		Targets: []string{"job.events"}, Replace: []string{`job.events["north"]`},
		Moved: []plan.Move{{From: "job.old", To: "job.new"}}, Forgotten: []string{"job.gone"},
		Warnings: jobs.Diagnostics{fakeWarning},
		Jobs: []plan.Job{
			{
				Address: `job.events["north"]`, TableName: "events", SchemaFingerprint: fakeDigest, DestroyReason: "it is read",
				Sinks: []string{"sink.local.lake"},
				Found: plan.Found{Drift: []plan.Drift{{Sink: "sink.local.lake", Key: "events/junk", Kind: plan.Foreign}}},
				Source: plan.Source{
					Reading: plan.Reading{
						Coverage: plan.Coverage{Prospects: 5, Complete: 1, Partial: 1, NotFound: 1, Forbidden: 1, Failed: 1},
						Requests: 9, Bytes: 100, Seconds: 1.5, Rate: 10,
						Exceptions: []plan.Exception{{Prospect: "1", Outcome: "not_found", Reason: "404"}},
						List:       &plan.List{Count: 5, Digest: fakeDigest, Known: true, Added: 1, Removed: 1, AddedIDs: []string{"1"}, RemovedIDs: []string{"2"}},
					},
					Books:   plan.Books{Events: 9, Added: 3, Changed: 1, Unchanged: 1, Duplicates: 1, Quarantined: 1, Rejected: 2},
					Missing: plan.Missing{Kept: 2, Deleted: 1},
					Survey: &schemas.Survey{
						EventTypes: map[string]int64{"a": 1}, Unmapped: map[schemas.Field]int64{fakeField: 1},
						Mismatched: map[schemas.Field]int64{fakeField: 2}, Further: 3,
					},
				},
				Output: plan.Output{
					Changes:    []plan.Change{changed, same},
					Quarantine: &plan.Quarantine{Before: 1, After: 2, Writes: fakeWrites},
					Rewrite: &plan.Rewrite{
						SchemaFingerprint: fakeDigest, Before: []string{"event_month"}, After: []string{"event_type"}, Files: 2, Rows: 3,
						Columns: []schemas.Change{{Column: "a", Kind: schemas.Widened, Before: "int64", After: "string"}},
					},
					Obsolete: []plan.Write{{Sink: "sink.local.lake", Action: plan.Delete, Key: "events/old"}},
					Foreign:  []plan.Write{{Sink: "sink.local.lake", Action: plan.Delete, Key: "events/junk"}},
				},
				Problems: plan.Problems{
					Rejected: []plan.Rejected{{Partition: "event_month=2022-04-01", Problem: fakeError}},
					Warnings: jobs.Diagnostics{fakeWarning},
				},
			},
			{
				Address: "job.left", TableName: "left", Destroy: true, DestroyReason: "it is no longer declared", Sinks: []string{"sink.local.lake"},
				Output: plan.Output{Changes: []plan.Change{{Partition: fakePartition, Action: plan.Delete, Rows: plan.Rows{Before: 4, Removed: 4}, Before: 10, Writes: fakeWrites}}},
			},
		},
		Checks: []plan.Check{
			{Address: "check.fresh", Job: "job.events", Severity: jobs.Error, Problems: jobs.Diagnostics{fakeError}},
			{Address: "check.many", Job: "job.events", Severity: jobs.Warning, Problems: jobs.Diagnostics{fakeWarning}},
			{Address: "check.some", Job: "job.events", Severity: jobs.Warning, Passed: true},
		},
	}
}

func fakeState() *state.State {
	object := state.Object{Key: fakeWrites[0].Key, Size: 10, CRC32C: 1 << 31, Generation: "1"}
	return &state.State{Serial: 3, Lineage: "lineage", Jobs: map[string]*state.Job{
		"job.empty": {TableName: "empty"},
		`job.events["north"]`: {
			TableName: "events", SchemaFingerprint: fakeDigest, Prospects: &state.ProspectList{Count: 5, Digest: fakeDigest, Key: "list"},
			Sinks: map[string]*state.Sink{
				"sink.gcs.lake": {URI: "gs://lake/events"},
				"sink.local.lake": {
					URI: "file:///lake/events",
					Partitions: map[string]state.Partition{
						fakePartition:            {Rows: 6, Content: fakeContent, Files: []state.File{{Rows: 6, Content: fakeContent, Object: object}}},
						"event_month=2022-03-01": {Rows: 6, Content: fakeContent, Incomplete: true, Files: []state.File{{Rows: 2, Content: fakeContent, Object: object}, {Rows: 4, Content: fakeContent, Object: object}}},
					},
					Quarantine: &state.Quarantine{Events: 2, Content: fakeContent, Object: object},
					Pending:    &state.Pending{},
				},
			},
		},
	}}
}

// calls returns functions that call every method of JSON with all kinds of values.
func calls(v *JSON) map[string]func() {
	p, destroy := fakePlan(), fakePlan()
	destroy.Mode = plan.Destroy
	at, changed := p.Jobs[0].Address, p.Jobs[0].Output.Changes[0]
	held := state.LockInfo{ID: "1", Operation: "apply", Who: "who", Created: fakeTime, Path: "state.json"}
	leased := held
	leased.Lease, leased.Expires = 15*time.Second, fakeTime
	return map[string]func(){
		"Diagnostics": func() {
			v.Diagnostics(jobs.Diagnostics{fakeWarning, fakeError, {Severity: jobs.Error, Summary: "Bare"}})
		},
		"Retrying":     func() { v.Retrying(state.ErrNotLocked) },
		"Interrupting": v.Interrupting,
		"Aborted":      v.Aborted,
		"Cancelled":    func() { v.Cancelled(plan.Destroy) },
		"Waiting": func() {
			for _, holder := range []state.LockInfo{{}, held, leased} {
				v.Waiting(&state.LockedError{Holder: holder})
			}
		},
		"JobStarted": func() { v.JobStarted(at, 5) },
		"Resumed":    func() { v.Resumed(at, 5, 9) },
		"Progress": func() {
			v.Progress(read.Progress{Job: at, Prospects: 5, Of: 5, Requests: 9, Events: 7, Bytes: 100, Failed: 1, Elapsed: time.Second})
		},
		"Staged":       func() { v.Staged(at) },
		"Plan":         func() { v.Plan(p); v.Plan(destroy) },
		"Saved":        func() { v.Saved("p.plan") },
		"Applying":     func() { v.Applying(p) },
		"ApplyStarted": func() { v.ApplyStarted(at, changed) },
		"ApplyDone":    func() { v.Applying(p); v.ApplyDone(at, changed, time.Second) },
		"Applied":      func() { v.Applied(p); v.Applied(destroy) },
		"Outputs": func() {
			v.Outputs([]jobs.Output{{Name: "key", Value: "hunter2", Sensitive: true}, {Name: "table", Value: []any{"file:///lake"}}})
		},
		"Validated": func() { v.Validated(nil, false); v.Validated(&jobs.Configuration{Jobs: make([]jobs.Job, 1)}, true) },
		"Erased": func() {
			v.Erased(erase.Result{Files: 2, Records: 1, Removed: 1, Objects: 5, Mentions: []erase.Mention{{URI: "file:///lake/t/x.parquet", Place: "rows of other prospects, column message_body", Count: 1}}})
		},
		"Verifying": func() { v.Verifying(2, 2) },
		"Verified": func() {
			v.Verified(audit.Result{Files: 2, Rows: 6, Bytes: 20, Findings: []audit.Finding{{Job: at, Sink: "sink.local.lake", URI: "file:///lake/junk", Problem: "It is gone."}}})
		},
	}
}

// fakeLines returns the lines that those calls print.
func fakeLines(t *testing.T) []string {
	var out bytes.Buffer
	v := NewJSON(&out, func() time.Time { return fakeTime })
	all := calls(v)
	for method := range reflect.TypeFor[*JSON]().Methods() {
		call, ok := all[method.Name]
		if !ok {
			t.Fatalf("no call of %s, so its lines are not compared with the schema", method.Name)
		}
		call()
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a sensitive output is printed")
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// Every line that JSON can print satisfies stream.schema.json. The schema, the program
// and its help name the same types.
func TestStream(t *testing.T) {
	schema := compile(t, "stream")
	printed := make(map[string]bool)
	for _, line := range fakeLines(t) {
		value := decode(t, line)
		if err := schema.Validate(value); err != nil {
			t.Errorf("%v\n%s", err, line)
		}
		printed[value.(map[string]any)["type"].(string)] = true
	}
	want := slices.Sorted(maps.Keys(printed))

	for _, name := range regexp.MustCompile(`\.(?:print|locked)\("(\w+)"`).FindAllStringSubmatch(readFile(t, "json.go"), -1) {
		if !printed[name[1]] {
			t.Errorf("json.go can print the type %s, but no call here prints it", name[1])
		}
	}
	var text struct {
		Properties struct {
			Type struct{ Enum []string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "formats/stream.schema.json")), &text); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(slices.Values(text.Properties.Type.Enum)); !slices.Equal(got, want) {
		t.Errorf("the schema has the types %q, the program prints %q", got, want)
	}
	_, list, _ := strings.Cut(readFile(t, "../cli/help/json.txt"), "members of its type:")
	list, _, _ = strings.Cut(list, "show -json")
	var types []string
	for _, name := range regexp.MustCompile(`(?m)^  (\w+)  `).FindAllStringSubmatch(list, -1) {
		types = append(types, name[1])
	}
	if slices.Sort(types); !slices.Equal(types, want) {
		t.Errorf("prospector help json has the types %q, the program prints %q", types, want)
	}
	for _, name := range []string{"Version", "no_such_type", ""} {
		line := decode(t, fakeLines(t)[0]).(map[string]any)
		line["type"] = name
		if schema.Validate(line) == nil {
			t.Errorf("the schema allows the type %q", name)
		}
	}
}

func TestDocuments(t *testing.T) {
	for name, text := range fakeDocuments(t) {
		for _, text := range text {
			if err := compile(t, name).Validate(decode(t, text)); err != nil {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
		}
	}
}

func fakeDocuments(t *testing.T) map[string][]string {
	all := make(map[string][]string)
	add := func(name string, b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[name] = append(all[name], string(b))
	}
	full, err := PlanJSON(fakePlan())
	add("plan", full, err)
	empty, err := PlanJSON(&plan.Plan{Mode: plan.RefreshOnly, Lineage: "lineage", Config: fakeDigest})
	add("plan", empty, err)
	published, err := StateJSON(fakeState())
	add("state", published, err)
	nothing, err := StateJSON(state.New())
	add("state", nothing, err)
	runs, err := RunsJSON([]ledger.Record{
		{
			FormatVersion: ledger.FormatVersion, ID: "0123456789", Operation: "apply", Outcome: ledger.Applied, Who: "ada@host, process 1", Version: jobs.Version,
			Started: fakeTime, Ended: fakeTime, Lineage: "lineage", SerialBefore: 1, SerialAfter: 3,
			Jobs: []ledger.JobRecord{{
				Address: "job.events", Summary: ledger.Summary{Add: 1}, Books: ledger.Books{Events: 1, Added: 1},
				Coverage: ledger.Coverage{Prospects: 2, Complete: 1, Failed: 1}, Requests: 3, Bytes: 4, Seconds: 5,
				Exceptions: []ledger.Prospect{{ID: "1", Outcome: "failed"}}, ExceptionsOmitted: 1,
			}},
		},
		{
			FormatVersion: ledger.FormatVersion, ID: "0123456789", Operation: "destroy", Outcome: ledger.Failed, Who: "ada@host, process 1", Version: jobs.Version,
			Started: fakeTime, Ended: fakeTime, Error: "Wrong", Lineage: "lineage", Jobs: []ledger.JobRecord{},
		},
	})
	add("runs", runs, err)
	norun, err := RunsJSON(nil)
	add("runs", norun, err)
	tables, err := TablesJSON(fakeTables(t))
	add("tables", tables, err)
	differing, err := SchemaDiffJSON(SchemaDiff{Locked: true, Gone: []string{"job.gone"}, Jobs: []JobDiff{
		{Address: `job.events["north"]`, Changes: []schemas.Change{
			{Column: "score", Kind: schemas.Widened, Before: "int64", After: "float64"},
			{Column: "message_to", Kind: schemas.Moved},
			{Kind: schemas.Fields, Before: "keep", After: "drop"},
		}},
		{Address: "job.more", New: true, Changes: []schemas.Change{{Column: "event_id", Kind: schemas.Added, After: "string from identity"}}},
	}})
	add("schema_diff", differing, err)
	same, err := SchemaDiffJSON(SchemaDiff{})
	add("schema_diff", same, err)
	return all
}

func fakeTables(t *testing.T) []jobs.Job {
	t.Helper()
	table := schemas.KnockEvents()
	table.HashKey = schemas.NewKey("hunter2hunter2hunter2")
	table.UnknownType, table.Mismatch, table.UnknownField = schemas.Quarantine, schemas.Fail, schemas.Discard
	body, _ := table.Column("message_body")
	body.Policy = schemas.Hash
	table, err := table.Declare(body, schemas.Column{Name: "score", Type: schemas.Float64, From: []string{"data.score"}, When: []string{"SMS_*"}})
	if err != nil {
		t.Fatal(err)
	}
	return []jobs.Job{
		{Block: jobs.Block{Address: "job.events"}, TableName: "events", Schema: table, SchemaBlock: jobs.Block{Address: "schema.events"}},
		{Block: jobs.Block{Address: "job.bare"}, TableName: "bare", Schema: schemas.KnockEvents().Core()},
	}
}

// The schemas are strict: they reject a missing or misspelled member, a value of
// another type, and an empty value. It follows that the schemas name every member that
// is printed.
func TestSchemasAreTight(t *testing.T) {
	documents := fakeDocuments(t)
	documents["stream"] = fakeLines(t)
	broken := 0
	for name, texts := range documents {
		schema := compile(t, name)
		for _, text := range texts {
			mutate(decode(t, text), func(what string, mutant any) {
				broken++
				if schema.Validate(mutant) == nil {
					shown, _ := json.Marshal(mutant)
					t.Errorf("%s.schema.json allows %s:\n%s", name, what, shown)
				}
			})
		}
	}
	if broken < 5000 {
		t.Errorf("the test tried only %d broken documents", broken)
	}
}

// mutate calls try with every document that differs from root in one member, which is
// missing or has an invalid value.
func mutate(root any, try func(what string, mutant any)) {
	var walk func(path string, at any)
	walk = func(path string, at any) {
		switch at := at.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(at)) {
				value, path := at[name], strings.TrimPrefix(path+"."+name, ".")
				if !optional(path, at) {
					delete(at, name)
					try("no "+path, root)
				}
				for _, other := range others(path, value) {
					at[name] = other
					try(fmt.Sprintf("%s = %#v", path, other), root)
				}
				at[name] = value
				walk(path, value)
			}
		case []any:
			for i, value := range at {
				for _, other := range others(path+".", value) {
					at[i] = other
					try(fmt.Sprintf("%s[%d] = %#v", path, i, other), root)
				}
				at[i] = value
				walk(path, value)
			}
		}
	}
	walk("", root)
}

var (
	// sometimes matches the paths of optional members, without indices. why matches the
	// reason of a change, which is optional for some kinds.
	sometimes = regexp.MustCompile(`(^|\.)(detail|origin|origin\.context|origin\.code|jobs\.prospects|jobs\.rewrite|jobs\.rejected|books\.rejected|jobs\.survey|survey\.(unmapped|mismatched|further)|event_types\.a|` +
		`(rewrite\.columns|changes)\.(column|before|after)|sinks\.quarantine|runs\.jobs\.exceptions(_omitted)?|` +
		`jobs\.declared_by|jobs\.(columns|partition_by)\.(when|policy|pii|description))$|` +
		`(diagnostic|problems?|warnings)\.address$|^outputs\.[a-z]+$`)
	why       = regexp.MustCompile(`^changes?\.reason$`)
	emptyText = regexp.MustCompile(`^(lock\.path|jobs\.schema|outputs\..*)$`)
	anything  = regexp.MustCompile(`^outputs\.table\.value`)
)

func optional(path string, of map[string]any) bool {
	return sometimes.MatchString(path) || why.MatchString(path) && (of["kind"] == "partition" || of["kind"] == "quarantine")
}

// others returns invalid values for a member: values of other types, negative numbers
// and empty texts.
func others(path string, value any) (all []any) {
	if anything.MatchString(path) {
		return nil
	}
	for _, other := range []any{"no such", json.Number("-1"), true, []any{}, map[string]any{}, nil} {
		same := reflect.TypeOf(other) == reflect.TypeOf(value)
		if _, number := value.(json.Number); !same || number {
			all = append(all, other)
		}
	}
	switch value.(type) {
	case string:
		if !emptyText.MatchString(path) {
			all = append(all, "")
		}
	case map[string]any:
		if path == "lock" { // null if the holder has not written its description yet
			all = all[:len(all)-1]
		}
	}
	return all
}

// A member with a few possible values cannot have another one.
func TestEnumerations(t *testing.T) {
	documents := fakeDocuments(t)
	documents["stream"] = fakeLines(t)
	named := regexp.MustCompile(`"(type|@level|@module|@timestamp|format_version|severity|kind|action|operation|outcome|mode|created|expires|uri|sink|content|configuration)":\s*"([^"]+)"`)
	for name, texts := range documents {
		schema := compile(t, name)
		for _, text := range texts {
			for _, at := range named.FindAllStringSubmatchIndex(text, -1) {
				if member := text[at[2]:at[3]]; member == "operation" && strings.Contains(text, `"lock"`) {
					continue // the name of any command, also of later versions
				}
				if broken := text[:at[4]] + "other" + text[at[5]:]; schema.Validate(decode(t, broken)) == nil {
					t.Errorf("%s.schema.json allows %s = other:\n%s", name, text[at[0]:at[1]], broken)
				}
			}
		}
	}
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("formats/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func decode(t *testing.T, text string) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return value
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
