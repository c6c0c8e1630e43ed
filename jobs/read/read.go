// Package read reads the events of a job's prospects from a source, and flattens them
// into rows.
//
// It reads every prospect once, to the last page if the source allows it. It takes
// the pages of an interrupted run from a journal instead of requesting them again, and
// appends each new page to the journal before it flattens the page. It counts the
// outcomes of prospects and events, and ends the run when the source is down.
//
// It does not compare rows, store rejected events, or decide about published rows of
// prospects that it could not read. Callers do, based on Visited and Result.
package read

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/internal/bug"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/transform"
)

// Input is what Run works on.
type Input struct {
	Job       jobs.Job
	Source    extract.Source
	Prospects []string
	// Journal has the pages of an interrupted run with the same Binding, and receives
	// every new page.
	Journal *spool.Journal
	// Rows receives batches of rows with the columns of the table's RowColumns, and
	// Rejected each event that cannot become a row. Both are called concurrently.
	Rows     func(arrow.Record) error
	Rejected func(transform.Rejected) error
	// Visited receives each prospect, after it was read or could not be read. It is
	// called for one prospect at a time.
	Visited  func(Visit)
	Observer Observer
	Now      func() time.Time
	// Concurrency is how many prospects are read at once.
	Concurrency int
}

// Observer receives the progress of reading. Its methods may be called concurrently,
// and must return quickly.
type Observer interface {
	// JobStarted reports that the reading of a job begins.
	JobStarted(job string, prospects int)
	// Resumed reports that the journal has pages of an interrupted run, which are not
	// requested again.
	Resumed(job string, prospects, pages int)
	// Progress is called a few times per second.
	Progress(Progress)
}

// Progress describes how much of a job was read.
type Progress struct {
	Job              string
	Prospects, Of    int64 // visited, and in total
	Requests, Events int64
	Bytes            int64 // of pages
	Failed           int64 // prospects
	Elapsed          time.Duration
}

// Result is what was read.
type Result struct {
	plan.Reading
	Books  transform.Books
	Survey schemas.Survey
	// Complete has the prospects that were read completely: to the last page, without
	// a silent page (see extract.Source). The source has no other events of these
	// prospects, except for those that could not become rows.
	Complete map[string]Content
}

// Content describes the events of a prospect that was read completely.
type Content byte

// The contents.
const (
	HasEvents   Content = iota
	HasRejected         // some events could not become rows; a missing row may be one of them
	WasEmpty            // an interrupted run found no events, at an earlier time
	EmptyNow            // this run found no events
)

// maxExceptions is how many incomplete prospects a Result lists. A warning lists
// fewer.
const maxExceptions = 1000

// MaxFailures is how many prospects in a row must fail because of the endpoint before
// the run ends. The endpoint is then down or misconfigured, and retrying could take
// minutes for each prospect.
const MaxFailures = 50

var errDown = fmt.Errorf("%d prospects in a row failed", MaxFailures)

// reader is a Run in progress.
type reader struct {
	Input
	workers []*transform.Flattener
	started time.Time
	events  atomic.Int64

	mu       sync.Mutex
	failures int // prospects in a row for which the endpoint failed
	// result does not keep the reader in memory, with its workers.
	result *Result
}

// Run reads all prospects. The result includes prospects that could not be read. An
// error concerns the job as a whole; it is a diagnostic if the user can fix it. The
// journal then keeps the pages for the next run.
func Run(ctx context.Context, in Input) (*Result, error) {
	r := &reader{Input: in, started: in.Now(), result: &Result{Survey: schemas.NewSurvey(), Complete: make(map[string]Content)}}
	r.result.Prospects, r.result.Rate = int64(len(in.Prospects)), in.Job.Source.RequestsPerSecond
	r.Observer.JobStarted(in.Job.Address, len(in.Prospects))
	if old := in.Journal.Recovered(); old.Pages > 0 {
		r.Observer.Resumed(in.Job.Address, old.Finished+old.Unfinished, old.Pages)
	}
	for range in.Concurrency {
		r.workers = append(r.workers, transform.NewFlattener(in.Job.Schema, transform.Envelope(in.Source.Envelope()), in.Rows, in.Rejected))
	}
	stop := tick(func() { r.Observer.Progress(r.progress()) })
	err := extract.Each(ctx, in.Concurrency, all(in.Prospects), r.visit)
	stop()
	if err != nil {
		return nil, errors.Join(diagnose(in.Job, err), in.Journal.Sync())
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if c := r.result.Coverage; c.Prospects > 0 && c.Complete+c.Partial == 0 {
		return nil, noneRead(in.Job, r.result.Reading)
	}
	return r.result, nil
}

func all(ids []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// finish collects the counts after every prospect was visited.
func (r *reader) finish() error {
	for _, w := range r.workers {
		if err := w.Flush(); err != nil {
			return err
		}
		r.result.Books.Add(w.Books())
		r.result.Survey.Add(w.Survey())
	}
	if pages := r.events.Load(); r.result.Books.Events != pages {
		return fmt.Errorf("the pages have %d events, but %d were flattened; nothing was published: %w", pages, r.result.Books.Events, bug.ErrInternal)
	}
	end := r.progress()
	r.result.Requests, r.result.Bytes, r.result.Seconds = end.Requests, end.Bytes, end.Elapsed.Seconds()
	r.Observer.Progress(end)
	return nil
}

// tick calls f a few times per second until stop is called.
func tick(f func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(250 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (r *reader) progress() Progress {
	stats, now := r.Source.Stats(), r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.result.Coverage
	return Progress{
		Job: r.Job.Address, Of: c.Prospects, Prospects: c.Complete + c.NotFound + c.Forbidden + c.Partial + c.Failed,
		Requests: stats.Requests, Bytes: stats.Bytes, Events: r.events.Load(),
		Failed: c.Forbidden + c.Partial + c.Failed, Elapsed: now.Sub(r.started),
	}
}
