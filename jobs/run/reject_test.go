package run

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/planfile"
	"prospector/schemas"
	"prospector/sink"
)

const (
	january  = "event_type=SMS_MESSAGE/event_date=2022-01-13"
	february = "event_type=SMS_MESSAGE/event_date=2022-02-13"
	march    = "event_type=SMS_MESSAGE/event_date=2022-03-13"
)

// rejects makes the second reader find wrong descriptions in some partitions.
func (h *house) rejects(paths ...string) {
	h.prepare = func(s *Session) {
		check := s.files.Verify
		s.files.Verify = func(ctx context.Context, r io.ReaderAt, size int64, table schemas.Table, p sink.Partition, want sink.Summary) error {
			if slices.Contains(paths, p.Path) {
				want.Columns = slices.Clone(want.Columns)
				for i := range want.Columns {
					if want.Columns[i].Name == "description" {
						want.Columns[i].Values.Lo++
					}
				}
			}
			return check(ctx, r, size, table, p, want)
		}
	}
}

const secretText = "call me at five"

// message returns an event that was created in January and takes place at a given
// time.
func message(created, at string) string {
	return `{"type":"SMS_MESSAGE","description":"` + secretText + `","eventTime":"2022-` + at + `-13T10:00:00Z","createdAt":"2022-01-0` + created + `T10:00:00Z"}`
}

func (h *house) partitions() []string {
	var all []string
	table := filepath.Join(h.root(), "prospect_events")
	for path := range snapshot(h, table) {
		all = append(all, strings.TrimPrefix(filepath.Dir(path), table+"/"))
	}
	slices.Sort(all)
	return all
}

