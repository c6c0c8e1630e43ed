package plan_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

var both = map[string]*plan.Refreshed{
	lake:   sinkWith(map[string]string{"p=1": "A@1", "p=2": "B@2", "p=3": "!@3"}),
	bucket: sinkWith(map[string]string{"p=1": "A@4"}),
}

// A replaced partition is written even where its rows are the same; what is not
// there yet is created.
func TestReplace(t *testing.T) {
	replaced := func(path, text string) plan.Outcome {
		o := outcome(path, text)
		o.Replace = true
		return o
	}
	changes := plan.Changes(job, []string{lake, bucket}, both, []plan.Outcome{replaced("p=1", "A"), replaced("p=9", "C")})
	if c := changes[0]; c.Action != plan.Replace || len(c.Writes) != 2 || c.Writes[0].Action != plan.Update || c.Writes[0].Generation != "1" || c.Staged == nil {
		t.Errorf("p=1: %+v", c)
	}
	if c := changes[1]; c.Action != plan.Create || len(c.Writes) != 2 {
		t.Errorf("p=9: %+v", c)
	}
	p := plan.Plan{Jobs: []plan.Job{{Output: plan.Output{Changes: changes}}}}
	if got := p.Summary(); got != (plan.Summary{Add: 2, Destroy: 1}) {
		t.Errorf("the summary is %+v", got)
	}
}

// A destruction deletes what any sink has at our keys, damaged or not, and
// nothing that is not there.
func TestDestruction(t *testing.T) {
	changes := plan.Destruction(job, []string{lake, bucket}, both, []string{"p=1", "p=2", "p=3", "p=4"})
	var got []string
	for _, c := range changes {
		for _, w := range c.Writes {
			got = append(got, strings.Join([]string{string(c.Action), string(w.Action), w.Sink, w.Key, w.Generation}, " "))
		}
	}
	want := []string{
		"delete delete " + lake + " " + plan.Key(job, "p=1") + " 1",
		"delete delete " + bucket + " " + plan.Key(job, "p=1") + " 4",
		"delete delete " + lake + " " + plan.Key(job, "p=2") + " 2",
		"delete delete " + lake + " " + plan.Key(job, "p=3") + " 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := changes[3]; c.Action != plan.NoOp {
		t.Errorf("p=4: %+v", c)
	}
}

