package read

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"prospector/extract"
	"prospector/extract/spool"
	"prospector/jobs/plan"
	"prospector/transform"
)

// Outcome is the result of reading a prospect. The values are part of plans and
// journals.
type Outcome string

// The outcomes. The journal keeps only Complete. Replaying a refusal would keep it
// alive after its cause, such as a wrong key or a misconfigured gateway, is fixed.
const (
	Complete  Outcome = "complete" // all pages were read
	NotFound  Outcome = "not_found"
	Forbidden Outcome = "forbidden"
	Partial   Outcome = "partial" // some pages, then an error
	Failed    Outcome = "failed"  // no page
)

// Visit describes what was read of one prospect.
type Visit struct {
	Prospect string
	Outcome  Outcome
	Pages    int
	Events   int64
	// Silent says that a page has no events, but does not prove that there are none:
	// see extract.Source. Published events of the prospect may still exist.
	Silent bool

	hasRejected bool // an event could not become a row
}

// ReadCompletely reports whether all events of the prospect were read.
func (v Visit) ReadCompletely() bool { return v.Outcome == Complete && !v.Silent }

// visit reads one prospect. It counts an error that concerns only this prospect, and
// returns any other.
func (r *reader) visit(ctx context.Context, worker int, prospect string) error {
	w := r.workers[worker]
	w.Begin(prospect)
	rejected := w.Books().Quarantined
	v := Visit{Prospect: prospect}
	err := r.readPages(ctx, w, &v)
	var ofProspect *extract.Error
	if err != nil && (ctx.Err() != nil || extract.WholeRun(err) || !errors.As(err, &ofProspect)) {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	v.hasRejected = w.Books().Quarantined > rejected
	v.Outcome = outcome(v, err)
	if r.count(v, err) {
		return fmt.Errorf("%w; the last error: %w", errDown, err)
	}
	if v.Outcome == Complete {
		return r.Journal.Finish(prospect, string(Complete))
	}
	return nil
}

func outcome(v Visit, err error) Outcome {
	switch {
	case err == nil:
		return Complete
	case errors.Is(err, extract.ErrNotFound):
		return NotFound
	case v.Pages > 0:
		return Partial
	case errors.Is(err, extract.ErrForbidden):
		return Forbidden
	}
	return Failed
}

// count adds a prospect to the result, and reports whether the endpoint is down. err
// is nil, or why the prospect is incomplete.
func (r *reader) count(v Visit, err error) (down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c := &r.result.Coverage; v.Outcome {
	case Complete:
		c.Complete++
	case NotFound:
		c.NotFound++
	case Forbidden:
		c.Forbidden++
	case Partial:
		c.Partial++
	default:
		c.Failed++
	}
	if v.ReadCompletely() {
		r.result.Complete[v.Prospect] = r.content(v)
	}
	if err != nil && len(r.result.Exceptions) < maxExceptions {
		r.result.Exceptions = append(r.result.Exceptions, plan.Exception{Prospect: v.Prospect, Outcome: string(v.Outcome), Reason: err.Error()})
	}
	r.Visited(v)
	if r.failures++; !extract.OfEndpoint(err) {
		r.failures = 0
	}
	return r.failures >= MaxFailures
}

func (r *reader) content(v Visit) Content {
	switch {
	case v.hasRejected:
		return HasRejected
	case v.Events > 0:
		return HasEvents
	}
	if _, replayed := r.Journal.Progress(v.Prospect); replayed {
		return WasEmpty
	}
	return EmptyNow
}

// take flattens a page of the prospect that a worker reads.
func (r *reader) take(w *transform.Flattener, v *Visit, body []byte, cursor string, events int) error {
	v.Pages++
	v.Events += int64(events)
	v.Silent = v.Silent || events == 0 && r.Source.Silent(body)
	r.events.Add(int64(events))
	return w.Page(body, cursor)
}

// readPages flattens the pages of a prospect: first those in the journal, then the
// pages that it requests.
func (r *reader) readPages(ctx context.Context, w *transform.Flattener, v *Visit) error {
	kept, err := r.kept(v.Prospect)
	if err != nil {
		return err
	}
	if kept.Finished || kept.Pages > 0 && kept.Next == "" {
		return r.replay(ctx, w, v, false)
	}
	var from extract.Position
	if kept.Next != "" {
		from = extract.Position{Number: kept.Pages, Cursor: kept.Next}
	}
	next, stop := iter.Pull2(r.Source.Pages(ctx, v.Prospect, from))
	defer func() { stop() }()
	page, err, more := next()
	switch {
	case kept.Pages == 0:
	case errors.Is(err, extract.ErrRefused), errors.Is(err, extract.ErrExpired):
		// The old cursor is no longer valid, so the prospect is read again from its
		// first page.
		if err := r.Journal.Restart(v.Prospect); err != nil {
			return err
		}
		stop()
		next, stop = iter.Pull2(r.Source.Pages(ctx, v.Prospect, extract.Position{}))
		page, err, more = next()
	default:
		if err := r.replay(ctx, w, v, page.HasTurn()); err != nil {
			return err
		}
	}
	for ; more; page, err, more = next() {
		if err != nil {
			if page.Body != nil { // the page arrived, but has no way to the next: see extract.Client.Pages
				err = errors.Join(err, r.take(w, v, page.Body, page.Cursor, page.Events))
			}
			return err
		}
		err := r.Journal.Append(spool.Page{ // the journal counts from 1
			Prospect: v.Prospect, Number: page.Number + 1, Cursor: page.Cursor, Next: page.Next, Events: page.Events, Body: page.Body,
		})
		if err == nil {
			err = r.take(w, v, page.Body, page.Cursor, page.Events)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replay flattens the pages of a prospect that are in the journal. It waits for the
// turn to read large pages, unless the caller has the turn.
func (r *reader) replay(ctx context.Context, w *transform.Flattener, v *Visit, hasTurn bool) error {
	var done func() // ends the turn of the current page, if it has one
	end := func() {
		if done != nil {
			done()
			done = nil
		}
	}
	defer end()
	admit := func(bytes int) (err error) {
		if !hasTurn && done == nil && extract.IsLarge(bytes) {
			done, err = r.Source.Turn(ctx)
		}
		return err
	}
	for page, err := range r.Journal.Pages(v.Prospect, admit) {
		if err == nil {
			err = r.take(w, v, page.Body, page.Cursor, page.Events)
		}
		end()
		if err != nil {
			return fmt.Errorf("reading the journal of pages: %w", err)
		}
	}
	return nil
}

// kept returns the progress of a prospect in the journal. Earlier versions also wrote
// outcomes other than Complete; these prospects start again.
func (r *reader) kept(prospect string) (spool.Progress, error) {
	kept, _ := r.Journal.Progress(prospect)
	if !kept.Finished || kept.Outcome == string(Complete) {
		return kept, nil
	}
	return spool.Progress{}, r.Journal.Restart(prospect)
}
