package knocksim

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ServeHTTP handles one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.stats.requests.Add(1)
	prospect, ok := strings.CutPrefix(r.URL.Path, "/prospect/")
	if ok {
		prospect, ok = strings.CutSuffix(prospect, "/events")
	}
	if !ok {
		s.refuse(w, http.StatusNotFound, "no such resource")
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		s.refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if r.Header.Get("X-Api-Key") != s.options.APIKey {
		s.refuse(w, http.StatusUnauthorized, "missing or unknown x-api-key")
		return
	}
	index, ok := s.world.index(prospect)
	if !ok {
		s.refuse(w, http.StatusNotFound, "no such prospect")
		return
	}
	first, offset, err := s.parseQuery(r.URL.RawQuery)
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}

	fault, slow := s.faults.draw(index, offset)
	if slow {
		s.stats.faults[slowResponse].Add(1)
		if sleep(r.Context(), s.options.Faults.Delay) != nil {
			panic(http.ErrAbortHandler) // the client no longer waits
		}
	}
	if fault != noFault {
		s.stats.faults[fault].Add(1)
	}
	switch fault {
	case tooManyRequests:
		w.Header().Set("Retry-After", s.faults.retryAfter)
		s.refuse(w, http.StatusTooManyRequests, "rate limit exceeded")
	case serverError:
		s.refuse(w, http.StatusInternalServerError, "internal server error")
	case unavailable:
		s.respond(w, http.StatusServiceUnavailable, "text/html", []byte("<html><body><h1>503 Service Unavailable</h1></body></html>\n"))
	default:
		s.servePage(w, r, index, first, offset, fault)
	}
}

// parseQuery parses `first` and `after`. Its errors contain nothing from the request.
func (s *Simulator) parseQuery(query string) (first, offset int, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, 0, errors.New("the query string is malformed")
	}
	first = s.options.MaxPageSize
	if values.Has("first") {
		first, err = strconv.Atoi(values.Get("first"))
		if err != nil || first < 1 {
			return 0, 0, errors.New("first is not a positive number")
		}
		if first > s.options.MaxPageSize {
			if s.options.RejectLargePages {
				return 0, 0, errors.New("first is larger than " + strconv.Itoa(s.options.MaxPageSize))
			}
			first = s.options.MaxPageSize
		}
	}
	if values.Has("after") {
		var ok bool
		if offset, ok = parseCursor(values.Get("after")); !ok {
			return 0, 0, errors.New("after is not a cursor")
		}
	}
	return first, offset, nil
}

// servePage sends the events from offset on. The fault may damage the response.
func (s *Simulator) servePage(w http.ResponseWriter, r *http.Request, index, first, offset int, fault faultKind) {
	page := s.pages.Get().(*[]byte)
	defer s.pages.Put(page)
	body, events := s.appendPage((*page)[:0], index, first, offset)
	*page = body
	if fault == truncated {
		body = body[:len(body)/2]
	}
	if s.options.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	if fault == reset {
		s.reset(w, body)
		return
	}
	if fault == truncated {
		s.respond(w, http.StatusOK, "application/json", body)
		return
	}
	// Count the page before it is sent, so that Stats includes every response that a
	// client has received. Subtract it again if sending fails.
	mark := s.mark(index, offset, events)
	s.stats.page(events, mark.repeated, 1)
	if err := s.respond(w, http.StatusOK, "application/json", body); err != nil {
		s.stats.page(events, mark.repeated, -1)
		s.stats.aborted.Add(1)
		mark.takeBack()
	}
}

// appendPage appends a page of a prospect's events.
func (s *Simulator) appendPage(b []byte, index, first, offset int) (page []byte, events int) {
	visible := s.world.visible(index)
	if offset >= visible {
		return append(b, `{"edges":[],"pageInfo":{"endCursor":null,"hasNextPage":false}}`...), 0
	}
	p := s.world.person(index)
	end := min(visible-offset, first) + offset
	b = append(b, `{"edges":[`...)
	for i := offset; i < end; i++ {
		if i > offset {
			b = append(b, ',')
		}
		b = append(b, `{"node":`...)
		b = s.world.appendNode(b, &p, s.at(i, visible))
		b = append(b, '}')
	}
	b = append(b, `],"pageInfo":{"endCursor":"`...)
	b = appendCursor(b, end)
	if end < visible {
		return append(b, `","hasNextPage":true}}`...), end - offset
	}
	return append(b, `","hasNextPage":false}}`...), end - offset
}

// refuse sends an error in JSON. Its message contains nothing from the request.
func (s *Simulator) refuse(w http.ResponseWriter, status int, message string) {
	s.respond(w, status, "application/json", []byte(`{"message":"`+message+`"}`+"\n"))
}

func (s *Simulator) respond(w http.ResponseWriter, status int, contentType string, body []byte) error {
	s.stats.status[status].Add(1)
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// reset sends the Content-Length of the full body and half of the body, and then resets
// the connection.
func (s *Simulator) reset(w http.ResponseWriter, body []byte) {
	s.stats.status[http.StatusOK].Add(1)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	control := http.NewResponseController(w)
	w.Write(body[:len(body)/2])
	control.Flush()
	conn, _, err := control.Hijack()
	if err != nil { // not HTTP/1.1: let the server abort the response
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // RST instead of FIN
	}
	conn.Close()
}

var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

func compress(body []byte) []byte {
	var b bytes.Buffer // whose writes never fail
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(&b)
	z.Write(body)
	z.Close()
	return b.Bytes()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