func TestDestroyQuarantine(t *testing.T) {
	key := plan.QuarantineKey(job)
	whole, damaged, none := sinkWith(nil), sinkWith(nil), sinkWith(nil)
	whole.Quarantine = &state.Quarantine{Events: 3, Object: state.Object{Key: key, Generation: "1"}}
	damaged.Damaged[key] = "2"
	if q := plan.DestroyQuarantine(job, []string{lake}, map[string]*plan.Refreshed{lake: none}); q != nil {
		t.Errorf("of nothing: %+v", q)
	}
	got := plan.DestroyQuarantine(job, []string{"a", "b", "c"}, map[string]*plan.Refreshed{"a": whole, "b": damaged, "c": none})
	want := &plan.Quarantine{Before: 3, Writes: []plan.Write{
		{Sink: "a", Action: plan.Delete, Key: key, Generation: "1"}, {Sink: "b", Action: plan.Delete, Key: key, Generation: "2"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a rewrite has left is deleted, but for what the changes take the place of.
func TestObsolete(t *testing.T) {
	old, taken := plan.Key(job, "q=1"), plan.Key(job, "p=1")
	prior := &state.Sink{
		Partitions: map[string]state.Partition{"p=2": partitionOf(plan.Key(job, "p=2"), "B@2")},
		Obsolete: map[string]state.Object{
			old: objectOf(old, "A", "1"), taken: objectOf(taken, "C", "3"),
			"events/gone": objectOf("events/gone", "D", "4"), "events/changed": objectOf("events/changed", "E", "5"),
		},
	}
	seen := held{old: "A@1", taken: "C@3", plan.Key(job, "p=2"): "B@2", "events/changed": "X@9"}
	r := refresh(t, lake, prior, seen)
	if want := []plan.Drift{{Sink: lake, Key: "events/changed", Kind: plan.Modified}}; !slices.Equal(want, r.Drift) {
		t.Errorf("the drift is %v", r.Drift)
	}
	if len(r.Foreign) > 0 {
		t.Errorf("ours are foreign: %v", r.Foreign)
	}
	j := plan.Job{Sinks: []string{lake}, Found: plan.Found{Prior: map[string]*plan.Refreshed{lake: r}}}
	j.Output.Changes = plan.Changes(job, j.Sinks, j.Found.Prior, []plan.Outcome{outcome("p=1", "Z")})
	if w := j.Output.Changes[0].Writes; len(w) != 1 || w[0].Generation != "3" {
		t.Errorf("the file that takes the place: %+v", w)
	}
	want := []plan.Write{
		{Sink: lake, Action: plan.Delete, Key: "events/changed", Generation: "9"},
		{Sink: lake, Action: plan.Delete, Key: old, Generation: "1"},
	}
	if diff := cmp.Diff(want, j.DeleteObsolete()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeleteForeign(t *testing.T) {
	r := refresh(t, lake, &state.Sink{}, held{"events/b": "B@2", "events/a": "A@1", "other/c": "C@3"})
	want := []plan.Write{
		{Sink: lake, Action: plan.Delete, Key: "events/a", Generation: "1"},
		{Sink: lake, Action: plan.Delete, Key: "events/b", Generation: "2"},
	}
	if diff := cmp.Diff(want, plan.DeleteForeign([]string{lake}, map[string]*plan.Refreshed{lake: r})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListCompare(t *testing.T) {
	words := strings.Fields
	for _, test := range []struct{ before, after, added, removed string }{
		{"", "", "", ""},
		{"", "a b", "a b", ""},
		{"a b", "", "", "a b"},
		{"a b c", "a b c", "", ""},
		{"a c e", "b c d e f", "b d f", "a"},
		{"b", "a c", "a c", "b"},
	} {
		var l plan.List
		l.Compare(words(test.before), words(test.after))
		if !l.Known || !slices.Equal(l.AddedIDs, words(test.added)) || !slices.Equal(l.RemovedIDs, words(test.removed)) ||
			l.Added != int64(len(words(test.added))) || l.Removed != int64(len(words(test.removed))) {
			t.Errorf("%q to %q: %+v", test.before, test.after, l)
		}
	}
	var many plan.List
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strings.Repeat("x", i+1)
	}
	if many.Compare(nil, ids); many.Added != 1000 || len(many.AddedIDs) != 20 {
		t.Errorf("of many, %d are counted and %d named", many.Added, len(many.AddedIDs))
	}
}

// A plan is outdated by what it depends on, and by nothing else.
func TestOutdated(t *testing.T) {
	prior := &state.Sink{Partitions: map[string]state.Partition{"p=1": partitionOf(plan.Key(job, "p=1"), "A@1"), "p=2": partitionOf(plan.Key(job, "p=2"), "B@2")}}
	before := held{plan.Key(job, "p=1"): "A@1", plan.Key(job, "p=2"): "B@2", "events/foreign": "F@3"}
	made := plan.Job{Sinks: []string{lake}, Found: plan.Found{Prior: map[string]*plan.Refreshed{lake: refresh(t, lake, prior, before)}}}
	made.Output.Changes = plan.Changes(job, made.Sinks, made.Found.Prior, []plan.Outcome{outcome("p=9", "Z")})
	for _, test := range []struct {
		name   string
		change func(held)
		want   string // the key that has changed, or ""
	}{
		{"nothing", func(held) {}, ""},
		{"deleted", func(h held) { delete(h, plan.Key(job, "p=1")) }, plan.Key(job, "p=1")},
		{"modified", func(h held) { h[plan.Key(job, "p=2")] = "X@7" }, plan.Key(job, "p=2")},
		{"the same bytes anew", func(h held) { h[plan.Key(job, "p=2")] = "B@7" }, plan.Key(job, "p=2")},
		{"another foreign object", func(h held) { h["events/more"] = "F@8" }, ""},
		{"a foreign object changed", func(h held) { h["events/foreign"] = "G@8" }, ""},
		{"a foreign object where a file is to go", func(h held) { h[plan.Key(job, "p=9")] = "G@8" }, plan.Key(job, "p=9")},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := held{}
			for key, s := range before {
				now[key] = s
			}
			test.change(now)
			got := made.Outdated(map[string]*plan.Refreshed{lake: refresh(t, lake, prior, now)})
			var keys []string
			for _, d := range got {
				keys = append(keys, d.Key)
			}
			if strings.Join(keys, " ") != test.want {
				t.Errorf("outdated are %v, want %q", got, test.want)
			}
		})
	}
}

// savedPlan is a plan that has everything, with the files that it has staged.
func savedPlan() (*plan.Plan, map[string]string) {
	files := map[string]string{"/tmp/a": "AAAA", "/tmp/q": "quarantined", "/tmp/l": "\"1\"\n"}
	staged := func(path string) *plan.Staged {
		return &plan.Staged{Path: path, Rows: 1, Size: int64(len(files[path])), CRC32C: checksum(files[path]), Days: &state.Days{First: -1, Last: 7}}
	}
	return &plan.Plan{
		Mode: plan.Normal, Lineage: "lineage", Serial: 3, Config: "config", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Targets: []string{"job.events"}, Moved: []plan.Move{{From: "job.a", To: "job.b"}}, Forgotten: []string{"job.c"},
		Jobs: []plan.Job{{
			Address: address, TableName: job, SchemaFingerprint: "schema", Sinks: []string{lake, bucket}, Found: plan.Found{Prior: both},
			Output: plan.Output{
				Rewrite: &plan.Rewrite{SchemaFingerprint: "former", Before: []string{"a"}, After: []string{"b"}, Rows: 7},
				Changes: []plan.Change{
					{Partition: "p=1", Action: plan.Update, Staged: []*plan.Staged{staged("/tmp/a")}, Writes: []plan.Write{{Sink: lake, Action: plan.Update, Key: plan.Key(job, "p=1"), Generation: "1"}}},
					{Partition: "p=2", Action: plan.Delete, Writes: []plan.Write{{Sink: lake, Action: plan.Delete, Key: plan.Key(job, "p=2"), Generation: "2"}}},
				},
				Quarantine: &plan.Quarantine{After: 1, Staged: staged("/tmp/q"), Writes: []plan.Write{{Sink: lake, Action: plan.Create, Key: plan.QuarantineKey(job)}}},
				Foreign:    []plan.Write{{Sink: lake, Action: plan.Delete, Key: "events/x", Generation: "9"}},
			},
			Source:   plan.Source{Reading: plan.Reading{List: &plan.List{Count: 1, Digest: "digest", Staged: staged("/tmp/l")}}},
			Problems: plan.Problems{Warnings: jobs.Diagnostics{{Severity: jobs.Warning, Summary: "Odd", Detail: "It is odd."}}},
		}},
		Checks: []plan.Check{{Address: "check.x", Job: address, Severity: jobs.Error, Passed: true}},
	}, files
}

func save(t testing.TB, p *plan.Plan, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := plan.Save(&b, p, func(path string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(files[path])), nil })
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type closer struct{ *bytes.Buffer }

func (closer) Close() error { return nil }

// What is saved is what is loaded, staged files included, and saving changes
// nothing of the plan.
func TestSave(t *testing.T) {
	p, files := savedPlan()
	text := save(t, p, files)
	again, _ := savedPlan()
	if diff := cmp.Diff(again, p, same); diff != "" {
		t.Errorf("saving has changed the plan:\n%s", diff)
	}
	f, err := plan.Load(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]*bytes.Buffer)
	err = f.Extract(func(number int) (io.WriteCloser, string, error) {
		path := []string{"/tmp/a", "/tmp/q", "/tmp/l"}[number]
		got[path] = new(bytes.Buffer)
		return closer{got[path]}, path, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, f.Plan, same); diff != "" {
		t.Errorf("another plan is loaded (-saved +loaded):\n%s", diff)
	}
	for path, want := range files {
		if got[path].String() != want {
			t.Errorf("%s is %q", path, got[path])
		}
	}
	if !bytes.Equal(text, save(t, p, files)) {
		t.Error("the same plan is saved in other bytes")
	}
}

// A staged file that is not what the plan says is not saved.
func TestSaveChangedFile(t *testing.T) {
	p, files := savedPlan()
	files["/tmp/a"] += "A"
	err := plan.Save(io.Discard, p, func(path string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(files[path])), nil })
	if err == nil || !strings.Contains(err.Error(), "/tmp/a") {
		t.Errorf("the error is %v", err)
	}
}

// A plan that could not be carried out is refused when it is loaded.
func TestLoadInconsistent(t *testing.T) {
	for name, spoil := range map[string]func(*plan.Job){
		"no prior state":       func(j *plan.Job) { j.Sinks = append(j.Sinks, "sink.local.other") },
		"no file":              func(j *plan.Job) { j.Output.Changes[0].Staged = nil },
		"no quarantine's file": func(j *plan.Job) { j.Output.Quarantine.Staged = nil },
		"a strange sink":       func(j *plan.Job) { j.Output.Foreign[0].Sink = "sink.local.other" },
	} {
		p, files := savedPlan()
		spoil(&p.Jobs[0])
		text := save(t, p, files)
		if _, err := plan.Load(bytes.NewReader(text), int64(len(text))); !errors.Is(err, plan.ErrNotPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rezip copies an archive, whose entries edit may change.
func rezip(t *testing.T, text []byte, edit func(header *zip.FileHeader, content []byte) []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, f := range from.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		header := &zip.FileHeader{Name: f.Name, Method: f.Method}
		content = edit(header, content)
		w, err := to.CreateHeader(header)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// An archive is not inflated beyond what it declares, nor beyond what a plan has.
func TestLoadBombs(t *testing.T) {
	p, files := savedPlan()
	whole := save(t, p, files)
	declare := func(text []byte, size uint32) []byte { // of the plan, which is the last entry
		text = bytes.Clone(text)
		at := bytes.LastIndex(text, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(text[at+24:], size)
		return text
	}
	large := bytes.Repeat([]byte(" "), 64<<20)
	for _, test := range []struct {
		name string
		text []byte
		want string
	}{
		{"spaces after the plan", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "plan.json" {
				content = append(content, large...)
			}
			return content
		}), "which no plan has"},
		{"a plan that declares less than it has", declare(whole, 10), "cannot be read"},
		{"a plan that declares more than it has", declare(whole, 2000), "cannot be read"},
		{"a plan that declares more than any has", declare(whole, 2<<30), "which no plan has"},
		{"a compressed file", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				h.Method, content = zip.Deflate, large
			}
			return content
		}), "is compressed"},
		{"a larger file", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				content = append(content, 'A')
			}
			return content
		}), "has 5 bytes, not 4"},
		{"a file that is null", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "plan.json" {
				content = bytes.Replace(content, []byte(`"staged":[{`), []byte(`"staged":[null,{`), 1)
			}
			return content
		}), "has no file for partition"},
		{"a missing file", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				h.Name = "staged/99999"
			}
			return content
		}), "it has no"},
		{"one file many times", rezip(t, whole, func(h *zip.FileHeader, content []byte) []byte {
			switch h.Name {
			case "staged/00000":
				content = bytes.Repeat([]byte("A"), 1<<20)
			case "plan.json":
				one := regexp.MustCompile(`\{"path":"staged/00000"[^{}]*(\{[^{}]*\})?[^{}]*\}`).Find(content)
				big := bytes.Replace(one, []byte(`"size":4`), []byte(`"size":1048576`), 1)
				content = bytes.Replace(content, one, bytes.Join([][]byte{big, big, big}, []byte(",")), 1)
			}
			return content
		}), "have more than the"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := plan.Load(bytes.NewReader(test.text), int64(len(test.text)))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, plan.ErrNotPlan) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// Every object of a plan is where the plan's own objects are.
