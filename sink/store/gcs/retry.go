package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"

	"prospector/sink/store"
)

// defaultTimeout is how long an attempt may move no data.
const defaultTimeout = 30 * time.Second

// A call gives up after patience times the timeout without progress. Progress is data
// that has arrived: received bytes of a download, bytes of an upload that the service has
// acknowledged, and each page of a listing.
const patience = 10

// A call reports that it waits after it has made no progress for that long.
const quietly = 10 * time.Second

// backoff returns the pauses between attempts: random ones, of at most 250 ms at first,
// and then of up to twice as much each, but not of more than 8 seconds. With a short
// timeout they are shorter.
func backoff(timeout time.Duration) gax.Backoff {
	return gax.Backoff{Initial: min(250*time.Millisecond, timeout/8), Max: min(8*time.Second, timeout), Multiplier: 2}
}

// patient returns a context that ends when a call makes no progress for too long.
func (s *Store) patient(ctx context.Context) (context.Context, *watch) {
	ctx, cause := newExhausted(ctx, patience*s.options.Timeout)
	ctx, w := newWatch(ctx, cause.after, cause)
	cause.failed = func(err error) {
		if w.idle() >= quietly {
			_, why := s.explain(attempt{}, "", err)
			store.Waiting(ctx, fmt.Errorf("%s: %w", s.URI(""), why))
		}
	}
	return ctx, w
}

// retryable reports whether another attempt may succeed after an attempt failed with err.
// That is so for a busy service, and for a connection that breaks or a response that ends
// at any point.
func retryable(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errStalled), storage.ShouldRetry(err):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	case isMalformed(err), issuerIsBusy(err):
		return true
	}
	for _, broken := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT} {
		if errors.Is(err, broken) {
			return true
		}
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Timeout() {
		return true
	}
	// These errors of package net/http have no type.
	text := err.Error()
	for _, broken := range []string{"server closed idle connection", "transport connection broken", "malformed HTTP", "TLS handshake timeout"} {
		if strings.Contains(text, broken) {
			return true
		}
	}
	return false
}

// isMalformed reports whether a response is not the JSON that it should be, for example
// because it was cut off or comes from a proxy.
func isMalformed(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	return syntax || kind
}

// minTries is how many attempts without progress a call makes, however long they take.
const minTries = 5

// tries decides whether an upload makes another attempt. It gives up after a time and a
// number of attempts without progress. It never ends an attempt, since one that lasts
// moves data.
type tries struct {
	watch  *watch
	pause  gax.Backoff
	since  time.Time // of the last progress
	failed int       // attempts since then
}

func newTries(w *watch) *tries {
	t := &tries{watch: w}
	t.reset()
	return t
}

// reset records progress.
func (t *tries) reset() {
	t.pause, t.since, t.failed = backoff(t.watch.limit/patience), time.Now(), 0
	t.watch.renew()
}

// wait waits until the next attempt. It returns an error if there should be none.
func (t *tries) wait(ctx context.Context, err error) error {
	t.failed++
	if t.failed >= minTries && time.Since(t.since) >= t.watch.limit {
		t.watch.expire()
		return err
	}
	if gax.Sleep(ctx, t.pause.Pause()) != nil {
		return err
	}
	return nil
}
