package gcs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/api/googleapi"
)

// exhausted is the cause of a context that ended because a call made no progress.
//
// It remembers the error of the last attempt that had a result, if another attempt may
// succeed. The attempt that is in progress when the context ends has no result, so a
// service that always responds slowly with 503 would look like one that does not respond.
type exhausted struct {
	after time.Duration
	// failed is called with the error of an attempt after which there is another one.
	failed func(error)

	mu   sync.Mutex
	last error
}

// callKey is the key of a context's *exhausted.
type callKey struct{}

// newExhausted returns a context in which noteResult records the results of attempts.
func newExhausted(ctx context.Context, after time.Duration) (context.Context, *exhausted) {
	e := &exhausted{after: after, failed: func(error) {}}
	return context.WithValue(ctx, callKey{}, e), e
}

func (e *exhausted) Error() string { return fmt.Sprintf("no progress in %v", e.after) }

func (e *exhausted) Unwrap() error { return context.DeadlineExceeded }

func (e *exhausted) lastError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// lastError returns the lastError of the call with that context.
func lastError(ctx context.Context) error {
	if e, ok := ctx.Value(callKey{}).(*exhausted); ok {
		return e.lastError()
	}
	return nil
}

// maxNoted is how many bytes of a response with an error are read for its reason.
const maxNoted = 64 << 10

// noteResult records the result of an attempt in the context of its call. It reads the
// beginning of a response with an error, and puts it back.
func noteResult(ctx context.Context, res *http.Response, err error) {
	e, ok := ctx.Value(callKey{}).(*exhausted)
	if !ok || ctx.Err() != nil {
		return
	}
	if err == nil && res.StatusCode >= 400 {
		head, _ := io.ReadAll(io.LimitReader(res.Body, maxNoted)) // the caller gets the error when it reads on
		res.Body = restored{io.MultiReader(bytes.NewReader(head), res.Body), res.Body}
		err = googleapi.CheckResponseWithBody(res, head)
	} else if err != nil {
		err = &url.Error{Op: "request", Err: err} // as from an http.Client
	}
	if !retryable(err) {
		// A refusal such as 412 is a result, and says nothing about the attempt after it.
		// It would claim that nothing was written.
		err = nil
	}
	e.mu.Lock()
	e.last = err
	e.mu.Unlock()
	if err != nil {
		e.failed(err)
	}
}

// restored is a body of which a part was read and put back.
type restored struct {
	io.Reader
	io.Closer
}
