package gcs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"prospector/sink/store"
)

// attempt describes a call for its error.
type attempt struct {
	verb       string
	permission string
}

var (
	listing    = attempt{"listing", "storage.objects.list"}
	describing = attempt{"describing", "storage.objects.get"}
	reading    = attempt{"reading", "storage.objects.get"}
	writing    = attempt{"writing", "storage.objects.create, .delete and .get"}
	deleting   = attempt{"deleting", "storage.objects.delete and .get"}
)

// failure returns the error of a call, given an error of the client library or of this
// package.
func (s *Store) failure(ctx context.Context, a attempt, key string, err error) error {
	uri := s.URI(key)
	switch status := status(err); {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrNotExist), errors.Is(err, store.ErrCondition):
		return fmt.Errorf("%s %s: %w", a.verb, uri, err)
	case errors.Is(context.Cause(ctx), errSlow) && status != 0:
		return fmt.Errorf("%s %s: %w; the last error: %w; try again later", a.verb, uri, errSlow, sanitize(err))
	case errors.Is(context.Cause(ctx), errSlow):
		return fmt.Errorf("%s %s: %w; check the network, or allow more time", a.verb, uri, errSlow)
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", a.verb, uri, ctx.Err())
	case errors.Is(err, storage.ErrBucketNotExist), saysBucket(err):
		return fmt.Errorf("%s %s: the bucket %s does not exist; create it, or use another one", a.verb, uri, s.bucket)
	case errors.Is(err, storage.ErrObjectNotExist):
		return fmt.Errorf("%s %s: %w", a.verb, uri, store.ErrNotExist)
	case status == http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", a.verb, uri, store.ErrCondition)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s %s: %w; the credentials need %s on the bucket, for example through the role roles/storage.objectUser",
			a.verb, uri, sanitize(err), a.permission)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s %s: %w; the credentials are invalid or have expired: run gcloud auth application-default login, "+
			"or check GOOGLE_APPLICATION_CREDENTIALS", a.verb, uri, sanitize(err))
	case status == http.StatusBadRequest && a == writing && strings.Contains(strings.ToLower(err.Error()), "crc32c"):
		return fmt.Errorf("%s %s: %w on the way to the service", a.verb, uri, store.ErrCorrupt)
	}
	return fmt.Errorf("%s %s: %w", a.verb, uri, sanitize(err))
}

// status returns the HTTP status in err, or 0.
func status(err error) int {
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return e.Code
	}
	return 0
}

// saysBucket reports whether a 404 means that the bucket, rather than the object, does
// not exist. The service uses the same status for both.
func saysBucket(err error) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == http.StatusNotFound && strings.Contains(e.Message+e.Body, "bucket does not exist")
}

// sanitize reduces an error to what may be printed. The library's errors contain
// responses, e-mail addresses of accounts, and URLs that authorize an upload.
func sanitize(err error) error {
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return fmt.Errorf("the service returned %d %s", e.Code, http.StatusText(e.Code))
	}
	if _, ok := errors.AsType[*url.Error](err); !ok {
		return err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("the connection failed: %w", e)
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the connection failed: %w", e)
	}
	return errors.New("the request got no answer; check the network and the credentials")
}
