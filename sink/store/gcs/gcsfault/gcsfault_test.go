package gcsfault_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prospector/sink/store/gcs/gcsfault"
)

// service answers every request with its body, and counts what it has performed.
type service struct {
	mu   sync.Mutex
	seen []string
}

// performed returns the bodies of the requests that the service has performed.
func (s *service) performed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, string(body))
	s.mu.Unlock()
	w.Header().Set("X-Goog-Hash", "crc32c=intact")
	w.Write(append([]byte("answer:"), body...))
}

const (
	object  = "/storage/v1/b/lake/o/a%2Fb"
	content = object + "?alt=media"
	upload  = "/upload/storage/v1/b/lake/o?uploadType=media&name=a/b"
)

// serve starts a server. Its client sends each request on a connection of its own, so
// that net/http does not repeat requests.
func serve(t *testing.T, h http.Handler) (url string, client *http.Client) {
	t.Helper()
	listener, err := gcsfault.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   10 * time.Second,
	}
}

// result is what a client sees of an attempt.
type result struct {
	status int
	body   string
	hash   string
	err    error
}

func send(client *http.Client, method, url, body string) (r result) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	response, err := client.Do(request)
	if err != nil {
		return result{err: err}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return result{response.StatusCode, string(data), response.Header.Get("X-Goog-Hash"), err}
}

func TestFaults(t *testing.T) {
	ok := func(r result) bool { return r.err == nil && r.status == http.StatusOK }
	reset := func(r result) bool { return errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, syscall.EPIPE) }
	ended := func(r result) bool { return errors.Is(r.err, io.EOF) }
	cut := func(r result) bool {
		return errors.Is(r.err, io.ErrUnexpectedEOF) && strings.HasPrefix("answer:content", r.body) && len(r.body) == 7
	}
	says := func(status int, text string) func(result) bool {
		return func(r result) bool { return r.err == nil && r.status == status && strings.Contains(r.body, text) }
	}
	for _, test := range []struct {
		fault     gcsfault.Fault
		seen      func(result) bool
		performed string
	}{
		{gcsfault.None, ok, "content"},
		{gcsfault.ResetBefore, reset, ""},
		{gcsfault.ResetDuring, reset, ""},
		{gcsfault.ResetAfter, reset, "content"},
		{gcsfault.Lost, ended, "content"},
		{gcsfault.Truncated, cut, "content"},
		{gcsfault.StallRequest, ended, ""},
		{gcsfault.StallAnswer, ended, "content"},
		{gcsfault.StallBody, ended, ""},
		{gcsfault.StallDownload, cut, "content"},
		{gcsfault.Timeout, says(408, `"reason":"requestTimeout"`), ""},
		{gcsfault.RateLimit, says(429, `"reason":"rateLimitExceeded"`), ""},
		{gcsfault.Unavailable, says(503, `"reason":"backendError"`), ""},
		{gcsfault.BadGateway, says(502, "<Code>BadGateway</Code>"), ""},
		{gcsfault.PerformedUnavailable, says(503, `"reason":"backendError"`), "content"},
		{gcsfault.SessionGone, says(410, `"reason":"gone"`), ""},
		{gcsfault.DamagedBody, ok, "conuent"},
		{gcsfault.DamagedDownload, func(r result) bool { return ok(r) && r.body == "answer:bontent" }, "content"},
		{gcsfault.WrongHash, func(r result) bool { return ok(r) && r.body == "answer:content" && r.hash != "crc32c=intact" }, "content"},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			s := new(service)
			p := gcsfault.New(s, gcsfault.Options{Stall: 20 * time.Millisecond})
			url, client := serve(t, p)
			p.Next(gcsfault.Of(gcsfault.Upload), test.fault)
			got := send(client, http.MethodPost, url+upload, "content")
			if !test.seen(got) {
				t.Errorf("the client sees %+v", got)
			}
			var want []string
			if test.performed != "" {
				want = []string{test.performed}
			}
			if got := s.performed(); !slices.Equal(got, want) {
				t.Errorf("the service performed %q, want %q", got, want)
			}
			if got := send(client, http.MethodPost, url+upload, "again"); !ok(got) {
				t.Errorf("after the fault the client sees %+v", got)
			}
			total := p.Counts().Total()
			if test.fault.String() == gcsfault.None.String() {
				total++
			}
			if total != 1 {
				t.Errorf("%d faults were counted", total)
			}
		})
	}
}

// trace sends requests until each has succeeded, and returns the faults.
func trace(t *testing.T, seed uint64, rate float64) (faults []string, most int) {
	t.Helper()
	row := 0
	p := gcsfault.New(new(service), gcsfault.Options{
		Seed: seed, Rate: rate,
		Log: func(r gcsfault.Request, f gcsfault.Fault) {
			faults = append(faults, fmt.Sprint(r.Kind, " ", r.Object, " ", f))
		},
	})
	url, client := serve(t, p)
	for round := range 3 {
		for i := range 20 {
			at := fmt.Sprintf("%s/storage/v1/b/lake/o/%d?alt=media&generation=%d", url, i, round+1)
			for row = 0; ; row++ {
				if got := send(client, http.MethodGet, at, ""); got.err == nil && got.status == http.StatusOK {
					break
				}
			}
			most = max(most, row)
		}
	}
	return faults, most
}

