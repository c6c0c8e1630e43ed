package gcs

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	"google.golang.org/api/googleapi"
)

func TestRetryable(t *testing.T) {
	request := func(err error) error { return &url.Error{Op: "Get", URL: "https://storage.googleapis.com", Err: err} }
	network := func(err error) error { return request(&net.OpError{Op: "read", Net: "tcp", Err: err}) }
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                     {nil, false},
		"a stall":                     {request(errStalled), true},
		"a reset":                     {network(os.NewSyscallError("read", syscall.ECONNRESET)), true},
		"a broken pipe":               {network(os.NewSyscallError("write", syscall.EPIPE)), true},
		"a refused connection":        {network(os.NewSyscallError("connect", syscall.ECONNREFUSED)), true},
		"a connection that times out": {network(os.ErrDeadlineExceeded), true},
		"a reset without its request": {syscall.ECONNRESET, true},
		"a closed idle connection":    {request(errors.New("http: server closed idle connection")), true},
		"a response that is no HTTP":  {request(errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`)), true},
		"no response":                 {request(io.EOF), true},
		"half a response":             {fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true},
		"half of a JSON text":         {json.Unmarshal([]byte(`{"a":`), new(any)), true},
		"HTML":                        {json.Unmarshal([]byte("<html>"), new(any)), true},
		"408":                         {&googleapi.Error{Code: http.StatusRequestTimeout}, true},
		"429":                         {&googleapi.Error{Code: http.StatusTooManyRequests}, true},
		"503":                         {fmt.Errorf("listing: %w", &googleapi.Error{Code: http.StatusServiceUnavailable}), true},
		"403":                         {&googleapi.Error{Code: http.StatusForbidden}, false},
		"404":                         {&googleapi.Error{Code: http.StatusNotFound}, false},
		"412":                         {&googleapi.Error{Code: http.StatusPreconditionFailed}, false},
		"an unknown host":             {request(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		"an untrusted certificate":    {request(x509.UnknownAuthorityError{}), false},
		"an interrupt":                {request(context.Canceled), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := retryable(test.err); got != test.want {
				t.Errorf("retryable(%v) = %t", test.err, got)
			}
		})
	}
}
