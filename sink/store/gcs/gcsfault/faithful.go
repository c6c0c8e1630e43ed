package gcsfault

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Faithful repairs what fake-gcs-server 1.56 does unlike the service, as far as it
// matters to a client under faults:
//
//   - A delete obeys ifGenerationMatch. The emulator ignores it.
//     https://cloud.google.com/storage/docs/request-preconditions
//   - A resumable session keeps the part of a request that has arrived, in units of
//     256 KiB, ignores bytes that it has, reports its size for "bytes */N", answers a
//     finished session with the object, and compares the checksums at its end. The
//     emulator creates the object when it is asked for the size, loses what an
//     interrupted request has sent, and forgets the checksum after the first request.
//     https://cloud.google.com/storage/docs/performing-resumable-uploads
//   - With WriteInterval, writes of one object that follow too soon get 429.
//     https://cloud.google.com/storage/quotas#objects
//
// Preconditions of a session hold at its end. The service may also check them at its
// start: see CheckStart.
type Faithful struct {
	// Service is the handler of the emulator.
	Service http.Handler
	// CheckStart lets a session start only if its precondition holds.
	CheckStart bool
	// WriteInterval is the shortest time between two writes of one object. 0 means no
	// limit. The service has a limit of a second.
	WriteInterval time.Duration

	mu       sync.Mutex
	sessions map[string]*session
	written  map[string]time.Time
}

// ServeHTTP implements http.Handler.
func (f *Faithful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch request := describe(r); {
	case r.URL.Query().Get("upload_id") != "":
		f.continueSession(w, r)
	case request.Kind == Start:
		f.startSession(w, r)
	case request.Kind == Upload && f.tooSoon(r.URL.Path+request.Object):
		refuse(w, http.StatusTooManyRequests, "rateLimitExceeded")
	case request.Kind == Delete:
		f.delete(w, r)
	default:
		f.Service.ServeHTTP(w, r)
	}
}

// tooSoon reports whether an object was written less than an interval ago. If not, it
// notes the write.
func (f *Faithful) tooSoon(object string) bool {
	if f.WriteInterval <= 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.written[object]) < f.WriteInterval {
		return true
	}
	if f.written == nil {
		f.written = make(map[string]time.Time)
	}
	f.written[object] = now
	return false
}

// delete removes the generation that the precondition wants. The emulator compares and
// removes it in one step.
func (f *Faithful) delete(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	wanted := q.Get("ifGenerationMatch")
	if wanted == "" || wanted == "0" {
		f.Service.ServeHTTP(w, r)
		return
	}
	q.Set("generation", wanted)
	r.URL.RawQuery = q.Encode()
	answer := f.ask(r, http.MethodDelete, r.URL, nil, "")
	if answer.status == http.StatusNotFound && f.generation(r, r.URL) != "0" {
		refuse(w, http.StatusPreconditionFailed, "conditionNotMet")
		return
	}
	answer.send(w, answer.body.Len())
}

// generation returns the generation of the object at a URL, or "0" if there is none.
func (f *Faithful) generation(r *http.Request, object *url.URL) string {
	at := *object
	at.RawQuery = ""
	var attrs struct{ Generation string }
	if answer := f.ask(r, http.MethodGet, &at, nil, ""); answer.status != http.StatusOK ||
		json.Unmarshal(answer.body.Bytes(), &attrs) != nil {
		return "0"
	}
	return attrs.Generation
}

// ask sends a request of its own to the emulator, on behalf of r.
func (f *Faithful) ask(r *http.Request, method string, at *url.URL, body []byte, contentType string) *recorded {
	request, err := http.NewRequestWithContext(r.Context(), method, at.String(), bytes.NewReader(body))
	answer := newRecorded()
	if err != nil {
		answer.status = http.StatusBadRequest
		return answer
	}
	request.Host = r.Host
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	f.Service.ServeHTTP(answer, request)
	return answer
}

// refuse answers with an error of the JSON API.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, jsonBody(status, reason)) // the client may have left
}
