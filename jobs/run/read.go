package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink"
	"prospector/transform"
)

// journalAge is how old the pages of an interrupted run may be to be used:
// older ones would put yesterday into today's lake.
const journalAge = 12 * time.Hour

// The outcomes of a prospect, as the journal keeps them. What is not among them
// is asked for again by the next run.
const (
	complete  = "complete"
	notFound  = "not_found"
	forbidden = "forbidden"
)

// Those that it does not keep.
const (
	partial = "partial"
	failed  = "failed"
)

// reading is what the source gave.
type reading struct {
	stage      *sink.Stage
	quarantine *quarantine
	books      transform.Books
	survey     schemas.Survey
	events     int64 // on the pages, as extract counts them
	// whole are the prospects that were read to their end, and every event of
	// which is a row: what else they have published is gone. It is nil when nobody
	// needs to know.
	whole map[string]struct{}
	plan.Reading
}

// exceptionsKept is how many prospects that were not read whole are named in a
// plan and in the record of a run. A warning names fewer.
const exceptionsKept = 1000

// reader reads a job's prospects. Each worker has a flattener of its own.
type reader struct {
	client  *extract.Client
	journal *spool.Journal
	workers []*transform.Flattener
	started time.Time
	events  atomic.Int64

	mu     sync.Mutex
	silent int // prospects in a row for which no attempt succeeded
	*reading
}

// silence is how many prospects in a row may fail after all attempts before the
// API is taken for down: to go on would cost minutes a prospect, all night.
const silence = 50

var errSilent = errors.New("the API does not answer")

// read pages through all events of every prospect, and stages their rows.
func (s *Session) readSource(ctx context.Context, job jobs.Job, from *source, into *sink.Stage, rejected *quarantine) (*reading, error) {
	journal, err := s.openJournal(job, from.binding)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of pages: %w", err)
	}
	defer journal.Close()
	s.Observer.JobStarted(job.Address, len(from.prospects))
	if r := journal.Recovered(); r.Pages > 0 {
		s.Observer.Resumed(job.Address, r.Finished+r.Unfinished, r.Pages)
	}

	r := &reader{
		client: from.client, journal: journal, started: s.Now(),
		reading: &reading{stage: into, quarantine: rejected, survey: schemas.NewSurvey()},
	}
	if job.DeleteMissing {
		r.whole = make(map[string]struct{})
	}
	r.Prospects, r.Rate = int64(len(from.prospects)), job.Source.RequestsPerSecond
	concurrency := job.Source.Concurrency
	if s.Concurrency > 0 {
		concurrency = min(concurrency, s.Concurrency)
	}
	for range concurrency {
		r.workers = append(r.workers, transform.NewFlattener(job.Table, into.Add, rejected.add))
	}
	stop := s.tick(func() { s.Observer.Progress(r.progress(job.Address, s.Now())) })
	err = extract.Each(ctx, concurrency, each(from.prospects), r.visit)
	stop()
	if err != nil {
		return nil, errors.Join(s.readDiagnostic(job, err), journal.Sync())
	}
	for _, w := range r.workers {
		if err := w.Flush(); err != nil {
			return nil, err
		}
		r.books.Add(w.Books())
		r.survey.Add(w.Survey())
	}
	r.reading.events = r.events.Load()
	if r.books.Events != r.reading.events {
		return nil, fmt.Errorf("%d events were read, but %d were flattened; nothing was published, and this is a bug of prospector", r.reading.events, r.books.Events)
	}
	end := r.progress(job.Address, s.Now())
	r.Requests, r.Bytes, r.Seconds = end.Requests, end.Bytes, end.Elapsed.Seconds()
	s.Observer.Progress(end)
	return r.reading, nil
}

