package gcs

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"prospector/sink/store"
)

// A call reports why it makes further attempts after it has made no progress for a while.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{bucket: "acme", prefix: "lake", options: Options{Timeout: time.Minute}}
		var got []string
		ctx, watch := s.patient(store.WithWaiting(t.Context(), func(why error) { got = append(got, why.Error()) }))
		defer watch.stop()
		fail := func(status int) {
			noteResult(ctx, &http.Response{StatusCode: status, Body: http.NoBody}, nil)
		}
		watch.pause() // as during an upload
		fail(http.StatusServiceUnavailable)
		time.Sleep(quietly - time.Second)
		fail(http.StatusServiceUnavailable)
		time.Sleep(time.Second)
		fail(http.StatusPreconditionFailed)
		if got != nil {
			t.Errorf("too early: %q", got)
		}
		fail(http.StatusServiceUnavailable)
		noteResult(ctx, nil, errStalled)
		watch.renew()
		fail(http.StatusServiceUnavailable)
		want := []string{
			"gs://acme/lake: the service returned 503 Service Unavailable: Cloud Storage has a problem",
			"gs://acme/lake: the request stalled: in 1m0s, which is the setting timeout, no data moved, or almost none",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Without a function for it, a call waits silently.
func TestWaitingSilently(t *testing.T) {
	store.Waiting(context.Background(), errStalled)
}
