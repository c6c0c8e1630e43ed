package extract

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

// serve returns a handler that sends a response. header alternates names and values.
func serve(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			io.WriteString(w, body)
		}
	}
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func rawDeflated(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zstandard(s string) string {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return string(w.EncodeAll([]byte(s), nil))
}

// wide returns a text in UTF-16, with a byte-order mark if mark is set.
func wide(s string, order binary.AppendByteOrder, mark bool) string {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// TestRead: a page is read, whatever its headers say.
func TestRead(t *testing.T) {
	body := string(somePage(5, ""))
	const mark = "\ufeff"
	gzip := string(gzipped(body))
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
	}{
		{"JSON", serve(200, body, "Content-Type", "application/json")},
		{"JSON as HTML", serve(200, body, "Content-Type", "text/html; charset=utf-8")},
		{"JSON as Latin-1", serve(200, body, "Content-Type", "application/json; charset=iso-8859-1")},
		{"no content type", serve(200, body, "Content-Type", "")},
		{"an invalid content type", serve(200, body, "Content-Type", "secret; ;;=")},
		{"byte-order mark", serve(200, mark+body)},
		{"two byte-order marks", serve(200, mark+mark+body)},
		{"a byte-order mark after a line", serve(200, "\r\n"+mark+body)},
		{"byte-order mark in gzip", serve(200, string(gzipped(mark+body)), "Content-Encoding", "gzip")},
		{"gzip", serve(200, gzip, "Content-Encoding", "gzip")},
		{"gzip in capitals", serve(200, gzip, "Content-Encoding", "GZIP")},
		{"x-gzip", serve(200, gzip, "Content-Encoding", "x-gzip")},
		{"gzip without a header", serve(200, gzip, "Content-Type", "application/json")},
		{"gzip as deflate", serve(200, gzip, "Content-Encoding", "deflate")},
		{"gzip twice", serve(200, string(gzipped(gzip)), "Content-Encoding", "gzip, gzip")},
		{"gzip twice, in two headers", serve(200, string(gzipped(gzip)), "Content-Encoding", "gzip", "Content-Encoding", "gzip")},
		{"gzip twice, named once", serve(200, string(gzipped(gzip)), "Content-Encoding", "gzip")},
		{"gzip in two members", serve(200, string(gzipped(body[:99]))+string(gzipped(body[99:])), "Content-Encoding", "gzip")},
		{"plain as gzip", serve(200, body, "Content-Encoding", "gzip")},
		{"deflate", serve(200, deflated(body), "Content-Encoding", "deflate")},
		{"zstd", serve(200, zstandard(body), "Content-Encoding", "zstd")},
		{"zstd in gzip", serve(200, string(gzipped(zstandard(body))), "Content-Encoding", "zstd, gzip")},
		{"identity", serve(200, body, "Content-Encoding", "identity")},
		{"an unknown content encoding", serve(200, body, "Content-Encoding", "utf-8")},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := newClient(t, Options{}, c.serve)
			for range 2 { // buffers are reused
				got, err := read(t.Context(), client, "47", Position{})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || string(got[0].Body) != body || got[0].Events != 5 {
					t.Errorf("%d pages", len(got))
				}
			}
			if s := client.Stats(); s.Requests != 2 {
				t.Errorf("%d requests", s.Requests)
			}
		})
	}
}