func TestCheckPlaces(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*plan.Job)
		want  string // "" when it is right
	}{
		{"nothing", func(*plan.Job) {}, ""},
		{"another table", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = "other/p=1/part-00000.parquet" }, "is not a file of partition"},
		{"another partition", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = plan.Key(job, "p=2") }, "is not a file of partition"},
		{"another name", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = job + "/p=1/x" }, "is not a file of partition"},
		{"the state", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = "prospector.state.json" }, "is not a file of partition"},
		{"a partition out of the table", func(j *plan.Job) {
			j.Output.Changes[0].Partition = "../other"
			j.Output.Changes[0].Writes[0].Key = plan.Key(job, "../other")
		}, `has the segment ".."`},
		{"a deletion of another table", func(j *plan.Job) { j.Output.Changes[1].Writes[0].Key = "other/p=2/part-00000.parquet" }, "is not part of its table"},
		{"a deletion of another partition", func(j *plan.Job) { j.Output.Changes[1].Writes[0].Key = plan.Key(job, "p=1") }, "is not part of its table"},
		{"a table whose name begins alike", func(j *plan.Job) { j.Output.Foreign[0].Key = job + "2/x" }, "is not part of its table"},
		{"a foreign object elsewhere", func(j *plan.Job) { j.Output.Foreign[0].Key = "x" }, "is not part of its table"},
		{"a foreign object that no store can hold", func(j *plan.Job) { j.Output.Foreign[0].Key = job + "/../x" }, `has the segment ".."`},
		{"an absolute key", func(j *plan.Job) { j.Output.Foreign[0].Key = "/etc/passwd" }, "segment"},
		{"the quarantine is not foreign", func(j *plan.Job) { j.Output.Foreign[0].Key = plan.QuarantineKey(job) }, "is not part of its table"},
		{"an obsolete object elsewhere", func(j *plan.Job) {
			j.Output.Obsolete = []plan.Write{{Sink: lake, Action: plan.Delete, Key: "other/x"}}
		}, "is not part of its table"},
		{"another quarantine", func(j *plan.Job) { j.Output.Quarantine.Writes[0].Key = plan.QuarantineKey("other") }, "is not part of its table"},
		{"a quarantine in the table", func(j *plan.Job) { j.Output.Quarantine.Writes[0].Key = plan.Key(job, "p=1") }, "is not part of its table"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := savedPlan()
			p.Jobs[0].Output.Foreign[0].Key = job + "/x"
			test.spoil(&p.Jobs[0])
			err := p.CheckPlaces(store.CheckKey)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	p, files := savedPlan()
	f.Add(save(f, p, files))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, text []byte) {
		loaded, err := plan.Load(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			return
		}
		loaded.Plan.Summary()
		loaded.Plan.Empty()
		loaded.Plan.Blocked()
		_ = loaded.Plan.CheckPlaces(store.CheckKey)
		_ = loaded.Extract(func(int) (io.WriteCloser, string, error) { return closer{new(bytes.Buffer)}, "", nil })
	})
}
