package knocksim

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestEachFault(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults Faults
		check  func(t *testing.T, r *http.Response, body string, err error)
	}{
		{"429", Faults{TooManyRequests: 1, RetryAfter: 1500 * time.Millisecond}, func(t *testing.T, r *http.Response, body string, err error) {
			if err != nil || r.StatusCode != 429 || r.Header.Get("Retry-After") != "2" {
				t.Errorf("%v, %v, Retry-After %q", err, r.Status, r.Header.Get("Retry-After"))
			}
		}},
		{"500", Faults{ServerError: 1}, func(t *testing.T, r *http.Response, body string, err error) {
			if err != nil || r.StatusCode != 500 || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%v, %v", err, r.Status)
			}
		}},
		{"503", Faults{Unavailable: 1}, func(t *testing.T, r *http.Response, body string, err error) {
			if err != nil || r.StatusCode != 503 || r.Header.Get("Retry-After") != "" || !strings.HasPrefix(body, "<html>") {
				t.Errorf("%v, %v: %s", err, r.Status, body)
			}
		}},
		{"reset", Faults{Reset: 1}, func(t *testing.T, r *http.Response, body string, err error) {
			if err == nil {
				t.Errorf("%v with a complete body of %d bytes, want a reset", r.Status, len(body))
			}
		}},
		{"truncated", Faults{Truncated: 1}, func(t *testing.T, r *http.Response, body string, err error) {
			if err != nil || r.StatusCode != 200 || !strings.HasPrefix(body, `{"edges":[{"node":{`) || strings.HasSuffix(body, "}}") {
				t.Errorf("%v, %v: %s", err, r.Status, body)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.faults.MaxInARow = -1
			s, server := serve(t, Options{Prospects: 10, Events: 1000, Faults: c.faults})
			for range 5 {
				r, err := server.Client().Do(request(t, server.URL, busiest(s), "20", ""))
				var body []byte
				if err == nil {
					body, err = io.ReadAll(r.Body)
					r.Body.Close()
				}
				c.check(t, r, string(body), err)
			}
			if got := s.Stats(); got.Requests < 5 || got.Faults[c.name] != got.Requests || len(got.Faults) != 1 || got.Pages != 0 || got.Events != 0 {
				t.Errorf("want faults and no pages; stats: %v", got)
			}
		})
	}
}

// If the connection cannot be hijacked (HTTP/2, or the recorder of a test), the server
// aborts the response.
func TestResetWithoutHijack(t *testing.T) {
	s := mustNew(t, Options{Prospects: 1, Events: 10, Faults: Faults{Reset: 1}})
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("want a panic with http.ErrAbortHandler")
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), request(t, "http://knock.example", busiest(s), "1", ""))
}

func TestRetriesGetAllPages(t *testing.T) {
	for name, c := range map[string]struct {
		faults   Faults
		attempts int
	}{
		"one in ten": {Faults{Rate: 0.1}, 3},
		"all":        {Faults{Rate: 1}, 3},
		"once":       {Faults{Rate: 1, MaxInARow: 1}, 2},
		"gzip":       {Faults{Rate: 0.5, Slow: 0.5}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := serve(t, Options{Prospects: 40, Events: 1500, Faults: c.faults, Gzip: name == "gzip"})
			server.Client().Transport.(*http.Transport).DisableKeepAlives = true // otherwise net/http itself retries a reset request
			for id := range s.ProspectIDs() {
				check(t, s, server, id, 10, c.attempts)
			}
			got := s.Stats()
			failed := got.Requests - got.Pages
			if failed == 0 || got.Repeated != 0 || got.Events != int64(s.EventCount()) {
				t.Errorf("want faults, no repeated page and %d events; stats: %v", s.EventCount(), got)
			}
			if c.faults.Rate == 1 && failed != int64(c.attempts-1)*got.Pages {
				t.Errorf("want every page at attempt %d; stats: %v", c.attempts, got)
			}
			for _, kind := range faultNames[tooManyRequests:slowResponse] {
				if got.Faults[kind] == 0 {
					t.Errorf("want faults of every kind; stats: %v", got)
				}
			}
		})
	}
}

