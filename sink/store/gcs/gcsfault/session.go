package gcsfault

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// unit is the size in which a session keeps bytes.
const unit = 256 << 10

// session is a resumable upload.
type session struct {
	bucket, name string
	query        url.Values // of the request that started it, for its preconditions
	metadata     map[string]any

	mu       sync.Mutex
	content  []byte
	finished *recorded // the answer, once there is one
}

// startSession answers with the URI of a new session.
func (f *Faithful) startSession(w http.ResponseWriter, r *http.Request) {
	s := &session{query: r.URL.Query(), metadata: make(map[string]any)}
	s.bucket, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/upload/storage/v1/b/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > 0 && json.Unmarshal(body, &s.metadata) != nil {
		refuse(w, http.StatusBadRequest, "invalid")
		return
	}
	if s.name = s.query.Get("name"); s.name == "" {
		s.name, _ = s.metadata["name"].(string)
	}
	if contentType := r.Header.Get("X-Upload-Content-Type"); contentType != "" && s.metadata["contentType"] == nil {
		s.metadata["contentType"] = contentType
	}
	bucket := &url.URL{Path: "/storage/v1/b/" + s.bucket}
	wanted := s.query.Get("ifGenerationMatch")
	switch {
	case f.ask(r, http.MethodGet, bucket, nil, "").status != http.StatusOK:
		refuse(w, http.StatusNotFound, "notFound")
		return
	case f.CheckStart && wanted != "" && wanted != f.generation(r, bucket.JoinPath("o", url.PathEscape(s.name))):
		refuse(w, http.StatusPreconditionFailed, "conditionNotMet")
		return
	}
	id := rand.Text()
	f.mu.Lock()
	if f.sessions == nil {
		f.sessions = make(map[string]*session)
	}
	f.sessions[id] = s
	f.mu.Unlock()
	q := url.Values{"uploadType": {"resumable"}, "name": {s.name}, "upload_id": {id}}
	w.Header().Set("Location", "http://"+r.Host+r.URL.Path+"?"+q.Encode())
	w.Header().Set("X-GUploader-UploadID", id)
	w.WriteHeader(http.StatusOK)
}

// continueSession handles the requests to the URI of a session.
func (f *Faithful) continueSession(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("upload_id")
	f.mu.Lock()
	s := f.sessions[id]
	if r.Method == http.MethodDelete {
		delete(f.sessions, id)
	}
	f.mu.Unlock()
	switch {
	case s == nil:
		refuse(w, http.StatusNotFound, "notFound")
		return
	case r.Method == http.MethodDelete:
		w.WriteHeader(499) // https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload
		return
	}
	sent, err := parseRange(r)
	if err != nil || !s.receive(r.Body, sent) {
		refuse(w, http.StatusBadRequest, "invalid")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.finished
	if answer == nil && sent.total == int64(len(s.content)) {
		answer = f.finish(r, s)
		if answer.status < 500 && answer.status != http.StatusTooManyRequests {
			s.finished = answer
		}
	}
	if answer != nil {
		answer.send(w, answer.body.Len())
		return
	}
	if n := s.kept(); n > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", n-1))
	}
	if r.Header.Get("X-GUploader-No-308") == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

// sentRange is what a request sends: the bytes from start on. total is -1 if the client
// does not know it.
type sentRange struct{ start, total int64 }

// parseRange parses Content-Range: bytes 0-99/100, bytes 0-99/*, bytes */100, bytes */*.
// Without it, a request sends the whole object.
func parseRange(r *http.Request) (s sentRange, err error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return sentRange{0, r.ContentLength}, nil
	}
	bounds, total, _ := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	if s.total = -1; total != "*" {
		if s.total, err = strconv.ParseInt(total, 10, 64); err != nil {
			return s, err
		}
	}
	if bounds != "*" {
		start, _, _ := strings.Cut(bounds, "-")
		s.start, err = strconv.ParseInt(start, 10, 64)
	}
	return s, err
}

// receive keeps what a body has, from the first byte that is missing on. It reports
// whether the body begins no later than that.
func (s *session) receive(body io.Reader, sent sentRange) bool {
	at := sent.start
	piece := make([]byte, unit)
	for {
		n, err := io.ReadFull(body, piece)
		s.mu.Lock()
		have := int64(len(s.content))
		gap := n > 0 && at > have
		if end := at + int64(n); !gap && end > have {
			s.content = append(s.content, piece[have-at:n]...)
		}
		s.mu.Unlock()
		at += int64(n)
		if gap || err != nil {
			_, _ = io.Copy(io.Discard, body) // the client may have left
			return !gap
		}
	}
}

// kept returns the number of bytes that an unfinished session reports. The bytes after
// it may get lost in the service, so a client has to send them again.
func (s *session) kept() int { return len(s.content) / unit * unit }

// finish creates the object: one upload to the emulator, which checks the preconditions
// and the checksums.
func (f *Faithful) finish(r *http.Request, s *session) *recorded {
	if hash, ok := strings.CutPrefix(r.Header.Get("X-Goog-Hash"), "crc32c="); ok {
		s.metadata["crc32c"] = hash
	}
	if f.tooSoon("/upload/storage/v1/b/" + s.bucket + "/o" + s.name) {
		answer := newRecorded()
		refuse(answer, http.StatusTooManyRequests, "rateLimitExceeded")
		return answer
	}
	s.metadata["name"] = s.name
	contentType, _ := s.metadata["contentType"].(string)
	metadata, err := json.Marshal(s.metadata)
	if err != nil {
		panic(err) // it was JSON before
	}
	var body bytes.Buffer
	boundary := rand.Text()
	fmt.Fprintf(&body, "--%s\r\nContent-Type: application/json\r\n\r\n%s\r\n--%[1]s\r\nContent-Type: %[3]s\r\n\r\n", boundary, metadata, contentType)
	body.Write(s.content)
	fmt.Fprintf(&body, "\r\n--%s--\r\n", boundary)
	q := s.query
	q.Set("uploadType", "multipart")
	at := &url.URL{Path: "/upload/storage/v1/b/" + s.bucket + "/o", RawQuery: q.Encode()}
	return f.ask(r, http.MethodPost, at, body.Bytes(), "multipart/related; boundary="+boundary)
}
