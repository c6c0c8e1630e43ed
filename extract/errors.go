package extract

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The kinds of an Error, for errors.Is. Except for those that WholeRun lists, they
// concern one prospect, and the next prospect may succeed.
var (
	// ErrUnauthorized: 401. The key is wrong, for every prospect.
	ErrUnauthorized = errors.New("the API key is not accepted")
	// ErrForbidden: 403. The prospect belongs to another account. A gateway may also
	// report a wrong key in this way, for every prospect.
	ErrForbidden = errors.New("the API key may not read this")
	// ErrNotFound: 404 or 410 for the first page. The prospect does not exist, or no
	// longer exists. A gateway that does not know the API may also return this status.
	ErrNotFound = errors.New("there is no such prospect")
	// ErrExpired: 404 or 410 for a later page. The API knew the prospect when it sent
	// the previous page, so the cursor is gone.
	ErrExpired = errors.New("the cursor of the page is no longer valid")
	// ErrRefused: any other response that another attempt would not change, such as a
	// redirect, or an ID that a URL cannot contain.
	ErrRefused = errors.New("the request is refused")
	// ErrInsecure: the endpoint has no valid certificate for its name, or does not
	// support TLS.
	ErrInsecure = errors.New("there is no secure connection to the endpoint")
	// ErrBadPage: a 200 that is not a page of events. If another attempt may succeed,
	// because the response ends early, reports an error or has no edges, an
	// ErrExhausted wraps it. Otherwise there was one attempt.
	ErrBadPage = errors.New("the response is not a page of events")
	// ErrTooLarge: a response larger than Options.MaxPageBytes.
	ErrTooLarge = errors.New("the response is too large")
	// ErrLoop: the pages do not end, or cannot be followed to the end.
	ErrLoop = errors.New("the pages do not end")
	// ErrThrottled: a Retry-After longer than MaxRetryAfter.
	ErrThrottled = errors.New("the API asks for a long delay")
	// ErrExhausted: no attempt succeeded. It wraps the cause of the last one.
	ErrExhausted = errors.New("no attempt succeeded")
)

// advice returns what to do next, with the names of the configuration's attributes.
func (e *Error) advice() string {
	var foreign notJSON
	switch {
	case errors.As(e.Err, &foreign):
		return foreign.advice()
	case e.Kind == ErrExhausted && errors.Is(e.Err, ErrBadPage):
		return "run again later; if the error persists, ask the operator of the API"
	}
	return advice[e.Kind]
}

var advice = map[error]string{
	ErrUnauthorized: "check api_key and endpoint",
	ErrForbidden:    "check that the prospect belongs to the account of api_key",
	ErrNotFound:     "check the ID, or remove it from the list of prospects",
	ErrExpired:      "run again to read the prospect from its first page",
	ErrRefused:      "check endpoint and page_size",
	ErrInsecure:     "check endpoint, the certificates of this machine, and any proxy in between",
	ErrBadPage:      "check endpoint; if it is right, report this to the operator of the API",
	ErrTooLarge:     "ask for smaller pages with page_size",
	ErrLoop:         "report this to the operator of the API; the earlier pages are intact",
	ErrThrottled:    "run again later, or lower requests_per_second",
	ErrExhausted:    "run again later, or raise max_attempts or timeout",
}

// WholeRun reports whether err affects every prospect, so that the run should end:
// ErrUnauthorized and ErrThrottled.
func WholeRun(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrThrottled)
}

// OfEndpoint reports whether the cause of err is more likely the endpoint than the
// prospect: the API is down, or another service responds in its place. After many such
// errors in a row, a run should end. ErrForbidden and ErrNotFound are not among them:
// they cost one request each, and a list can have many such prospects in a row.
func OfEndpoint(err error) bool {
	for _, kind := range []error{ErrExhausted, ErrBadPage, ErrTooLarge, ErrRefused, ErrInsecure} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Error says why a page could not be read. It contains neither the key nor any part of
// a response body.
type Error struct {
	Prospect string
	Request  string // such as GET and the path of the URL, without host and query
	Page     int    // 0-based; the text counts from 1
	Attempts int    // requests for the page
	Status   int    // of the last response; 0 if there was none
	Kind     error  // one of this package's Err…
	Err      error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, page %d", e.Request, e.Page+1)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, ", %d attempts", e.Attempts)
	}
	fmt.Fprintf(&b, ": %v", e.Kind)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if next := e.advice(); next != "" {
		b.WriteString("; " + next)
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// statusError is the cause when the status is neither 200 nor 204. It includes the
// content type if the API does not use it, because a gateway or a proxy may have sent
// the response.
func statusError(r *http.Response) error {
	status := strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", http.StatusText(r.StatusCode)))
	if format := contentType(r.Header); format == "text/html" || strings.Contains(format, "xml") {
		return fmt.Errorf("the endpoint returned %s with %s", status, format)
	}
	return fmt.Errorf("the API returned %s", status)
}

// insecure reports whether a request failed because TLS cannot be used with the
// endpoint. Another attempt would not change that.
func insecure(err error) bool {
	var (
		untrusted *tls.CertificateVerificationError
		noTLS     tls.RecordHeaderError
	)
	return errors.As(err, &untrusted) || errors.As(err, &noTLS) || errors.Is(err, http.ErrSchemeMismatch)
}

// networkError describes an error of the network or of net/http. The description is safe
// to show, unlike the error of net/http, which quotes a response that it cannot parse.
// ctx is the context of the request. The result does not wrap a context error, which
// would look like the end of the caller's context.
func networkError(ctx context.Context, err error, timeout time.Duration) error {
	var (
		operation *net.OpError
		lookup    *net.DNSError
		untrusted *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("no complete response within %s", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the response was complete")
	case errors.As(err, &lookup):
		return lookup
	case errors.As(err, &untrusted):
		return untrusted
	case insecure(err):
		return errors.New("the endpoint does not support TLS, which https requires")
	case errors.As(err, &operation):
		return operation
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return fmt.Errorf("the connection failed (%T)", err)
}
