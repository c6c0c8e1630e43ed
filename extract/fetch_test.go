package extract

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	const attempts = 3
	for _, c := range []struct {
		status   int
		kind     error
		attempts int
		run      bool
	}{
		{201, ErrRefused, 1, false},
		{202, ErrExhausted, attempts, false},
		{203, ErrRefused, 1, false},
		{205, ErrRefused, 1, false},
		{206, ErrRefused, 1, false},
		{207, ErrRefused, 1, false},
		{300, ErrRefused, 1, false},
		{302, ErrRefused, 1, false},
		{304, ErrRefused, 1, false},
		{308, ErrRefused, 1, false},
		{400, ErrRefused, 1, false},
		{401, ErrUnauthorized, 1, true},
		{402, ErrRefused, 1, false},
		{403, ErrForbidden, 1, false},
		{404, ErrNotFound, 1, false},
		{405, ErrRefused, 1, false},
		{406, ErrRefused, 1, false},
		{407, ErrRefused, 1, false},
		{408, ErrExhausted, attempts, false},
		{409, ErrExhausted, attempts, false},
		{410, ErrNotFound, 1, false},
		{411, ErrRefused, 1, false},
		{414, ErrRefused, 1, false},
		{415, ErrRefused, 1, false},
		{418, ErrRefused, 1, false},
		{421, ErrRefused, 1, false},
		{422, ErrRefused, 1, false},
		{423, ErrExhausted, attempts, false},
		{424, ErrRefused, 1, false},
		{425, ErrExhausted, attempts, false},
		{428, ErrRefused, 1, false},
		{429, ErrExhausted, attempts, false},
		{431, ErrRefused, 1, false},
		{451, ErrRefused, 1, false},
		{499, ErrRefused, 1, false},
		{500, ErrExhausted, attempts, false},
		{501, ErrRefused, 1, false},
		{502, ErrExhausted, attempts, false},
		{503, ErrExhausted, attempts, false},
		{504, ErrExhausted, attempts, false},
		{505, ErrRefused, 1, false},
		{507, ErrExhausted, attempts, false},
		{511, ErrRefused, 1, false},
		{520, ErrExhausted, attempts, false},
		{529, ErrExhausted, attempts, false},
		{600, ErrRefused, 1, false},
		{999, ErrRefused, 1, false},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			served := 0
			client, log := newClient(t, Options{MaxAttempts: attempts}, func(w http.ResponseWriter, r *http.Request) {
				served++
				w.WriteHeader(c.status)
				if c.status >= 400 {
					io.WriteString(w, `{"message":"secret"}`)
				}
			})
			got, err := read(t.Context(), client, "47", Position{})
			checkError(t, err, c.kind, "GET /prospect/47/events, page 1")
			var e *Error
			errors.As(err, &e)
			if len(got) != 0 || served != c.attempts || e.Attempts != c.attempts || e.Status != c.status || e.Prospect != "47" || e.Page != 0 {
				t.Errorf("%d pages, %d requests, error %+v", len(got), served, e)
			}
			if WholeRun(err) != c.run {
				t.Errorf("WholeRun is %v", !c.run)
			}
			if strings.Contains(log.String(), testKey) || strings.Contains(log.String(), "secret") {
				t.Errorf("the log contains a secret:\n%s", log)
			}
		})
	}
}

func TestImpossibleIDs(t *testing.T) {
	client, _ := newClient(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, id := range []string{"", ".", ".."} {
		_, err := read(t.Context(), client, id, Position{})
		checkError(t, err, ErrRefused, "a URL cannot contain")
	}
}

func TestRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/?token=secret", http.StatusMovedPermanently)
	})
	_, err := read(t.Context(), client, "47", Position{})
	checkError(t, err, ErrRefused, fmt.Sprintf("redirect to the host %q", strings.TrimPrefix(elsewhere.URL, "http://")))
}

