package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"prospector/internal/nolink"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2022, 1, 13, 12, 0, 0, 0, time.UTC)

func clock(t time.Time) func() time.Time { return func() time.Time { return t } }

func mustOpen(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(dir, "binding", time.Hour, clock(noon))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found is everything that a journal recovered about a prospect.
type found struct {
	Progress Progress
	Pages    []Page
}

func recovered(t testing.TB, j *Journal, prospects ...string) map[string]found {
	t.Helper()
	all := make(map[string]found)
	for _, id := range prospects {
		progress, ok := j.Progress(id)
		f := found{Progress: progress}
		for page, err := range j.Pages(id, nil) {
			must(t, err)
			f.Pages = append(f.Pages, page)
		}
		if ok {
			all[id] = f
		} else if len(f.Pages) > 0 {
			t.Errorf("prospect %s has pages, but no progress", id)
		}
	}
	return all
}

// step is one call of a method (do), and its effect on the model of what is recovered
// (apply).
type step struct {
	do    func(*Journal) error
	apply func(map[string]found)
}

func pageStep(p Page) step {
	return step{
		do: func(j *Journal) error { return j.Append(p) },
		apply: func(m map[string]found) {
			f := m[p.Prospect]
			if p.Number == 1 {
				f = found{}
			}
			f.Pages = append(f.Pages[:len(f.Pages):len(f.Pages)], p)
			f.Progress.Pages++
			f.Progress.Events += p.Events
			f.Progress.Next = p.Next
			m[p.Prospect] = f
		},
	}
}

func finishStep(prospect, outcome string) step {
	return step{
		do: func(j *Journal) error { return j.Finish(prospect, outcome) },
		apply: func(m map[string]found) {
			f := m[prospect]
			f.Progress.Finished, f.Progress.Outcome, f.Progress.Next = true, outcome, ""
			m[prospect] = f
		},
	}
}

func restartStep(prospect string) step {
	return step{
		do:    func(j *Journal) error { return j.Restart(prospect) },
		apply: func(m map[string]found) { delete(m, prospect) },
	}
}

// testSteps has every kind of record. The prospects alternate.
func testSteps() []step {
	body := func(s string) []byte { return []byte(`{"edges":[` + strings.Repeat(s, 9) + `]}`) }
	return []step{
		pageStep(Page{Prospect: "a", Number: 1, Next: "MQ==", Events: 2, Body: body("a1")}),
		pageStep(Page{Prospect: "b/ü", Number: 1, Cursor: "old", Next: "+/=", Events: 1, Body: []byte("{}")}),
		finishStep("c", "not_found"),
		pageStep(Page{Prospect: "a", Number: 2, Cursor: "MQ==", Next: "Mg==", Events: 3, Body: body("a2")}),
		pageStep(Page{Prospect: "b/ü", Number: 2, Cursor: "+/=", Events: 0, Body: body("b2")}),
		finishStep("b/ü", "complete"),
		restartStep("a"),
		pageStep(Page{Prospect: "a", Number: 1, Next: "Mw==", Events: 4, Body: body("A1")}),
		pageStep(Page{Prospect: "b/ü", Number: 1, Next: "again", Events: 5, Body: body("B1")}),
		pageStep(Page{Prospect: "a", Number: 2, Cursor: "Mw==", Events: 5, Body: body("A2")}),
	}
}

var testProspects = []string{"a", "b/ü", "c", "d"}

// after returns the model after the first n steps.
func after(steps []step, n int) map[string]found {
	m := make(map[string]found)
	for _, s := range steps[:n] {
		s.apply(m)
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	if diff := cmp.Diff(Recovery{}, j.Recovered()); diff != "" {
		t.Errorf("a new journal recovered pages (-want +got):\n%s", diff)
	}
	steps := testSteps()
	for i, s := range steps {
		must(t, s.do(j))
		if i == 4 { // a resumed run continues in another segment
			must(t, j.Close())
			j = mustOpen(t, dir)
		}
	}
	must(t, j.Close())

	j = mustOpen(t, dir)
	if diff := cmp.Diff(after(steps, len(steps)), recovered(t, j, testProspects...)); diff != "" {
		t.Errorf("recovered (-want +got):\n%s", diff)
	}
	got := j.Recovered()
	if got.Bytes < 100 {
		t.Errorf("Bytes is %d, want at least 100", got.Bytes)
	}
	got.Bytes = 0
	if diff := cmp.Diff(Recovery{Finished: 1, Unfinished: 2, Pages: 3, Events: 14}, got); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
}

func TestAppendedIsNotRecovered(t *testing.T) {
	j := mustOpen(t, t.TempDir())
	must(t, j.Append(Page{Prospect: "a", Number: 1}))
	must(t, j.Finish("a", "complete"))
	if got := recovered(t, j, testProspects...); len(got) > 0 {
		t.Errorf("a new journal recovered %v", got)
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	for _, s := range testSteps()[:1] {
		must(t, s.do(j))
	}
	must(t, j.Close())
	j = mustOpen(t, dir)
	if _, ok := j.Progress("a"); !ok {
		t.Fatal("nothing was recovered")
	}
	must(t, j.Restart("a"))
	if got := recovered(t, j, testProspects...); len(got) > 0 {
		t.Errorf("after Restart: %v", got)
	}
	must(t, j.Close())
	if got := recovered(t, mustOpen(t, dir), testProspects...); len(got) > 0 {
		t.Errorf("after Restart and Open: %v", got)
	}
}

// TestReadingsNeverMix: pages that are not consecutive are forgotten, and so is a Finish
// after them.
func TestReadingsNeverMix(t *testing.T) {
	first := Page{Prospect: "a", Number: 1, Next: "x", Body: []byte("1")}
	second := Page{Prospect: "a", Number: 2, Cursor: "x", Next: "x"}
	tests := []struct {
		name  string
		pages []Page
	}{
		{"a page is missing", []Page{first, {Prospect: "a", Number: 3, Cursor: "x"}}},
		{"a page occurs twice", []Page{first, second, second}},
		{"another cursor", []Page{first, {Prospect: "a", Number: 2, Cursor: "y"}}},
		{"no cursor", []Page{first, {Prospect: "a", Number: 2}}},
		{"no beginning", []Page{second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			j := mustOpen(t, dir)
			for _, p := range tt.pages {
				must(t, j.Append(p))
			}
			must(t, j.Finish("a", "complete"))
			must(t, j.Close())
			j = mustOpen(t, dir)
			if got := recovered(t, j, "a"); len(got) > 0 {
				t.Errorf("recovered %v", got)
			}
			// A new reading is recovered.
			must(t, j.Append(Page{Prospect: "a", Number: 1, Body: []byte("new")}))
			must(t, j.Finish("a", "complete"))
			must(t, j.Close())
			j = mustOpen(t, dir)
			if p, _ := j.Progress("a"); !p.Finished || p.Pages != 1 {
				t.Errorf("after a new reading: %+v", p)
			}
		})
	}
}

func TestDiscard(t *testing.T) {
	tests := []struct {
		name    string
		binding string
		maxAge  time.Duration
		now     time.Time
		spoil   func(t *testing.T, dir string)
		kept    bool
		reason  string
	}{
		{name: "same", binding: "binding", maxAge: time.Hour, now: noon, kept: true},
		{name: "recent enough", binding: "binding", maxAge: time.Hour, now: noon.Add(time.Hour - 1), kept: true},
		{name: "too old", binding: "binding", maxAge: time.Hour, now: noon.Add(time.Hour), reason: "1h0m0s old"},
		{name: "a slightly wrong clock", binding: "binding", maxAge: time.Hour, now: noon.Add(-time.Minute), kept: true},
		{name: "from the future", binding: "binding", maxAge: time.Hour, now: noon.Add(-time.Hour), reason: "-1h0m0s old"},
		{name: "never used", binding: "binding", maxAge: 0, now: noon, reason: "0s old"},
		{name: "another binding", binding: "bindinG", maxAge: time.Hour, now: noon, reason: "configuration"},
		{name: "another version", binding: "binding", maxAge: time.Hour, now: noon, reason: "version", spoil: func(t *testing.T, dir string) {
			overwrite(t, segmentPath(dir, 1), len(magic), []byte{version + 1})
		}},
		{name: "first segment missing", binding: "binding", maxAge: time.Hour, now: noon, spoil: func(t *testing.T, dir string) {
			must(t, os.Remove(segmentPath(dir, 1)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, id := range []string{"a", "b"} { // two runs, two segments
				j := mustOpen(t, dir)
				must(t, j.Append(Page{Prospect: id, Number: 1, Body: []byte("{}")}))
				must(t, j.Close())
			}
			bystander := filepath.Join(dir, "notes.txt")
			must(t, os.WriteFile(bystander, nil, 0o600))
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			j, err := Open(dir, tt.binding, tt.maxAge, clock(tt.now))
			must(t, err)
			defer j.Close()
			if got := len(recovered(t, j, "a", "b")); got != map[bool]int{true: 2}[tt.kept] {
				t.Errorf("%d prospects were kept", got)
			}
			if got := j.Recovered().Discarded; !strings.Contains(got, tt.reason) || (got == "") != (tt.reason == "") {
				t.Errorf("reason %q, want one with %q", got, tt.reason)
			}
			if numbers, err := segmentsAt(dir); err != nil || (len(numbers) > 0) != tt.kept {
				t.Errorf("segments %v remain, %v", numbers, err)
			}
			if _, err := os.Stat(bystander); err != nil {
				t.Errorf("an unrelated file: %v", err)
			}
			// The next Open recovers exactly the pages that are appended now.
			must(t, j.Append(Page{Prospect: "c", Number: 1}))
			must(t, j.Close())
			j, err = Open(dir, tt.binding, time.Hour, clock(tt.now))
			must(t, err)
			defer j.Close()
			if _, ok := j.Progress("c"); !ok {
				t.Error("a page appended afterwards is lost")
			}
		})
	}
}

// TestSegmentsOfOlderJournal: a crash during the deletion of an older journal leaves some
// of its segments. They do not continue the new journal.
func TestSegmentsOfOlderJournal(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		j := mustOpen(t, dir)
		must(t, j.Append(Page{Prospect: "old", Number: 1}))
		must(t, j.Close())
	}
	remains, err := os.ReadFile(segmentPath(dir, 2))
	must(t, err)
	must(t, os.Remove(segmentPath(dir, 1)))
	must(t, os.Remove(segmentPath(dir, 2)))

	j, err := Open(dir, "binding", time.Hour, clock(noon.Add(time.Second)))
	must(t, err)
	must(t, j.Append(Page{Prospect: "new", Number: 1}))
	must(t, j.Close())
	must(t, os.WriteFile(segmentPath(dir, 2), remains, 0o600))

	j = mustOpen(t, dir)
	if got := recovered(t, j, "old", "new"); len(got) != 1 || got["new"].Progress.Pages != 1 {
		t.Errorf("recovered %v", got)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	if _, err := Open(dir, "binding", time.Hour, clock(noon)); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Open: %v", err)
	}
	must(t, j.Close())
	must(t, mustOpen(t, dir).Close())
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	must(t, j.Append(Page{Prospect: "a", Number: 1}))
	must(t, j.Remove())
	if numbers, err := segmentsAt(dir); err != nil || len(numbers) > 0 {
		t.Errorf("segments %v remain, %v", numbers, err)
	}
	if err := j.Append(Page{Prospect: "a", Number: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Remove: %v", err)
	}
	if err := j.Remove(); !errors.Is(err, ErrClosed) {
		t.Errorf("Remove after Remove: %v", err)
	}
	must(t, j.Close())
	if got := mustOpen(t, dir).Recovered(); got != (Recovery{}) {
		t.Errorf("after Remove: %+v", got)
	}
}

func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	must(t, mustOpen(t, dir).Append(Page{Prospect: "a", Number: 1}))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	must(t, err)
}

func TestRefusedAppends(t *testing.T) {
	j := mustOpen(t, t.TempDir())
	for name, p := range map[string]Page{
		"no prospect":   {Number: 1},
		"number":        {Prospect: "a"},
		"events":        {Prospect: "a", Number: 1, Events: -1},
		"large body":    {Prospect: "a", Number: 1, Body: make([]byte, MaxBody+1)},
		"endless token": {Prospect: "a", Number: 1, Next: strings.Repeat("x", maxFields)},
	} {
		if err := j.Append(p); err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: error %v", name, err)
		}
	}
	must(t, j.Append(Page{Prospect: "a", Number: 1, Body: make([]byte, MaxBody)}))
}

// TestFailedWrite: records after an incomplete record could not be recovered, so the journal
// accepts no record after a failed write.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	must(t, j.Append(Page{Prospect: "a", Number: 1}))
	must(t, j.out.Close())
	if err := j.Append(Page{Prospect: "b", Number: 1}); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Append to a broken segment: %v", err)
	}
	j.out = nil // the next write would succeed
	if err := j.Finish("a", "complete"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Finish afterwards: %v", err)
	}
	if err := j.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Sync afterwards: %v", err)
	}
	must(t, j.Close())
	if got := recovered(t, mustOpen(t, dir), "a", "b"); len(got) != 1 || got["a"].Progress.Finished {
		t.Errorf("recovered %v", got)
	}
}

