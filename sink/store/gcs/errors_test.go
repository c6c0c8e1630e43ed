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
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/compute/metadata"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"prospector/sink/store"
)

// personal is a text that no error may contain.
const personal = "someone@example.com"

// Errors name the reason, and do not contain text of the response.
func TestFailure(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	slow, cancelSlow := context.WithCancelCause(t.Context())
	cancelSlow(&exhausted{after: 5 * time.Minute})
	request := func(err error) error { return &url.Error{Op: "Post", URL: "https://" + personal, Err: err} }
	dial := func(err error) error {
		return request(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: err})
	}
	response := func(status int) *http.Response { return &http.Response{StatusCode: status} }
	impersonation := `{"error": {"code": 403, "message": "` + personal + `", "status": "PERMISSION_DENIED", "details": [{"reason": "IAM_PERMISSION_DENIED", "metadata": {"permission": "iam.serviceAccounts.getAccessToken"}}]}}`
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want []string
	}{
		"a message":   {t.Context(), &googleapi.Error{Code: 400, Message: personal}, []string{"400 Bad Request"}},
		"a body":      {t.Context(), &googleapi.Error{Code: 502, Body: personal}, []string{"502 Bad Gateway", "status.cloud.google.com"}},
		"a reason":    {t.Context(), &googleapi.Error{Code: 403, Errors: []googleapi.ErrorItem{{Reason: "somethingNew", Message: personal}}}, []string{"403 somethingNew", "storage.objects.get"}},
		"no reason":   {t.Context(), &googleapi.Error{Code: 418, Errors: []googleapi.ErrorItem{{Reason: personal}}}, []string{"the service returned 418 I'm a teapot"}},
		"interrupted": {canceled, request(context.Canceled), []string{"context canceled"}},

		"no answer in time":      {slow, request(context.Canceled), []string{"no progress in 5m0s; the last error: the service did not answer", "raise timeout"}},
		"only refusals in time":  {slow, &googleapi.Error{Code: 503}, []string{"no progress in 5m0s; the last error: the service returned 503 Service Unavailable", "run the command again later"}},
		"only limits in time":    {slow, &googleapi.Error{Code: 429, Errors: []googleapi.ErrorItem{{Reason: "rateLimitExceeded"}}}, []string{"no progress in 5m0s; the last error: the service returned 429 rateLimitExceeded", "lower parallelism", "storage/quotas"}},
		"a stall":                {t.Context(), request(errStalled), []string{"the request stalled: in 30s, which is the setting timeout, no data moved", "raise timeout or lower parallelism"}},
		"only stalls in time":    {slow, request(errStalled), []string{"no progress in 5m0s; the last error: the request stalled", "raise timeout"}},
		"no connection in time":  {slow, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), []string{"no progress in 5m0s; the last error: the connection to 192.0.2.1:443 was refused"}},
		"something else in time": {slow, errors.New("something else"), []string{"no progress in 5m0s; the last error: something else; run the command again later"}},

		"an unknown host":        {t.Context(), dial(&net.DNSError{Err: "no such host", Name: "storage.example.com", IsNotFound: true}), []string{`"storage.example.com" does not exist`, "endpoint"}},
		"no name server":         {t.Context(), dial(&net.DNSError{Err: "timeout", Name: "storage.example.com", IsTimeout: true}), []string{`"storage.example.com" cannot be resolved`, "DNS"}},
		"no service for tokens":  {t.Context(), request(fmt.Errorf("auth: %w", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)))), []string{"no access token: the connection to 192.0.2.1:443 was refused; check the network"}},
		"a refused connection":   {t.Context(), dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), []string{"the connection to 192.0.2.1:443 was refused", "STORAGE_EMULATOR_HOST"}},
		"a reset connection":     {t.Context(), dial(os.NewSyscallError("read", syscall.ECONNRESET)), []string{"was closed by the other side", "network"}},
		"no route":               {t.Context(), dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), []string{"there is no route to 192.0.2.1:443", "firewall"}},
		"a dial timeout":         {t.Context(), dial(os.ErrDeadlineExceeded), []string{"the connection to 192.0.2.1:443 timed out", "firewall"}},
		"another network error":  {t.Context(), dial(os.NewSyscallError("connect", syscall.EMFILE)), []string{"the connection failed: dial tcp 192.0.2.1:443: connect: "}},
		"an answer that is lost": {t.Context(), request(io.EOF), []string{"closed without a complete response", "network"}},
		"an unreachable proxy":   {t.Context(), request(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New("refused")}), []string{"the proxy cannot be reached", "HTTPS_PROXY"}},
		"a proxy's password":     {t.Context(), request(errors.New("Proxy Authentication Required")), []string{"the proxy refused the connection: 407", "HTTPS_PROXY"}},
		"a proxy's free text":    {t.Context(), request(errors.New(personal)), []string{"the request got no answer"}},
		"an unknown authority":   {t.Context(), request(x509.UnknownAuthorityError{}), []string{"not trusted", "SSL_CERT_FILE"}},
		"an expired certificate": {t.Context(), request(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), []string{"not valid", "clock"}},
		"another certificate":    {t.Context(), request(x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"proxy.test"}}, Host: "storage.example.com"}), []string{"another host", "proxy.test"}},
		"another response":       {t.Context(), &json.SyntaxError{}, []string{"the response is not one of Cloud Storage", "endpoint and the proxy"}},
		"a part of a response":   {t.Context(), &json.UnmarshalTypeError{Value: personal, Type: reflect.TypeFor[int]()}, []string{"the response is not one of Cloud Storage"}},
		"no TLS":                 {t.Context(), request(errors.New("http: server gave HTTP response to HTTPS client")), []string{"does not use TLS", "endpoint"}},

		"a revoked login or key": {t.Context(), request(&auth.Error{Response: response(400), Body: []byte(`{"error": "invalid_grant", "error_description": "` + personal + `"}`)}),
			[]string{"no access token", "400 invalid_grant", "gcloud auth application-default login", "clock", "new key"}},
		"an unknown client": {t.Context(), request(&auth.Error{Response: response(401), Body: []byte(`{"error": "unauthorized_client"}`)}),
			[]string{"401 unauthorized_client", "workload identity"}},
		"a token service that is down": {t.Context(), request(&auth.Error{Response: response(503), Body: []byte(personal)}),
			[]string{"no access token", "503 Service Unavailable", "again later"}},
		"an impersonation that is not allowed": {t.Context(), request(errors.New("impersonate: status code 403: " + impersonation)),
			[]string{"403 IAM_PERMISSION_DENIED", "roles/iam.serviceAccountTokenCreator"}},
		"an impersonation in a file": {t.Context(), request(errors.New("credentials: status code 403: " + impersonation)),
			[]string{"403 IAM_PERMISSION_DENIED", "roles/iam.serviceAccountTokenCreator"}},
		"an identity pool": {t.Context(), request(errors.New(`credentials: status code 400: {"error": "invalid_target", "error_description": "` + personal + `"}`)),
			[]string{"400 invalid_target", "workload identity"}},
		"no service account": {t.Context(), request(metadata.NotDefinedError("instance/service-accounts/default/token?" + personal)),
			[]string{"metadata server of this machine returned 404", "attach a service account"}},
		"a broken metadata server": {t.Context(), request(&metadata.Error{Code: 500, Message: personal}), []string{"metadata server of this machine returned 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&Store{bucket: "bucket", prefix: "lake/", options: Options{Timeout: defaultTimeout}}).failure(test.ctx, reading, "a", test.err)
			if !strings.HasPrefix(err.Error(), "reading gs://bucket/lake/a: ") {
				t.Errorf("the error is %q", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want one with %q", err, want)
				}
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

// Errors that callers test for keep their kind.
func TestKinds(t *testing.T) {
	response := func(status int, message string) error {
		return &googleapi.Error{Code: status, Message: message, Errors: []googleapi.ErrorItem{{Reason: "conditionNotMet", Message: message}}}
	}
	const constraint = "constraints/gcp.restrictNonCmekServices"
	for name, test := range map[string]struct {
		attempt attempt
		err     error
		want    error
	}{
		"a missing object":         {reading, errors.Join(storage.ErrObjectNotExist, response(404, "No such object")), store.ErrNotExist},
		"a missing bucket":         {reading, errors.Join(storage.ErrObjectNotExist, response(404, "The specified bucket does not exist.")), nil},
		"a missing bucket, listed": {listing, storage.ErrBucketNotExist, nil},
		"a precondition":           {writing, response(412, "At least one of the pre-conditions you specified did not hold."), store.ErrCondition},
		"a precondition, with the status of other APIs": {writing, &googleapi.Error{Code: 412,
			Body: `{"error": {"code": 412, "errors": [{"reason": "conditionNotMet"}], "status": "FAILED_PRECONDITION"}}`}, store.ErrCondition},
		"a policy":   {writing, response(412, "Precondition failed due to constraint "+constraint+" of "+personal), nil},
		"a checksum": {writing, response(400, "Provided CRC32C does not match"), store.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&Store{bucket: "acme"}).failure(t.Context(), test.attempt, "a", test.err)
			for _, kind := range []error{store.ErrNotExist, store.ErrCondition, store.ErrCorrupt} {
				if errors.Is(err, kind) != (kind == test.want) {
					t.Errorf("whether %q is %q is wrong", err, kind)
				}
			}
			switch name {
			case "a missing bucket", "a missing bucket, listed":
				if !strings.Contains(err.Error(), "the bucket acme does not exist; create it") {
					t.Errorf("the error is %q", err)
				}
			case "a policy":
				if !strings.Contains(err.Error(), "412 conditionNotMet ("+constraint+")") || strings.Contains(err.Error(), personal) {
					t.Errorf("the error is %q", err)
				}
			}
		})
	}
}
