package knocksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type page struct {
	Edges []struct {
		Node json.RawMessage `json:"node"`
	} `json:"edges"`
	PageInfo struct {
		EndCursor   *string `json:"endCursor"`
		HasNextPage bool    `json:"hasNextPage"`
	} `json:"pageInfo"`
}

// request returns the request for a page. after is "" for the first page.
func request(t testing.TB, base, prospect, first, after string) *http.Request {
	t.Helper()
	query := url.Values{"first": {first}}
	if after != "" {
		query.Set("after", after)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/prospect/"+prospect+"/events?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-api-key", DefaultAPIKey)
	return r
}

// fetch requests a page.
func fetch(client *http.Client, r *http.Request) (page, error) {
	var p page
	response, err := client.Do(r)
	if err != nil {
		return p, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return p, err
	}
	if response.StatusCode != http.StatusOK {
		return p, errors.New(response.Status)
	}
	return p, json.Unmarshal(body, &p)
}

// walk reads all pages of a prospect, with a number of attempts for each page.
func walk(t testing.TB, server *httptest.Server, prospect string, first, attempts int) (nodes [][]byte, err error) {
	after := ""
	for {
		var p page
		for range attempts {
			if p, err = fetch(server.Client(), request(t, server.URL, prospect, strconv.Itoa(first), after)); err == nil {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("prospect %s: no page after %[3]q in %[2]d attempts: %[4]w", prospect, attempts, after, err)
		}
		if p.Edges == nil || len(p.Edges) > first {
			return nil, fmt.Errorf("prospect %s: a page has %d edges (nil: %v), requested were %d", prospect, len(p.Edges), p.Edges == nil, first)
		}
		for _, edge := range p.Edges {
			nodes = append(nodes, edge.Node)
		}
		if (p.PageInfo.EndCursor == nil) != (len(p.Edges) == 0) {
			return nil, fmt.Errorf("prospect %s: a page of %d edges has the endCursor %v", prospect, len(p.Edges), p.PageInfo.EndCursor)
		}
		if !p.PageInfo.HasNextPage {
			return nodes, nil
		}
		after = *p.PageInfo.EndCursor
	}
}

// check checks that the pages of a prospect have exactly its nodes.
func check(t testing.TB, s *Simulator, server *httptest.Server, prospect string, first, attempts int) (events int) {
	t.Helper()
	got, err := walk(t, server, prospect, first, attempts)
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Collect(s.Nodes(prospect)); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("prospect %s: the pages have %d events, which differ from its %d nodes", prospect, len(got), len(want))
	}
	return len(got)
}

func serve(t testing.TB, o Options) (*Simulator, *httptest.Server) {
	t.Helper()
	s := mustNew(t, o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server
}

func TestPagesHaveAllEvents(t *testing.T) {
	small := Options{Prospects: 30, Events: 500, Seed: 1}
	for name, c := range map[string]struct {
		options Options
		first   int
	}{
		"one by one":   {small, 1},
		"seven":        {small, 7},
		"hundred":      {Options{Prospects: 100, Events: 6000}, 100},
		"newest first": {Options{Prospects: 30, Events: 500, NewestFirst: true}, 9},
		"gzip":         {Options{Prospects: 30, Events: 500, Gzip: true}, 50}, // which http.Client accepts
		"small pages":  {Options{Prospects: 1, Events: 30, MaxPageSize: 12}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := serve(t, c.options)
			total, pages := 0, 0
			for id := range s.ProspectIDs() {
				events := check(t, s, server, id, c.first, 1)
				total += events
				pages += max(1, (events+c.first-1)/c.first)
			}
			if total != s.EventCount() || total != c.options.Events {
				t.Errorf("%d events were served, EventCount is %d, want %d", total, s.EventCount(), c.options.Events)
			}
			got := s.Stats()
			if got.Requests != int64(pages) || got.Pages != int64(pages) || got.Events != int64(total) ||
				got.Repeated != 0 || got.Aborted != 0 || len(got.Faults) != 0 || len(got.Status) != 1 || got.Status[200] != int64(pages) {
				t.Errorf("want %d pages of %d events and nothing else; stats: %v", pages, total, got)
			}
		})
	}
}

// busiest returns the prospect with the most events.
func busiest(s *Simulator) string {
	most := 0
	for i, n := range s.world.shares {
		if n > s.world.shares[most] {
			most = i
		}
	}
	return strconv.Itoa(s.world.id(most))
}

// without returns a prospect without events.
func without(s *Simulator) string {
	return strconv.Itoa(s.world.id(slices.Index(s.world.shares, 0)))
}

func TestResponses(t *testing.T) {
	o := Options{Prospects: 100, Events: 5000}
	s, strict := mustNew(t, o), o
	strict.RejectLargePages = true
	big, empty := busiest(s), without(s)
	path := "/prospect/" + big + "/events"
	for name, c := range map[string]struct {
		method, target, key string
		rejectLarge         bool
		status, events      int
	}{
		"default page":         {target: path, status: 200, events: 100},
		"one":                  {target: path + "?first=1", status: 200, events: 1},
		"clamped":              {target: path + "?first=1000", status: 200, events: 100},
		"clamped far":          {target: path + "?first=9223372036854775807&after=MQ%3D%3D", status: 200, events: 100},
		"too large":            {target: path + "?first=101", rejectLarge: true, status: 400},
		"largest":              {target: path + "?first=100", rejectLarge: true, status: 200, events: 100},
		"after the end":        {target: path + "?after=" + url.QueryEscape(string(appendCursor(nil, 1<<40))), status: 200},
		"unknown parameter":    {target: path + "?first=1&last=2", status: 200, events: 1},
		"empty prospect":       {target: "/prospect/" + empty + "/events", status: 200},
		"first is zero":        {target: path + "?first=0", status: 400},
		"first is negative":    {target: path + "?first=-1", status: 400},
		"first is text":        {target: path + "?first=ten", status: 400},
		"first is empty":       {target: path + "?first=", status: 400},
		"first is huge":        {target: path + "?first=99999999999999999999", status: 400},
		"bad cursor":           {target: path + "?after=nonsense", status: 400},
		"empty cursor":         {target: path + "?after=", status: 400},
		"malformed query":      {target: path + "?first=%zz", status: 400},
		"no key":               {target: path, key: "-", status: 401},
		"wrong key":            {target: path, key: "wrong", status: 401},
		"unknown prospect":     {target: "/prospect/1/events", status: 404},
		"no prospect":          {target: "/prospect//events", status: 404},
		"prospect's card":      {target: "/prospect/" + big, status: 404},
		"another path":         {target: "/", status: 404},
		"prospect and more":    {target: "/prospect/" + big + "/1/events", status: 404},
		"unknown, without key": {target: "/prospect/1/events", key: "-", status: 401},
		"post":                 {target: path, method: http.MethodPost, status: 405},
		"head":                 {target: path, method: http.MethodHead, status: 405},
	} {
		t.Run(name, func(t *testing.T) {
			if c.rejectLarge {
				s = mustNew(t, strict)
			} else {
				s = mustNew(t, o)
			}
			r := httptest.NewRequest(c.method, c.target, nil)
			switch c.key {
			case "":
				r.Header.Set("x-api-key", DefaultAPIKey)
			case "-":
			default:
				r.Header.Set("x-api-key", c.key)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("status is %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
				t.Errorf("Content-Length is %s, but the body has %d bytes", got, w.Body.Len())
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type is %s", got)
			}
			if c.status == 405 && w.Header().Get("Allow") != "GET" {
				t.Errorf("Allow is %q", w.Header().Get("Allow"))
			}
			if got := s.Stats(); got.Requests != 1 || got.Status[c.status] != 1 || got.Events != int64(c.events) {
				t.Errorf("want one request with status %d and %d events; stats: %v", c.status, c.events, got)
			}
			if c.status == 200 && c.events == 0 {
				if want := `{"edges":[],"pageInfo":{"endCursor":null,"hasNextPage":false}}`; w.Body.String() != want {
					t.Errorf("an empty page is %s, want %s", w.Body, want)
				}
				return
			}
			var body struct{ Message string }
			var p page
			if err := errors.Join(json.Unmarshal(w.Body.Bytes(), &body), json.Unmarshal(w.Body.Bytes(), &p)); err != nil {
				t.Fatal(err)
			}
			if len(p.Edges) != c.events || (body.Message != "") != (c.status != 200) {
				t.Errorf("%d edges and message %q, want %d edges", len(p.Edges), body.Message, c.events)
			}
		})
	}
}

func TestGzip(t *testing.T) {
	for _, c := range []struct {
		option bool
		accept string
		want   string
	}{{true, "gzip, br", "gzip"}, {true, "", ""}, {false, "gzip", ""}} {
		s := mustNew(t, Options{Prospects: 1, Events: 200, Gzip: c.option})
		r := request(t, "http://knock.example", busiest(s), "100", "")
		r.Header.Set("Accept-Encoding", c.accept)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding"); got != c.want || (w.Body.Len() < 20_000) != (got == "gzip") {
			t.Errorf("option %v, %q accepted: encoding is %q of %d bytes, want %q", c.option, c.accept, got, w.Body.Len(), c.want)
		}
	}
}

func TestCursors(t *testing.T) {
	if got := string(appendCursor(nil, 1)); got != "MQ==" {
		t.Errorf("the first cursor is %s, want the documented MQ==", got)
	}
	for _, step := range []int{1, 25, 100, 9973} {
		holds := map[rune]int{}
		seen := map[string]bool{}
		for n := range 1000 {
			cursor := string(appendCursor(nil, n*step))
			if got, ok := parseCursor(cursor); !ok || got != n*step || seen[cursor] {
				t.Fatalf("the cursor of %d is %s, which is parsed as %d (%v); seen before: %v", n*step, cursor, got, ok, seen[cursor])
			}
			seen[cursor] = true
			for _, c := range "=+/" {
				if strings.ContainsRune(cursor, c) {
					holds[c]++
				}
			}
		}
		for _, c := range "=+/" {
			if holds[c] < 10 {
				t.Errorf("%d of 1000 cursors in steps of %d contain %c", holds[c], step, c)
			}
		}
	}
	// Not cursors: unpadded base64, another alphabet, a sign, a leading zero, other suffixes.
	for _, cursor := range []string{"", "MQ", "MQ=", "MQ==\n", "LTE=", "KzE=", "MDE=", "MS4+", "MS4_", "MS4 ", "Li4+", "eHl6", "MTAwLi4/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/"} {
		if n, ok := parseCursor(cursor); ok {
			t.Errorf("%q was parsed as %d", cursor, n)
		}
	}
}

// If a client does not escape a cursor, its plus becomes a blank, and the request fails.
func TestUnescapedCursorFails(t *testing.T) {
	s, server := serve(t, Options{Prospects: 1, Events: 2000})
	id, offset := busiest(s), 0
	for n := range 20 {
		if strings.Contains(string(appendCursor(nil, n*100)), "+") {
			offset = n * 100
		}
	}
	cursor := string(appendCursor(nil, offset))
	r := request(t, server.URL, id, "100", cursor)
	if p, err := fetch(server.Client(), r); err != nil || len(p.Edges) == 0 {
		t.Errorf("escaped: %d edges, %v", len(p.Edges), err)
	}
	r.URL.RawQuery = "first=100&after=" + cursor
	if _, err := fetch(server.Client(), r); err == nil || err.Error() != "400 Bad Request" {
		t.Errorf("unescaped: %v, want status 400", err)
	}
}

// FuzzRequest: every request gets one of the known kinds of response, and a page is JSON.
func FuzzRequest(f *testing.F) {
	s := mustNew(f, Options{Prospects: 20, Events: 1000})
	big := busiest(s)
	f.Add("GET", big, "first=3&after=MQ%3D%3D")
	f.Add("GET", big, "first=3&after=MQ==;")
	f.Add("GET", big, "first=0x10&after=MS4%2B")
	f.Add("PUT", big, "")
	f.Add("GET", "../"+big, "first=%")
	f.Fuzz(func(t *testing.T, method, prospect, query string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: "/prospect/" + prospect + "/events", RawQuery: query},
			Header: http.Header{"X-Api-Key": {DefaultAPIKey}}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if !slices.Contains([]int{200, 400, 404, 405}, w.Code) {
			t.Errorf("status %d", w.Code)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("status %d with a body that is not JSON: %s", w.Code, w.Body)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, n := range []int{0, 1, 2, 3, 100, 1 << 40} {
		f.Add(string(appendCursor(nil, n)))
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if n, ok := parseCursor(cursor); ok && string(appendCursor(nil, n)) != cursor {
			t.Errorf("%q was parsed as %d, whose cursor is %s", cursor, n, appendCursor(nil, n))
		}
	})
}
