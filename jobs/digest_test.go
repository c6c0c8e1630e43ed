package jobs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"prospector/internal/attribute"
	"prospector/schemas"
	"prospector/sink/store"
)

// settings has an attribute of every type.
type settings struct {
	Endpoint, Region string
	Dir              attribute.Path
	APIKey           attribute.Secret
	Seed             uint64
	Events           int
	AsOf             time.Time
	Wait             time.Duration
	FaultRate        float64
	VendorChanges    bool
}

func (s *settings) Attributes() []attribute.Attribute {
	return []attribute.Attribute{
		{Name: "endpoint", Value: &s.Endpoint}, {Name: "region", Value: &s.Region}, {Name: "dir", Value: &s.Dir},
		{Name: "api_key", Value: &s.APIKey}, {Name: "seed", Value: &s.Seed}, {Name: "events", Value: &s.Events},
		{Name: "as_of", Value: &s.AsOf}, {Name: "wait", Value: &s.Wait}, {Name: "fault_rate", Value: &s.FaultRate},
		{Name: "vendor_changes", Value: &s.VendorChanges},
	}
}

// place has the attributes of all kinds of store, and an additional one.
type place struct {
	Path                   attribute.Path
	Bucket, Prefix, Region string
}

func (p *place) Attributes() []attribute.Attribute {
	return []attribute.Attribute{{Name: "path", Value: &p.Path}, {Name: "bucket", Value: &p.Bucket}, {Name: "prefix", Value: &p.Prefix}, {Name: "region", Value: &p.Region}}
}

var everywhere = &store.Kind{Name: "everywhere"}

// everything returns a configuration in which every field has a value.
func everything(dir string) *Configuration {
	block := func(address string) Block {
		return Block{Address: address, Origin: Origin{Filename: "main.hcl", Line: 1, Column: 1, Context: "c", Code: "code", HighlightStart: 1, HighlightEnd: 2},
			Attributes: map[string]Origin{"path": {Line: 2}}}
	}
	sink := func(name string) Sink {
		return Sink{Block: block("sink.local." + name), Location: store.Location{Kind: everywhere, Settings: &place{attribute.Path(dir + "/" + name), "b", "p", "r"}}}
	}
	table := schemas.KnockEvents()
	table.HashKey = schemas.NewKey("sixteen bytes or more")
	body, _ := table.Column("message_body")
	body.Policy = schemas.Hash
	table, err := table.Declare(body)
	if err != nil {
		panic(err)
	}
	table.UnknownField, table.UnknownType, table.Mismatch = schemas.Fail, schemas.Quarantine, schemas.Fail
	return &Configuration{
		Dir:     dir,
		Backend: Backend{Block: block("backend.local"), Location: store.Location{Kind: everywhere, Settings: &place{attribute.Path(dir), "b", "p", "r"}}, Key: "state.json"},
		Jobs: []Job{{
			Block: block("job.events"), TableName: "events",
			Source: Source{Block: block("source.simulator.demo"), Kind: "simulator", PageSize: 100, Concurrency: 8,
				RequestsPerSecond: 10, Timeout: time.Second, MaxAttempts: 6,
				Settings: &settings{Endpoint: "https://example.com", Region: "us", Dir: attribute.Path(dir + "/pages"), APIKey: "hunter2", Seed: 1, Events: 3,
					AsOf: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC), Wait: time.Second, FaultRate: 0.5, VendorChanges: true}},
			Prospects: &Prospects{Block: block("prospects.crm"), File: dir + "/ids.csv", Column: "id", Header: new(bool),
				Object: &Object{Location: store.Location{Kind: everywhere, Settings: &place{Bucket: "b"}}, Key: "ids.csv"}},
			Sinks: []Sink{sink("lake"), sink("second")}, Schema: table, SchemaBlock: block("schema.events"), Compression: Snappy, TargetFileSize: 256 << 20,
			DeleteMissing: true, PreventDestroy: true, DeleteForeign: true, ExportErased: true,
		}},
		Sinks:   []Sink{sink("lake"), sink("second")},
		Outputs: []Output{{Name: "table", Value: []any{"file://" + dir + "/lake/events"}}},
		Checks: []Check{{Block: block("check.rows"), Name: "rows", Job: "job.events", Severity: Warning,
			Assertions: []Assertion{{Origin: Origin{Line: 7}, Source: "a", Evaluate: func(Result) (bool, string, Diagnostics) { return true, "", nil }}, {Source: "b"}}}},
		Moved:   []Moved{{Block: block("moved"), From: "job.old", To: "job.events"}},
		Removed: []Removed{{Block: block("removed"), From: "job.gone", Destroy: true}},
		Lock:    schemas.Lock{"job.events": table},
	}
}

