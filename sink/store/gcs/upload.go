package gcs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"prospector/sink/store"
)

const (
	// maxWhole is the size of the largest object whose first attempt is one request. A
	// session costs one more request, and saves what an interrupted attempt has sent.
	maxWhole = 8 << 20
	// unit is the size in which a session keeps what it has received. Smaller objects
	// gain nothing from a session, so all of their attempts are one request.
	unit = 256 << 10
)

// writeID is the key of the custom metadata that identifies the write of an object.
const writeID = "prospector-write"

// upload is one write of one object, with as many attempts as it needs. It keeps no data:
// each attempt reads the content from where it begins.
//
// For a large object, and for a smaller one after the first attempt, it uses a resumable
// session: https://cloud.google.com/storage/docs/performing-resumable-uploads. After a
// failure, it asks the service how much the session has, and continues there.
type upload struct {
	store   *Store
	key     string
	content store.Content
	// generation is the precondition: the generation of the object, or 0 for no object.
	generation int64
	// id identifies this write in the metadata of the object. It decides whether an
	// object that a refused attempt finds is the one that an earlier attempt has written.
	id string

	whole        bool   // the next attempt is one request
	session      string // the URI, which authorizes the upload, or ""
	unknown      bool   // the session may have another number of bytes
	inherited    bool   // the session is of an earlier run, and nothing is known of it
	received     int64  // bytes that the session has
	acknowledged int64  // the most bytes that a session of this upload had
	damaged      int    // attempts that arrived with another checksum
	unanswered   bool   // an attempt may have succeeded without an answer
}

// outcome is what one request has achieved.
type outcome struct {
	object   *store.Object // nil until the object exists
	received int64         // otherwise, bytes that the session has
}

// upload writes the content if the object has that generation.
func (s *Store) upload(ctx context.Context, key string, content store.Content, generation int64, tries *tries) (store.Object, error) {
	u := &upload{store: s, key: key, content: content, generation: generation, id: rand.Text(), whole: content.Size <= maxWhole}
	if kept := s.sessions.find(u.identity()); kept != nil {
		u.session, u.id, u.unknown, u.inherited, u.whole = kept.URI, kept.Write, true, true, false
	}
	o, err := u.run(ctx, tries)
	if u.session != "" && (err == nil || status(err) != 0 && !retryable(err)) {
		s.sessions.drop(u.identity())
	}
	if refusesCondition(err) {
		return u.resolveRefusal(ctx, err)
	}
	if err == nil && (o.Size != content.Size || o.CRC32C != content.CRC32C) {
		err = fmt.Errorf("the service has stored %d bytes with CRC32C %08x, but %d with %08x were sent; write it again",
			o.Size, o.CRC32C, content.Size, content.CRC32C)
	}
	return o, err
}

// run sends requests until the object exists.
func (u *upload) run(ctx context.Context, tries *tries) (store.Object, error) {
	// tries decides when to give up, so that no attempt ends that moves data.
	tries.watch.pause()
	defer tries.watch.resume()
	for {
		out, err := u.step(ctx, tries.watch)
		switch {
		case err == nil && out.object != nil:
			return *out.object, nil
		case err == nil && out.received > u.acknowledged:
			u.received, u.acknowledged = out.received, out.received
			tries.reset()
		case err == nil:
			u.received = out.received
		case u.lostSession(err):
			u.forget()
		case refusesChecksum(err) && u.damaged < minTries-1:
			u.damaged++ // on the way, since the content had its checksum before
			u.forget()
		case !retryable(err):
			return store.Object{}, err
		default:
			u.unknown = u.session != ""
		}
		if err == nil {
			continue
		}
		if err := tries.wait(ctx, err); err != nil {
			return store.Object{}, err
		}
	}
}

// lostSession reports whether the session has to start again after an error. Besides the
// documented statuses, an emulator may refuse to say how much it has.
func (u *upload) lostSession(err error) bool {
	if u.session == "" {
		return false
	}
	code := status(err)
	return code == http.StatusNotFound || code == http.StatusGone || code == http.StatusBadRequest && u.unknown
}

// forget lets the next attempt start a session again.
func (u *upload) forget() {
	u.store.sessions.drop(u.identity())
	u.session, u.received, u.unknown, u.inherited = "", 0, false, false
}

// adopt decides on the object of a session that an earlier run has finished. The object
// may have been replaced or deleted since. Then the upload starts again.
func (u *upload) adopt(ctx context.Context, out outcome, watch *watch) (outcome, error) {
	watch.renew()
	watch.resume()
	defer watch.pause()
	attrs, err := u.store.object(u.key).Attrs(ctx)
	switch {
	case err != nil && !errors.Is(err, storage.ErrObjectNotExist):
		return outcome{}, err
	case err == nil && u.store.describe(attrs).Generation == out.object.Generation:
		return out, nil
	}
	u.forget()
	u.id = rand.Text()
	return outcome{}, nil
}

// step sends the next request.
func (u *upload) step(ctx context.Context, watch *watch) (outcome, error) {
	switch {
	case u.whole:
		u.whole = u.content.Size <= unit
		return u.sendWhole(ctx)
	case u.session == "":
		return u.start(ctx)
	case u.unknown:
		out, err := u.send(ctx, u.content.Size, 0)
		if err == nil && out.object != nil && u.inherited {
			return u.adopt(ctx, out, watch)
		}
		u.unknown = err != nil
		u.inherited = u.inherited && u.unknown
		return out, err
	}
	out, err := u.send(ctx, u.received, u.content.Size-u.received)
	if err == nil && out.object == nil && out.received <= u.received {
		err = errNothingKept
	}
	return out, err
}

