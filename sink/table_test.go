package sink_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/jobs/reconcile"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink/internal/rowtest"
	"prospector/sink/parquetfile"
	"prospector/sink/stage"
	"prospector/sink/verify"
)

func prospectsBy(t *testing.T, keys ...string) schemas.Table {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "schemas", "testdata", "prospects.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := schemas.Parse("prospects.hcl", src)
	if err == nil {
		table, err = table.PartitionedBy(keys...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const day = 18_993 // 2022-01-01

// prospect is a row of the table, updated that many hours after 2022-01-01.
func prospect(id, stage, property string, hours int64) rowtest.Row {
	micros := (day*24 + hours) * 3600e6
	return rowtest.Row{"id": id, "stage": stage, "update_date": int32(day + hours/24), "updated_at": micros, "property": property}
}

// Every step from the stage to merging and erasure works with a second table, because
// each finds columns by role.
func TestSecondTable(t *testing.T) {
	rows := []rowtest.Row{
		prospect("c", "TOUR", "Oak", 1), prospect("a", "TOUR", "Elm", 30), prospect("b", "LEASED", "Oak", 2),
		prospect("d", "TOUR", "Elm", 1), prospect("e", "LEASED", "Ash", 50*24),
	}
	for _, test := range []struct {
		keys string
		want map[string][]int // by partition, in the order of the files
	}{
		{"stage update_date", map[string][]int{
			"stage=TOUR/update_date=2022-01-01": {0, 3}, "stage=TOUR/update_date=2022-01-02": {1},
			"stage=LEASED/update_date=2022-01-01": {2}, "stage=LEASED/update_date=2022-02-20": {4},
		}},
		{"update_month", map[string][]int{"update_month=2022-01-01": {0, 3, 2, 1}, "update_month=2022-02-01": {4}}},
		{"update_year stage", map[string][]int{"update_year=2022-01-01/stage=TOUR": {0, 3, 1}, "update_year=2022-01-01/stage=LEASED": {2, 4}}},
	} {
		t.Run(test.keys, func(t *testing.T) {
			table := prospectsBy(t, strings.Fields(test.keys)...)
			s := stage.New(table, t.TempDir(), 0) // so that every row is spilled
			defer s.Close()
			for _, r := range rows {
				if err := s.Add(rowtest.Batch(table.RowColumns(), []rowtest.Row{r})); err != nil {
					t.Fatal(err)
				}
			}
			if newest := s.Facts().Newest.Format("2006-01-02"); newest != "2022-02-20" {
				t.Errorf("the newest row has the date %s", newest)
			}
			if n := len(s.Partitions()); n != len(test.want) {
				t.Errorf("there are %d partitions, want %d", n, len(test.want))
			}
			for _, p := range s.Partitions() {
				path := p.Partition.Path
				var want []rowtest.Row
				for _, i := range test.want[path] {
					want = append(want, rows[i])
				}
				checkPartition(t, table, p, s.Rows(path), want)
			}
		})
	}
}

// checkPartition writes a partition to a file, and reads, verifies, merges and erases
// its rows. A test of package reconcile compares rows of such a table.
func checkPartition(t *testing.T, table schemas.Table, p stage.Staged, staged records.Rows, rows []rowtest.Row) {
	t.Helper()
	ctx, want := context.Background(), rowtest.Only(table.Columns, rows)
	files, err := parquetfile.Write(ctx, filepath.Join(t.TempDir(), "part"), table, parquetfile.Options{Job: "prospects", Compression: "zstd", CreatedBy: "prospector version 1.2.3 (build abc)"}, staged)
	if err != nil {
		t.Fatal(err)
	}
	f := files[0]
	file, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	published := func() records.Rows { return parquetfile.Read(ctx, file, f.Size, table) }
	if diff := cmp.Diff(want, rowtest.MustCollect(t, published())); diff != "" {
		t.Errorf("%s has other rows (-want +got):\n%s", p.Partition.Path, diff)
	}
	if first := rows[0]["update_date"].(int32); f.FirstDay != first {
		t.Errorf("the first day is %d, want %d", f.FirstDay, first)
	}
	if err := verify.Check(ctx, file, f.Size, table, p.Partition, f.Summary); err != nil {
		t.Error(err)
	}
	if n, err := verify.Count(ctx, file, f.Size, table, table.Roles().Entity, rows[0]["id"].(string)); n != 1 || err != nil {
		t.Errorf("the prospect has %d rows, %v", n, err)
	}

	added := prospect("z", "TOUR", "Fir", 5)
	left := rowtest.MustCollect(t, reconcile.WithoutProspect(table, published(), rows[0]["id"].(string)))
	if diff := cmp.Diff(want[1:], left, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after erasing (-want +got):\n%s", diff)
	}
	merged := rowtest.MustCollect(t, stage.Merge(table, published(), rowtest.Stream(nil, rowtest.Batch(table.Columns, []rowtest.Row{added}))))
	if len(merged) != len(rows)+1 {
		t.Errorf("the merge has %d rows, want %d", len(merged), len(rows)+1)
	}
}
