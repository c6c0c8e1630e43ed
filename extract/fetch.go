package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// path is the part of the URL that names a prospect's events.
func path(prospect string) string { return "/prospect/" + url.PathEscape(prospect) + "/events" }

func (c *Client) url(prospect, cursor string) string {
	u := c.endpoint + path(prospect) + "?first=" + strconv.Itoa(c.options.PageSize)
	if cursor != "" {
		u += "&after=" + url.QueryEscape(cursor)
	}
	return u
}

// failure says why one attempt returned no page.
type failure struct {
	kind   error // why no other attempt can succeed; nil if another one may
	cause  error
	status int
	after  time.Duration // how long the API asks the client to wait
}

// fetch reads one page, in as many attempts as necessary. The error is an *Error, or
// wraps the error of ctx. When ctx ends, waits end at once, and no other attempt begins.
// The attempt in progress may still return the page.
func (c *Client) fetch(ctx context.Context, prospect string, at Position) (Page, error) {
	e := &Error{Prospect: prospect, Request: "GET " + path(prospect), Page: at.Number}
	switch prospect {
	case "", ".", "..":
		// A server may normalize such a path to another one.
		e.Kind, e.Err = ErrRefused, errors.New("a URL cannot contain that ID")
		return Page{}, e
	}
	canceled := func() error {
		return fmt.Errorf("reading page %d of prospect %q: %w", at.Number+1, prospect, ctx.Err())
	}
	for {
		if err := c.pace.admit(ctx); err != nil {
			return Page{}, canceled()
		}
		e.Attempts++
		if e.Attempts > 1 {
			c.stats.retries.Add(1)
		}
		page, f := c.attempt(ctx, prospect, at)
		if f == nil {
			page.Number, page.Cursor = at.Number, at.Cursor
			c.stats.pages.Add(1)
			c.stats.events.Add(int64(page.Events))
			c.stats.bytes.Add(int64(len(page.Body)))
			return page, nil
		}
		if ctx.Err() != nil {
			return Page{}, canceled()
		}
		e.Status, e.Kind, e.Err = f.status, f.kind, f.cause
		if e.Kind == nil && f.after > MaxRetryAfter {
			e.Kind = ErrThrottled
			e.Err = fmt.Errorf("%w, and its Retry-After is longer than %s", f.cause, MaxRetryAfter)
		}
		if e.Kind == nil && e.Attempts >= c.options.MaxAttempts {
			e.Kind = ErrExhausted
		}
		if e.Kind != nil {
			return Page{}, e
		}
		wait := backoff(e.Attempts, c.options.Rand())
		c.options.Logger.LogAttrs(ctx, slog.LevelDebug, "request failed, retrying",
			slog.String("prospect", prospect), slog.Int("page", at.Number+1), slog.Int("attempt", e.Attempts),
			slog.Int("status", f.status), slog.String("why", f.cause.Error()), slog.Duration("backoff", wait))
		if f.after > 0 {
			c.options.Logger.LogAttrs(ctx, slog.LevelInfo, "waiting for the API (Retry-After)",
				slog.Int("status", f.status), slog.Duration("retry_after", f.after))
			c.pace.hold(f.after)
		}
		if err := c.pace.wait(ctx, wait); err != nil {
			return Page{}, canceled()
		}
	}
}

// attempt sends one request and reads the response.
//
// It uses the transport without an http.Client, which would follow redirects and send
// the key along.
func (c *Client) attempt(ctx context.Context, prospect string, at Position) (Page, *failure) {
	ctx, clock, cancel := c.outlasting(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(prospect, at.Cursor), nil)
	if err != nil { // unreachable: every part is escaped
		return Page{}, &failure{kind: ErrRefused, cause: errors.New("the URL cannot be built")}
	}
	request.Header = c.header.Clone()
	c.stats.requests.Add(1)
	response, err := c.options.Transport.RoundTrip(request)
	if err != nil {
		f := &failure{cause: networkError(ctx, err, c.options.Timeout)}
		if insecure(err) {
			f.kind = ErrInsecure
		}
		return Page{}, f
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		turn := &turn{of: c.turns, clock: clock}
		page, f := c.page(ctx, response, turn)
		if f != nil {
			turn.end()
		}
		page.turn = turn
		return page, f
	case http.StatusNoContent:
		return Page{Body: []byte(noContent)}, nil
	}
	// When the body is read to its end, the next request can use the connection.
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	return Page{}, refusal(response, at)
}