// TestRetries: a temporary failure changes only the number of requests.
func TestRetries(t *testing.T) {
	body := string(somePage(300, ""))
	succeed := func(w http.ResponseWriter) { io.WriteString(w, body) }
	status := func(code int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	packed := gzipped(body)
	sendGzip := func(b []byte) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b)
		}
	}
	damaged := slices.Clone(packed)
	damaged[len(damaged)-6] ^= 1 // of the checksum
	reset := func(after int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if after >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				io.WriteString(w, body[:after])
				w.(http.Flusher).Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter)
	}{
		{"429", status(429)},
		{"429 with seconds", status(429, "Retry-After", "1")},
		{"429 with a past date", status(429, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")},
		{"429 with nonsense", status(429, "Retry-After", "soon")},
		{"503", status(503)},
		{"503 with zero", status(503, "Retry-After", "0")},
		{"500", status(500)},
		{"closed before the response", reset(-1)},
		{"closed in the body", reset(1000)},
		{"truncated JSON", func(w http.ResponseWriter) { io.WriteString(w, body[:len(body)/2]) }},
		{"empty body", func(http.ResponseWriter) {}},
		{"white space", func(w http.ResponseWriter) { io.WriteString(w, "\n") }},
		{"error envelope", func(w http.ResponseWriter) { io.WriteString(w, `{"message":"secret"}`) }},
		{"JSON null", func(w http.ResponseWriter) { io.WriteString(w, "null") }},
		{"a JSON string", func(w http.ResponseWriter) { io.WriteString(w, `"secret"`) }},
		{"errors next to events", func(w http.ResponseWriter) { io.WriteString(w, `{"errors":[{"message":"secret"}],`+body[1:]) }},
		{"202", status(202)},
		{"truncated gzip", sendGzip(packed[:len(packed)/2])},
		{"damaged gzip", sendGzip(damaged)},
		{"not HTTP", func(w http.ResponseWriter) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "secret\r\n\r\n")
			conn.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := 0
			client, log := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if served++; served <= 2 {
					c.fault(w)
				} else {
					succeed(w)
				}
			})
			got, err := read(t.Context(), client, "47", Position{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || string(got[0].Body) != body || got[0].Events != 300 {
				t.Errorf("%d pages", len(got))
			}
			if s := client.Stats(); s.Requests != 3 || s.Retries != 2 || s.Pages != 1 || s.Events != 300 || s.Bytes != int64(len(body)) {
				t.Errorf("stats %+v", s)
			}
			if served != 3 {
				t.Errorf("%d requests served", served)
			}

			client, more := newClient(t, Options{MaxAttempts: 2}, func(w http.ResponseWriter, r *http.Request) { c.fault(w) })
			_, err = read(t.Context(), client, "47", Position{})
			checkError(t, err, ErrExhausted, "2 attempts")
			if all := log.String() + more.String(); strings.Contains(all, "secret") || strings.Contains(all, testKey) {
				t.Errorf("the log contains a secret:\n%s", all)
			}
		})
	}
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

func TestBounds(t *testing.T) {
	body := string(somePage(100, "")) // about 40 kB
	fits := int64(len(body))
	bomb := gzipped(`{"edges":[` + strings.Repeat("0,", 8<<20) + `0],"pageInfo":{}}`)
	for _, c := range []struct {
		name  string
		limit int64
		serve http.HandlerFunc
		kind  error
	}{
		{"as large as allowed", fits, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }, nil},
		{"a byte larger", fits - 1, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }, ErrTooLarge},
		{"chunked, as large as allowed", fits, func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, body)
		}, nil},
		{"chunked, a byte larger", fits - 1, func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, body)
		}, ErrTooLarge},
		{"gzip, as large as allowed", fits, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped(body))
		}, nil},
		{"gzip bomb", 1 << 20, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}, ErrTooLarge},
		{"a false Content-Length", fits, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1099511627776")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, ErrTooLarge},
		{"a false Content-Length within the limit", 1 << 40, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1099511627776")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, ErrExhausted},
		{"without end", 1 << 20, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, body); err != nil {
					return
				}
			}
		}, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := newClient(t, Options{MaxPageBytes: c.limit}, c.serve)
			got, err := read(t.Context(), client, "47", Position{})
			checkError(t, err, c.kind, "")
			if err == nil && (len(got) != 1 || string(got[0].Body) != body || cap(got[0].Body) > 2*len(body)) {
				t.Errorf("%d pages", len(got))
			}
		})
	}
}
