package extract

import (
	"context"
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkPages reads from a loopback server that takes almost no time. One operation is
// one request. "long" reads ten pages of 100 events for each prospect, and "unchanged"
// reads one empty page, as for a prospect without new events.
func BenchmarkPages(b *testing.B) {
	for _, c := range []struct {
		name          string
		events, pages int
	}{{"long", 100, 10}, {"unchanged", 0, 1}} {
		b.Run(c.name, func(b *testing.B) {
			bodies := map[string][]byte{} // by cursor
			cursor := ""
			for n := range c.pages {
				next := ""
				if n < c.pages-1 {
					next = fmt.Sprint(n + 1)
				}
				bodies[cursor] = somePage(c.events, next)
				cursor = next
			}
			client, _ := newClient(b, Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Write(bodies[r.URL.Query().Get("after")])
			})
			b.ReportAllocs()
			b.ResetTimer()
			err := Each(context.Background(), 8, ids((b.N+c.pages-1)/c.pages), func(ctx context.Context, _ int, prospect string) error {
				_, err := read(ctx, client, prospect, Position{})
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			s := client.Stats()
			b.SetBytes(s.Bytes / s.Pages)
			b.ReportMetric(float64(s.Events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(s.Requests)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
