package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
)

// A table that is partitioned otherwise keeps its rows, also those that the
// source does not give any more, at whatever instant the rewriting is killed.
func TestRewriteKeepsEveryRow(t *testing.T) {
	former, err := schemas.KnockEvents().PartitionedBy("event_month")
	if err != nil {
		t.Fatal(err)
	}
	// whole puts the keys of the partition among the values.
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
	ended := false
	for lives := int64(1); !ended; lives++ {
		t.Run(fmt.Sprint("killed at operation ", lives), func(t *testing.T) {
			w := newWorld(t, 7)
			w.job().DeleteForeign = false
			w.job().Table = former
			if err := w.undisturbed(); err != nil {
				t.Fatal(err)
			}
			want := whole(w.rows())

			// Only one prospect is left, and every event has another place.
			w.listed = 1
			w.source()
			if w.job().Table, err = former.PartitionedBy("event_type", "event_date"); err != nil {
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
			if err != nil || !p.Empty() || len(p.Jobs[0].Drift) > 0 {
				t.Errorf("the next plan: %v, %+v, %v", err, p.Summary(), p.Jobs[0].Drift)
			}
		})
		if lives > 400 {
			t.Fatal("the apply does not end")
		}
	}
}