// The second reader rejects the file of one partition. The other partitions are
// published, the rejected file is kept for the user, and the next run publishes the rest.
func TestOneRejectedFile(t *testing.T) {
	h := newHouse(t)
	h.events(message("1", "01"), message("2", "02"), message("3", "03"))
	h.rejects(february)
	p, err := h.try(t.Context())
	var ds jobs.Diagnostics
	if err == nil || !asDiagnostics(err, &ds) || len(ds) != 1 {
		t.Fatalf("the apply ended with %v", err)
	}
	if diff := cmp.Diff([]string{january, march}, h.partitions()); diff != "" {
		t.Errorf("the partitions (-want +got):\n%s", diff)
	}
	if b := p.Jobs[0].Source.Books; b.Events != 3 || b.Added != 2 || b.Rejected != 1 || b.Check() != nil {
		t.Errorf("the books are %+v", b)
	}
	if d := ds[0]; d.Address != `job.prospect_events.partition["`+february+`"]` || d.Severity != jobs.Error {
		t.Errorf("the diagnostic is of %s, %s", d.Address, d.Severity)
	}
	kept := filepath.Join(h.dir, ".prospector", "rejected", "job.prospect_events-00001-00000.parquet")
	for _, want := range []string{
		"description: expected the values that were written, with the digest ", kept, "CRC32C ", "1 rows",
		jobs.CreatedBy(), "bug in prospector", "faulty memory", "next run tries",
	} {
		if !strings.Contains(ds[0].Detail, want) {
			t.Errorf("%q is not in:\n%s", want, ds[0].Detail)
		}
	}
	if strings.Contains(err.Error(), secretText) {
		t.Errorf("the report has a value of an event:\n%v", err)
	}
	for path, mode := range map[string]os.FileMode{kept: 0o600, filepath.Dir(kept): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}

	if p, err = h.try(t.Context()); err == nil || p.Jobs[0].Source.Books.Unchanged != 2 || p.Jobs[0].Source.Missing != (plan.Missing{}) {
		t.Errorf("the second apply: %v, %+v, %+v", err, p.Jobs[0].Source.Books, p.Jobs[0].Source.Missing)
	}
	h.prepare = nil
	h.apply()
	if diff := cmp.Diff([]string{january, february, march}, h.partitions()); diff != "" {
		t.Errorf("the partitions, in the end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(h.fromScratch(), h.lake(h.root())); diff != "" {
		t.Errorf("the lake is not that of one run (-want +got):\n%s", diff)
	}
}

func asDiagnostics(err error, ds *jobs.Diagnostics) bool {
	*ds = jobs.Diagnose(err, "")
	return len(*ds) > 0 && (*ds)[0].Summary != ""
}

// If an event moves to a partition whose file is rejected, neither partition changes. Nor
// does a third partition, if an event moves from it to the first.
func TestRejectedFileOfMovedEvents(t *testing.T) {
	for _, rejected := range []string{january, february} {
		t.Run(rejected, func(t *testing.T) {
			h := newHouse(t)
			h.events(message("1", "01"), message("2", "01"), message("3", "02"), message("4", "03"))
			h.apply()
			before := h.rows()
			// The first event moves to February, the second changes, and the last is new.
			h.events(message("1", "02"), message("2", "01"), message("3", "02"), message("4", "03"), message("5", "03"))
			h.rejects(rejected)
			p, err := h.try(t.Context())
			var ds jobs.Diagnostics
			if err == nil || !asDiagnostics(err, &ds) || len(ds) != 2 {
				t.Fatalf("the apply ended with %v", err)
			}
			if ds[1].Summary != "A partition depends on a rejected file" {
				t.Errorf("the linked partition is reported as %q", ds[1].Summary)
			}
			rows := h.rows()
			if len(rows) != len(before)+1 {
				t.Errorf("%d rows became %d", len(before), len(rows))
			}
			for id := range before {
				if diff := cmp.Diff(before[id], rows[id]); diff != "" {
					t.Errorf("a row was changed or lost (-before +after):\n%s", diff)
				}
			}
			if b := p.Jobs[0].Source.Books; b.Check() != nil || b.Rejected != 3 || b.Added != 1 || b.Unchanged != 1 {
				t.Errorf("the books are %+v", b)
			}
			h.prepare = nil
			h.apply()
			if diff := cmp.Diff(h.fromScratch(), h.lake(h.root())); diff != "" {
				t.Errorf("the lake is not that of one run (-want +got):\n%s", diff)
			}
		})
	}
}

// If a file is rejected, the quarantine does not change, since one of its events may be
// in the rejected file.
func TestRejectedFileOfQuarantinedEvent(t *testing.T) {
	h := newHouse(t)
	bad := `{"type":"SMS_MESSAGE","description":"x"}`
	h.events(message("1", "01"), bad)
	h.apply()
	quarantine := snapshot(t, filepath.Join(h.root(), ".prospector"))
	h.events(message("1", "01"), message("2", "02"))
	h.rejects(february)
	if _, err := h.try(t.Context()); err == nil {
		t.Fatal("nothing was rejected")
	}
	if diff := cmp.Diff(quarantine, snapshot(t, filepath.Join(h.root(), ".prospector"))); diff != "" {
		t.Errorf("the quarantine was changed:\n%s", diff)
	}
}

// A table is rewritten completely or not at all.
func TestRejectedFileOfRewrite(t *testing.T) {
	h := newHouse(t)
	h.events(message("1", "01"), message("2", "02"))
	h.apply()
	before := snapshot(t, h.root())
	table, err := h.job().Schema.Declare(schemas.Column{Name: "unread", Type: schemas.Int64, From: []string{"unread"}})
	if err != nil {
		t.Fatal(err)
	}
	h.job().Schema = table
	h.rejects(february)
	_, err = h.try(t.Context())
	if err == nil || !strings.Contains(err.Error(), "rewrites all partitions together") || !strings.Contains(err.Error(), "rejected") {
		t.Fatalf("the apply ended with %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, h.root())); diff != "" {
		t.Errorf("something was published:\n%s", diff)
	}
}

// A saved plan reports the rejected files, and publishes the rest.
func TestRejectedFileOfSavedPlan(t *testing.T) {
	h := newHouse(t)
	h.events(message("1", "01"), message("2", "02"))
	ctx, s, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.rejects(february)
	h.prepare(s)
	path := filepath.Join(h.dir, "a.plan")
	p, err := s.Plan(ctx, PlanOptions{})
	if err == nil {
		err = s.SavePlan(p, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if shown, err := planfile.Read(path); err != nil || len(shown.Jobs[0].Problems.Rejected) != 1 || shown.Blocked() != nil {
		t.Errorf("the plan is shown as %+v, %v", shown, err)
	}
	ctx, s, err = h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := s.LoadPlan(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, loaded); err == nil || !strings.Contains(err.Error(), "rejects") {
		t.Errorf("the apply ended with %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{january}, h.partitions()); diff != "" {
		t.Errorf("the partitions (-want +got):\n%s", diff)
	}
}
