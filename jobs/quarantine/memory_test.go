package quarantine

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"prospector/jobs/plan"
)

// However large a quarantine is, it takes about as much memory as its limit.
func TestMemory(t *testing.T) {
	const (
		limit     = 4 << 20
		prospects = 500
		events    = 60 // of each prospect, with about 1 kB
	)
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, peak := live(), int64(0)
	dir := t.TempDir()
	q := New(filepath.Join(dir, "q"), limit)
	defer q.Close()
	text := strings.Repeat("x", 1000)
	for p := range prospects {
		for i := range events {
			err := q.Add(Event{Prospect: fmt.Sprint(p), Reason: "no time", Index: i, Raw: fmt.Appendf(nil, `{"type":"A","n":%d,"text":"%s"}`, i, text)})
			if err != nil {
				t.Fatal(err)
			}
		}
		if p%50 == 0 {
			peak = max(peak, live()-before)
		}
	}
	if err := q.Finish(); err != nil {
		t.Fatal(err)
	}
	peak = max(peak, live()-before)
	found := map[string]*plan.Refreshed{sink: {}}
	change, err := q.Change(table, []string{sink}, found, filepath.Join(dir, "quarantine.jsonl"))
	if err != nil || change.After != prospects*events {
		t.Fatalf("the change is %+v, error %v", change, err)
	}
	peak = max(peak, live()-before)
	t.Logf("%d MiB of events took %d KiB", change.Staged.Size>>20, peak>>10)
	if peak > 2*limit {
		t.Errorf("%d KiB were in use, and at most %d are expected", peak>>10, 2*limit>>10)
	}
}