func each(ids []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// tick calls f a few times a second until stop is called.
func (s *Session) tick(f func()) (stop func()) {
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

func (r *reader) progress(job string, now time.Time) Progress {
	stats := r.client.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.Coverage
	return Progress{
		Job: job, Of: c.Prospects, Prospects: c.Complete + c.NotFound + c.Forbidden + c.Partial + c.Failed,
		Requests: stats.Requests, Bytes: stats.Bytes, Events: r.events.Load(),
		Failed: c.Forbidden + c.Partial + c.Failed, Elapsed: now.Sub(r.started),
	}
}

// visit reads one prospect. What fails for that prospect alone is noted, and no
// error.
func (r *reader) visit(ctx context.Context, worker int, prospect string) error {
	w := r.workers[worker]
	w.Begin(prospect)
	quarantined := w.Books().Quarantined
	pages, err := r.pages(ctx, w, prospect)
	var ofProspect *extract.Error
	if err != nil && (ctx.Err() != nil || extract.WholeRun(err) || !errors.As(err, &ofProspect)) {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	return r.note(prospect, pages, w.Books().Quarantined == quarantined, err)
}

// note records what became of a prospect. allRows says that none of its events
// was quarantined.
func (r *reader) note(prospect string, pages int, allRows bool, err error) error {
	outcome := ""
	r.mu.Lock()
	switch {
	case err == nil:
		outcome = complete
		r.Complete++
		if r.whole != nil && allRows {
			r.whole[prospect] = struct{}{}
		}
		r.quarantine.replace(prospect)
	case errors.Is(err, extract.ErrNotFound):
		outcome = notFound
		r.NotFound++
	case errors.Is(err, extract.ErrForbidden):
		outcome = forbidden
		r.Forbidden++
	case pages > 0:
		r.Partial++
	default:
		r.Failed++
	}
	if err != nil && len(r.Exceptions) < exceptionsKept {
		told := outcome
		if told == "" {
			told = map[bool]string{true: partial, false: failed}[pages > 0]
		}
		r.Exceptions = append(r.Exceptions, plan.Exception{Prospect: prospect, Outcome: told, Reason: err.Error()})
	}
	if r.silent++; !errors.Is(err, extract.ErrExhausted) {
		r.silent = 0
	}
	silent := r.silent
	r.mu.Unlock()
	if silent >= silence {
		return fmt.Errorf("%w: %d prospects in a row failed, the last of them so: %w", errSilent, silent, err)
	}
	if outcome == "" {
		return nil
	}
	return r.journal.Finish(prospect, outcome)
}

// pages flattens the pages of a prospect: those that the journal has, then those
// that are left to be fetched. It counts them.
func (r *reader) pages(ctx context.Context, w *transform.Flattener, prospect string) (count int, err error) {
	take := func(body []byte, cursor string, events int) error {
		count++
		r.events.Add(int64(events))
		return w.Page(body, cursor)
	}
	replay := func() error {
		for page, err := range r.journal.Pages(prospect) {
			if err == nil {
				err = take(page.Body, page.Cursor, page.Events)
			}
			if err != nil {
				return fmt.Errorf("reading the journal of pages: %w", err)
			}
		}
		return nil
	}

	kept, _ := r.journal.Progress(prospect)
	switch {
	case kept.Outcome == notFound:
		return 0, &extract.Error{Prospect: prospect, Kind: extract.ErrNotFound}
	case kept.Outcome == forbidden:
		return 0, &extract.Error{Prospect: prospect, Kind: extract.ErrForbidden}
	case kept.Finished, kept.Pages > 0 && kept.Next == "": // all were read
		err = replay()
		return count, err
	}
	var from extract.Position
	if kept.Next != "" {
		from = extract.Position{Number: kept.Pages, Cursor: kept.Next}
	}
	next, stop := iter.Pull2(r.client.Pages(ctx, prospect, from))
	defer func() { stop() }()
	page, err, more := next()
	switch {
	case kept.Pages == 0:
	case errors.Is(err, extract.ErrRefused):
		// The old cursor is no longer good, so what came before it is not
		// joined with what comes now.
		if err := r.journal.Restart(prospect); err != nil {
			return 0, err
		}
		stop()
		next, stop = iter.Pull2(r.client.Pages(ctx, prospect, extract.Position{}))
		page, err, more = next()
	default:
		if err := replay(); err != nil {
			return count, err
		}
	}
	for ; more; page, err, more = next() {
		if err != nil {
			if page.Body != nil { // read, but not known to be the last; see Client.Pages
				err = errors.Join(err, take(page.Body, page.Cursor, page.Events))
			}
			return count, err
		}
		err := r.journal.Append(spool.Page{ // which counts from 1
			Prospect: prospect, Number: page.Number + 1, Cursor: page.Cursor, Next: page.Next, Events: page.Events, Body: page.Body,
		})
		if err == nil {
			err = take(page.Body, page.Cursor, page.Events)
		}
		if err != nil {
			return count, err
		}
	}
	return count, nil
}

// readDiagnostic says what ended the reading of a job, and where to look.
func (s *Session) readDiagnostic(job jobs.Job, err error) error {
	var u *transform.Unexpected
	switch {
	case errors.As(err, &u):
		d := job.Schema.Diagnose(u.What, "An event is not as the schema expects", fmt.Sprintf(
			"Of an event of the type %s, %v; and the schema says %s = \"fail\". Nothing was published; what was fetched is kept for the next run. Declare what has come, or let it pass with \"keep\". With that, plan -out=FILE and schema infer FILE tell everything that has come.",
			u.EventType, u, u.What))
		d.Address = job.Address
		return d
	case errors.Is(err, extract.ErrUnauthorized):
		return job.Source.Diagnose("api_key", "The API key is not accepted", err.Error()+".")
	case errors.Is(err, errSilent):
		return job.Source.Diagnose("endpoint", "The API does not answer", err.Error()+". What was fetched is kept for the next run.")
	case errors.Is(err, extract.ErrThrottled):
		return job.Source.Diagnose("requests_per_second", "The API asks to come back later",
			err.Error()+". What was fetched is kept for the next run.")
	}
	return err
}
