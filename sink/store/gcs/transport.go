package gcs

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// errStalled is the error of an attempt that moves no data for the timeout, or almost
// none. Another attempt may succeed.
var errStalled = errors.New("the request stalled")

// newTransport returns the transport below the one that authenticates.
//
// It speaks HTTP/1.1 alone, so that each request has a connection of its own. If a
// connection dies, only one request waits, and ending that request closes the connection.
// Over HTTP/2, all requests would share the dead connection, and the next attempts as
// well. One connection would also limit the rate of parallel uploads.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxIdleConns = 0 // no limit but the next one
	t.MaxIdleConnsPerHost = 100
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: limitUnsent}
	t.DialContext = dialer.DialContext
	return t
}

// maxUnsent is how many bytes the kernel may hold that it has not sent. The default is
// several megabytes, which take minutes over a slow uplink that many uploads share. The
// end of the request's body would seem to be sent long before it is, and the wait for the
// response would look like a stall.
const maxUnsent = 64 << 10

// bounded ends each attempt that stalls with errStalled. It must wrap the transport that
// authenticates, so that it also ends the wait for a token.
type bounded struct {
	next    http.RoundTripper
	timeout time.Duration
	// closeIdle closes the idle connections. Whatever makes one connection silent, such
	// as a firewall that forgets connections, usually does so to all of them.
	closeIdle func()
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	call := req.Context()
	ctx, w := newWatch(call, b.timeout, errStalled)
	req = req.WithContext(ctx)
	if req.URL.Query().Get("alt") == "media" {
		// Otherwise the service or package net/http would decompress an object with the
		// content encoding gzip, whose size and checksum are those of the stored bytes.
		req.Header = req.Header.Clone()
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sending{req.Body, w}
	}
	res, err := b.next.RoundTrip(req)
	if err != nil {
		w.stop()
		err = b.cause(ctx, err)
		noteResult(call, nil, err)
		return nil, err
	}
	w.renew()
	w.pause()
	res.Body = &receiving{res.Body, w, func(err error) error { return b.cause(ctx, err) }}
	noteResult(call, res, nil)
	return res, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (b *bounded) CloseIdleConnections() { b.closeIdle() }

// cause returns errStalled if that is why the attempt failed, and otherwise err.
func (b *bounded) cause(ctx context.Context, err error) error {
	if context.Cause(ctx) != errStalled {
		return err
	}
	b.closeIdle()
	return errStalled
}

// sending is the body of a request.
type sending struct {
	io.ReadCloser
	watch *watch
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.watch.move(n)
	if err == io.EOF {
		s.watch.renew() // for the response
	}
	return n, err
}

// receiving is the body of a response. It does not count the time between two reads.
type receiving struct {
	io.ReadCloser
	watch *watch
	cause func(error) error
}

func (r *receiving) Read(p []byte) (int, error) {
	r.watch.resume()
	n, err := r.ReadCloser.Read(p)
	r.watch.move(n)
	r.watch.pause()
	if err != nil {
		r.watch.stop()
	}
	if err != nil && err != io.EOF {
		err = r.cause(err)
	}
	return n, err
}

func (r *receiving) Close() error {
	r.watch.stop()
	return r.ReadCloser.Close()
}