// uncounted are the fields that the digest does not depend on. A new field is
// either in the digest or here, with a reason. (Changing Dir alone would change
// the meaning of the paths. TestDigestElsewhere changes Dir together with the
// paths.)
var uncounted = []struct{ path, why string }{
	{`^Backend\.`, "the location of the state"},
	{`^Jobs\.Source\.Settings\.APIKey$`, "a secret, and another key sends the same requests"},
	{`\.Origin\.`, "the position in the configuration"},
	{`\.Attributes`, "the position in the configuration"},
	{`^Jobs\.Schema\.HashKey$`, "a secret; its ID counts"},
	{`^MemoryLimit$`, "it does not affect the result of a run"},
	{`^Lock$`, "it records what was accepted, not what is declared"},
	{`^Jobs\.(Source|Prospects|SchemaBlock)\.Address$`, "only a name; the values of the block count"},
	{`^(Moved|Removed)\.Address$`, "the kind of block"},
	{`^Jobs\.Prospects\.Object$|^Jobs\.Prospects\.Object\.`, "File is its URI, which counts"},
	{`^Checks\.Address$`, "the same as the name, which counts"},
	{`^Checks\.Assertions\.Evaluate$`, "the source of the assertion counts"},
	{`^Jobs\.Schema\.(Name|Description)$`, "not in the table's fingerprint"},
	{`^Jobs\.Schema\.(Columns|PartitionBy)\.(PII|Description)$`, "not in the table's fingerprint"},
}

// The digest depends on every field of every type that is not in uncounted.
func TestDigestOfEveryField(t *testing.T) {
	base := everything("/srv/dir")
	want := base.Digest()
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(want) {
		t.Fatalf("the digest is %q", want)
	}
	used := map[string]bool{}
	seen := map[string]bool{}
	// visit changes the value at v, and restores it.
	var visit func(path string, v reflect.Value)
	try := func(path string, v, other reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		v.Set(other)
		changed := base.Digest() != want
		v.Set(before)
		counts := true
		for _, u := range uncounted {
			if regexp.MustCompile(u.path).MatchString(path) {
				counts, used[u.path] = false, true
			}
		}
		if changed != counts {
			t.Errorf("changing %s changes the digest: %v, want %v", path, changed, counts)
		}
		seen[path] = true
	}
	visit = func(path string, v reflect.Value) {
		if v.Type() == reflect.TypeFor[time.Time]() {
			try(path, v, reflect.ValueOf(v.Interface().(time.Time).Add(time.Nanosecond)))
			return
		}
		if v.Type() == reflect.TypeFor[*store.Kind]() {
			try(path, v, reflect.ValueOf(&store.Kind{Name: "elsewhere"}))
			return
		}
		if v.Type() == reflect.TypeFor[schemas.Key]() {
			try(path, v, reflect.ValueOf(schemas.NewKey("another key")))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				f := v.Type().Field(i)
				sub := strings.TrimPrefix(path+"."+f.Name, ".")
				if f.Anonymous {
					sub = path
				}
				visit(sub, v.Field(i))
			}
		case reflect.Pointer:
			if v.IsNil() {
				t.Fatalf("%s is nil: give it a value", path)
			}
			try(path, v, reflect.Zero(v.Type()))
			visit(path, v.Elem())
		case reflect.Slice:
			if v.Len() == 0 { // only some columns have these
				try(path, v, reflect.MakeSlice(v.Type(), 1, 1))
				return
			}
			try(path, v, v.Slice(0, v.Len()-1))
			for i := range v.Len() {
				visit(path, v.Index(i))
			}
		case reflect.Map, reflect.Func:
			try(path, v, reflect.Zero(v.Type()))
		case reflect.Interface:
			if v.Elem().Kind() == reflect.Pointer {
				visit(path, v.Elem().Elem())
				return
			}
			try(path, v, reflect.ValueOf("other"))
		case reflect.String:
			try(path, v, reflect.ValueOf(v.String()+"x").Convert(v.Type()))
		case reflect.Bool:
			try(path, v, reflect.ValueOf(!v.Bool()))
		case reflect.Int, reflect.Int64:
			try(path, v, reflect.ValueOf(v.Int()+1).Convert(v.Type()))
		case reflect.Uint64:
			try(path, v, reflect.ValueOf(v.Uint()+1))
		case reflect.Float64:
			try(path, v, reflect.ValueOf(v.Float()+0.25))
		default:
			t.Fatalf("%s is a %s, which this test cannot change", path, v.Kind())
		}
	}
	visit("", reflect.ValueOf(base).Elem())
	for _, u := range uncounted {
		if !used[u.path] {
			t.Errorf("no field matches %s", u.path)
		}
	}
	for _, path := range []string{"Jobs.Source.Timeout", "Jobs.Source.Settings.AsOf", "Jobs.Schema.HashKey", "Jobs.Schema.EventTypes", "Jobs.Sinks.Settings.Prefix", "Sinks.Kind", "Sinks.Settings.Region", "Sinks.Address", "Removed.Destroy", "Outputs.Sensitive"} {
		if !seen[path] {
			t.Errorf("the test did not change %s", path)
		}
	}
	if base.Digest() != want {
		t.Error("the test does not restore what it changes")
	}
}

