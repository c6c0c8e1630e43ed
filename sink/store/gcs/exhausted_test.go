package gcs

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prospector/sink/store"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A call that gives up during an attempt reports the last error that it got.
func TestLastError(t *testing.T) {
	const busy = `{"error": {"code": 503, "message": "` + personal + `", "errors": [{"reason": "backendError"}]}}`
	type result struct {
		status int
		body   string
		err    error
	}
	for name, test := range map[string]struct {
		results []result
		want    string
	}{
		"a refusal":              {[]result{{503, busy, nil}}, "the service returned 503 backendError"},
		"a refusal and a stall":  {[]result{{503, busy, nil}, {0, "", errStalled}}, "the request stalled"},
		"two refusals":           {[]result{{429, "", nil}, {503, busy, nil}}, "503 backendError"},
		"a long response":        {[]result{{502, strings.Repeat("x", 2*maxNoted), nil}}, "502 Bad Gateway"},
		"a success":              {[]result{{503, busy, nil}, {200, "", nil}}, "the service did not answer"},
		"a refused condition":    {[]result{{503, busy, nil}, {412, "", nil}}, "the service did not answer"},
		"a missing object":       {[]result{{503, busy, nil}, {404, "", nil}}, "the service did not answer"},
		"nothing":                {nil, "the service did not answer"},
		"free text of a proxy":   {[]result{{0, "", errors.New(personal)}}, "the service did not answer"},
		"a connection that ends": {[]result{{0, "", io.EOF}}, "closed without a complete response"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Store{bucket: "acme", options: Options{Timeout: time.Minute}}
			ctx, watch := s.patient(t.Context())
			defer watch.stop()
			var now result
			transport := &bounded{timeout: time.Minute, closeIdle: func() {}, next: roundTripper(func(r *http.Request) (*http.Response, error) {
				if now.err != nil {
					return nil, now.err
				}
				return &http.Response{StatusCode: now.status, Body: io.NopCloser(strings.NewReader(now.body))}, nil
			})}
			request := func() {
				r := httptest.NewRequest(http.MethodGet, "https://"+personal, nil).WithContext(ctx)
				res, err := transport.RoundTrip(r)
				if !errors.Is(err, now.err) {
					t.Errorf("RoundTrip returns %v, want %v", err, now.err)
				}
				if err != nil {
					return
				}
				if body, err := io.ReadAll(res.Body); err != nil || string(body) != now.body {
					t.Errorf("the body has %d bytes, want %d, %v", len(body), len(now.body), err)
				}
				if err := res.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, now = range test.results {
				request()
			}
			watch.expire()
			now = result{err: context.Canceled}
			request()
			err := s.failure(ctx, reading, "a", &url.Error{Op: "Get", URL: "https://" + personal, Err: context.Canceled})
			if text := err.Error(); !strings.Contains(text, "no progress in 10m0s; the last error: ") || !strings.Contains(text, test.want) ||
				strings.Contains(text, personal) || !errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, store.ErrCondition) || errors.Is(err, store.ErrNotExist) {
				t.Errorf("the error is %q, want one with %q", err, test.want)
			}
		})
	}
}

// If the caller limits the time of a call, the error has what the call was waiting for.
// An interrupt is reported alone.
func TestLastErrorWithDeadline(t *testing.T) {
	busy := &http.Response{StatusCode: http.StatusServiceUnavailable}
	s := &Store{bucket: "acme", options: Options{Timeout: time.Minute}}
	for name, test := range map[string]struct {
		cause   error
		results []*http.Response
		want    string
	}{
		"a deadline":               {context.DeadlineExceeded, nil, "context deadline exceeded"},
		"a deadline after a 503":   {context.DeadlineExceeded, []*http.Response{busy}, "context deadline exceeded; the last error: the service returned 503 Service Unavailable: "},
		"an interrupt after a 503": {context.Canceled, []*http.Response{busy}, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limited, cancel := context.WithCancel(t.Context())
				if test.cause == context.DeadlineExceeded {
					limited, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				defer cancel()
				ctx, watch := s.patient(limited)
				defer watch.stop()
				for _, res := range test.results {
					res.Body = http.NoBody
					noteResult(ctx, res, nil)
				}
				if test.cause == context.Canceled {
					cancel()
				}
				<-ctx.Done()
				err := s.failure(ctx, reading, "a", &url.Error{Op: "Get", URL: "https://" + personal, Err: ctx.Err()})
				if text := err.Error(); !errors.Is(err, test.cause) || !strings.HasPrefix(text, "reading gs://acme/a: "+test.want) ||
					strings.Contains(text, "503") != strings.Contains(test.want, "503") {
					t.Errorf("the error is %q, want one with %q", err, test.want)
				}
			})
		})
	}
}
