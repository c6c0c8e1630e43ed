// Package gcsfault disturbs requests to an emulator of Cloud Storage, the way that
// networks, proxies and the service itself disturb them: connections end, answers are
// lost, requests stall, the service is unavailable for some attempts.
//
// A Proxy is an http.Handler in front of the handler of an emulator. It speaks the JSON
// API (https://cloud.google.com/storage/docs/json_api/v1). Faithful makes
// fake-gcs-server behave like the service where that matters under faults.
//
// A seed decides which attempts get which faults, by the identity of the request and the
// number of the attempt. Concurrency and timing change only the order of the requests. A
// Proxy also takes faults for chosen requests: Next and Always.
//
// The package does not judge the client. cmd/gcsfaults and tests do.
package gcsfault

import (
	"cmp"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options describe how a Proxy disturbs. The zero value disturbs nothing.
type Options struct {
	// Seed decides which requests are disturbed, and how.
	Seed uint64
	// Rate is the share of requests, from 0 to 1, whose first attempt fails.
	Rate float64
	// Rates are the rates of kinds of requests for which Rate is not right.
	Rates map[Kind]float64
	// Faults are the faults to select from. Nil means Transient.
	Faults []Fault
	// InARow limits how many attempts of one request fail in a row. 0 means 3, so
	// that every request succeeds within four attempts.
	InARow int
	// Stall limits how long a stalled request waits for its client to leave. 0 means a
	// minute.
	Stall time.Duration
	// PageSize limits the entries on a page of a list. 0 means no limit.
	PageSize int
	// Latency delays each request.
	Latency time.Duration
	// Uplink limits the bytes per second of all request bodies together. 0 means no
	// limit. Listen provides connections whose buffers suit it.
	Uplink int
	// Log, if set, is called for each fault.
	Log func(Request, Fault)
}

// Proxy is an http.Handler that disturbs another one. New makes one.
type Proxy struct {
	service http.Handler
	opts    Options
	uplink  *limiter
	closed  chan struct{}
	closing sync.Once

	mu     sync.Mutex
	calm   bool
	next   []rule // each for one request
	always []rule
	plans  map[string]*plan
	counts Counts
}

type rule struct {
	match func(Request) bool
	fault Fault
}

// Counts count requests and faults.
type Counts struct {
	Requests map[Kind]int
	// Faults counts the faults by name, Disturbed by the kind of the request.
	Faults    map[string]int
	Disturbed map[Kind]int
	// Refused counts the answers 412 of the service. After a lost answer, the client
	// gets one for its own write.
	Refused int
}

// Total returns the number of faults.
func (c Counts) Total() (n int) {
	for _, count := range c.Faults {
		n += count
	}
	return n
}

// New returns a proxy in front of a service.
func New(service http.Handler, opts Options) *Proxy {
	opts.InARow = cmp.Or(opts.InARow, 3)
	opts.Stall = cmp.Or(opts.Stall, time.Minute)
	if opts.Faults == nil {
		opts.Faults = Transient
	}
	return &Proxy{
		service: service, opts: opts, uplink: newLimiter(opts.Uplink), closed: make(chan struct{}),
		plans:  make(map[string]*plan),
		counts: Counts{Requests: make(map[Kind]int), Faults: make(map[string]int), Disturbed: make(map[Kind]int)},
	}
}

// Close ends all stalls and delays, and those of later requests.
func (p *Proxy) Close() { p.closing.Do(func() { close(p.closed) }) }

// Next disturbs the next requests that match: the first with the first fault, and so
// on. None lets a request pass.
func (p *Proxy) Next(match func(Request) bool, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		p.next = append(p.next, rule{match, f})
	}
}

// Always disturbs every request that matches.
func (p *Proxy) Always(match func(Request) bool, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always = append(p.always, rule{match, fault})
}

// Calm lets all requests pass, and forgets the faults of Next and Always.
func (p *Proxy) Calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm, p.next, p.always = true, nil, nil
}

// Disturb continues, after Calm, with the faults of the seed.
func (p *Proxy) Disturb() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = false
}

// Counts returns a copy of the counts.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Requests, c.Faults, c.Disturbed = maps.Clone(c.Requests), maps.Clone(c.Faults), maps.Clone(c.Disturbed)
	return c
}

// Of returns a function that reports whether a request is of one of the kinds.
func Of(kinds ...Kind) func(Request) bool {
	return func(r Request) bool {
		for _, kind := range kinds {
			if r.Kind == kind {
				return true
			}
		}
		return false
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := describe(r)
	fault := p.choose(request)
	if p.opts.Latency > 0 {
		p.wait(r, p.opts.Latency)
	}
	r.Body = p.uplink.reader(r.Context(), r.Body)
	if request.Kind == List && p.opts.PageSize > 0 {
		limitPage(r, p.opts.PageSize)
	}
	if fault.inject == nil {
		p.service.ServeHTTP(&watched{w, p}, r)
		return
	}
	fault.inject(&exchange{w: w, r: r, service: p.service, stall: func() { p.wait(r, p.opts.Stall) }})
}

// watched is an http.ResponseWriter that counts answers 412.
type watched struct {
	http.ResponseWriter
	proxy *Proxy
}

func (w *watched) WriteHeader(status int) {
	if status == http.StatusPreconditionFailed {
		w.proxy.mu.Lock()
		w.proxy.counts.Refused++
		w.proxy.mu.Unlock()
	}
	w.ResponseWriter.WriteHeader(status)
}

// wait waits for a duration, until the client leaves, or until Close.
func (p *Proxy) wait(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-p.closed:
	}
}

// limitPage makes a request for a list ask for at most n entries.
func limitPage(r *http.Request, n int) {
	q := r.URL.Query()
	if asked, err := strconv.Atoi(q.Get("maxResults")); err != nil || asked > n {
		q.Set("maxResults", strconv.Itoa(n))
		r.URL.RawQuery = q.Encode()
	}
}