// errNothingKept means that a session has taken data, and reports that it has no more
// than before.
var errNothingKept = fmt.Errorf("the service kept nothing of what was sent: %w", io.ErrUnexpectedEOF)

// sendWhole sends the object in one request.
func (u *upload) sendWhole(ctx context.Context) (outcome, error) {
	boundary := rand.Text()
	head := fmt.Sprintf("--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%[1]s\r\nContent-Type: %[3]s\r\n\r\n",
		boundary, u.metadata(), u.contentType())
	tail := fmt.Sprintf("\r\n--%s--\r\n", boundary)
	content := newSection(u.content, 0, u.content.Size)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url("multipart"),
		io.MultiReader(strings.NewReader(head), content, strings.NewReader(tail)))
	if err != nil {
		return outcome{}, err
	}
	req.ContentLength = int64(len(head)) + u.content.Size + int64(len(tail))
	req.Header.Set("Content-Type", "multipart/related; boundary="+boundary)
	return u.do(req, content)
}

// start starts a session.
func (u *upload) start(ctx context.Context) (outcome, error) {
	metadata := u.metadata()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url("resumable"), strings.NewReader(metadata))
	if err != nil {
		return outcome{}, err
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	req.Header.Set("X-Upload-Content-Type", u.contentType())
	req.Header.Set("X-Upload-Content-Length", strconv.FormatInt(u.content.Size, 10))
	res, err := u.store.http.Do(req)
	if err != nil {
		return outcome{}, err
	}
	defer res.Body.Close()
	defer drain(res.Body)
	if err := googleapi.CheckResponse(res); err != nil {
		return outcome{}, err
	}
	at, err := res.Location()
	if err != nil {
		return outcome{}, errors.New("the service started an upload, but did not return where to send it")
	}
	u.session, u.received, u.unknown = at.String(), 0, false
	u.store.sessions.keep(u.identity(), session{URI: u.session, Write: u.id})
	return outcome{}, nil
}

// send sends size bytes from the offset on to the session. With no bytes, it asks for what
// the session has.
func (u *upload) send(ctx context.Context, offset, size int64) (outcome, error) {
	var body io.Reader = http.NoBody
	content := newSection(u.content, offset, size)
	held := "*"
	if size > 0 {
		body, held = content, fmt.Sprintf("%d-%d", offset, offset+size-1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.session, body)
	if err != nil {
		return outcome{}, err
	}
	req.ContentLength = size
	req.Header.Set("Content-Range", fmt.Sprintf("bytes %s/%d", held, u.content.Size))
	return u.do(req, content)
}

// do sends a request with content, and returns what the service has of it.
func (u *upload) do(req *http.Request, content *section) (_ outcome, err error) {
	defer func() {
		if retryable(err) && status(err) != http.StatusTooManyRequests {
			u.unanswered = true
		}
	}()
	res, err := u.store.http.Do(req)
	if err == nil {
		defer res.Body.Close()
		defer drain(res.Body)
	}
	if failed := content.err.Load(); failed != nil {
		return outcome{}, fmt.Errorf("reading the content: %w", *failed)
	}
	if err != nil {
		return outcome{}, err
	}
	if res.StatusCode == http.StatusPermanentRedirect {
		return incomplete(res.Header.Get("Range"))
	}
	if err := googleapi.CheckResponse(res); err != nil {
		return outcome{}, err
	}
	o, err := decodeObject(res.Body)
	if err != nil {
		return outcome{}, err
	}
	o.Key = u.key
	return outcome{object: &o}, nil
}

// incomplete returns how much a session has. Its Range is bytes=0-99, or empty if it has
// nothing.
func incomplete(held string) (outcome, error) {
	if held == "" {
		return outcome{}, nil
	}
	last, err := strconv.ParseInt(strings.TrimPrefix(held, "bytes=0-"), 10, 64)
	if err != nil || last < 0 {
		return outcome{}, fmt.Errorf("the service returned the range %q of an unfinished upload", held)
	}
	return outcome{received: last + 1}, nil
}

// resolveRefusal returns success if an attempt was refused because of the object that an
// earlier attempt of the same write has created. Otherwise it returns err, and
// store.ErrOutcomeUnknown if another writer may have replaced that object.
func (u *upload) resolveRefusal(ctx context.Context, err error) (store.Object, error) {
	if u.unanswered {
		err = fmt.Errorf("%w; %w", err, store.ErrOutcomeUnknown)
	}
	attrs, attrsErr := u.store.object(u.key).Attrs(ctx)
	switch {
	case errors.Is(attrsErr, storage.ErrObjectNotExist):
		return store.Object{}, err
	case attrsErr != nil:
		return store.Object{}, attrsErr // the writer of the object remains unknown
	case attrs.Metadata[writeID] != u.id || attrs.Size != u.content.Size || attrs.CRC32C != u.content.CRC32C:
		return store.Object{}, err
	}
	return u.store.describe(attrs), nil
}

// section reads a part of the content, and remembers its own error to distinguish it from
// errors of the connection.
type section struct {
	io.Reader
	left int64
	err  atomic.Pointer[error] // a response may arrive while the request is still read
}

// newSection returns the part of size bytes from the offset on.
func newSection(content store.Content, offset, size int64) *section {
	return &section{Reader: io.NewSectionReader(content.Reader, offset, size), left: size}
}

func (s *section) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.left -= int64(n)
	switch {
	case err == io.EOF && s.left > 0:
		err = fmt.Errorf("%w: it has become shorter", store.ErrCorrupt)
		s.err.Store(&err)
	case err != nil && err != io.EOF:
		s.err.Store(&err)
	}
	return n, err
}
