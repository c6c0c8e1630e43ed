package gcsfault

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Fault is one way to disturb an attempt.
type Fault struct {
	name   string
	kinds  []Kind // that it can disturb; nil means all
	inject func(*exchange)
}

// stalls reports whether the client has to wait until it gives up.
func (f Fault) stalls() bool {
	return slices.ContainsFunc(Stalls, func(s Fault) bool { return s.name == f.name })
}

// String returns the name of the fault.
func (f Fault) String() string { return f.name }

// None lets a request pass.
var None = Fault{name: "none"}

// Faults of connections. A reset is a TCP RST, as a firewall or an overloaded proxy
// sends it. Otherwise the connection ends with a FIN.
var (
	// ResetBefore resets the connection. The service never sees the request.
	ResetBefore = Fault{"reset before the body", nil, (*exchange).reset}
	// ResetDuring resets the connection in the middle of the request's body. A session
	// keeps what it has received.
	ResetDuring = Fault{"reset during the body", sending, func(x *exchange) { x.performHalf(nil); x.reset() }}
	// ResetAfter performs the request, and then resets the connection.
	ResetAfter = Fault{"reset after the body", nil, func(x *exchange) { x.perform(); x.reset() }}
	// Lost performs the request, and then closes the connection without an answer. If
	// the client repeats a conditional write, the service answers 412: the write is its
	// own.
	Lost = Fault{"lost answer", nil, func(x *exchange) { x.perform(); hangUp() }}
	// Truncated closes the connection in the middle of the answer's body.
	Truncated = Fault{"truncated answer", nil, func(x *exchange) { x.answerHalf(); hangUp() }}
)

// Stalls. They end when the client leaves, after Options.Stall, or with Close. A server
// cannot notice that the client leaves while it does not read, so StallBody ends late.
var (
	// StallRequest reads the request, does not perform it, and never answers.
	StallRequest = Fault{"stall before the request is performed", nil, func(x *exchange) { x.discard(); x.stall(); hangUp() }}
	// StallAnswer performs the request, and never answers.
	StallAnswer = Fault{"stall before the answer", nil, func(x *exchange) { x.perform(); x.stall(); hangUp() }}
	// StallBody stops to read in the middle of the request's body.
	StallBody = Fault{"stall in the request's body", sending, func(x *exchange) { x.performHalf(x.stall); hangUp() }}
	// StallDownload stops to send in the middle of the answer's body.
	StallDownload = Fault{"stall in a download", []Kind{Download, List}, func(x *exchange) { x.answerHalf(); x.stall(); hangUp() }}
)

// Answers that say that the service has not performed the request. They are those of
// https://cloud.google.com/storage/docs/json_api/v1/status-codes.
var (
	Timeout     = Answer(http.StatusRequestTimeout, "requestTimeout")
	RateLimit   = Answer(http.StatusTooManyRequests, "rateLimitExceeded")
	Internal    = Answer(http.StatusInternalServerError, "internalError")
	BadGateway  = AnswerXML(http.StatusBadGateway, "BadGateway")
	Unavailable = Answer(http.StatusServiceUnavailable, "backendError")
	SlowDown    = AnswerXML(http.StatusServiceUnavailable, "ServiceUnavailable")
	GatewayTime = Answer(http.StatusGatewayTimeout, "gatewayTimeout")
	// PerformedUnavailable answers 503 although it has performed the request.
	PerformedUnavailable = Fault{"503 after the request is performed", nil, func(x *exchange) {
		x.perform()
		x.answer(http.StatusServiceUnavailable, "application/json", jsonBody(http.StatusServiceUnavailable, "backendError"))
	}}
	// SessionNotFound and SessionGone say that a resumable session does not exist any
	// more: https://cloud.google.com/storage/docs/resumable-uploads#session-uris.
	SessionNotFound = ofKinds(Answer(http.StatusNotFound, "notFound"), "session not found (404)", Send, Query)
	SessionGone     = ofKinds(Answer(http.StatusGone, "gone"), "session gone (410)", Send, Query)
)

// Answers that are wrong. The client must detect them.
var (
	// DamagedBody changes a byte of the content that a request sends.
	DamagedBody = Fault{"damaged upload", []Kind{Upload, Send}, func(x *exchange) { x.damageBody(); x.service.ServeHTTP(x.w, x.r) }}
	// DamagedDownload changes a byte of the content that an answer returns.
	DamagedDownload = Fault{"damaged download", []Kind{Download}, func(x *exchange) {
		x.alter(func(a *recorded) { flip(a.body.Bytes(), a.body.Len()/2) })
	}}
	// WrongHash changes the CRC32C that an answer has about intact content.
	WrongHash = Fault{"wrong checksum", []Kind{Download}, func(x *exchange) {
		x.alter(func(a *recorded) { a.header.Set("X-Goog-Hash", "crc32c=AAAAAA==") })
	}}
)