func TestSeed(t *testing.T) {
	first, most := trace(t, 1, 0.5)
	if again, _ := trace(t, 1, 0.5); !slices.Equal(first, again) {
		t.Errorf("the same seed gives other faults: %q and then %q", first, again)
	}
	if other, _ := trace(t, 2, 0.5); slices.Equal(first, other) {
		t.Error("another seed gives the same faults")
	}
	if most != 3 {
		t.Errorf("at most %d attempts failed in a row, want 3", most)
	}
	if none, _ := trace(t, 1, 0); len(none) > 0 {
		t.Errorf("without a rate there are faults: %q", none)
	}
}

func TestAlwaysAndCalm(t *testing.T) {
	p := gcsfault.New(new(service), gcsfault.Options{Rate: 1})
	url, client := serve(t, p)
	p.Always(gcsfault.Of(gcsfault.Download), gcsfault.Answer(http.StatusForbidden, "accountDisabled"))
	for range 5 {
		if got := send(client, http.MethodGet, url+content, ""); got.status != http.StatusForbidden || !strings.Contains(got.body, "accountDisabled") {
			t.Errorf("the client sees %+v", got)
		}
	}
	p.Calm()
	for range 5 {
		if got := send(client, http.MethodGet, url+content, ""); got.status != http.StatusOK {
			t.Errorf("the client sees %+v", got)
		}
	}
	if c := p.Counts(); c.Requests[gcsfault.Download] != 10 || c.Faults["403 accountDisabled"] != 5 || c.Disturbed[gcsfault.Download] != 5 {
		t.Errorf("the counts are %+v", c)
	}
}

func TestKinds(t *testing.T) {
	for _, test := range []struct {
		method, at string
		header     string
		want       gcsfault.Kind
		object     string
	}{
		{"GET", "/storage/v1/b/lake/o?prefix=p", "", gcsfault.List, "p"},
		{"GET", object, "", gcsfault.Stat, "a/b"},
		{"GET", content, "", gcsfault.Download, "a/b"},
		{"GET", "/download" + content, "", gcsfault.Download, "a/b"},
		{"DELETE", object, "", gcsfault.Delete, "a/b"},
		{"POST", upload, "", gcsfault.Upload, "a/b"},
		{"POST", "/upload/storage/v1/b/lake/o?uploadType=resumable&name=n", "", gcsfault.Start, "n"},
		{"PUT", "/upload/storage/v1/b/lake/o?uploadType=resumable&name=n&upload_id=u", "bytes 0-6/7", gcsfault.Send, "n"},
		{"PUT", "/upload/storage/v1/b/lake/o?uploadType=resumable&name=n&upload_id=u", "bytes */7", gcsfault.Query, "n"},
		{"GET", "/storage/v1/b/lake", "", gcsfault.Bucket, ""},
		{"GET", "/storage/v1/b/lake/iam/testPermissions", "", gcsfault.Bucket, "testPermissions"},
		{"POST", "/token", "", gcsfault.Other, ""},
	} {
		var got gcsfault.Request
		p := gcsfault.New(new(service), gcsfault.Options{})
		p.Always(func(r gcsfault.Request) bool { got = r; return false }, gcsfault.None)
		r := httptest.NewRequest(test.method, test.at, nil)
		r.Header.Set("Content-Range", test.header)
		p.ServeHTTP(httptest.NewRecorder(), r)
		if got.Kind != test.want || got.Object != test.object {
			t.Errorf("%s %s %s is %s of %q, want %s of %q", test.method, test.at, test.header, got.Kind, got.Object, test.want, test.object)
		}
	}
}

func TestStallEnds(t *testing.T) {
	p := gcsfault.New(new(service), gcsfault.Options{Stall: time.Hour})
	p.Always(gcsfault.Of(gcsfault.Download), gcsfault.StallAnswer)
	done := make(chan struct{}, 2)
	url, client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { done <- struct{}{} }()
		p.ServeHTTP(w, r)
	}))
	t.Run("when the client leaves", func(t *testing.T) {
		impatient := *client
		impatient.Timeout = 20 * time.Millisecond
		if got := send(&impatient, http.MethodGet, url+content, ""); got.err == nil {
			t.Errorf("the client sees %+v", got)
		}
		<-done
	})
	t.Run("with Close", func(t *testing.T) {
		p.Close()
		if got := send(client, http.MethodGet, url+content, ""); !errors.Is(got.err, io.EOF) {
			t.Errorf("the client sees %+v", got)
		}
		<-done
	})
}

func TestUplink(t *testing.T) {
	const size, rate = 100 << 10, 1 << 20
	s := new(service)
	url, client := serve(t, gcsfault.New(s, gcsfault.Options{Uplink: rate}))
	begin := time.Now()
	if got := send(client, http.MethodPost, url+upload, strings.Repeat("x", size)); got.status != http.StatusOK {
		t.Fatalf("the client sees %+v", got)
	}
	if least := time.Duration(size) * time.Second / rate; time.Since(begin) < least {
		t.Errorf("the upload took %v, less than %v", time.Since(begin), least)
	}
	if got := s.performed(); len(got) != 1 || got[0] != strings.Repeat("x", size) {
		t.Error("the content has changed")
	}
}
