package stage

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"

	"prospector/sink"
	"prospector/sink/internal/rowtest"
	"prospector/sink/parquetfile"
)

// Rows do not change when they are written with some partition keys, read, and reshaped
// for a table with others.
func TestReshape(t *testing.T) {
	keys := [][]string{{"event_type", "event_date"}, {"event_month"}, {"event_year", "event_type"}, {"event_date"}}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, before := range keys {
		for _, after := range keys {
			t.Run(strings.Join(before, ",")+" to "+strings.Join(after, ","), func(t *testing.T) {
				from, to := rowtest.Partitioned(t, before...), rowtest.Partitioned(t, after...)
				rows := rowtest.SomeRows(rng, 40)
				stage := New(from, t.TempDir(), 1<<20)
				defer stage.Close()
				if err := stage.Add(rowtest.Batch(from.RowColumns(), rows)); err != nil {
					t.Fatal(err)
				}
				moved := New(to, t.TempDir(), 1<<20)
				defer moved.Close()
				for _, p := range stage.Partitions() {
					files, err := parquetfile.Write(context.Background(), filepath.Join(t.TempDir(), "part"), from, parquetfile.Options{Job: "j", Compression: "snappy"}, stage.Rows(p.Partition.Path))
					if err != nil {
						t.Fatal(err)
					}
					f, err := os.Open(files[0].Path)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					parsed, err := sink.ParsePartition(from, p.Partition.Path)
					if err != nil {
						t.Fatal(err)
					}
					for batch, err := range Reshape(parquetfile.Read(context.Background(), f, files[0].Size, from), from, parsed, to) {
						if err == nil {
							err = moved.Add(batch)
						}
						if err != nil {
							t.Fatal(err)
						}
					}
				}
				checkStage(t, moved, to, byPartition(to, rows))
			})
		}
	}
}

// Reshaping for the same table turns the keys of the partition into columns.
func TestReshapeToItself(t *testing.T) {
	for _, keys := range []string{"event_type event_date", "event_date event_type", "event_month event_type", "event_year"} {
		t.Run(keys, func(t *testing.T) {
			table := rowtest.Partitioned(t, strings.Fields(keys)...)
			parts := make(map[string][]rowtest.Row)
			for _, r := range rowtest.SomeRows(rand.New(rand.NewPCG(1, 2)), 100) {
				p := sink.PartitionOf(table, r["event_type"].(string), r["event_date"].(int32))
				parts[p.Path] = append(parts[p.Path], r)
			}
			for path, rows := range parts {
				p, err := sink.ParsePartition(table, path)
				if err != nil {
					t.Fatal(err)
				}
				got := rowtest.MustCollect(t, Reshape(rowtest.Stream(nil, rowtest.Batch(table.Columns, rows)), table, p, table))
				if diff := cmp.Diff(rows, got); diff != "" {
					t.Errorf("the rows of %s differ (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

// A column that neither the file nor the path has is an error, not a column of NULLs.
func TestReshapeMissingColumn(t *testing.T) {
	from := rowtest.Partitioned(t, "event_type", "event_date")
	rows := func(yield func(arrow.Record, error) bool) {
		yield(rowtest.Batch(from.Columns, rowtest.SomeRows(rand.New(rand.NewPCG(1, 1)), 1)), nil)
	}
	for _, err := range Reshape(rows, from, sink.Partition{Path: "elsewhere"}, rowtest.Partitioned(t, "event_month")) {
		if err == nil || !strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestFacts(t *testing.T) {
	table := rowtest.EveryType()
	stage := New(table, t.TempDir(), 1<<20)
	defer stage.Close()
	if f := stage.Facts(); f.Rows != 0 || !f.Newest.IsZero() {
		t.Errorf("an empty stage has the facts %+v", f)
	}
	rows := rowtest.SomeRows(rand.New(rand.NewPCG(3, 4)), 50)
	want := Facts{Rows: 50, Nulls: make(map[string]int64)}
	for _, r := range rows {
		for _, c := range table.Columns {
			if _, ok := r[c.Name]; !ok {
				want.Nulls[c.Name]++
			} else if want.Nulls[c.Name] += 0; c.Name == "event_time" {
				if at := time.UnixMicro(r[c.Name].(int64)).UTC(); want.Newest.IsZero() || at.After(want.Newest) {
					want.Newest = at
				}
			}
		}
	}
	for i := range 5 {
		if err := stage.Add(rowtest.Batch(table.RowColumns(), rows[i*10:i*10+10])); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, stage.Facts()); diff != "" {
		t.Errorf("the facts differ (-want +got):\n%s", diff)
	}
	if want.Newest.IsZero() || want.Nulls["event_time"] == 0 {
		t.Error("the test is ineffective")
	}
}