func TestShareOfFaults(t *testing.T) {
	s := mustNew(t, Options{Prospects: 1000, Faults: Faults{Rate: 0.1, ServerError: 0.05, Slow: 0.3}})
	const requests = 100_000
	kinds, slowOnes, page := map[faultKind]int{}, 0, 0
	for range requests {
		kind, slow := s.faults.draw(page%1000, page/1000*100)
		kinds[kind]++
		if slow {
			slowOnes++
		}
		if kind == noFault { // otherwise the same page is requested again
			page++
		}
	}
	near := func(what string, got int, want float64) {
		if share := float64(got) / requests; share < want*0.93 || share > want*1.07 {
			t.Errorf("the share of %s is %.4f, want %.4f", what, share, want)
		}
	}
	for kind := tooManyRequests; kind <= truncated; kind++ {
		want := 0.02
		if kind == serverError {
			want = 0.07
		}
		near(faultNames[kind], kinds[kind], want)
	}
	near("slow", slowOnes, 0.3)
}

// Faults do not depend on the order of the prospects.
func TestFaultsAreDeterministic(t *testing.T) {
	faults := func(workers int) map[string]int64 {
		s, server := serve(t, Options{Prospects: 40, Events: 1000, Seed: 3, Faults: Faults{TooManyRequests: 0.1, ServerError: 0.1, Unavailable: 0.1, Truncated: 0.1, Slow: 0.1}})
		var group errgroup.Group
		group.SetLimit(workers)
		for id := range s.ProspectIDs() {
			group.Go(func() error {
				_, err := walk(t, server, id, 10, 3)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		return s.Stats().Faults
	}
	if one, eight := faults(1), faults(8); !maps.Equal(one, eight) || len(one) != 5 {
		t.Errorf("one worker got the faults %v, eight workers got %v", one, eight)
	}
}

func TestSlowResponses(t *testing.T) {
	s, server := serve(t, Options{Prospects: 10, Events: 100, Faults: Faults{Slow: 1, Delay: time.Microsecond}})
	check(t, s, server, busiest(s), 100, 1)
	if got := s.Stats(); got.Faults["slow"] != 1 || got.Pages != 1 {
		t.Errorf("want one slow page; stats: %v", got)
	}

	never, server := serve(t, Options{Prospects: 10, Events: 100, Faults: Faults{Slow: 1, Delay: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := fetch(server.Client(), request(t, server.URL, busiest(never), "1", "").WithContext(ctx))
		done <- err
	}()
	for never.Stats().Faults["slow"] == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the error of the client is %v", err)
	}
	if got := never.Stats(); got.Pages != 0 || len(got.Status) != 0 {
		t.Errorf("want no response; stats: %v", got)
	}
}

// broken is a ResponseWriter whose client has disconnected.
type broken struct{ discard }

func (b *broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRepeatedPagesAreCounted(t *testing.T) {
	s := mustNew(t, Options{Prospects: 100, Events: 5000})
	big, empty := busiest(s), without(s)
	get := func(w http.ResponseWriter, id, after string) {
		s.ServeHTTP(w, request(t, "http://knock.example", id, "100", after))
	}
	end := string(appendCursor(nil, len(slices.Collect(s.Nodes(big)))))
	hundred := string(appendCursor(nil, 100))
	for i, step := range []struct {
		id, after string
		gone      bool
		repeated  int64
	}{
		{big, "", true, 0}, // the client did not receive it, so it does not count
		{big, "", false, 0},
		{big, hundred, false, 0},
		{big, "", false, 1},
		{big, hundred, true, 1},
		{big, hundred, false, 2},
		{empty, "", false, 2},
		{empty, "", false, 3},
		{big, end, false, 3}, // a later run resumes here
		{big, end, false, 4},
	} {
		var w http.ResponseWriter = &discard{header: http.Header{}}
		if step.gone {
			w = &broken{discard{header: http.Header{}}}
		}
		get(w, step.id, step.after)
		if got := s.Stats().Repeated; got != step.repeated {
			t.Errorf("step %d: %d pages are repeated, want %d", i, got, step.repeated)
		}
	}
	if got := s.Stats(); got.Aborted != 2 || got.Pages != 8 || got.Requests != 10 {
		t.Errorf("want 10 requests, 8 pages, 2 aborted; stats: %v", got)
	}
	if got := s.Stats().String(); !strings.HasPrefix(got, "10 requests, 8 pages with ") || !strings.Contains(got, "\n  status 200: 10") {
		t.Errorf("the summary is %s", got)
	}
}
