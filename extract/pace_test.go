package extract

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// These tests run in synctest bubbles, where time passes only while all goroutines wait.
// So every duration is exact.

// inMemory is a transport without a network, because network I/O does not work in a
// bubble.
type inMemory http.HandlerFunc

func (h inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), r.Context().Err()
}

// bubbleClient returns a client that really waits, always for the longest backoff.
func bubbleClient(t *testing.T, o Options, h http.HandlerFunc) *Client {
	o.Endpoint, o.Transport = "https://knock.example", inMemory(h)
	o.Rand = func() float64 { return 1 }
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBackoff(t *testing.T) {
	for attempt, want := range map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 6: 16 * time.Second,
		7: 30 * time.Second, 8: 30 * time.Second, 100: 30 * time.Second, math.MaxInt: 30 * time.Second,
	} {
		if got := backoff(attempt, 1); got != want {
			t.Errorf("the longest wait after attempt %d is %s, want %s", attempt, got, want)
		}
		if got := backoff(attempt, 0); got != 0 {
			t.Errorf("the shortest wait after attempt %d is %s, want 0", attempt, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2022, 1, 13, 19, 27, 37, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"7":                                7 * time.Second,
		"86400":                            24 * time.Hour,
		"99999999999":                      math.MaxInt64,
		"99999999999999999999999999":       math.MaxInt64,
		"-7":                               0,
		"1.5":                              0,
		"soon":                             0,
		"Thu, 13 Jan 2022 19:28:37 GMT":    time.Minute,
		"Thursday, 13-Jan-22 19:28:37 GMT": time.Minute, // RFC 850
		"Thu Jan 13 19:28:37 2022":         time.Minute, // asctime
		"Thu, 13 Jan 2022 19:27:37 GMT":    0,
		"Wed, 21 Oct 2015 07:28:00 GMT":    0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

// TestWaits tests the time that one page takes.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name       string
		status     int
		retryAfter func() string
		faults     int
		took       time.Duration
		kind       error
	}{
		{"one fault", 500, nil, 1, 500 * time.Millisecond, nil},
		{"five faults", 503, nil, 5, 15500 * time.Millisecond, nil},
		{"exhausted, no wait after the last", 503, nil, 6, 15500 * time.Millisecond, ErrExhausted},
		{"seconds", 429, func() string { return "7" }, 1, 7 * time.Second, nil},
		{"date", 429, func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) }, 1, 7 * time.Second, nil},
		{"past date", 429, func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 1, 500 * time.Millisecond, nil},
		{"zero", 503, func() string { return "0" }, 1, 500 * time.Millisecond, nil},
		{"less than the backoff", 503, func() string { return "1" }, 3, 4 * time.Second, nil},
		{"the longest", 429, func() string { return "300" }, 1, 5 * time.Minute, nil},
		{"beyond the longest", 429, func() string { return "301" }, 1, 0, ErrThrottled},
		{"beyond everything", 503, func() string { return "99999999999" }, 1, 0, ErrThrottled},
		{"not retried", 404, func() string { return "7" }, 1, 0, ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				served := 0
				client := bubbleClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
					if served++; served > c.faults {
						io.WriteString(w, page(1, `"hasNextPage":false`))
						return
					}
					if c.retryAfter != nil {
						w.Header().Set("Retry-After", c.retryAfter())
					}
					w.WriteHeader(c.status)
				})
				start := time.Now()
				_, err := read(t.Context(), client, "47", Position{})
				checkError(t, err, c.kind, "")
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				if waited := client.Stats().Waited; waited != c.took {
					t.Errorf("waited %s, want %s", waited, c.took)
				}
			})
		})
	}
}