// TestNoContent: a 204 is a page without events that does not say so explicitly.
func TestNoContent(t *testing.T) {
	client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "empty") || r.URL.Query().Has("after") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		io.WriteString(w, page(2, `"endCursor":"A","hasNextPage":true`))
	})
	for prospect, events := range map[string][]int{"empty": {0}, "later": {2, 0}} {
		got, err := read(t.Context(), client, prospect, Position{})
		if err != nil || len(got) != len(events) {
			t.Fatalf("%s: %d pages, %v", prospect, len(got), err)
		}
		for i, p := range got {
			if p.Events != events[i] || new(Client).Silent(p.Body) != (p.Events == 0) {
				t.Errorf("%s: page %d has %d events and the body %s", prospect, i+1, p.Events, p.Body)
			}
			if _, err := parsePage(p.Body); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestNotPages: a response that another attempt would not change is requested once, and
// the error describes the response without quoting it.
func TestNotPages(t *testing.T) {
	body := page(1, `"hasNextPage":false`)
	html := `<!DOCTYPE html><html><body>secret: please log in</body></html>`
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		why   string
	}{
		{"HTML", serve(200, html, "Content-Type", "text/html"), "the endpoint returns HTML (status 200, text/html, 62 bytes); check endpoint: the response may come from a login page"},
		{"HTML after white space", serve(200, "\n\n <HTML>secret", "Content-Type", "text/html;charset=utf-8"), "returns HTML (status 200, text/html, 15 bytes)"},
		{"HTML as JSON", serve(200, html, "Content-Type", "application/json"), "returns HTML (status 200, application/json, 62 bytes)"},
		{"HTML in gzip", serve(200, string(gzipped(html)), "Content-Type", "text/html", "Content-Encoding", "gzip"), "returns HTML (status 200, text/html, encoding gzip, "},
		{"HTML with a byte-order mark", serve(200, "\ufeff"+html), "returns HTML"},
		{"a large HTML page", serve(200, html+strings.Repeat(" ", 2000), "Content-Type", "text/html"), "2,062 bytes"},
		{"XML", serve(200, `<?xml version="1.0"?><Error>secret</Error>`, "Content-Type", "application/xml"), "returns XML or HTML (status 200, application/xml, "},
		{"text", serve(200, "secret: OK", "Content-Type", "text/plain"), "returns plain text (status 200, text/plain, 10 bytes)"},
		{"a script", serve(200, "callback("+body+")", "Content-Type", "text/javascript"), "returns plain text"},
		{"no content type", serve(200, "secret", "Content-Type", ""), "status 200, no content type"},
		{"a hostile content type", serve(200, "secret", "Content-Type", "secret@example.com"), "no content type"},
		{"UTF-16, little-endian", serve(200, wide(body, binary.LittleEndian, true)), "returns UTF-16 or UTF-32 text"},
		{"UTF-16, big-endian", serve(200, wide(body, binary.BigEndian, true)), "returns UTF-16 or UTF-32 text"},
		{"UTF-16 without a mark", serve(200, wide(body, binary.BigEndian, false)), "returns UTF-16 or UTF-32 text"},
		{"UTF-32", serve(200, "\x00\x00\xfe\xff\x00\x00\x00{"), "returns UTF-16 or UTF-32 text"},
		{"brotli", serve(200, "\x8b\x02\x80secret\x03", "Content-Type", "application/json", "Content-Encoding", "br"), "returns binary data (status 200, application/json, encoding br, 10 bytes); check endpoint, and any proxy"},
		{"deflate without its header", serve(200, rawDeflated(body), "Content-Encoding", "deflate"), "binary data (status 200, no content type, encoding deflate, "},
		{"gzip four times", serve(200, string(gzipped(string(gzipped(string(gzipped(string(gzipped(body)))))))), "Content-Encoding", "gzip"), "returns binary data"},
		{"edges an object", serve(200, `{"edges":{"secret":1},"pageInfo":{"hasNextPage":false}}`), "edges is not an array"},
		{"edges twice", serve(200, `{"edges":[],"edges":[1],"pageInfo":{"hasNextPage":false}}`), "twice"},
		{"no pageInfo", serve(200, `{"edges":[]}`, "Content-Type", "application/json"), "no pageInfo object (status 200, application/json, 12 bytes)"},
		{"two pages", serve(200, body+body), "invalid, or nested too deeply, at byte"},
		{"not JSON between the members", serve(200, `{"edges":[],"pageInfo":{"hasNextPage":false},secret}`), "invalid, or nested too deeply, at byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, log := newClient(t, Options{}, c.serve)
			_, err := read(t.Context(), client, "47", Position{})
			checkError(t, err, ErrBadPage, c.why)
			var e *Error
			if errors.As(err, &e); e.Attempts != 1 || e.Kind != ErrBadPage || e.Status != 200 {
				t.Errorf("error %+v", e)
			}
			if strings.Contains(err.Error(), "max_attempts") || !OfEndpoint(err) {
				t.Errorf("the error is %v", err)
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the log contains the body:\n%s", log)
			}
		})
	}
}

