package reconcile

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"prospector/jobs/state"
	"prospector/sink/stage"
)

// A partition with large rows, staged or published, is processed alone; others are
// not.
func TestLargeRowsAreBuiltAlone(t *testing.T) {
	const width = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(width))
	withFile := func(size, rows int64) published {
		return published{prior: state.Partition{Files: []state.File{{Rows: rows, Object: state.Object{Size: size}}}}}
	}
	large := map[string]*partitionDiff{
		"staged":                       {staged: stage.Staged{LargestRow: largeRow}},
		"in a stage of published rows": {published: published{largest: largeRow}},
		"published":                    {published: withFile(60<<20, 2)},
	}
	partitions := []*partitionDiff{{}, {}, {staged: stage.Staged{LargestRow: largeRow - 1}}, {published: withFile(256<<20, 1_000_000)}}
	for name, p := range large {
		if !p.hasLargeRows() {
			t.Errorf("%s: it has no large rows", name)
		}
		partitions = append(partitions, p, &partitionDiff{}, &partitionDiff{}, &partitionDiff{})
	}
	var running, together atomic.Int64
	r := &reconciler{Input: Input{Memory: width * 96 << 20}}
	reads := func(*partitionDiff) bool { return false }
	err := r.eachPartition(t.Context(), partitions, reads, func(_ context.Context, p *partitionDiff) error {
		n := running.Add(1)
		defer running.Add(-1)
		if n > 1 && p.hasLargeRows() {
			t.Errorf("%d others run next to large rows", n-1)
		}
		together.Store(max(together.Load(), n))
		time.Sleep(10 * time.Millisecond)
		if n := running.Load(); n > 1 && p.hasLargeRows() {
			t.Errorf("%d others began next to large rows", n-1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if together.Load() < 2 {
		t.Error("ordinary partitions are processed one at a time")
	}
}
