package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const testKey = "syndication-prospect-TEST-KEY"

// noSleep ends every wait at once.
func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// newClient returns a client of a loopback server, and its log. Client and server are
// closed at the end of the test.
func newClient(t testing.TB, o Options, h http.HandlerFunc) (*Client, *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(h)
	var log bytes.Buffer
	o.Endpoint = server.URL + strings.TrimSuffix(o.Endpoint, "/")
	o.APIKey = testKey
	if o.Sleep == nil {
		o.Sleep = noSleep
	}
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c, &log
}

// responses returns a handler that serves pages by cursor, and 400 for any other cursor.
func responses(pages map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if body, ok := pages[r.URL.Query().Get("after")]; ok {
			io.WriteString(w, body)
		} else {
			http.Error(w, "{}", http.StatusBadRequest)
		}
	}
}

func page(events int, pageInfo string) string {
	return fmt.Sprintf(`{"edges":[%s],"pageInfo":{%s}}`, strings.TrimSuffix(strings.Repeat(`{"node":{}},`, events), ","), pageInfo)
}

// read returns the pages before the first error.
func read(ctx context.Context, c *Client, prospect string, from Position) (pages []Page, err error) {
	for p, e := range c.Pages(ctx, prospect, from) {
		if err != nil {
			return pages, errors.New("the sequence went on after an error")
		}
		if err = e; err == nil || p.Body != nil {
			pages = append(pages, p)
		}
	}
	return pages, err
}

func TestRequest(t *testing.T) {
	for _, c := range []struct{ name, base, prospect, cursor, path, query string }{
		{"first page", "", "47569637", "", "/prospect/47569637/events", "first=25"},
		{"documented cursor", "", "47569637", "MQ==", "/prospect/47569637/events", "first=25&after=MQ%3D%3D"},
		{"cursor of base64", "", "1", "a+b/c&first=9 #", "/prospect/1/events", "first=25&after=a%2Bb%2Fc%26first%3D9+%23"},
		{"id to be escaped", "/v1/knock/", "a/b?c d%é", "", "/v1/knock/prospect/a%2Fb%3Fc%20d%25%C3%A9/events", "first=25"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got *http.Request
			client, _ := newClient(t, Options{Endpoint: c.base, PageSize: 25}, func(w http.ResponseWriter, r *http.Request) {
				got = r
				io.WriteString(w, page(1, `"hasNextPage":false`))
			})
			if _, err := read(t.Context(), client, c.prospect, Position{Cursor: c.cursor}); err != nil {
				t.Fatal(err)
			}
			if got.URL.EscapedPath() != c.path || got.URL.RawQuery != c.query {
				t.Errorf("requested %s?%s, want %s?%s", got.URL.EscapedPath(), got.URL.RawQuery, c.path, c.query)
			}
			if want := c.cursor; got.URL.Query().Get("after") != want {
				t.Errorf("the server received the cursor %q, want %q", got.URL.Query().Get("after"), want)
			}
			for header, want := range map[string]string{"X-Api-Key": testKey, "Content-Type": "application/json",
				"Accept": "application/json", "User-Agent": "prospector", "Accept-Encoding": "gzip"} {
				if got.Header.Get(header) != want {
					t.Errorf("%s: %q, want %q", header, got.Header.Get(header), want)
				}
			}
		})
	}
}

