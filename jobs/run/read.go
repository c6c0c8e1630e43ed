package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/stage"
	"prospector/transform"
)

// journalAge is how old the pages of an interrupted run may be to be used:
// older ones would put yesterday into today's lake.
const journalAge = 12 * time.Hour

// The outcomes of a prospect. The journal keeps complete alone: a refusal that it
// replayed would outlive its cause, such as a wrong key or a misconfigured gateway.
const (
	complete  = "complete"
	notFound  = "not_found"
	forbidden = "forbidden"
	partial   = "partial"
	failed    = "failed"
)

// reading is what the source gave.
type reading struct {
	stage      *stage.Stage
	quarantine *quarantine
	books      transform.Books
	survey     schemas.Survey
	events     int64 // on the pages, as extract counts them
	// whole are the prospects that were read to their end, without a silent page. What
	// else they have published is gone, unless some of their events became no row.
	whole map[string]emptiness
	// known reports whether the last apply had the prospect in its list.
	known func(prospect string) bool
	// unavailable counts the known prospects.
	unavailable state.Unavailable
	waiting     *lists.Waiting
	plan.Reading
}

// emptiness describes the events of a prospect that was read completely.
type emptiness byte

const (
	hasEvents   emptiness = iota
	hasRejected           // some of its events became no row, so no published row is known to be gone
	wasEmpty              // an interrupted run has read it, at an earlier time
	readAsEmpty           // this run has read it
)

// exceptionsKept is how many prospects that were not read whole are named in a
// plan and in the record of a run. A warning names fewer.
const exceptionsKept = 1000

// reader reads a job's prospects. Each worker has a flattener of its own.
type reader struct {
	source  extract.Source
	journal *spool.Journal
	workers []*transform.Flattener
	started time.Time
	events  atomic.Int64

	mu       sync.Mutex
	failures int // prospects in a row for which the endpoint failed
	*reading
}

// maxFailures is how many prospects in a row may fail because of the endpoint
// before it is taken for down, or misconfigured: to go on could cost minutes a
// prospect, all night.
const maxFailures = 50

var errDown = fmt.Errorf("%d prospects in a row failed", maxFailures)