// TestConcurrentAppends uses small segments and a fast clock, so that rolling and syncing
// happen during other calls.
func TestConcurrentAppends(t *testing.T) {
	const workers, prospects, pages = 8, 20, 5
	dir := t.TempDir()
	var mu sync.Mutex
	ticks := 0
	j, err := Open(dir, "binding", time.Hour, func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		ticks++
		return noon.Add(time.Duration(ticks) * syncInterval / 20)
	})
	must(t, err)
	j.limit = 2 << 10
	body := func(id string, number int) []byte {
		random := rand.New(rand.NewPCG(uint64(number), uint64(len(id))))
		return []byte(strings.Repeat(fmt.Sprint(id, number), random.IntN(300)))
	}
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for p := range prospects {
				id := fmt.Sprintf("%d-%d", w, p)
				for n := range pages {
					page := Page{Prospect: id, Number: n + 1, Cursor: fmt.Sprint(n), Next: fmt.Sprint(n + 1), Events: n, Body: body(id, n+1)}
					if err := j.Append(page); err != nil {
						t.Error(err)
					}
					clear(page.Body) // the journal does not retain it
				}
				if err := errors.Join(j.Finish(id, "complete"), j.Sync()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	must(t, j.Close())
	if numbers, _ := segmentsAt(dir); len(numbers) < 5 {
		t.Errorf("the segments are %v, want more", numbers)
	}

	j = mustOpen(t, dir)
	if got := j.Recovered(); got.Finished != workers*prospects || got.Pages != workers*prospects*pages || got.Lost != 0 {
		t.Errorf("recovered %+v", got)
	}
	for w := range workers {
		group.Go(func() {
			for p := range prospects {
				id := fmt.Sprintf("%d-%d", w, p)
				number := 0
				for page, err := range j.Pages(id, nil) {
					number++
					if err != nil || page.Number != number || !bytes.Equal(page.Body, body(id, number)) {
						t.Errorf("prospect %s, page %d: number %d, error %v", id, number, page.Number, err)
						return
					}
				}
				if p%2 == 0 {
					if err := j.Restart(id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
}

// Pages calls admit before it reads a page, and again before it decompresses the page.
func TestPagesCallsAdmit(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir)
	body := bytes.Repeat([]byte("a"), 8<<20) // which compresses well
	for number, body := range [][]byte{[]byte("{}"), body} {
		must(t, j.Append(Page{Prospect: "a", Number: number + 1, Cursor: strings.Repeat("c", number), Next: "c", Body: body}))
	}
	must(t, j.Close())

	j = mustOpen(t, dir)
	refused := errors.New("there is no memory")
	var sizes []int
	read := 0
	var last error
	for _, err := range j.Pages("a", func(bytes int) error {
		if sizes = append(sizes, bytes); bytes >= len(body) {
			return refused
		}
		return nil
	}) {
		if last = err; err == nil {
			read++
		}
	}
	if read != 1 || !errors.Is(last, refused) || len(sizes) != 4 || sizes[3] != len(body) {
		t.Errorf("%d pages were read, admit was called with %d, and the error is %v", read, sizes, last)
	}
}

func segmentsAt(path string) ([]uint32, error) {
	dir, err := nolink.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return segmentsIn(dir)
}
