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

// The kinds of an Error, for errors.Is. All but those that WholeRun names concern
// one prospect, and the next one may well succeed.
var (
	// ErrUnauthorized: 401. The key is wrong, for every prospect.
	ErrUnauthorized = errors.New("the API key is not accepted")
	// ErrForbidden: 403. The prospect belongs to another account; or a gateway
	// reports a wrong key in this way, and then every prospect gets this.
	ErrForbidden = errors.New("the API key may not read this")
	// ErrNotFound: 404 or 410 for the first page. There is no such prospect, or no
	// longer; or a gateway does not know the API.
	ErrNotFound = errors.New("there is no such prospect")
	// ErrExpired: 404 or 410 for a later page. The API knew the prospect when it
	// sent the page before, so it is the cursor that is gone.
	ErrExpired = errors.New("the cursor of the page is no longer valid")
	// ErrRefused: any other answer that another attempt would not change, a
	// redirect among them; or an id that no URL can hold.
	ErrRefused = errors.New("the request is refused")
	// ErrInsecure: the endpoint does not prove with a certificate that it is the
	// one, or does not speak TLS.
	ErrInsecure = errors.New("there is no secure connection to the endpoint")
	// ErrBadPage: a 200 that is not a page of events. Where another attempt may
	// succeed, it comes inside an ErrExhausted: the answer ends early, reports an
	// error or has no edges. Otherwise there was one attempt.
	ErrBadPage = errors.New("the answer is not a page of events")
	// ErrTooLarge: an answer beyond Options.MaxPageBytes.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrLoop: pages that do not end, or cannot be followed to their end.
	ErrLoop = errors.New("the pages do not come to an end")
	// ErrThrottled: a Retry-After beyond MaxRetryAfter.
	ErrThrottled = errors.New("the API asks to come back later")
	// ErrExhausted: no attempt succeeded. The last one's cause is wrapped.
	ErrExhausted = errors.New("no attempt succeeded")
)

// advice returns what to do next, in the words of the configuration.
func (e *Error) advice() string {
	var foreign notJSON
	switch {
	case errors.As(e.Err, &foreign):
		return foreign.advice()
	case e.Kind == ErrExhausted && errors.Is(e.Err, ErrBadPage):
		return "run again later; if it remains, ask the operator of the API"
	}
	return advice[e.Kind]
}

var advice = map[error]string{
	ErrUnauthorized: "check api_key and endpoint",
	ErrForbidden:    "check that the prospect belongs to the account of api_key",
	ErrNotFound:     "check the id, or take it off the list of prospects",
	ErrExpired:      "run again, which reads the prospect from its first page",
	ErrRefused:      "check endpoint and page_size",
	ErrInsecure:     "check endpoint, the certificates of this machine, and any proxy in between",
	ErrBadPage:      "check endpoint; if it is right, report this to the operator of the API",
	ErrTooLarge:     "ask for smaller pages with page_size",
	ErrLoop:         "report it to the operator of the API; what was read before is sound",
	ErrThrottled:    "run again later, or lower requests_per_second",
	ErrExhausted:    "run again later, or raise max_attempts or timeout",
}

// WholeRun reports whether err concerns every prospect and not only the one it
// was met with, so that a run should ask for nothing more: ErrUnauthorized and
// ErrThrottled.
func WholeRun(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrThrottled)
}

// OfEndpoint reports whether err is more likely about the endpoint than about the
// prospect: the API is down, or something else answers in its place. One such error
// means little, but many in a row mean that a run should end. ErrForbidden and
// ErrNotFound are not among them: they cost one request each, and a list may well
// have many such prospects in a row.
func OfEndpoint(err error) bool {
	for _, kind := range []error{ErrExhausted, ErrBadPage, ErrTooLarge, ErrRefused, ErrInsecure} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Error is why a page could not be read. It holds neither the key nor anything
// of a response body.
type Error struct {
	Prospect string
	Path     string // of the URL, without host and query
	Page     int    // 0-based; the text counts from 1
	Attempts int    // requests made for the page
	Status   int    // of the last answer; 0 when there was none
	Kind     error  // one of this package's Err…
	Err      error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s, page %d", e.Path, e.Page+1)
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

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// statusError is the cause when the API answered with another status than 200. It
// names a content type that is not the API's: then a gateway or a proxy may have
// answered.
func statusError(r *http.Response) error {
	status := strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", http.StatusText(r.StatusCode)))
	if format := contentType(r.Header); format == "text/html" || strings.Contains(format, "xml") {
		return fmt.Errorf("the endpoint answered %s with %s", status, format)
	}
	return fmt.Errorf("the API answered %s", status)
}

// insecure reports whether a request failed since TLS cannot be used with the
// endpoint. Another attempt would not change that.
func insecure(err error) bool {
	var (
		unproven *tls.CertificateVerificationError
		noTLS    tls.RecordHeaderError
	)
	return errors.As(err, &unproven) || errors.As(err, &noTLS) || errors.Is(err, http.ErrSchemeMismatch)
}

// networkError gives what the network or net/http reported in words that are
// safe to show; ctx is the request's. For what it cannot understand, net/http quotes what arrived. It
// wraps no context error, which would look like the end of the caller's context.
func networkError(ctx context.Context, err error, timeout time.Duration) error {
	var (
		operation *net.OpError
		lookup    *net.DNSError
		unproven  *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("no complete answer within %s", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the answer did")
	case errors.As(err, &lookup):
		return lookup
	case errors.As(err, &unproven):
		return unproven
	case insecure(err):
		return errors.New("it does not speak TLS, which https needs")
	case errors.As(err, &operation):
		return operation
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return fmt.Errorf("the connection failed (%T)", err)
}
