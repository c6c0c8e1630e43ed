package read

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/jobs"
	"prospector/schemas"
	"prospector/transform"
)

// fake is a source with one page for each prospect. A prospect without a page is
// unknown.
type fake struct {
	pages     map[string]string // the events, as JSON
	requested []string
}

func (f *fake) Pages(_ context.Context, prospect string, _ extract.Position) iter.Seq2[extract.Page, error] {
	return func(yield func(extract.Page, error) bool) {
		f.requested = append(f.requested, prospect)
		events, ok := f.pages[prospect]
		if !ok {
			yield(extract.Page{}, &extract.Error{Prospect: prospect, Status: 404, Kind: extract.ErrNotFound})
			return
		}
		page := extract.Page{Body: []byte(`{"list":[` + events + `]}`)}
		if events != "" {
			page.Events = 1
		}
		yield(page, nil)
	}
}

func (f *fake) Turn(context.Context) (func(), error) { return func() {}, nil }
func (f *fake) Stats() extract.Stats                 { return extract.Stats{Requests: int64(len(f.requested))} }
func (f *fake) Envelope() extract.Envelope           { return extract.Envelope{Events: "list", Event: "it"} }
func (f *fake) Silent([]byte) bool                   { return false }
func (f *fake) Binding() string                      { return "fake" }
func (f *fake) Close() error                         { return nil }

type silent struct{}

func (silent) JobStarted(string, int)   {}
func (silent) Resumed(string, int, int) {}
func (silent) Progress(Progress)        {}

// A run over any source reads every prospect once. The next run takes the pages from
// the journal.
func TestRun(t *testing.T) {
	source := &fake{pages: map[string]string{
		"a": `{"it":{"type":"SMS_MESSAGE","eventTime":"2022-01-03T10:00:00Z"}}`,
		"b": `{"it":{"type":"SMS_MESSAGE"}}`, // without a time, it cannot become a row
		"c": ``,
	}}
	dir := filepath.Join(t.TempDir(), "journal")
	run := func() (result *Result, rows, rejected int64, visits map[string]Outcome) {
		t.Helper()
		journal, err := spool.Open(dir, Binding("job.events", source), JournalAge, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		visits = make(map[string]Outcome)
		result, err = Run(t.Context(), Input{
			Job:    jobs.Job{Block: jobs.Block{Address: "job.events"}, Schema: schemas.KnockEvents()},
			Source: source, Prospects: []string{"a", "b", "c", "d"}, Journal: journal, Concurrency: 1,
			Rows:     func(batch arrow.Record) error { rows += batch.NumRows(); return nil },
			Rejected: func(transform.Rejected) error { rejected++; return nil },
			Visited:  func(v Visit) { visits[v.Prospect] = v.Outcome },
			Observer: silent{}, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return result, rows, rejected, visits
	}
	result, rows, rejected, visits := run()
	if rows != 1 || rejected != 1 || result.Books.Events != 2 {
		t.Errorf("%d rows, %d rejected events, books %+v", rows, rejected, result.Books)
	}
	if got, want := fmt.Sprint(visits), "map[a:complete b:complete c:complete d:not_found]"; got != want {
		t.Errorf("the outcomes are %s, want %s", got, want)
	}
	if c := result.Complete; c["a"] != HasEvents || c["b"] != HasRejected || c["c"] != EmptyNow {
		t.Errorf("the contents are %v", c)
	}
	if len(result.Exceptions) != 1 || result.Exceptions[0].Prospect != "d" {
		t.Errorf("the exceptions are %+v", result.Exceptions)
	}

	source.requested = nil
	if _, rows, rejected, _ = run(); rows != 1 || rejected != 1 {
		t.Errorf("resumed: %d rows, %d rejected events", rows, rejected)
	}
	if got := fmt.Sprint(source.requested); got != "[d]" {
		t.Errorf("resumed: requests for %s", got)
	}
}
