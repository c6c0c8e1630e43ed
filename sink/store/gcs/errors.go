package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"prospector/sink/store"
)

// attempt describes a call for its error.
type attempt struct {
	verb string
	// permission and role are what the credentials need.
	permission, role string
}

const (
	viewer = "roles/storage.objectViewer"
	user   = "roles/storage.objectUser"
)

var (
	listing    = attempt{"listing", "storage.objects.list", user} // writing comes next
	describing = attempt{"describing", "storage.objects.get", viewer}
	reading    = attempt{"reading", "storage.objects.get", viewer}
	writing    = attempt{"writing", "storage.objects.create, .delete and .get", user}
	deleting   = attempt{"deleting", "storage.objects.delete and .get", user}
)

// failure returns the error of a call, given an error of the client library or of this
// package. It has what failed, where, why and what to do. It has no free text of a
// response.
func (s *Store) failure(ctx context.Context, a attempt, key string, err error) error {
	return fmt.Errorf("%s %s: %w", a.verb, s.URI(key), s.reasonFor(ctx, a, key, err))
}

func (s *Store) reasonFor(ctx context.Context, a attempt, key string, err error) error {
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrCondition) {
		return err
	}
	if ctx.Err() == nil {
		do, why := s.explain(a, key, err)
		if do == "" {
			return why
		}
		return fmt.Errorf("%w; %s", why, do)
	}
	ended := ctx.Err()
	if cause, ok := errors.AsType[*exhausted](context.Cause(ctx)); ok {
		ended, err = cause, cmp.Or(cause.lastError(), err)
	} else if errors.Is(ended, context.DeadlineExceeded) {
		err = lastError(ctx) // otherwise a busy service would look like one that does not respond
	} else {
		return ended
	}
	if err == nil {
		return ended
	}
	do, why := s.explain(a, key, err)
	return fmt.Errorf("%w; the last error: %w; %s", ended, why, cmp.Or(do, "run the command again later"))
}

// explain returns what an error means in words that may be printed, and what to do about
// it, which may be "".
func (s *Store) explain(a attempt, key string, err error) (do string, why error) {
	e, isResponse := errors.AsType[*googleapi.Error](err)
	switch {
	case errors.Is(err, storage.ErrBucketNotExist):
		return s.advised(a, key, &refusal{status: http.StatusNotFound, reason: "notFound", advice: find("NoSuchBucket")})
	case errors.Is(err, storage.ErrObjectNotExist) && !saysBucket(err):
		return "", store.ErrNotExist
	case refusesCondition(err) && errors.Is(err, store.ErrOutcomeUnknown):
		return "", fmt.Errorf("%w; %w", store.ErrCondition, store.ErrOutcomeUnknown)
	case refusesCondition(err):
		return "", store.ErrCondition
	case a == writing && refusesChecksum(err):
		return "", fmt.Errorf("%w on the way to the service", store.ErrCorrupt)
	case isResponse:
		return s.advised(a, key, refusalOf(e))
	case errors.Is(err, errStalled):
		return "check the network; on a slow connection, raise timeout or lower parallelism",
			fmt.Errorf("%w: in %v, which is the setting timeout, no data moved, or almost none", errStalled, s.options.Timeout)
	}
	if f := faultOf(err); f != nil {
		return f.do, f
	}
	return "", err
}

// sanitize returns an error without text of a response.
func sanitize(err error) error {
	if f := faultOf(err); f != nil {
		return f
	}
	return err
}

// advised returns a refusal and its advice for a call.
func (s *Store) advised(a attempt, key string, r *refusal) (do string, why error) {
	if r.advice == nil {
		return "", fmt.Errorf("the service returned %w", r)
	}
	words := strings.NewReplacer("BUCKET", s.bucket, "OBJECT", s.URI(key), "PERMISSION", a.permission, "ROLE", a.role)
	return words.Replace(r.advice.do), fmt.Errorf("the service returned %w: %s", r, words.Replace(r.advice.means))
}

// status returns the HTTP status in err, or 0.
func status(err error) int {
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return e.Code
	}
	return 0
}

// refusesCondition reports whether the service refused a request because of its
// generation precondition. A policy of the organization causes the same status.
func refusesCondition(err error) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == http.StatusPreconditionFailed && !refusalOf(e).is("orgPolicyConstraintFailed")
}

// refusesChecksum reports whether the service refused a write because its content does
// not have the announced checksum.
func refusesChecksum(err error) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == http.StatusBadRequest && strings.Contains(strings.ToLower(e.Message+e.Body), "crc32c")
}

// saysBucket reports whether a 404 means that the bucket, rather than the object, does
// not exist. The service uses the same status for both.
func saysBucket(err error) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == http.StatusNotFound && refusalOf(e).is("NoSuchBucket")
}