func TestPages(t *testing.T) {
	last := page(1, `"endCursor":"Z","hasNextPage":false`)
	for _, c := range []struct {
		name      string
		responses map[string]string
		from      Position
		events    []int // by page
		kind      error
		why       string // in the error's text
	}{
		{name: "one page", responses: map[string]string{"": last}, events: []int{1}},
		{name: "documented, then the rest", responses: map[string]string{"": documented, "MQ==": page(3, `"endCursor":"Mg==","hasNextPage":true`), "Mg==": last}, events: []int{1, 3, 1}},
		{name: "no events", responses: map[string]string{"": page(0, `"endCursor":null,"hasNextPage":false`)}, events: []int{0}},
		{name: "edges null", responses: map[string]string{"": `{"edges":null,"pageInfo":{"hasNextPage":false}}`}, events: []int{0}},
		{name: "an empty page between", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`), "A": page(0, `"endCursor":"B","hasNextPage":true`), "B": last}, events: []int{2, 0, 1}},
		{name: "an empty page at the end", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`), "A": page(0, `"endCursor":"A","hasNextPage":false`)}, events: []int{2, 0}},
		{name: "no hasNextPage", responses: map[string]string{"": page(2, `"endCursor":"A"`), "A": page(1, `"endCursor":"B"`), "B": page(0, `"endCursor":"B"`)}, events: []int{2, 1, 0}},
		{name: "cursors are numbers", responses: map[string]string{"": page(2, `"endCursor":2,"hasNextPage":true`), "2": last}, events: []int{2, 1}},
		{name: "resumed", responses: map[string]string{"": "no", "A": page(2, `"endCursor":"B","hasNextPage":true`), "B": last}, from: Position{7, "A"}, events: []int{2, 1}},

		{name: "cursor repeats at once", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`), "A": page(2, `"endCursor":"A","hasNextPage":true`)}, events: []int{2, 2}, kind: ErrLoop, why: "requested before"},
		{name: "cursor repeats later", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`), "A": page(2, `"endCursor":"B","hasNextPage":true`), "B": page(2, `"endCursor":"A","hasNextPage":true`)}, events: []int{2, 2, 2}, kind: ErrLoop, why: "requested before"},
		{name: "cursor repeats the resumed one", responses: map[string]string{"A": page(2, `"endCursor":"A","hasNextPage":true`)}, from: Position{7, "A"}, events: []int{2}, kind: ErrLoop, why: "page 8"},
		{name: "no hasNextPage, cursor repeats", responses: map[string]string{"": page(2, `"endCursor":"A"`), "A": page(2, `"endCursor":"A"`)}, events: []int{2, 2}, kind: ErrLoop},
		{name: "more, no cursor", responses: map[string]string{"": page(2, `"endCursor":null,"hasNextPage":true`)}, events: []int{2}, kind: ErrLoop, why: "no endCursor"},
		{name: "empty, more, no cursor", responses: map[string]string{"": page(0, `"hasNextPage":true`)}, events: []int{0}, kind: ErrLoop, why: "no endCursor"},
		{name: "not a page", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`), "A": `{"message":"secret"}`}, events: []int{2}, kind: ErrBadPage, why: "no edges, but message"},
		{name: "no pageInfo", responses: map[string]string{"": `{"edges":[]}`}, kind: ErrBadPage, why: "no pageInfo"},
		{name: "a refused cursor", responses: map[string]string{"": page(2, `"endCursor":"A","hasNextPage":true`)}, events: []int{2}, kind: ErrRefused, why: "400 Bad Request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := newClient(t, Options{}, responses(c.responses))
			got, err := read(t.Context(), client, "47", c.from)
			checkError(t, err, c.kind, c.why)
			if len(got) != len(c.events) {
				t.Fatalf("%d pages, want %d", len(got), len(c.events))
			}
			cursor := c.from.Cursor
			for i, p := range got {
				if p.Number != c.from.Number+i || p.Cursor != cursor || p.Events != c.events[i] || string(p.Body) != c.responses[cursor] {
					t.Errorf("page %d after %q is %+v", c.from.Number+i, cursor, p)
				}
				cursor = p.Next
			}
			if err == nil && cursor != "" {
				t.Errorf("the last page has the next cursor %q", cursor)
			}
		})
	}
}

// checkError checks that err is an *Error of that kind whose text contains why and no
// secret, or that err is nil if kind is nil.
func checkError(t *testing.T, err, kind error, why string) {
	t.Helper()
	if kind == nil {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var e *Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), why) {
		t.Fatalf("error: %v\nwant an *Error that is %q, with %q", err, kind, why)
	}
	for _, secret := range []string{testKey, "secret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error contains %q: %v", secret, err)
		}
	}
}

// TestEndless: pages that never end, each with a new cursor.
func TestEndless(t *testing.T) {
	for _, c := range []struct {
		name   string
		events func(page int) int
		pages  int // that Pages yields
		why    string
	}{
		{"full", func(int) int { return 1 }, 50, "there were 50 pages"},
		{"empty", func(int) int { return 0 }, 10, "there were 10 empty pages in a row"},
		{"empty after the start", func(n int) int { return max(0, 3-n) }, 13, "there were 10 empty pages in a row"},
		{"mostly empty", func(n int) int { return n % 10 / 9 }, 50, "there were 50 pages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := 0
			client, _ := newClient(t, Options{MaxPages: 50, MaxEmptyPages: 10}, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, page(c.events(served), fmt.Sprintf(`"endCursor":"%d","hasNextPage":true`, served)))
				served++
			})
			got, err := read(t.Context(), client, "47", Position{})
			checkError(t, err, ErrLoop, c.why)
			if len(got) != c.pages || served != c.pages {
				t.Errorf("%d pages yielded and %d served, want %d", len(got), served, c.pages)
			}
		})
	}
}

// TestBodiesAreOwned: reading further pages does not change the body of an earlier page.
func TestBodiesAreOwned(t *testing.T) {
	client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.URL.Query().Get("after"), &n)
		io.WriteString(w, page(n%3, fmt.Sprintf(`"endCursor":"%d","hasNextPage":%t`, n+1, n < 50)))
	})
	got, err := read(t.Context(), client, "47", Position{})
	if err != nil || len(got) != 51 {
		t.Fatal(len(got), err)
	}
	for n, p := range got {
		if want := page(n%3, fmt.Sprintf(`"endCursor":"%d","hasNextPage":%t`, n+1, n < 50)); string(p.Body) != want {
			t.Fatalf("page %d has changed to %s", n, p.Body)
		}
	}
}

// TestBreak: no page is requested after the loop ends.
func TestBreak(t *testing.T) {
	served := 0
	client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		served++
		io.WriteString(w, page(1, fmt.Sprintf(`"endCursor":"%d","hasNextPage":true`, served)))
	})
	var last Page
	for p, err := range client.Pages(t.Context(), "47", Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if last = p; p.Number == 2 {
			break
		}
	}
	if served != 3 || last.After() != (Position{3, "3"}) {
		t.Errorf("%d requests, then %+v", served, last.After())
	}
}

// TestInterrupt: the page that is being requested when the context ends is yielded, and
// no other page is requested.
func TestInterrupt(t *testing.T) {
	more, last := `"endCursor":"B","hasNextPage":true`, `"hasNextPage":false`
	for _, c := range []struct {
		name    string
		respond func(w http.ResponseWriter, interrupt func())
		pages   int
		err     error
	}{
		{"before the response", func(w http.ResponseWriter, interrupt func()) {
			interrupt()
			io.WriteString(w, page(2, more))
		}, 2, context.Canceled},
		{"during the response", func(w http.ResponseWriter, interrupt func()) {
			body := page(2, more)
			io.WriteString(w, body[:20])
			w.(http.Flusher).Flush()
			interrupt()
			io.WriteString(w, body[20:])
		}, 2, context.Canceled},
		{"before the last page", func(w http.ResponseWriter, interrupt func()) {
			interrupt()
			io.WriteString(w, page(2, last))
		}, 2, nil},
		{"before a failure", func(w http.ResponseWriter, interrupt func()) {
			interrupt()
			w.WriteHeader(http.StatusServiceUnavailable)
		}, 1, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			var served atomic.Int32
			client, _ := newClient(t, Options{Grace: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
				if served.Add(1); r.URL.Query().Get("after") == "" {
					io.WriteString(w, page(2, `"endCursor":"A","hasNextPage":true`))
					return
				}
				c.respond(w, interrupt)
			})
			got, err := read(ctx, client, "47", Position{})
			var e *Error
			if !errors.Is(err, c.err) || errors.As(err, &e) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if len(got) != c.pages || served.Load() != 2 {
				t.Errorf("%d pages yielded after %d requests, want %d after 2", len(got), served.Load(), c.pages)
			}
		})
	}
	t.Run("no response", func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		client, _ := newClient(t, Options{Timeout: time.Hour, Grace: time.Nanosecond}, func(_ http.ResponseWriter, r *http.Request) {
			interrupt()
			<-r.Context().Done() // until the client disconnects
		})
		if got, err := read(ctx, client, "47", Position{}); !errors.Is(err, context.Canceled) || len(got) != 0 {
			t.Errorf("%d pages, %v", len(got), err)
		}
	})
}

// TestConnections: connections are reused, whatever the responses are.
func TestConnections(t *testing.T) {
	const workers, prospects = 8, 400
	var mu sync.Mutex
	remotes, failed := map[string]bool{}, map[string]bool{}
	client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		remotes[r.RemoteAddr] = true
		switch again := failed[r.URL.Path]; {
		case strings.HasSuffix(r.URL.Path, "1/events"):
			http.Error(w, strings.Repeat("x", 10_000), http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "2/events") && !again:
			failed[r.URL.Path] = true
			http.Error(w, strings.Repeat("x", 10_000), http.StatusInternalServerError)
		default:
			w.Write(somePage(100, ""))
		}
	})
	err := Each(t.Context(), workers, ids(prospects), func(ctx context.Context, _ int, prospect string) error {
		if _, err := read(ctx, client, prospect, Position{}); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Slightly more connections than workers are fine: the next request may begin just
	// before the previous connection becomes idle.
	if len(remotes) > 3*workers {
		t.Errorf("%d connections for %d workers", len(remotes), workers)
	}
}
