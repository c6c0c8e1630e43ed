// Package extract reads pages of raw events from the Knock HTTP API.
//
// Its duties: it follows the cursors of one prospect as the API documents them
// (docs/knock-api.md), and tolerates what the API leaves undefined. It retries failed
// requests with a backoff, obeys Retry-After, and does not exceed a rate that all users
// of a Client share. It limits the size and the time of a response, and the number of
// pages. It runs a pool of workers over prospects. Every Page that it returns is
// complete, and its events can be separated, even if one of them is not valid JSON. A
// failure that concerns one prospect is an *Error about that prospect.
//
// Not its duties: where prospect IDs come from, storing pages, and what an event
// means. It never drops, reorders or changes an event.
package extract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// MaxRetryAfter is the longest Retry-After that a Client obeys. A longer one fails the
// request with ErrThrottled, and the run should end.
const MaxRetryAfter = 5 * time.Minute

// Options say where to send requests, and how. A field that is zero has the default that
// its comment states.
type Options struct {
	// Endpoint is an absolute URL; it may have a path, but no query.
	Endpoint string
	// APIKey is sent with every request, and only to https or to a loopback
	// address. It is in no error and no log.
	APIKey string
	// PageSize is the number of events to request at once. Default: 100.
	PageSize int
	// Timeout limits one request, including the body. Default: 30 seconds.
	Timeout time.Duration
	// Grace is how long a request in progress may continue after the context has
	// ended, because the API may already have done the work. Timeout still applies.
	// Default: 5 seconds.
	Grace time.Duration
	// MaxAttempts limits the requests for one page. Default: 6.
	MaxAttempts int
	// MaxPageBytes limits the size of a decompressed response. Default: 64 MiB.
	MaxPageBytes int64
	// MaxPages limits the pages of one prospect. Default: 100,000.
	MaxPages int
	// MaxEmptyPages limits the consecutive empty pages that have a next page.
	// Default: 100.
	MaxEmptyPages int
	// Limiter delays every attempt. nil means no limit. See NewLimiter.
	Limiter *rate.Limiter
	// UserAgent is sent with every request. Default: "prospector".
	UserAgent string
	// Logger receives retries at level Debug, and waits that delay every worker at
	// level Info. nil discards them.
	Logger *slog.Logger

	// Sleep waits for the duration, or returns the error of ctx when ctx is done.
	// Default: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Rand returns a number in [0, 1) for the jitter. It is called concurrently.
	// Default: math/rand.
	Rand func() float64
	// Transport sends the requests. Default: a transport of the Client's own.
	Transport http.RoundTripper
}

// Client reads from one endpoint with one key. Its methods may be called concurrently.
// All calls share the connections, the rate and the waits for Retry-After.
type Client struct {
	options  Options
	endpoint string // without a slash at its end
	header   http.Header
	pace     pace
	turns    chan struct{} // of large pages
	stats    counters
}

// New checks the options and returns a Client. It sends nothing.
func New(o Options) (*Client, error) {
	endpoint, err := o.check()
	if err != nil {
		return nil, err
	}
	o.setDefaults()
	c := &Client{
		options:  o,
		turns:    make(chan struct{}, 1),
		endpoint: strings.TrimRight(endpoint.String(), "/"),
		header: http.Header{
			"Accept":          {"application/json"},
			"Accept-Encoding": {"gzip"},
			"Content-Type":    {"application/json"}, // as the vendor's examples do
			"User-Agent":      {o.UserAgent},
		},
	}
	if o.APIKey != "" {
		c.header.Set("X-Api-Key", o.APIKey)
	}
	c.pace.limiter, c.pace.sleep = o.Limiter, o.Sleep
	return c, nil
}

// check returns the endpoint, or an error about invalid options.
func (o *Options) check() (*url.URL, error) {
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		// The parser's message would quote the endpoint, and a password in it.
		return nil, errors.New("the endpoint is not a URL: write it as https://host or https://host/path")
	}
	switch {
	case endpoint.Scheme != "https" && endpoint.Scheme != "http" || endpoint.Hostname() == "":
		return nil, errors.New("the endpoint is not an absolute http or https URL: write it as https://host or https://host/path")
	case endpoint.User != nil || endpoint.RawQuery != "" || endpoint.ForceQuery || endpoint.Fragment != "":
		return nil, fmt.Errorf("the endpoint on host %s has a user, a query or a fragment: write it as https://host or https://host/path", endpoint.Host)
	case o.APIKey != "" && endpoint.Scheme != "https" && !IsLoopback(endpoint.Hostname()):
		return nil, fmt.Errorf("the API key would be sent to %s without encryption: use https, or http only to a loopback address", endpoint.Host)
	case strings.ContainsFunc(o.APIKey, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, errors.New("the API key has a character that a header cannot hold: does it end in a line feed?")
	case min(int64(o.Timeout), int64(o.Grace), o.MaxPageBytes, int64(min(o.PageSize, o.MaxAttempts, o.MaxPages, o.MaxEmptyPages))) < 0:
		return nil, errors.New("page size, timeout, grace, attempts and limits cannot be negative: leave them at 0 for their defaults")
	case o.Limiter != nil && o.Limiter.Limit() != rate.Inf && (o.Limiter.Limit() <= 0 || o.Limiter.Burst() < 1):
		return nil, errors.New("the limiter would never let a request pass: give it a rate above 0 and a burst of at least 1")
	}
	return endpoint, nil
}

func (o *Options) setDefaults() {
	setDefault(&o.PageSize, 100)
	setDefault(&o.Timeout, 30*time.Second)
	setDefault(&o.Grace, 5*time.Second)
	setDefault(&o.MaxAttempts, 6)
	setDefault(&o.MaxPageBytes, 64<<20)
	setDefault(&o.MaxPages, 100_000)
	setDefault(&o.MaxEmptyPages, 100)
	setDefault(&o.UserAgent, "prospector")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// newTransport keeps enough connections alive for all workers. It leaves compression
// to the Client: see unpack.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	t.MaxResponseHeaderBytes = 1 << 20
	t.DisableCompression = true
	return t
}

// IsLoopback reports whether requests to the host stay on this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// NewLimiter returns a limiter for Options, or nil for 0, which is no limit. Clients
// that share a limiter share its rate.
//
// The burst is the number of requests in 10 ms. That is too few to matter to a server
// that counts by the second, and enough to reach a high rate with a coarse timer.
func NewLimiter(requestsPerSecond float64) *rate.Limiter {
	if requestsPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(requestsPerSecond), int(math.Ceil(requestsPerSecond/100)))
}

// Stats count what a Client has done so far.
type Stats struct {
	Requests int64 // sent, including retries
	Retries  int64 // requests that repeat another one
	Pages    int64 // that were read completely
	Events   int64 // on these pages
	Bytes    int64 // of these pages, decompressed
	// Waited is the time that all workers together waited for the rate limit, for
	// Retry-After and between attempts.
	Waited time.Duration
}

type counters struct{ requests, retries, pages, events, bytes atomic.Int64 }

// Stats returns the counts so far. The counts may be from slightly different moments.
func (c *Client) Stats() Stats {
	return Stats{
		Requests: c.stats.requests.Load(),
		Retries:  c.stats.retries.Load(),
		Pages:    c.stats.pages.Load(),
		Events:   c.stats.events.Load(),
		Bytes:    c.stats.bytes.Load(),
		Waited:   time.Duration(c.pace.waited.Load()),
	}
}

// Close closes the idle connections. The Client stays usable.
func (c *Client) Close() {
	if t, ok := c.options.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
