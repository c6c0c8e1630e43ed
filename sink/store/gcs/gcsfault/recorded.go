package gcsfault

import (
	"bytes"
	"maps"
	"net/http"
)

// recorded is an http.ResponseWriter that keeps an answer.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorded() *recorded {
	return &recorded{header: make(http.Header), status: http.StatusOK}
}

func (a *recorded) Header() http.Header         { return a.header }
func (a *recorded) WriteHeader(status int)      { a.status = status }
func (a *recorded) Write(b []byte) (int, error) { return a.body.Write(b) }

// send sends the answer with the first n bytes of its body.
func (a *recorded) send(w http.ResponseWriter, n int) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()[:n]) // the client may have left
}
