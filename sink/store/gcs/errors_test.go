package gcs

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/api/googleapi"
)

// Errors name the reason, and do not contain text of the response.
func TestFailure(t *testing.T) {
	const personal = "someone@example.com"
	slow, cancel := context.WithCancelCause(t.Context())
	cancel(errSlow)
	s := &Store{bucket: "bucket", prefix: "lake/"}
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want string
	}{
		"a message":                    {t.Context(), &googleapi.Error{Code: 400, Message: personal}, "400 Bad Request"},
		"a body":                       {t.Context(), &googleapi.Error{Code: 502, Body: personal}, "502 Bad Gateway"},
		"a token that is refused":      {t.Context(), &url.Error{Op: "Post", URL: "https://" + personal, Err: errors.New(personal)}, "the network and the credentials"},
		"a connection that is refused": {t.Context(), &url.Error{Op: "Get", URL: "https://" + personal, Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}}, "dial tcp: refused"},
		"an answer that is lost":       {t.Context(), &url.Error{Op: "Get", URL: "https://" + personal, Err: io.EOF}, "the network and the credentials"},
		"no answer in time":            {slow, context.Canceled, "no answer in time"},
		"only refusals in time":        {slow, &googleapi.Error{Code: 503}, "503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.failure(test.ctx, reading, "a", test.err)
			if !strings.HasPrefix(err.Error(), "reading gs://bucket/lake/a: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %q, want one with %q", err, test.want)
			}
			if strings.Contains(err.Error(), personal) {
				t.Errorf("the error %q contains text of the response", err)
			}
			if (test.ctx == slow) != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("whether %q is context.DeadlineExceeded is wrong", err)
			}
		})
	}
}
