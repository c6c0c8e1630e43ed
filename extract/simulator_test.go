package extract_test

import (
	"context"
	"fmt"
	"iter"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"prospector/extract"
	"prospector/extract/knocksim"
)

// TestSimulator reads all events of a world. Despite faults, every event arrives in the
// order in which it is served, and no page is read twice.
func TestSimulator(t *testing.T) {
	for _, c := range []struct {
		name     string
		world    knocksim.Options
		pageSize int
		resume   bool // resume after every page, as if the process had been killed
	}{
		{name: "no faults"},
		{name: "faults", world: knocksim.Options{Faults: knocksim.Faults{Rate: 0.1, Slow: 0.01, Delay: time.Millisecond}}},
		{name: "nothing but faults", world: knocksim.Options{Faults: knocksim.Faults{Rate: 1, MaxInARow: 5}}},
		{name: "gzip and faults", world: knocksim.Options{Gzip: true, Faults: knocksim.Faults{Rate: 0.1}}},
		{name: "newest first", world: knocksim.Options{NewestFirst: true}},
		{name: "silently smaller pages", world: knocksim.Options{MaxPageSize: 10}, pageSize: 1000},
		{name: "resumed", world: knocksim.Options{Faults: knocksim.Faults{Rate: 0.1}}, resume: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.world.Seed, c.world.Prospects, c.world.Events = 7, 300, 10_000
			simulator, err := knocksim.New(c.world)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(simulator)
			defer server.Close()
			client, err := extract.New(extract.Options{
				Endpoint: server.URL,
				APIKey:   knocksim.DefaultAPIKey,
				PageSize: c.pageSize,
				Sleep:    func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()

			var events atomic.Int64
			err = extract.Each(t.Context(), 8, withoutError(simulator.ProspectIDs()), func(ctx context.Context, _ int, prospect string) error {
				served, stop := iter.Pull(simulator.Nodes(prospect))
				defer stop()
				from, more := extract.Position{}, true
				for more {
					more = false
					for page, err := range client.Pages(ctx, prospect, from) {
						if err != nil {
							return err
						}
						for _, edge := range fastjson.MustParseBytes(page.Body).GetArray("edges") {
							want, _ := served()
							if got := edge.Get("node").MarshalTo(nil); string(got) != string(want) {
								return fmt.Errorf("prospect %s: got %s, want %s", prospect, got, want)
							}
							events.Add(1)
						}
						if c.resume && page.Next != "" {
							from, more = page.After(), true
							break
						}
					}
				}
				if _, left := served(); left {
					return fmt.Errorf("prospect %s: events are missing", prospect)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			stats, truth := client.Stats(), simulator.Stats()
			if n := int64(simulator.EventCount()); events.Load() != n || stats.Events != n {
				t.Errorf("%d events read and %d counted, %d served", events.Load(), stats.Events, n)
			}
			if truth.Repeated != 0 {
				t.Errorf("%d pages were read twice", truth.Repeated)
			}
			if stats.Requests != truth.Requests || stats.Pages != truth.Pages || stats.Retries != stats.Requests-stats.Pages {
				t.Errorf("the client counts %+v, the server %+v", stats, truth)
			}
			if faults := c.world.Faults.Rate > 0; faults != (stats.Retries > 0) {
				t.Errorf("%d retries", stats.Retries)
			}
		})
	}
}

func withoutError(ids iter.Seq[string]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}