// page reads the body of a response. Only the body decides whether it is a page.
// Proxies and frameworks often set wrong headers, so headers only appear in the error.
// A large page waits for its turn.
func (c *Client) page(ctx context.Context, response *http.Response, turn *turn) (Page, *failure) {
	scratch, spare := scratches.Get().(*[]byte), scratches.Get().(*[]byte)
	defer release(scratch)
	defer release(spare)
	large := func() error { return turn.take(ctx) }
	var err error
	*scratch, err = readAll((*scratch)[:0], response.Body, response.ContentLength, c.options.MaxPageBytes, large)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return Page{}, &failure{cause: networkError(ctx, err, c.options.Timeout), status: response.StatusCode}
	}
	size := len(*scratch)
	if err == nil {
		*scratch, *spare, err = unpack(*scratch, *spare, c.options.MaxPageBytes, large)
	}
	if err != nil {
		return Page{}, c.unusable(err, response, size)
	}
	body := withoutMark(*scratch)
	info, err := parsePage(body)
	if err != nil {
		return Page{}, c.unusable(err, response, size)
	}
	page := Page{Events: info.events, Body: body, more: info.more}
	if cap(*scratch) <= maxScratch || cap(*scratch) > len(body)+len(body)/8 { // otherwise no other page uses it
		page.Body = bytes.Clone(body)
	}
	if info.more {
		page.Next = info.cursor
	}
	return page, nil
}

// unusable describes a response that has status 200 but is not a page.
func (c *Client) unusable(err error, r *http.Response, size int) *failure {
	f := &failure{status: r.StatusCode, kind: ErrBadPage, cause: described(err, r, size)}
	var passing transient
	switch {
	case errors.Is(err, ErrTooLarge):
		f.kind, f.cause = ErrTooLarge, fmt.Errorf("it has more than %s", bytesOf(int(c.options.MaxPageBytes)))
	case errors.As(err, &passing):
		f.kind, f.cause = nil, fmt.Errorf("%w: %w", ErrBadPage, f.cause)
	}
	return f
}

// outlasting returns the context of one request. It ends after Timeout, or when Grace has
// passed since the end of ctx, whichever comes first.
func (c *Client) outlasting(ctx context.Context) (context.Context, *clock, context.CancelFunc) {
	request, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := time.AfterFunc(c.options.Timeout, func() { cancel(context.DeadlineExceeded) })
	stop := context.AfterFunc(ctx, func() {
		grace := time.AfterFunc(c.options.Grace, func() { cancel(context.Canceled) })
		<-request.Done()
		grace.Stop()
	})
	return request, &clock{timer, c.options.Timeout}, func() {
		stop()
		timer.Stop()
		cancel(nil)
	}
}

// refusal describes a response whose status is neither 200 nor 204. It has no kind if
// another attempt may succeed.
func refusal(r *http.Response, at Position) *failure {
	f := &failure{status: r.StatusCode, cause: statusError(r), kind: ErrRefused}
	switch status := r.StatusCode; {
	case status == http.StatusUnauthorized:
		f.kind = ErrUnauthorized
	case status == http.StatusForbidden:
		f.kind = ErrForbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		if f.kind = ErrNotFound; at.Cursor != "" { // the API knew the prospect one page before
			f.kind = ErrExpired
		}
	case isTemporary(status):
		f.kind, f.after = nil, retryAfter(r.Header, time.Now())
	case status/100 == 3:
		if to, err := r.Location(); err == nil {
			f.cause = fmt.Errorf("%w, a redirect to the host %q, and the key is only sent to the endpoint", f.cause, to.Host)
		}
	}
	return f
}

// isTemporary reports whether the same request may succeed soon.
func isTemporary(status int) bool {
	switch status {
	case http.StatusAccepted, http.StatusRequestTimeout, http.StatusConflict, http.StatusLocked,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusNetworkAuthenticationRequired:
		return false
	}
	return status/100 == 5
}

// Pages are read into pooled buffers, and copied when their size is known and their
// content is valid. So a body is exactly as large as necessary, and a failed attempt
// leaves no garbage.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch limits the size of a pooled buffer, and the memory that is allocated for a
// Content-Length before any byte has arrived.
const maxScratch = 1 << 20

func release(scratch *[]byte) {
	if cap(*scratch) <= maxScratch {
		scratches.Put(scratch)
	}
}

// readAll appends all of r to b. The announced size is -1 if it is unknown. It returns
// ErrTooLarge when r is longer than limit, and has then read at most one byte more. It
// calls large before b grows beyond largePage.
func readAll(b []byte, r io.Reader, announced, limit int64, large func() error) ([]byte, error) {
	if announced > limit {
		return b, ErrTooLarge
	}
	// One byte more than announced, so that the last Read can see the end.
	b = slices.Grow(b, int(max(512, min(announced, maxScratch)+1)))
	for {
		if len(b) == cap(b) {
			more := int64(len(b))
			if 2*more > largePage {
				if err := large(); err != nil {
					return b, err
				}
				if more = limit + 1 - more; announced >= 0 {
					more = announced + 1 - int64(len(b))
				}
				more = max(1, min(more, max(int64(len(b)), announced)))
			}
			b = slices.Grow(b, int(more))
		}
		n, err := r.Read(b[len(b) : min(int64(cap(b))-1, limit)+1])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return b, ErrTooLarge
		case err == io.EOF && IsLarge(len(b)): // Grow may have allocated enough for it
			return b, large()
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}
