package knocksim

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
)

// discard is a ResponseWriter that keeps only the size.
type discard struct {
	header http.Header
	bytes  int64
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += int64(len(b))
	return len(b), nil
}

// BenchmarkServe reads prospects on one goroutine, a page at a time, as the exporter does.
// The simulator must serve at least 1 M events/s.
func BenchmarkServe(b *testing.B) {
	for _, world := range []struct {
		name    string
		options Options
	}{
		{"oldest", Options{Prospects: 40_000, Events: 1_000_000}},
		{"newest", Options{Prospects: 40_000, Events: 1_000_000, NewestFirst: true}},
		{"large prospects", Options{Prospects: 4, Events: 1_000_000}},
		{"ten-million", Options{Prospects: 400_000, Events: 10_000_000}},
	} {
		b.Run(world.name, func(b *testing.B) {
			s, err := New(world.options)
			if err != nil {
				b.Fatal(err)
			}
			w := &discard{header: http.Header{}}
			r := &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{"X-Api-Key": {DefaultAPIKey}}}
			index, offset := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				visible := s.world.visible(index)
				r.URL.Path = "/prospect/" + strconv.Itoa(s.world.id(index)) + "/events"
				query := []byte("first=100")
				if offset > 0 {
					query = append(query, "&after="...)
					query = append(query, url.QueryEscape(string(appendCursor(nil, offset)))...)
				}
				r.URL.RawQuery = string(query)
				s.ServeHTTP(w, r)
				if offset += 100; offset >= visible {
					index, offset = (index+1)%s.options.Prospects, 0
				}
			}
			events := float64(s.Stats().Events)
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(w.bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
			b.ReportMetric(float64(w.bytes)/events, "B/event")
		})
	}
}

// BenchmarkNew measures the setup of a world, before its first page.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Options{Prospects: 400_000, Events: 10_000_000}); err != nil {
			b.Fatal(err)
		}
	}
}