var sending = []Kind{Upload, Start, Send}

// Transient are the faults after which the same request can succeed. A client can
// recognize all of them.
var Transient = []Fault{
	ResetBefore, ResetDuring, ResetAfter, Lost, Truncated,
	Timeout, RateLimit, Internal, BadGateway, Unavailable, SlowDown, GatewayTime, PerformedUnavailable,
	SessionNotFound, SessionGone,
}

// Stalls are the faults that a client recognizes only by the time that passes. The seed
// lets at most one attempt of a request stall.
var Stalls = []Fault{StallRequest, StallAnswer, StallBody, StallDownload}

// Damages are the faults that claim success.
var Damages = []Fault{DamagedBody, DamagedDownload, WrongHash}

// Answer returns the fault that the service refuses a request, with a status and the
// machine-readable reason of the JSON API.
func Answer(status int, reason string) Fault {
	return Fault{fmt.Sprintf("%d %s", status, reason), nil, func(x *exchange) {
		x.discard()
		x.answer(status, "application/json; charset=UTF-8", jsonBody(status, reason))
	}}
}

// AnswerXML is like Answer, with the error format of the XML API. The service answers
// before it reads the request's body.
func AnswerXML(status int, code string) Fault {
	body := fmt.Sprintf("<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	return Fault{fmt.Sprintf("%d %s (XML)", status, code), nil, func(x *exchange) {
		x.answer(status, "application/xml; charset=UTF-8", body)
	}}
}

// message is the free text of all errors. Like texts of the service, it has personal
// data, which a client must not print.
const message = "someone@example.com does not have access."

func jsonBody(status int, reason string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"message":%[2]q,"domain":"global","reason":%[3]q}]}}`, status, message, reason)
}

func ofKinds(f Fault, name string, kinds ...Kind) Fault {
	return Fault{name, kinds, f.inject}
}

// exchange is one request and its answer.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	service http.Handler
	stall   func()
}

// hangUp closes the connection.
func hangUp() { panic(http.ErrAbortHandler) }

// reset resets the connection.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		hangUp() // not HTTP/1
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // otherwise the connection ends with a FIN
	}
	conn.Close()
}

// discard reads the request's body, like a service that answers afterwards.
func (x *exchange) discard() {
	_, _ = io.Copy(io.Discard, x.r.Body) // the client may have left
}

// perform lets the service perform the request, and returns its answer.
func (x *exchange) perform() *recorded {
	a := newRecorded()
	x.service.ServeHTTP(a, x.r)
	x.discard()
	return a
}

// performHalf lets the service see half of the request's body. It calls then, unless
// nil, before the service sees that the rest is missing.
func (x *exchange) performHalf(then func()) {
	half := x.r.ContentLength / 2
	if half < 0 {
		half = 1 << 10 // of a body of unknown length
	}
	x.r.Body = io.NopCloser(io.MultiReader(io.LimitReader(x.r.Body, half), end(then)))
	x.service.ServeHTTP(newRecorded(), x.r)
}

// end is the end of a connection.
type end func()

func (then end) Read([]byte) (int, error) {
	if then != nil {
		then()
	}
	return 0, io.ErrUnexpectedEOF
}

// answer answers instead of the service.
func (x *exchange) answer(status int, contentType, body string) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.WriteHeader(status)
	_, _ = io.WriteString(x.w, body) // the client may have left
}

// alter sends the answer of the service with a change.
func (x *exchange) alter(change func(*recorded)) {
	a := x.perform()
	change(a)
	a.send(x.w, a.body.Len())
}

// answerHalf sends the header and half of the body of the service's answer.
func (x *exchange) answerHalf() {
	a := x.perform()
	a.header.Set("Content-Length", fmt.Sprint(a.body.Len()))
	a.send(x.w, a.body.Len()/2)
	http.NewResponseController(x.w).Flush()
}

// damageBody changes a byte of the content. In a multipart body, the content follows
// the second empty line.
func (x *exchange) damageBody() {
	body, err := io.ReadAll(x.r.Body)
	at := len(body) / 2
	if strings.HasPrefix(x.r.Header.Get("Content-Type"), "multipart/") {
		const emptyLine = "\r\n\r\n"
		if parts := strings.SplitN(string(body), emptyLine, 3); len(parts) == 3 {
			at = len(body) - len(parts[2])
		}
	}
	flip(body, at)
	x.r.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(body)), failing{err}))
}

// failing is a reader that ends with an error, or with io.EOF if there is none.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func flip(data []byte, at int) {
	if at < len(data) {
		data[at] ^= 1
	}
}