// read pages through all events of every prospect, and stages their rows.
func (s *Session) readSource(ctx context.Context, job jobs.Job, from *source, into *stage.Stage, rejected *quarantine, known func(string) bool, waiting *lists.Waiting) (*reading, error) {
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
		source: from.Source, journal: journal, started: s.Now(),
		reading: &reading{
			stage: into, quarantine: rejected, survey: schemas.NewSurvey(),
			whole: make(map[string]emptiness), known: known, waiting: waiting,
		},
	}
	r.Prospects, r.Rate = int64(len(from.prospects)), job.Source.RequestsPerSecond
	concurrency := job.Source.Concurrency
	if s.Concurrency > 0 {
		concurrency = min(concurrency, s.Concurrency)
	}
	for range concurrency {
		r.workers = append(r.workers, transform.NewFlattener(job.Schema, into.Add, rejected.add))
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
	stats := r.source.Stats()
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
	got, err := r.pages(ctx, w, prospect)
	var ofProspect *extract.Error
	if err != nil && (ctx.Err() != nil || extract.WholeRun(err) || !errors.As(err, &ofProspect)) {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	got.allRows = w.Books().Quarantined == quarantined
	return r.note(prospect, got, err)
}

// visited is what was read of a prospect.
type visited struct {
	pages int
	// silent says that some page has no events, but does not say that there are
	// none: see extract.Silent. What the prospect has published may still exist.
	silent  bool
	events  int64
	allRows bool // no event was quarantined
}

// note records what became of a prospect.
func (r *reader) note(prospect string, got visited, err error) error {
	outcome := r.count(prospect, got, err)
	r.mu.Lock()
	if r.failures++; !extract.OfEndpoint(err) {
		r.failures = 0
	}
	down := r.failures >= maxFailures
	r.mu.Unlock()
	switch {
	case down:
		return fmt.Errorf("%w; the last error: %w", errDown, err)
	case outcome == complete:
		return r.journal.Finish(prospect, complete)
	}
	return nil
}

// count adds a prospect to the coverage, and returns its outcome.
func (r *reader) count(prospect string, got visited, err error) (outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting.Visited(prospect, got.events)
	if got.pages > 0 {
		r.quarantine.countBefore(prospect)
	}
	var n *int64
	switch {
	case err == nil:
		outcome, n = complete, &r.Complete
		if got.silent {
			break
		}
		r.whole[prospect] = r.emptiness(prospect, got)
		r.quarantine.replace(prospect)
	case errors.Is(err, extract.ErrNotFound):
		outcome, n = notFound, &r.NotFound
		if r.known(prospect) {
			r.unavailable.NotFound++
		}
	case got.pages > 0:
		outcome, n = partial, &r.Partial
	case errors.Is(err, extract.ErrForbidden):
		outcome, n = forbidden, &r.Forbidden
		if r.known(prospect) {
			r.unavailable.Forbidden++
		}
	default:
		outcome, n = failed, &r.Failed
	}
	*n++
	if err != nil && len(r.Exceptions) < exceptionsKept {
		r.Exceptions = append(r.Exceptions, plan.Exception{Prospect: prospect, Outcome: outcome, Reason: err.Error()})
	}
	return outcome
}

func (r *reader) emptiness(prospect string, got visited) emptiness {
	switch {
	case !got.allRows:
		return hasRejected
	case got.events > 0:
		return hasEvents
	}
	if _, replayed := r.journal.Progress(prospect); replayed {
		return wasEmpty
	}
	return readAsEmpty
}

// pages flattens the pages of a prospect: those that the journal has, then those
// that are left to be fetched.
func (r *reader) pages(ctx context.Context, w *transform.Flattener, prospect string) (got visited, err error) {
	take := func(body []byte, cursor string, events int) error {
		got.pages++
		got.events += int64(events)
		got.silent = got.silent || events == 0 && extract.Silent(body)
		r.events.Add(int64(events))
		return w.Page(body, cursor)
	}
	kept, err := r.kept(prospect)
	if err != nil {
		return got, err
	}
	if kept.Finished || kept.Pages > 0 && kept.Next == "" { // all were read
		err = r.replay(ctx, prospect, false, take)
		return got, err
	}
	var from extract.Position
	if kept.Next != "" {
		from = extract.Position{Number: kept.Pages, Cursor: kept.Next}
	}
	next, stop := iter.Pull2(r.source.Pages(ctx, prospect, from))
	defer func() { stop() }()
	page, err, more := next()
	switch {
	case kept.Pages == 0:
	case errors.Is(err, extract.ErrRefused), errors.Is(err, extract.ErrExpired):
		// The old cursor is no longer good, so what came before it is not
		// joined with what comes now.
		if err := r.journal.Restart(prospect); err != nil {
			return got, err
		}
		stop()
		next, stop = iter.Pull2(r.source.Pages(ctx, prospect, extract.Position{}))
		page, err, more = next()
	default:
		if err := r.replay(ctx, prospect, page.HasTurn(), take); err != nil {
			return got, err
		}
	}
	for ; more; page, err, more = next() {
		if err != nil {
			if page.Body != nil { // read, but not known to be the last; see Client.Pages
				err = errors.Join(err, take(page.Body, page.Cursor, page.Events))
			}
			return got, err
		}
		err := r.journal.Append(spool.Page{ // which counts from 1
			Prospect: prospect, Number: page.Number + 1, Cursor: page.Cursor, Next: page.Next, Events: page.Events, Body: page.Body,
		})
		if err == nil {
			err = take(page.Body, page.Cursor, page.Events)
		}
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// replay takes the pages that the journal has of a prospect. A large one waits for
// its turn before it is read, unless the caller has the turn.
func (r *reader) replay(ctx context.Context, prospect string, hasTurn bool, take func(body []byte, cursor string, events int) error) error {
	var done func() // of the page at hand, if it has a turn
	end := func() {
		if done != nil {
			done()
			done = nil
		}
	}
	defer end()
	admit := func(bytes int) (err error) {
		if !hasTurn && done == nil && extract.IsLarge(bytes) {
			done, err = r.source.Turn(ctx)
		}
		return err
	}
	for page, err := range r.journal.Pages(prospect, admit) {
		if err == nil {
			err = take(page.Body, page.Cursor, page.Events)
		}
		end()
		if err != nil {
			return fmt.Errorf("reading the journal of pages: %w", err)
		}
	}
	return nil
}

// kept is what the journal has of a prospect. A journal that has another outcome
// than complete, as earlier versions wrote, starts again with the prospect.
func (r *reader) kept(prospect string) (spool.Progress, error) {
	kept, _ := r.journal.Progress(prospect)
	if !kept.Finished || kept.Outcome == complete {
		return kept, nil
	}
	return spool.Progress{}, r.journal.Restart(prospect)
}

// continuing says how to go on after a run that the source has ended.
const continuing = "Nothing was published. Once the cause is removed, run the same command again: it requests only what is missing. " +
	"Pages that were fetched with the same key and settings are kept for 12 hours; refusals are not."

// noneRead is the error of a run for which the source has not answered about a
// single prospect.
func noneRead(job jobs.Job, r plan.Reading) error {
	var counts []string
	for _, c := range []struct {
		n    int64
		what string
	}{{r.Forbidden, "refused (403)"}, {r.NotFound, "not found (404 or 410)"}, {r.Failed, "failed"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return job.Source.Diagnose("endpoint", "No prospect could be read", fmt.Sprintf(
		"Prospects: %s.\n\n%s\n\nCheck endpoint, api_key and the list of prospects. %s",
		strings.Join(counts, ", "), exceptionList(r), continuing))
}

// readDiagnostic says what ended the reading of a job, and where to look.
func (s *Session) readDiagnostic(job jobs.Job, err error) error {
	var u *transform.Unexpected
	switch {
	case errors.As(err, &u):
		d := job.SchemaBlock.Diagnose(u.What, "An event is not as the schema expects", fmt.Sprintf(
			"Of an event of the type %s, %v; and the schema says %s = \"fail\". Nothing was published; what was fetched is kept for the next run. Declare what has come, or let it pass with \"keep\". With that, plan -out=FILE and schema infer FILE tell everything that has come.",
			terminal.Line(u.EventType), terminal.Line(u.Error()), u.What))
		d.Address = job.Address
		return d
	case errors.Is(err, extract.ErrUnauthorized):
		return job.Source.Diagnose("api_key", "The API key is not accepted", err.Error()+".\n\n"+continuing)
	case errors.Is(err, errDown):
		summary := "The API does not answer"
		if !errors.Is(err, extract.ErrExhausted) || errors.Is(err, extract.ErrBadPage) {
			summary = "The API does not answer with events"
		}
		return job.Source.Diagnose("endpoint", summary, err.Error()+".\n\n"+continuing)
	case errors.Is(err, extract.ErrThrottled):
		return job.Source.Diagnose("requests_per_second", "The API asks to come back later", err.Error()+".\n\n"+continuing)
	}
	return err
}
