package stage

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/internal/rowtest"
)

// byPartition returns the rows that a stage must return, by the path of their partition.
// It computes the paths without package sink.
func byPartition(table schemas.Table, rows []rowtest.Row) map[string][]rowtest.Row {
	parts := make(map[string][]rowtest.Row)
	for _, r := range rows {
		at := time.Unix(int64(r["event_date"].(int32))*rowtest.SecondsPerDay, 0).UTC()
		path := make([]string, len(table.PartitionBy))
		for i, c := range table.PartitionBy {
			switch c.Name {
			case "event_type":
				path[i] = "event_type=" + strings.ReplaceAll(r["event_type"].(string), " ", "_x20_")
			case "event_date":
				path[i] = "event_date=" + at.Format("2006-01-02")
			case "event_month":
				path[i] = "event_month=" + at.Format("2006-01") + "-01"
			case "event_year":
				path[i] = "event_year=" + at.Format("2006") + "-01-01"
			}
		}
		parts[strings.Join(path, "/")] = append(parts[strings.Join(path, "/")], r)
	}
	for path, part := range parts {
		parts[path] = rowtest.Only(table.Columns, part)
		rowtest.Sort(parts[path])
	}
	return parts
}

// checkStage compares everything that a stage returns with the rows in want.
func checkStage(t testing.TB, s *Stage, table schemas.Table, want map[string][]rowtest.Row) {
	t.Helper()
	var paths []string
	for _, p := range s.Partitions() {
		path := p.Partition.Path
		paths = append(paths, path)
		if parsed, err := sink.ParsePartition(table, path); err != nil || !cmp.Equal(parsed, p.Partition) {
			t.Errorf("%s has the keys %+v (%v)", path, p.Partition.Keys, err)
		}
		if p.Rows != int64(len(want[path])) {
			t.Errorf("%s has %d rows, not %d", path, p.Rows, len(want[path]))
		}
		if content := rowtest.Digest(table.Columns, want[path]); p.Content != content {
			t.Errorf("%s has the content %s, not %s", path, p.Content, content)
		}
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(paths, sorted) {
		t.Fatalf("the partitions are %q, not %q", paths, sorted)
	}
	// Read several partitions at the same time, as a run does.
	var all sync.WaitGroup
	for _, path := range paths {
		all.Go(func() {
			got, err := rowtest.Collect(s.Rows(path))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if !cmp.Equal(want[path], got) {
				t.Errorf("the rows of %s differ (-want +got):\n%s", path, cmp.Diff(want[path], got))
			}
		})
	}
	all.Wait()
	if got := rowtest.MustCollect(t, s.Rows("event_type=NONE/event_date=1900-01-01")); len(got) > 0 {
		t.Errorf("a partition that does not exist has %d rows", len(got))
	}
}

// The result does not depend on batches, their order or the memory limit.
func TestStage(t *testing.T) {
	for _, keys := range []string{"event_type event_date", "event_month event_type", "event_year", "event_date"} {
		for _, limit := range []int64{0, 20_000, 100_000, math.MaxInt64} { // spill always, often, sometimes, never
			t.Run(fmt.Sprintf("%s/%d", keys, limit), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, uint64(limit)))
				table := rowtest.Partitioned(t, strings.Fields(keys)...)
				rows := rowtest.SomeRows(rng, 600)
				dir := filepath.Join(t.TempDir(), "not", "there", "yet")
				s := New(table, dir, limit)
				for _, batch := range rowtest.Cut(rng, table.RowColumns(), rows) {
					if err := s.Add(batch); err != nil {
						t.Fatal(err)
					}
				}
				runs := 0
				for _, p := range s.byPath {
					runs += len(p.runs)
				}
				if limit == math.MaxInt64 && runs > 0 || limit == 0 && runs < 50 || limit > 0 && limit < math.MaxInt64 && runs < 2 {
					t.Errorf("%d runs are spilled", runs)
				}
				if spilled := rowtest.FilesIn(t, dir); (s.Spilled() > 0) != (runs > 0) || (len(spilled) == 1) != (runs > 0) {
					t.Errorf("%d runs with %d bytes are spilled to the files %q", runs, s.Spilled(), spilled)
				}
				want := byPartition(table, rows)
				checkStage(t, s, table, want)
				checkStage(t, s, table, want) // it can be read repeatedly
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if left := rowtest.FilesIn(t, dir); len(left) > 0 {
					t.Errorf("%q are left", left)
				}
			})
		}
	}
}

func TestEmptyStage(t *testing.T) {
	s := New(rowtest.EveryType(), t.TempDir(), 0)
	checkStage(t, s, rowtest.EveryType(), nil)
	if err := s.Add(rowtest.Batch(rowtest.EveryType().RowColumns(), nil)); err != nil {
		t.Error(err)
	}
	checkStage(t, s, rowtest.EveryType(), nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestStageIsFilledConcurrently(t *testing.T) {
	table := rowtest.EveryType()
	rng := rand.New(rand.NewPCG(1, 2))
	rows := rowtest.SomeRows(rng, 2000)
	batches := rowtest.Cut(rng, table.RowColumns(), rows)
	s := New(table, t.TempDir(), 200_000)
	defer s.Close()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < len(batches); i += 4 {
				if err := s.Add(batches[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if s.Spilled() == 0 {
		t.Error("nothing was spilled: the test is ineffective")
	}
	checkStage(t, s, table, byPartition(table, rows))
}

// A consumer that stops early does not change the stage.
func TestStageRowsStopEarly(t *testing.T) {
	table := rowtest.Partitioned(t, "event_year")
	rng := rand.New(rand.NewPCG(1, 2))
	rows := rowtest.SomeRows(rng, 500)
	s := New(table, t.TempDir(), 50_000)
	defer s.Close()
	for _, batch := range rowtest.Cut(rng, table.RowColumns(), rows) {
		if err := s.Add(batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range s.Partitions() {
		for range s.Rows(p.Partition.Path) {
			break
		}
	}
	checkStage(t, s, table, byPartition(table, rows))
}

func TestStageErrors(t *testing.T) {
	table := rowtest.EveryType()
	batch := rowtest.Batch(table.RowColumns(), rowtest.SomeRows(rand.New(rand.NewPCG(1, 2)), 100))
	t.Run("the directory cannot be created", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := New(table, filepath.Join(file, "dir"), 0)
		defer s.Close()
		err := s.Add(batch)
		if pathErr := (*os.PathError)(nil); !errors.As(err, &pathErr) || !strings.Contains(err.Error(), "spilling staged rows") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("the file cannot be created", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "spill.arrow"), 0o700); err != nil {
			t.Fatal(err)
		}
		s := New(table, dir, 0)
		defer s.Close()
		err := s.Add(batch)
		if pathErr := (*os.PathError)(nil); !errors.As(err, &pathErr) || !strings.Contains(err.Error(), "spilling staged rows") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("the spill file is truncated", func(t *testing.T) {
		dir := t.TempDir()
		s := New(table, dir, 0)
		if err := s.Add(batch); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Partitions() { // the first read completes the file
			rowtest.MustCollect(t, s.Rows(p.Partition.Path))
		}
		if err := os.Truncate(filepath.Join(dir, "spill.arrow"), 1000); err != nil {
			t.Fatal(err)
		}
		broken := 0
		for _, p := range s.Partitions() {
			if _, err := rowtest.Collect(s.Rows(p.Partition.Path)); err != nil {
				broken++
				if !strings.Contains(err.Error(), "spill.arrow") {
					t.Errorf("the error does not name the file: %v", err)
				}
			}
		}
		if broken == 0 {
			t.Error("the damage is not detected")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
