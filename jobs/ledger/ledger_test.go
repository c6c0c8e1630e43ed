package ledger

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"prospector/internal/sealed"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const prefix = "prospector.state.json.d/"

var noon = time.Date(2022, 1, 13, 12, 0, 0, 0, time.UTC)

// full returns a record that has every field of the format.
func full() Record {
	return Record{
		FormatVersion: FormatVersion, ID: "0b5c9b4e-6d6c-4a52-9d61-3a5a7d6c1f00", Operation: "apply", Outcome: Failed,
		Who: "etl@batch-1, process 7", Version: "0.1.0", Started: noon, Ended: noon.Add(90 * time.Second),
		Error:   "Sink cannot be written",
		Lineage: "6c6f1cbb-3ad5-4d37-8f07-cc2bfcd9f6a5", SerialBefore: 7, SerialAfter: 8,
		Jobs: []JobRecord{{
			Address: `job.events["north"]`, Summary: Summary{Add: 1, Change: 2, Destroy: 3},
			Books:      Books{Events: 21, Added: 1, Changed: 2, Unchanged: 3, Duplicates: 7, Quarantined: 8},
			Coverage:   Coverage{Prospects: 15, Complete: 1, Partial: 2, NotFound: 3, Forbidden: 4, Failed: 5},
			Exceptions: []Prospect{{ID: "p-1", Outcome: "partial"}, {ID: "p-2", Outcome: "not_found"}}, ExceptionsOmitted: 12,
			Requests: 40, Bytes: 123456, Seconds: 1.5,
		}},
	}
}

func at(i int) Record {
	r := full()
	r.ID = fmt.Sprintf("%08d-6d6c", i)
	r.Started = noon.Add(time.Duration(i) * time.Hour)
	return r
}

func appendTo(t *testing.T, files store.Store, r Record) {
	t.Helper()
	if err := Append(t.Context(), files, prefix, r); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, files store.Store) (keys []string) {
	t.Helper()
	for entry, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, entry.Key)
	}
	return keys
}

// The format of a record does not change, because other tools read it.
func TestFormat(t *testing.T) {
	files := memory.New()
	r := full()
	r.FormatVersion = ""
	r.Started = noon.In(time.FixedZone("", 3600))
	appendTo(t, files, r)
	const key = prefix + "runs/20220113T120000Z-0b5c9b4e.json"
	if got := stored(t, files); !slices.Equal(got, []string{key}) {
		t.Fatalf("the records have the keys %q", got)
	}
	f, err := files.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "record.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the record differs from %s (-want +got):\n%s", golden, diff)
	}
	read, err := List(t.Context(), files, prefix, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Record{full()}, read); diff != "" {
		t.Errorf("the record that was read differs from the one that was written (-want +got):\n%s", diff)
	}
	if err := Append(t.Context(), files, prefix, r); !errors.Is(err, store.ErrCondition) {
		t.Errorf("the second Append returned %v", err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	dir, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range []store.Store{memory.New(), dir} {
		if got, err := List(t.Context(), files, prefix, 3); err != nil || len(got) != 0 {
			t.Errorf("without runs, List returned %v and %v", got, err)
		}
		for _, i := range []int{3, 1, 20, 2, 11} {
			appendTo(t, files, at(i))
		}
		for _, test := range []struct {
			most int
			want []int
		}{{0, []int{20, 11, 3, 2, 1}}, {2, []int{20, 11}}, {5, []int{20, 11, 3, 2, 1}}, {9, []int{20, 11, 3, 2, 1}}} {
			records, err := List(t.Context(), files, prefix, test.most)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]Record, 0)
			for _, i := range test.want {
				want = append(want, at(i))
			}
			if diff := cmp.Diff(want, records); diff != "" {
				t.Errorf("List(%d) returned other records (-want +got):\n%s", test.most, diff)
			}
		}
	}
}

// Erase removes the ID of a prospect from every record, and changes nothing
// else.
func TestErase(t *testing.T) {
	files := memory.New()
	want := []Record{at(3), at(2), at(1)}
	for _, r := range want {
		appendTo(t, files, r)
	}
	untouched := at(4)
	untouched.Jobs[0].Exceptions = []Prospect{{ID: "p-11", Outcome: "partial"}}
	appendTo(t, files, untouched)
	for i := range want {
		want[i].Jobs[0].Exceptions[0].ID = "(erased)"
	}
	for _, times := range []int{3, 0} { // the second Erase finds nothing
		if n, err := Erase(t.Context(), files, prefix, "p-1"); err != nil || n != times {
			t.Errorf("%d records have changed, want %d: %v", n, times, err)
		}
		got, err := List(t.Context(), files, prefix, 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]Record{untouched}, want...), got); diff != "" {
			t.Errorf("the records differ (-want +got):\n%s", diff)
		}
	}
}

