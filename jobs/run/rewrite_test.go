package run

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/audit"
	"prospector/schemas"
)

// A change of partition keys keeps all rows, even those that the source no longer
// returns, and even if the rewrite is killed at any time.
func TestRewriteKeepsEveryRow(t *testing.T) {
	former, err := schemas.KnockEvents().PartitionedBy("event_month")
	if err != nil {
		t.Fatal(err)
	}
	// whole adds the partition keys to the values of each row.
	whole := func(rows map[string]map[string]string) map[string]map[string]string {
		for _, row := range rows {
			for segment := range strings.SplitSeq(row[""], "/") {
				if key, value, ok := strings.Cut(segment, "="); ok && key != "event_month" {
					row[key] = value
				}
			}
			delete(row, "")
		}
		return rows
	}
	for _, target := range []int64{0, 2 << 10} { // with the second, a partition has several files
		for ended, lives := false, int64(1); !ended; lives += 1 + target>>10 {
			t.Run(fmt.Sprintf("files of %d bytes, killed at operation %d", target, lives), func(t *testing.T) {
				w := newWorld(t, 7)
				w.job().DeleteForeign = false
				w.job().Schema, w.job().TargetFileSize = former, target
				if err := w.undisturbed(); err != nil {
					t.Fatal(err)
				}
				want := whole(w.rows())

				// Only one prospect is left, and every event is in another partition.
				w.listed = 1
				w.source()
				if w.job().Schema, err = former.PartitionedBy("event_type", "event_date"); err != nil {
					t.Fatal(err)
				}
				err := w.apply(lives)
				if ended = !w.life.over(); ended && err != nil {
					t.Fatalf("without being killed: %v", err)
				}
				if err := w.undisturbed(); err != nil {
					t.Fatalf("after %v: %v", err, err)
				}
				if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(whole(w.rows())))); diff != "" {
					t.Errorf("after %v there are other rows:\n%s", err, diff)
				}
				if diff := cmp.Diff(want, whole(w.rows())); diff != "" {
					t.Errorf("after %v the rows are others:\n%s", err, diff)
				}
				for _, file := range w.files() {
					if strings.Contains(file, "event_month") {
						t.Errorf("after %v, %s is still there", err, file)
					}
				}
				p, err := w.plan(1 << 40)
				if err != nil || !p.Empty() || len(p.Jobs[0].Found.Drift) > 0 {
					t.Errorf("the next plan: %v, %+v, %v", err, p.Summary(), p.Jobs[0].Found.Drift)
				}
			})
			if lives > 400 {
				t.Fatal("the apply does not end")
			}
		}
	}
}

// After a change of columns, the table equals one that always had these columns, even in
// rows that the source no longer returns, and even if the rewrite is killed at any time.
func TestColumnsOfEveryRow(t *testing.T) {
	former, err := schemas.KnockEvents().Declare(columns[1]...)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][]schemas.Column{
		"added": slices.Concat(columns[1], columns[4]), "widened": columns[2], "retyped": columns[3], "removed": columns[0],
	} {
		ended := false
		for lives := int64(1); !ended; lives += 3 {
			t.Run(fmt.Sprint(name, ", killed at operation ", lives), func(t *testing.T) {
				w := newWorld(t, 7)
				w.night = 31
				w.source()
				w.job().DeleteForeign = false
				w.job().TargetFileSize = 8 << 10 * (lives % 2)
				w.job().Schema = by(t, former, "event_month")
				if err := w.undisturbed(); err != nil {
					t.Fatal(err)
				}
				to, err := schemas.KnockEvents().Declare(change...)
				if err != nil {
					t.Fatal(err)
				}
				w.job().Schema = by(t, to, "event_month")
				w.config.Lock = schemas.Lock{w.job().Address: to}
				want := w.fromScratch()

				w.listed = 1
				w.source()
				err = w.apply(lives)
				if ended = !w.life.over(); ended && err != nil {
					t.Fatalf("without being killed: %v", err)
				}
				if err := w.undisturbed(); err != nil {
					t.Fatalf("after %v: %v", err, err)
				}
				if diff := cmp.Diff(want, w.lake(w.root())); diff != "" {
					t.Errorf("after %v, the lake differs from one that always had this table:\n%s", err, diff)
				}
				p, err := w.plan(1 << 40)
				if err != nil || !p.Empty() || len(p.Jobs[0].Found.Drift) > 0 || p.Jobs[0].Output.Rewrite != nil {
					t.Errorf("the next plan: %v, %+v, %v", err, p.Summary(), p.Jobs[0].Found.Drift)
				}
				if v, err := w.verified(); err != nil || len(v.Findings) > 0 {
					t.Errorf("the second reader finds: %v, %v", v.Findings, err)
				}
			})
			if lives > 400 {
				t.Fatal("the apply does not end")
			}
		}
	}
}

func by(t *testing.T, table schemas.Table, keys ...string) schemas.Table {
	t.Helper()
	table, err := table.PartitionedBy(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func (w *world) verified() (audit.Result, error) {
	ctx, s, err := w.session(1 << 40)
	if err != nil {
		return audit.Result{}, err
	}
	v, err := s.Verify(ctx, func(int, int) {})
	return v, errors.Join(err, s.Close())
}

// If a rewrite with other keys is killed, and then the source no longer returns the
// events of that run, the published ones stay.
func TestRewriteKilledAndSourceGone(t *testing.T) {
	both := 0
	for lives := int64(5); ; lives++ {
		w := newWorld(t, 7)
		w.job().DeleteForeign = false
		w.job().Schema = by(t, schemas.KnockEvents(), "event_month")
		w.people(map[string][]string{"a": {on(1, "x")}, "b": {on(2, "y")}})
		if err := w.undisturbed(); err != nil {
			t.Fatal(err)
		}
		w.job().Schema = schemas.KnockEvents()
		w.people(map[string][]string{"a": {on(1, "x")}, "b": {on(2, "y"), on(9, "new")}})
		err := w.apply(lives)
		published := slices.ContainsFunc(w.files(), func(file string) bool { return strings.Contains(file, "event_date=2022-01-09") })
		w.people(map[string][]string{"a": {on(1, "x")}})
		if err := w.undisturbed(); err != nil {
			t.Fatal(err)
		}
		want := []string{"x", "y"}
		if published {
			both++
			want = []string{"new", "x", "y"}
		}
		if diff := cmp.Diff(want, w.bodies()); diff != "" {
			t.Errorf("killed at operation %d (%v), there are other rows (-want +got):\n%s", lives, err, diff)
		}
		if err == nil {
			break
		}
	}
	if both < 5 {
		t.Errorf("the row was published only %d times, so the test is void", both)
	}
}