// TestHold: when the API asks one worker to wait, all workers wait until then.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		name    string
		limiter *rate.Limiter
		refused int // at most
	}{
		// Requests that were sent before the 429 arrived may be refused, too.
		{"without a limit", nil, 7},
		{"with a limit", NewLimiter(50), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const workers, prospects = 8, 200
				var mu sync.Mutex
				var from, until time.Time // the API refuses between them
				refused, served := 0, 0
				client := bubbleClient(t, Options{Limiter: c.limiter}, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(5 * time.Millisecond) // so that all workers have sent
					mu.Lock()
					defer mu.Unlock()
					now := time.Now()
					if served++; served == 50 {
						from, until = now, now.Add(90*time.Second)
						w.Header().Set("Retry-After", "90")
						w.WriteHeader(http.StatusTooManyRequests)
						return
					}
					if now.Before(until) {
						refused++
						w.Header().Set("Retry-After", "1") // must not shorten the 90
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					io.WriteString(w, page(1, `"hasNextPage":false`))
				})
				err := Each(t.Context(), workers, ids(prospects), func(ctx context.Context, _ int, prospect string) error {
					time.Sleep(10 * time.Millisecond)
					_, err := read(ctx, client, prospect, Position{})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if refused > c.refused || served != prospects+1+refused {
					t.Errorf("%d requests during the hold, %d in all", refused, served)
				}
				if took := time.Since(from); took < 90*time.Second || took > 95*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestRate: requests reach the limit and never exceed it, for any number of workers,
// with and without failures, and they are evenly spaced.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		name         string
		rate         float64
		workers      int
		latency      time.Duration
		fail         int // every how many
		minimum, max float64
	}{
		{"one worker", 50, 1, 5 * time.Millisecond, 0, 0.98, 1.02},
		{"eight workers", 50, 8, 100 * time.Millisecond, 0, 0.98, 1.02},
		{"many workers", 50, 64, 300 * time.Millisecond, 0, 0.98, 1.02},
		{"with failures", 50, 64, 100 * time.Millisecond, 10, 0.98, 1.02},
		{"slow", 0.5, 8, time.Second, 0, 0.98, 1.02},
		{"fast", 5000, 64, 5 * time.Millisecond, 0, 0.98, 1.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sent []time.Time
				client := bubbleClient(t, Options{Limiter: NewLimiter(c.rate)}, func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					sent = append(sent, time.Now())
					fail := c.fail > 0 && len(sent)%c.fail == 0
					mu.Unlock()
					time.Sleep(c.latency)
					if fail {
						w.WriteHeader(http.StatusBadGateway)
						return
					}
					io.WriteString(w, page(1, `"hasNextPage":false`))
				})
				prospects := int(min(40*c.rate, 10_000))
				err := Each(t.Context(), c.workers, ids(prospects), func(ctx context.Context, _ int, prospect string) error {
					_, err := read(ctx, client, prospect, Position{})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				// Exclude the last seconds, when workers run out of prospects.
				n := len(sent) * 9 / 10
				took := sent[n].Sub(sent[0])
				if share := float64(n) / took.Seconds() / c.rate; share < c.minimum || share > c.max {
					t.Errorf("%d requests in %s are %.1f %% of the rate", n, took, 100*share)
				}
				if int64(len(sent)) != client.Stats().Requests {
					t.Errorf("%d requests sent, %d counted", len(sent), client.Stats().Requests)
				}
			})
		})
	}
}

// TestCancel: every wait ends with the context. A request in progress may continue for
// the grace period, within its timeout.
func TestCancel(t *testing.T) {
	refuse := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	busy := NewLimiter(0.001)
	const after = 100 * time.Millisecond
	for _, c := range []struct {
		name    string
		o       Options
		handler http.HandlerFunc
		took    time.Duration
	}{
		{"in the backoff", Options{}, refuse(""), after},
		{"in Retry-After", Options{}, refuse("299"), after},
		{"in the limiter", Options{Limiter: busy}, nil, after},
		{"in a request", Options{Timeout: time.Hour}, silent, after + 5*time.Second},
		{"in a request, with another grace period", Options{Timeout: time.Hour, Grace: time.Minute}, silent, after + time.Minute},
		{"in a request that times out", Options{Timeout: time.Second}, silent, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.o.Limiter != nil {
					c.o.Limiter.Reserve()
				}
				client := bubbleClient(t, c.o, c.handler)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				start := time.Now()
				_, err := read(ctx, client, "47", Position{})
				var e *Error
				if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) {
					t.Errorf("error: %v", err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// TestTimeout: a request that times out is retried, and its error does not look like the
// end of the caller's context.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := bubbleClient(t, Options{Timeout: 10 * time.Second, MaxAttempts: 2}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})
		start := time.Now()
		_, err := read(t.Context(), client, "47", Position{})
		checkError(t, err, ErrExhausted, "no complete response within 10s")
		if errors.Is(err, context.DeadlineExceeded) {
			t.Error("the error looks like the end of a context")
		}
		if took := time.Since(start); took != 20500*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

// TestSlowBody: the timeout includes the body, over a real connection.
func TestSlowBody(t *testing.T) {
	end := make(chan struct{})
	client, _ := newClient(t, Options{Timeout: 50 * time.Millisecond, MaxAttempts: 2}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"edges":[`)
		w.(http.Flusher).Flush()
		<-end
	})
	_, err := read(t.Context(), client, "47", Position{})
	close(end)
	checkError(t, err, ErrExhausted, "no complete response within 50ms")
}
