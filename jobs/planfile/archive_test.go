package planfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

const (
	address = "job.events"
	job     = "events"
	lake    = "sink.local.lake"
	bucket  = "sink.gcs.lake"
)

// found returns the refreshed sinks of savedPlan.
func found() map[string]*plan.Refreshed {
	holding := func(generation string) *plan.Refreshed {
		o := state.Object{Key: plan.Key(job, "p=1"), Size: 1, CRC32C: 2, Generation: generation}
		return &plan.Refreshed{
			Sink:    state.Sink{URI: "u", Partitions: map[string]state.Partition{"p=1": {Rows: 1, Files: []state.File{{Rows: 1, Object: o}}}}},
			Damaged: map[string]string{plan.Key(job, "p=3"): "3"},
		}
	}
	return map[string]*plan.Refreshed{lake: holding("1"), bucket: holding("4")}
}

// same treats empty maps and slices as equal to nil.
var same = cmpopts.EquateEmpty()

// savedPlan returns a plan with every kind of content, and its staged files.
func savedPlan() (*plan.Plan, map[string]string) {
	files := map[string]string{"/tmp/a": "AAAA", "/tmp/q": "quarantined", "/tmp/l": "\"1\"\n"}
	staged := func(path string) *plan.Staged {
		return &plan.Staged{Path: path, Rows: 1, Size: int64(len(files[path])), CRC32C: store.Checksum([]byte(files[path])), Days: &state.Days{First: -1, Last: 7}}
	}
	return &plan.Plan{
		Mode: plan.Normal, Lineage: "lineage", Serial: 3, Config: "config", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Targets: []string{"job.events"}, Moved: []plan.Move{{From: "job.a", To: "job.b"}}, Forgotten: []string{"job.c"},
		Jobs: []plan.Job{{
			Address: address, TableName: job, SchemaFingerprint: "schema", Sinks: []string{lake, bucket}, Found: plan.Found{Prior: found()},
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
			Problems: plan.Problems{Warnings: jobs.Diagnostics{{Severity: jobs.Warning, Summary: "Unusual", Detail: "It is unusual."}}},
		}},
		Checks: []plan.Check{{Address: "check.x", Job: address, Severity: jobs.Error, Passed: true}},
	}, files
}

func save(t testing.TB, p *plan.Plan, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := encode(&b, p, func(path string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(files[path])), nil })
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type closer struct{ *bytes.Buffer }

func (closer) Close() error { return nil }

// Loading returns the saved plan and its staged files, and saving does not
// modify the plan.
func TestSave(t *testing.T) {
	p, files := savedPlan()
	text := save(t, p, files)
	again, _ := savedPlan()
	if diff := cmp.Diff(again, p, same); diff != "" {
		t.Errorf("saving has changed the plan:\n%s", diff)
	}
	f, err := decode(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]*bytes.Buffer)
	err = f.extract(func(number int) (io.WriteCloser, string, error) {
		path := []string{"/tmp/a", "/tmp/q", "/tmp/l"}[number]
		got[path] = new(bytes.Buffer)
		return closer{got[path]}, path, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, f.plan, same); diff != "" {
		t.Errorf("the loaded plan differs (-saved +loaded):\n%s", diff)
	}
	for path, want := range files {
		if got[path].String() != want {
			t.Errorf("the content of %s is %q", path, got[path])
		}
	}
	if !bytes.Equal(text, save(t, p, files)) {
		t.Error("saving the same plan again writes other bytes")
	}
}

// A staged file that differs from the plan is not saved.
func TestSaveChangedFile(t *testing.T) {
	p, files := savedPlan()
	files["/tmp/a"] += "A"
	err := encode(io.Discard, p, func(path string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(files[path])), nil })
	if err == nil || !strings.Contains(err.Error(), "/tmp/a") {
		t.Errorf("the error is %v", err)
	}
}

