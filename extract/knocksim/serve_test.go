package knocksim

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	s := mustNew(t, Options{Prospects: 3, Events: 30})
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan string), make(chan error)
	go func() { done <- Serve(ctx, "localhost:0", s, func(url string) { started <- url }) }()
	base := <-started
	if p, err := fetch(http.DefaultClient, request(t, base, busiest(s), "5", "")); err != nil || len(p.Edges) != 5 {
		t.Errorf("%d edges, %v", len(p.Edges), err)
	}
	greeting := s.Greeting(base)
	for _, part := range []string{base, "30 events from 3 prospects", "2022-02-01T00:00:00Z", DefaultAPIKey} {
		if !strings.Contains(greeting, part) {
			t.Errorf("the greeting does not contain %s: %s", part, greeting)
		}
	}
	if err := Serve(ctx, strings.TrimPrefix(base, "http://"), s, nil); err == nil {
		t.Error("a second server listens on the same port")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestServeOnlyOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		if err := Serve(t.Context(), addr, nil, nil); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%s: %v, want ErrNotLoopback", addr, err)
		}
	}
	if err := Serve(t.Context(), "nonsense", nil, nil); err == nil || errors.Is(err, ErrNotLoopback) {
		t.Errorf("an address without a port: %v", err)
	}
}

func TestGreetingHidesKey(t *testing.T) {
	s := mustNew(t, Options{Prospects: 1, APIKey: "my-secret"})
	if got := s.Greeting("http://127.0.0.1:1"); strings.Contains(got, "my-secret") {
		t.Errorf("the greeting shows the key: %s", got)
	}
}

func TestFlags(t *testing.T) {
	parse := func(o Options, line string) (Options, error) {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		o.RegisterFlags(fs)
		return o, fs.Parse(strings.Fields(line))
	}
	start := Options{Seed: 1, Prospects: 500, Events: 20_000}
	got, err := parse(start, "")
	if err != nil || got.withDefaults() != start.withDefaults() {
		t.Errorf("without flags: %+v, %v", got, err)
	}
	got, err = parse(start, "-seed 9 -prospects 8 -events 7 -since 2023-01-01 -as-of 2023-01-02T03:04:05+06:00 -order newest -vendor-changes"+
		" -max-page-size 6 -reject-large-pages -gzip -api-key key -fault-rate .1 -fault-429 .2 -fault-500 .3 -fault-503 .01"+
		" -fault-reset .02 -fault-truncated .03 -retry-after 2s -faults-in-a-row 5 -slow-rate .4 -slow-delay 3ms")
	want := Options{Seed: 9, Prospects: 8, Events: 7, NewestFirst: true, VendorChanges: true, MaxPageSize: 6, RejectLargePages: true, Gzip: true, APIKey: "key",
		Since: got.Since, AsOf: got.AsOf,
		Faults: Faults{Rate: .1, TooManyRequests: .2, ServerError: .3, Unavailable: .01, Reset: .02, Truncated: .03,
			RetryAfter: 2 * time.Second, MaxInARow: 5, Slow: .4, Delay: 3 * time.Millisecond}}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got.Since.Format(time.RFC3339) != "2023-01-01T00:00:00Z" || got.AsOf.UTC().Format(time.RFC3339) != "2023-01-01T21:04:05Z" {
		t.Errorf("since %s, as of %s", got.Since, got.AsOf)
	}
	for _, line := range []string{"-as-of yesterday", "-order random", "-seed -1"} {
		if _, err := parse(start, line); err == nil {
			t.Errorf("%s was accepted", line)
		}
	}
}
