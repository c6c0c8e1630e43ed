// Package extract reads pages of raw events from the Knock HTTP API.
//
// Its duties: the cursor loop of one prospect, exactly as the API documents it
// and robust to what it leaves open; attempts, backoff and Retry-After; a rate
// that is shared by everything that uses a Client; bounds on the size of an
// answer, on its time and on the number of pages; a pool of workers over
// prospects. A Page that it hands out is complete, and its events can be separated,
// even if one of them is not valid JSON. What goes wrong for one prospect is an
// *Error about that prospect.
//
// Not its duties: where prospect ids come from, keeping pages, and what an event
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

// MaxRetryAfter is the longest Retry-After that is waited for. What asks for
// more fails with ErrThrottled, which a run should take as the end of the run.
const MaxRetryAfter = 5 * time.Minute

// Options say what to ask, and how. A zero number means its default.
type Options struct {
	// Endpoint is an absolute URL; it may have a path, but no query.
	Endpoint string
	// APIKey is sent with every request, and only to https or to a loopback
	// address. It is in no error and no log.
	APIKey string
	// PageSize is how many events to ask for at once; 100.
	PageSize int
	// Timeout bounds one request, its body included; 30 seconds.
	Timeout time.Duration
	// Grace is how long a request that is under way may still take once the
	// context is done: its answer has cost the API its work. 5 seconds; Timeout
	// bounds it as well.
	Grace time.Duration
	// MaxAttempts is how often one page is asked for; 6.
	MaxAttempts int
	// MaxPageBytes bounds an answer once decompressed; 64 MiB.
	MaxPageBytes int64
	// MaxPages bounds the pages of one prospect; 100,000.
	MaxPages int
	// MaxEmptyPages bounds the empty pages in a row which say that there are
	// more; 100.
	MaxEmptyPages int
	// Limiter is what every attempt waits for; nil is no limit. See NewLimiter.
	Limiter *rate.Limiter
	// UserAgent is "prospector".
	UserAgent string
	// Logger gets retries at level Debug, and waits that hold back every
	// worker at level Info; nil discards them.
	Logger *slog.Logger

	// Sleep waits for that long, or until ctx is done and then gives its error.
	// nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Rand gives a number in [0, 1) for the jitter; it may be called
	// concurrently. nil is math/rand.
	Rand func() float64
	// Transport sends the requests. nil is one of the Client's own.
	Transport http.RoundTripper
}

// Client reads from one endpoint with one key. Its methods may be called
// concurrently; connections, rate and Retry-After are shared.
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

// check returns the endpoint, or an error about options that cannot be used.
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

func setDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}

// newTransport keeps one connection alive for every worker there may be. It leaves
// compression to the Client: see unpack.
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

// NewLimiter gives a limiter for Options, or nil for 0, which is no limit. One
// limiter may serve several clients, and is then their common limit.
//
// Its burst is what passes in 10 ms: too little to matter to anyone who counts
// by the second, and enough for a high rate to survive a coarse timer.
func NewLimiter(requestsPerSecond float64) *rate.Limiter {
	if requestsPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(requestsPerSecond), int(math.Ceil(requestsPerSecond/100)))
}

// Stats are what a Client has done so far.
type Stats struct {
	Requests int64 // sent, retries included
	Retries  int64 // of Requests, those that repeat another
	Pages    int64 // read whole
	Events   int64 // on those pages
	Bytes    int64 // of those pages, decompressed
	// Waited is the sum over all workers of the waits for the rate limit, for
	// Retry-After and between attempts.
	Waited time.Duration
}

type counters struct{ requests, retries, pages, events, bytes atomic.Int64 }

// Stats may be asked at any time; its numbers are each right, if not of the very
// same instant.
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

// Close closes the idle connections. The Client may still be used.
func (c *Client) Close() {
	if t, ok := c.options.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
