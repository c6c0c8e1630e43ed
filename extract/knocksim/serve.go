package knocksim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"
)

// RegisterFlags adds a flag for every option to fs. The default of a flag is the value in
// o, or the default of the option if the value is zero.
func (o *Options) RegisterFlags(fs *flag.FlagSet) {
	shown := o.withDefaults()
	fs.Uint64Var(&o.Seed, "seed", o.Seed, "Derive everything else from this `number`")
	fs.IntVar(&o.Prospects, "prospects", o.Prospects, "Simulate this `number` of prospects")
	fs.IntVar(&o.Events, "events", o.Events, "Give all prospects together this `number` of events in 31 days")
	timeVar(fs, &o.Since, "since", "Begin the world at this `time` (default "+shown.Since.Format(time.RFC3339)+")")
	asOf := "31 days after -since"
	if !o.AsOf.IsZero() {
		asOf = o.AsOf.Format(time.RFC3339)
	}
	timeVar(fs, &o.AsOf, "as-of", "Serve the events before this `time` (default "+asOf+")")
	fs.Func("order", "Return a prospect's events in this `order`: oldest or newest first (default oldest)", func(value string) error {
		if value != "oldest" && value != "newest" {
			return errors.New(`use "oldest" or "newest"`)
		}
		o.NewestFirst = value == "newest"
		return nil
	})
	fs.BoolVar(&o.VendorChanges, "vendor-changes", o.VendorChanges, "Change fields, types and kinds of events in the course of January 2022, as a vendor does.")
	fs.IntVar(&o.MaxPageSize, "max-page-size", shown.MaxPageSize, "Limit a page to this `number` of events")
	fs.BoolVar(&o.RejectLargePages, "reject-large-pages", o.RejectLargePages, "Return 400 for a request for a larger page, instead of a smaller page.")
	fs.BoolVar(&o.Gzip, "gzip", o.Gzip, "Compress pages for clients that accept it.")
	fs.StringVar(&o.APIKey, "api-key", shown.APIKey, "Accept only this `key` as x-api-key")

	f := &o.Faults
	fs.Float64Var(&f.Rate, "fault-rate", f.Rate, "Let this `share` of requests, 0 to 1, fail, divided equally among the five kinds of faults.")
	fs.Float64Var(&f.TooManyRequests, "fault-429", f.TooManyRequests, "Answer this additional `share` of requests with 429 and Retry-After.")
	fs.Float64Var(&f.ServerError, "fault-500", f.ServerError, "Answer this additional `share` of requests with 500.")
	fs.Float64Var(&f.Unavailable, "fault-503", f.Unavailable, "Answer this additional `share` of requests with 503.")
	fs.Float64Var(&f.Reset, "fault-reset", f.Reset, "Reset the connection in the body of the response to this additional `share` of requests.")
	fs.Float64Var(&f.Truncated, "fault-truncated", f.Truncated, "Return half of the JSON to this additional `share` of requests.")
	fs.DurationVar(&f.RetryAfter, "retry-after", f.RetryAfter, "Send this `duration` as Retry-After with a 429.")
	fs.IntVar(&f.MaxInARow, "faults-in-a-row", shown.Faults.MaxInARow, "Let at most this `number` of responses for one prospect fail in a row; -1 means no limit")
	fs.Float64Var(&f.Slow, "slow-rate", f.Slow, "Delay the response to this `share` of requests.")
	fs.DurationVar(&f.Delay, "slow-delay", f.Delay, "Delay slow responses by this `duration`.")
}

func timeVar(fs *flag.FlagSet, t *time.Time, name, usage string) {
	fs.Func(name, usage, func(value string) error {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if parsed, err := time.Parse(layout, value); err == nil {
				*t = parsed
				return nil
			}
		}
		return errors.New("use a time such as 2022-02-01T00:00:00Z, or a day such as 2022-02-01")
	})
}

// ErrNotLoopback: the address can be reached from other machines.
var ErrNotLoopback = errors.New("not a loopback address")

// Serve serves h on addr (host:port; port 0 selects a free port) until ctx ends. The
// address must be on the loopback interface. If started is not nil, Serve calls it when the
// server listens. The end of ctx is not an error.
func Serve(ctx context.Context, addr string, h http.Handler, started func(url string)) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %q: %w", addr, err)
	}
	if !tcp.IP.IsLoopback() {
		return fmt.Errorf("listening on %q: %w: the simulator serves only this machine; use 127.0.0.1:%d", addr, ErrNotLoopback, tcp.Port)
	}
	listener, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return fmt.Errorf("listening on %q: %w", addr, err)
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if started != nil {
		started("http://" + listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	<-ended
	return nil
}

// Greeting returns a text for the terminal: what is served at url, and how to request it.
func (s *Simulator) Greeting(url string) string {
	key := s.options.APIKey
	if key != DefaultAPIKey {
		key = "$API_KEY"
	}
	var id string
	for id = range s.ProspectIDs() {
		break
	}
	return fmt.Sprintf("Serving %d events from %d prospects, as of %s, at\n  %s\nTry\n  curl -H \"x-api-key: %s\" \"%s/prospect/%s/events?first=2\"\n",
		s.events, s.options.Prospects, s.options.AsOf.UTC().Format(time.RFC3339), url, key, url, id)
}
