package run

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/planfile"
	"prospector/sink/store"
)

// savedNight saves a plan for a night of the house.
func (h *house) savedNight() (path string) {
	h.Helper()
	ctx, s, err := h.open(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	defer s.Close()
	path = filepath.Join(h.dir, "night.plan")
	p, err := s.Plan(ctx, PlanOptions{})
	if err == nil {
		err = s.SavePlan(p, path)
	}
	if err != nil {
		h.Fatal(err)
	}
	return path
}

// alter rewrites a saved plan: edit changes the plan and the staged files, by
// their names. Sizes and checksums are corrected afterwards.
func alter(t *testing.T, path string, edit func(p *plan.Plan, files map[string][]byte)) {
	t.Helper()
	p, err := planfile.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := make(map[string][]byte)
	for _, f := range archive.File {
		if files[f.Name], err = fs.ReadFile(archive, f.Name); err != nil {
			t.Fatal(err)
		}
	}
	edit(p, files)
	for _, c := range p.Jobs[0].Output.Changes {
		for _, s := range c.Staged {
			s.Size, s.CRC32C = int64(len(files[s.Path])), store.Checksum(files[s.Path])
		}
	}
	t.Chdir(t.TempDir()) // the plan names its staged files by relative paths
	for name, text := range files {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = os.WriteFile(name, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := planfile.Write(p, path); err != nil {
		t.Fatal(err)
	}
}

// Alterations of a saved plan are found before anything is published, even if every
// size and checksum in the archive is right.
func TestAlteredPlans(t *testing.T) {
	first := func(p *plan.Plan) *plan.Change { return &p.Jobs[0].Output.Changes[0] }
	for _, test := range []struct {
		name string
		edit func(p *plan.Plan, files map[string][]byte)
		want string // "" when the plan is applied
	}{
		{"nothing", func(*plan.Plan, map[string][]byte) {}, ""},
		{"a bit of a value", func(p *plan.Plan, files map[string][]byte) {
			file := files[first(p).Staged[0].Path]
			file[bytes.Index(file, []byte(secretText))] ^= 1
		}, "expected the rows that were written"},
		{"a file that is not Parquet", func(p *plan.Plan, files map[string][]byte) {
			files[first(p).Staged[0].Path] = []byte("hello")
		}, "not a Parquet file"},
		{"the files of two partitions are swapped", func(p *plan.Plan, files map[string][]byte) {
			c := p.Jobs[0].Output.Changes
			c[0].Staged, c[1].Staged = c[1].Staged, c[0].Staged
		}, "of other days"},
		{"another count of rows", func(p *plan.Plan, files map[string][]byte) { first(p).Staged[0].Rows++ }, "expected 2 rows, found 1 row"},
		{"another schema", func(p *plan.Plan, files map[string][]byte) {
			first(p).Staged[0].SchemaFingerprint = strings.Repeat("0", 32)
		}, "unknown schema"},
		{"another table", func(p *plan.Plan, files map[string][]byte) {
			p.Jobs[0].Schema.Columns = p.Jobs[0].Schema.Columns[1:]
		}, "does not have the schema"},
		{"no table", func(p *plan.Plan, files map[string][]byte) { p.Jobs[0].Schema = nil }, "does not have the schema"},
		{"a key of another table", func(p *plan.Plan, files map[string][]byte) { first(p).Writes[0].Key = "other/part-00000.parquet" }, "would change objects that its jobs do not own"},
		{"a key out of the lake", func(p *plan.Plan, files map[string][]byte) {
			p.Jobs[0].Output.Foreign = []plan.Write{{Sink: "sink.local.lake", Action: plan.Delete, Key: "prospect_events/../../prospector.state.json"}}
		}, "would change objects that its jobs do not own"},
		{"another table's name", func(p *plan.Plan, files map[string][]byte) {
			j := &p.Jobs[0]
			for i := range j.Output.Changes {
				for w := range j.Output.Changes[i].Writes {
					j.Output.Changes[i].Writes[w].Key = strings.Replace(j.Output.Changes[i].Writes[w].Key, j.TableName, "other", 1)
				}
			}
			j.TableName = "other"
		}, "does not have a table"},
		{"a list of prospects elsewhere", func(p *plan.Plan, files map[string][]byte) { p.Jobs[0].Source.Reading.List.Digest = "../../x" }, "prospects"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.job().Compression = "none"
			h.events(message("1", "01"), message("2", "02"))
			path := h.savedNight()
			alter(t, path, test.edit)
			before := snapshot(t, h.root())
			ctx, s, err := h.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p, err := s.LoadPlan(ctx, path)
			switch {
			case test.want == "" && err == nil:
				err = s.Apply(ctx, p)
				if err != nil || len(h.partitions()) != 2 {
					t.Errorf("the apply ended with %v and %v", err, h.partitions())
				}
			case err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %q", err, test.want)
			case strings.Contains(err.Error(), secretText):
				t.Errorf("the report has a value of an event:\n%v", err)
			default:
				if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
					t.Errorf("something was published:\n%s", diff)
				}
			}
		})
	}
}