// Loading refuses a plan that could not be applied.
func TestLoadInconsistent(t *testing.T) {
	for name, spoil := range map[string]func(*plan.Job){
		"no prior state":             func(j *plan.Job) { j.Sinks = append(j.Sinks, "sink.local.other") },
		"no file":                    func(j *plan.Job) { j.Output.Changes[0].Staged = nil },
		"no file for the quarantine": func(j *plan.Job) { j.Output.Quarantine.Staged = nil },
		"an unknown sink":            func(j *plan.Job) { j.Output.Foreign[0].Sink = "sink.local.other" },
	} {
		p, files := savedPlan()
		spoil(&p.Jobs[0])
		text := save(t, p, files)
		if _, err := decode(bytes.NewReader(text), int64(len(text))); !errors.Is(err, ErrNotPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rezip copies an archive. The function edit may change its entries.
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

// An archive is not decompressed beyond the declared size, or if that size is
// not plausible.
func TestLoadBombs(t *testing.T) {
	p, files := savedPlan()
	saved := save(t, p, files)
	declare := func(text []byte, size uint32) []byte { // declares a size of the plan, which is the last entry
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
		{"spaces after the plan", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "plan.json" {
				content = append(content, large...)
			}
			return content
		}), "is not plausible"},
		{"a plan that declares less than it has", declare(saved, 10), "cannot be read"},
		{"a plan that declares more than it has", declare(saved, 2000), "cannot be read"},
		{"a plan that declares too much", declare(saved, 2<<30), "is not plausible"},
		{"a compressed file", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				h.Method, content = zip.Deflate, large
			}
			return content
		}), "is compressed"},
		{"a larger file", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				content = append(content, 'A')
			}
			return content
		}), "has 5 bytes, not 4"},
		{"a staged file that is null", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "plan.json" {
				content = bytes.Replace(content, []byte(`"staged":[{`), []byte(`"staged":[null,{`), 1)
			}
			return content
		}), "has no file for partition"},
		{"a missing file", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			if h.Name == "staged/00000" {
				h.Name = "staged/99999"
			}
			return content
		}), "it has no"},
		{"one file many times", rezip(t, saved, func(h *zip.FileHeader, content []byte) []byte {
			switch h.Name {
			case "staged/00000":
				content = bytes.Repeat([]byte("A"), 1<<20)
			case "plan.json":
				one := regexp.MustCompile(`\{"path":"staged/00000"[^{}]*(\{[^{}]*\})?[^{}]*\}`).Find(content)
				big := bytes.Replace(one, []byte(`"size":4`), []byte(`"size":1048576`), 1)
				content = bytes.Replace(content, one, bytes.Join([][]byte{big, big, big}, []byte(",")), 1)
			}
			return content
		}), "are larger than the archive"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decode(bytes.NewReader(test.text), int64(len(test.text)))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrNotPlan) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// A plan may only change objects of its own tables.
func TestCheckKeys(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*plan.Job)
		want  string // "" if the key is allowed
	}{
		{"nothing", func(*plan.Job) {}, ""},
		{"another table", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = "other/p=1/part-00000.parquet" }, "is not a file of partition"},
		{"another partition", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = plan.Key(job, "p=2") }, "is not a file of partition"},
		{"another name", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = job + "/p=1/x" }, "is not a file of partition"},
		{"the state", func(j *plan.Job) { j.Output.Changes[0].Writes[0].Key = "prospector.state.json" }, "is not a file of partition"},
		{"a partition outside of the table", func(j *plan.Job) {
			j.Output.Changes[0].Partition = "../other"
			j.Output.Changes[0].Writes[0].Key = plan.Key(job, "../other")
		}, `has the segment ".."`},
		{"a deletion of another table", func(j *plan.Job) { j.Output.Changes[1].Writes[0].Key = "other/p=2/part-00000.parquet" }, "is not part of its table"},
		{"a deletion of another partition", func(j *plan.Job) { j.Output.Changes[1].Writes[0].Key = plan.Key(job, "p=1") }, "is not part of its table"},
		{"a table whose name has the same prefix", func(j *plan.Job) { j.Output.Foreign[0].Key = job + "2/x" }, "is not part of its table"},
		{"a foreign object elsewhere", func(j *plan.Job) { j.Output.Foreign[0].Key = "x" }, "is not part of its table"},
		{"a foreign object with an invalid key", func(j *plan.Job) { j.Output.Foreign[0].Key = job + "/../x" }, `has the segment ".."`},
		{"an absolute key", func(j *plan.Job) { j.Output.Foreign[0].Key = "/etc/passwd" }, "segment"},
		{"the quarantine as a foreign object", func(j *plan.Job) { j.Output.Foreign[0].Key = plan.QuarantineKey(job) }, "is not part of its table"},
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
			err := checkKeys(p)
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
		loaded, err := decode(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			return
		}
		loaded.plan.Summary()
		loaded.plan.Empty()
		loaded.plan.Blocked()
		_ = checkKeys(loaded.plan)
		_ = loaded.extract(func(int) (io.WriteCloser, string, error) { return closer{new(bytes.Buffer)}, "", nil })
	})
}