func TestDigest(t *testing.T) {
	output := func(v any) func(*Configuration) {
		return func(c *Configuration) { c.Outputs = []Output{{Name: "it", Value: v}} }
	}
	for _, c := range []struct {
		name string
		a, b func(*Configuration)
		same bool
	}{
		{"the order of sinks in a job", func(*Configuration) {}, func(c *Configuration) { slices.Reverse(c.Jobs[0].Sinks) }, false},
		{"the order of assertions", func(*Configuration) {}, func(c *Configuration) { slices.Reverse(c.Checks[0].Assertions) }, true},
		{"an additional assertion", func(*Configuration) {}, func(c *Configuration) {
			c.Checks[0].Assertions = append(c.Checks[0].Assertions, Assertion{Source: "c"})
		}, false},
		{"a sensitive output", func(*Configuration) {}, func(c *Configuration) {
			c.Outputs = append(c.Outputs, Output{Name: "z", Value: "hunter2", Sensitive: true})
		}, true},
		{"an output", func(*Configuration) {}, func(c *Configuration) { c.Outputs = append(c.Outputs, Output{Name: "z"}) }, false},
		{"the zone of a time", func(*Configuration) {}, func(c *Configuration) {
			s := c.Jobs[0].Source.Settings.(*settings)
			s.AsOf = s.AsOf.In(time.FixedZone("", 3600))
		}, true},
		{"other partition keys", func(*Configuration) {}, func(c *Configuration) {
			c.Jobs[0].Schema, _ = c.Jobs[0].Schema.PartitionedBy("event_type")
		}, false},
		{"an explicit default of a table", func(c *Configuration) { c.Jobs[0].Schema.Mismatch = "" }, func(c *Configuration) { c.Jobs[0].Schema.Mismatch = schemas.Keep }, true},
		{"the boundaries in a list of event types", func(c *Configuration) { c.Jobs[0].Schema.EventTypes = []string{"A B"} }, func(c *Configuration) { c.Jobs[0].Schema.EventTypes = []string{"A", "B"} }, false},
		{"a text and a number", output("1"), output(1.), false},
		{"a text and null", output("<nil>"), output(nil), false},
		{"a text and a bool", output("true"), output(true), false},
		{"the boundaries of a nested list", output([]any{[]any{"a"}, "b"}), output([]any{[]any{"a", "b"}}), false},
		{"a list and a map", output([]any{}), output(map[string]any{}), false},
		{"keys and values", output(map[string]any{"a": "b"}), output(map[string]any{"b": "a"}), false},
		{"a newline in a text", output("a\noutput \"z\""), output("a"), false},
		{"the same map", output(map[string]any{"a": 1., "b": 2.}), output(map[string]any{"b": 2., "a": 1.}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := everything("/d"), everything("/d")
			c.a(a)
			c.b(b)
			if same := a.Digest() == b.Digest(); same != c.same {
				t.Errorf("the digests are equal: %v", same)
			}
		})
	}
}

// A copy of the directory has the same digest, if its paths are the same
// relative to the directory.
func TestDigestElsewhere(t *testing.T) {
	for _, c := range []struct {
		text string // with DIR for the directory
		same bool
	}{
		{"DIR", true}, {"DIR/lake", true}, {"file://DIR/lake", true}, {"file://DIR", true}, {"from DIR/a to DIR/b", true}, {"(DIR)", true},
		{"gs://acme/lake", true}, {"/var/lake", true}, {"-", true}, {"", true},
		{"DIRx/lake", false}, {"DIR-2", false}, {"/mntDIR/lake", false}, {"gs://acmeDIR", false}, {"~DIR", false},
	} {
		t.Run(c.text, func(t *testing.T) {
			var digests []string
			for _, dir := range []string{"/home/one", "/b/the lake"} {
				uri := "file://" + strings.ReplaceAll(dir, " ", "%20")
				text := strings.ReplaceAll(strings.ReplaceAll(c.text, "file://DIR", uri), "DIR", dir)
				for _, set := range []func(*Configuration){
					func(c *Configuration) { c.Sinks[0].Settings.(*place).Path = attribute.Path(text) },
					func(c *Configuration) { c.Jobs[0].Sinks[0].Settings.(*place).Path = attribute.Path(text) },
					func(c *Configuration) { c.Jobs[0].Prospects.File = text },
					func(c *Configuration) { c.Jobs[0].Source.Settings.(*settings).Dir = attribute.Path(text) },
					func(c *Configuration) { c.Outputs[0].Value = map[string]any{"a": []any{text}} },
				} {
					config := everything(dir)
					config.Outputs[0].Value = nil
					set(config)
					digests = append(digests, config.Digest())
				}
			}
			for i := range 5 {
				if same := digests[i] == digests[i+5]; same != c.same {
					t.Errorf("field %d: the digests are equal: %v, want %v", i, same, c.same)
				}
			}
		})
	}
	root := everything("")
	root.Dir = "/"
	if root.Digest() == everything("/d").Digest() {
		t.Error("a path is relative to the root directory")
	}
	if fmt.Sprint(digester{dir: "/a"}.relative("/b")) != "/b" {
		t.Error("a path outside of the directory has changed")
	}
}