// TestErrorPages: a response that reports an error is retried. It never counts as an
// empty page.
func TestErrorPages(t *testing.T) {
	for _, body := range []string{
		`{"errors":[{"message":"secret"}],"edges":null,"pageInfo":{"hasNextPage":false,"endCursor":null}}`,
		`{"pageInfo":{"hasNextPage":false},"errorMessage":"secret"}`,
		`{"message":"secret"}`, `{}`, `null`,
	} {
		client, _ := newClient(t, Options{MaxAttempts: 3}, serve(200, body))
		got, err := read(t.Context(), client, "47", Position{})
		checkError(t, err, ErrBadPage, "3 attempts")
		if len(got) > 0 || !errors.Is(err, ErrExhausted) || strings.Contains(err.Error(), "raise max_attempts") {
			t.Errorf("%s: %d pages, %v", body, len(got), err)
		}
	}
}

// TestLaterPages: 404 for a later page does not mean that the prospect does not exist.
func TestLaterPages(t *testing.T) {
	for status, kind := range map[int]error{404: ErrExpired, 410: ErrExpired, 400: ErrRefused, 403: ErrForbidden} {
		client, _ := newClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("after") {
				w.WriteHeader(status)
				return
			}
			io.WriteString(w, page(2, `"endCursor":"A","hasNextPage":true`))
		})
		got, err := read(t.Context(), client, "47", Position{})
		checkError(t, err, kind, fmt.Sprintf("page 2: %v: the API returned %d", kind, status))
		if len(got) != 1 || errors.Is(err, ErrNotFound) {
			t.Errorf("%d: %d pages, %v", status, len(got), err)
		}
	}
}

// TestGateway: a refusal in HTML probably does not come from the API.
func TestGateway(t *testing.T) {
	for status, kind := range map[int]error{403: ErrForbidden, 404: ErrNotFound, 503: ErrExhausted} {
		client, _ := newClient(t, Options{MaxAttempts: 1}, serve(status, "<html>secret</html>", "Content-Type", "text/html; charset=utf-8"))
		_, err := read(t.Context(), client, "47", Position{})
		checkError(t, err, kind, "with text/html")
	}
}

// TestInsecure: there is one attempt if the certificate is not trusted, or if the server
// does not support TLS.
func TestInsecure(t *testing.T) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	untrusted, plain := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	defer plain.Close()
	for endpoint, why := range map[string]string{
		untrusted.URL: "certificate",
		"https://" + strings.TrimPrefix(plain.URL, "http://"): "does not support TLS",
	} {
		client, err := New(Options{Endpoint: endpoint, APIKey: testKey, Sleep: noSleep})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = read(t.Context(), client, "47", Position{})
		checkError(t, err, ErrInsecure, why)
		if s := client.Stats(); s.Requests != 1 || !OfEndpoint(err) {
			t.Errorf("%d requests, then %v", s.Requests, err)
		}
	}
}

// FuzzUnpack: the size of the result is limited, and other errors are transient.
func FuzzUnpack(f *testing.F) {
	body := page(2, `"hasNextPage":false`)
	gzip := string(gzipped(body))
	for _, seed := range []string{body, gzip, gzip[:20], string(gzipped(gzip)), deflated(body), deflated(body)[:9], zstandard(body), zstandard(body)[:9], "\x1f\x8b", "x\x9c", "x^", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 1 << 16
		got, _, err := unpack(body, nil, limit, func() error { return nil })
		passing := new(transient)
		switch {
		case err == nil && len(got) > max(limit, len(body)):
			t.Errorf("%d bytes are unpacked to %d", len(body), len(got))
		case err != nil && !errors.Is(err, ErrTooLarge) && !errors.As(err, passing):
			t.Errorf("the error is %v", err)
		}
	})
}