func TestListSkips(t *testing.T) {
	for _, test := range []struct{ name, text, contains string }{
		{"truncated", `{"format_version":"1.0",`, "not the record"},
		{"empty", ``, "not the record"},
		{"not an object", `[]`, "not the record"},
		{"without a version", `{}`, `format ""`},
		{"of a newer version", `{"format_version":"2.0","jobs":"of another shape"}`, `format "2.0"`},
		{"with a field of the wrong type", `{"format_version":"1.0","serial_after":"8"}`, "format 1.0"},
		{"without a checksum", `{"format_version":"1.1"}`, "it has no checksum"},
		{"changed", strings.Replace(encoded(t, at(3)), `"added": 1`, `"added": 2`, 1), "checksum does not match"},
		{"changed, with an older version", strings.Replace(encoded(t, at(3)), `"1.1"`, `"1.0"`, 1), "checksum does not match"},
		{"huge", strings.Repeat(" ", maxRecord) + "{}", "16 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := memory.New()
			for _, i := range []int{1, 2, 4} {
				appendTo(t, files, at(i))
			}
			const key = prefix + "runs/20220113T150000Z-00000003.json"
			put(t, files, key, test.text)
			records, err := List(t.Context(), files, prefix, 2)
			if diff := cmp.Diff([]Record{at(4), at(2)}, records); diff != "" {
				t.Errorf("List returned other records (-want +got):\n%s", diff)
			}
			skipped, ok := errors.AsType[*SkippedError](err)
			if !ok || len(skipped.Errs) != 1 || !strings.Contains(err.Error(), test.contains) || !strings.Contains(err.Error(), files.URI(key)) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	t.Run("a minor version has more fields", func(t *testing.T) {
		files := memory.New()
		text, err := sealed.Marshal(struct {
			FormatVersion string `json:"format_version"`
			ID            string `json:"id"`
			New           []int  `json:"new"`
			Checksum      string `json:"checksum"`
		}{FormatVersion: "1.7", ID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		put(t, files, prefix+"runs/20220113T150000Z-00000003.json", string(text))
		records, err := List(t.Context(), files, prefix, 0)
		if err != nil || len(records) != 1 || records[0].ID != "x" {
			t.Errorf("List returned %+v and %v", records, err)
		}
	})
}

func encoded(t *testing.T, r Record) string {
	t.Helper()
	b, err := encode(trim(r))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A record of format 1.0, which has no checksum, can be read.
func TestOlderFormat(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "record-1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(text)
	want := full()
	want.FormatVersion = "1.0"
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("the record differs (-want +got): %v\n%s", err, diff)
	}
}

// A record with a damaged byte, or a truncated one, is skipped or has the same
// content.
func TestDamagedBytes(t *testing.T) {
	intact := encoded(t, full())
	rng := rand.New(rand.NewPCG(11, 3))
	for i := range intact {
		damaged := []byte(intact)
		damaged[i] ^= byte(1 + rng.IntN(255))
		for _, text := range [][]byte{damaged, []byte(intact[:i]), []byte(intact[:i] + intact[i+1:])} {
			if r, err := decode(text); err == nil && !cmp.Equal(r, full()) {
				t.Errorf("with byte %d damaged, the record differs: %+v", i, r)
			}
		}
	}
}

func put(t *testing.T, files store.Store, key, text string) {
	t.Helper()
	if _, err := files.Put(t.Context(), key, store.ContentOf([]byte(text), ""), store.IfAbsent()); err != nil {
		t.Fatal(err)
	}
}

// The newest records and all other objects remain.
func TestPruning(t *testing.T) {
	files := memory.New()
	others := []string{"prospector.state.json", prefix + "prospects/1", prefix + "runs/2022.json", prefix + "runs/old/20220113T120000Z-00000000.json", prefix + "runs.txt"}
	for _, key := range others {
		put(t, files, key, "x")
	}
	for i := range Keep + 3 {
		appendTo(t, files, at(i))
		if got, want := len(stored(t, files)), min(i+1, Keep)+len(others); got != want {
			t.Fatalf("after %d runs there are %d objects, want %d", i+1, got, want)
		}
	}
	keys := stored(t, files)
	for _, key := range others {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is gone", key)
		}
	}
	records, err := List(t.Context(), files, prefix, 0)
	if err != nil {
		t.Fatal(err)
	}
	if first, last := records[0], records[len(records)-1]; first.ID != at(Keep+2).ID || last.ID != at(3).ID {
		t.Errorf("the remaining runs are those from %s to %s", last.ID, first.ID)
	}
}

// A record lists a limited number of prospects, counts the others, and has only
// the summary of an error.
func TestAppendTrims(t *testing.T) {
	files := memory.New()
	r := full()
	r.Error = strings.Repeat("é", maxError) + "\nquoting a message"
	for i := range MaxExceptions + 5 {
		r.Jobs[0].Exceptions = append(r.Jobs[0].Exceptions, Prospect{ID: fmt.Sprint(i), Outcome: "failed"})
	}
	r.Jobs = append(r.Jobs, JobRecord{Address: "job.b"})
	appendTo(t, files, r)
	if len(r.Jobs[0].Exceptions) != MaxExceptions+7 || r.Jobs[0].ExceptionsOmitted != 12 {
		t.Error("the caller's record has changed")
	}
	records, err := List(t.Context(), files, prefix, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := records[0]
	if j := got.Jobs[0]; len(j.Exceptions) != MaxExceptions || j.ExceptionsOmitted != 12+7 || j.Exceptions[0].ID != "p-1" {
		t.Errorf("the record has %d exceptions and omits %d", len(j.Exceptions), j.ExceptionsOmitted)
	}
	if len(got.Error) > maxError+len("…") || !utf8.ValidString(got.Error) || strings.Contains(got.Error, "quoting") || !strings.HasPrefix(got.Error, "éé") {
		t.Errorf("the error is %q", got.Error)
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, id := range []string{"", "short", "../../../x", "0123456/", "0123456\n8"} {
		files := memory.New()
		r := full()
		r.ID = id
		if err := Append(t.Context(), files, prefix, r); err == nil || len(stored(t, files)) > 0 {
			t.Errorf("with the ID %q, Append returned %v and wrote %q", id, err, stored(t, files))
		}
	}
}

var errNetwork = errors.New("no network")

// faulty is a store in which one kind of request fails.
type faulty struct {
	store.Store
	put, list, open, del error
}

func (f faulty) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if f.put != nil {
		return store.Object{}, f.put
	}
	return f.Store.Put(ctx, key, c, cond)
}

func (f faulty) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	if f.list != nil {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, f.list) }
	}
	return f.Store.List(ctx, prefix)
}

func (f faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if f.open != nil {
		return nil, f.open
	}
	return f.Store.Open(ctx, key)
}

func (f faulty) Delete(ctx context.Context, key string, cond store.Condition) error {
	if f.del != nil {
		return f.del
	}
	return f.Store.Delete(ctx, key, cond)
}

func TestFaults(t *testing.T) {
	files := memory.New()
	for i := range Keep {
		appendTo(t, files, at(i))
	}
	for i, test := range []struct {
		name     string
		files    faulty
		recorded bool
		fails    error
	}{
		{"writing", faulty{put: errNetwork}, false, errNetwork},
		{"listing", faulty{list: errNetwork}, true, errNetwork},
		{"deleting", faulty{del: errNetwork}, true, errNetwork},
		{"deleting a record that another run has deleted", faulty{del: store.ErrNotExist}, true, nil},
	} {
		test.files.Store = files
		r := at(Keep + i)
		err := Append(t.Context(), test.files, prefix, r)
		if !errors.Is(err, test.fails) || (err == nil) != (test.fails == nil) {
			t.Errorf("%s: Append returned %v", test.name, err)
		}
		if err != nil && test.recorded != strings.Contains(err.Error(), "is recorded") {
			t.Errorf("%s: the error does not report whether the run is recorded: %v", test.name, err)
		}
		if got := slices.Contains(stored(t, files), keyOf(prefix, r)); got != test.recorded {
			t.Errorf("%s: recorded is %v", test.name, got)
		}
	}
	if _, err := List(t.Context(), faulty{Store: files, list: errNetwork}, prefix, 1); !errors.Is(err, errNetwork) {
		t.Errorf("List returned %v", err)
	}
	if records, err := List(t.Context(), faulty{Store: files, open: store.ErrNotExist}, prefix, 1); err != nil || len(records) > 0 {
		t.Errorf("when another run deletes records, List returned %v and %v", records, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := List(ctx, files, prefix, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("when its context ends, List returned %v", err)
	}
}

// decode does not panic, whatever the object contains.
func FuzzDecode(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "record.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format_version":"1.","jobs":[null,{"exceptions":[{}]}],"started":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decode(b) })
}
