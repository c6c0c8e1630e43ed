package run

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
)

// An oddity is one prospect of a hostile API: the responses of the API, and the result
// of a night with all other oddities.
type oddity struct {
	answer func(w http.ResponseWriter, r *http.Request, asked int)
	// rows are the message bodies in the lake; a row without one has "".
	rows        []string
	quarantined int
	outcome     string // of the read; "" is complete
	requests    int    // at most; 0 is one for each page of a prospect without faults
}

// The outcomes that an oddity may have, besides complete.
const (
	isPartial   = "partial"
	isFailed    = "failed"
	isNotFound  = "not_found"
	isForbidden = "forbidden"
)

// TestHostileAPI reads more than sixty prospects, each with one oddity, in one
// run. None of them affects another, a deterministic response is requested once, and
// the next night changes nothing.
func TestHostileAPI(t *testing.T) {
	world := oddities()
	if len(world) < 60 {
		t.Fatalf("the world has %d prospects; 60 are the least", len(world))
	}
	h := newHouse(t)
	h.job().Source.MaxAttempts, h.job().Source.Timeout = 3, 10*time.Second
	api := &hostileAPI{world: make(map[string]oddity), asked: make(map[string]int)}
	for name, o := range world {
		api.world[idOf(name)] = o
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	var names []string
	for name := range world {
		names = append(names, name)
	}
	slices.Sort(names)
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i] = idOf(name)
	}
	h.ask(server.URL, ids...)

	for _, night := range []string{"the first night", "the second night"} {
		clear(api.asked)
		p := h.apply()
		j := p.Jobs[0]
		outcomes := make(map[string]string)
		for _, e := range j.Source.Reading.Exceptions {
			outcomes[e.Prospect] = e.Outcome
		}
		rows, quarantined := h.bodiesByProspect(), h.quarantinedByProspect()
		for _, name := range names {
			t.Run(night+"/"+name, func(t *testing.T) {
				want, id := world[name], idOf(name)
				if diff := cmp.Diff(slices.Sorted(slices.Values(want.rows)), rows[id]); diff != "" {
					t.Errorf("the message bodies in the lake (-want +got):\n%s", diff)
				}
				if got := quarantined[id]; got != want.quarantined {
					t.Errorf("%d events are quarantined, want %d", got, want.quarantined)
				}
				if got := outcomes[id]; got != want.outcome {
					t.Errorf("the outcome is %q, want %q: %s", got, want.outcome, reasonOf(j, id))
				}
				if got := api.asked[id]; got > max(1, want.requests) {
					t.Errorf("%d requests, want at most %d", got, max(1, want.requests))
				}
			})
		}
		if err := j.Source.Books.Check(); err != nil {
			t.Error(err)
		}
		if night == "the second night" && !p.Summary().Empty() {
			t.Errorf("the second night changes the lake: %+v", p.Summary())
		}
	}
}

// idOf returns the ID of the prospect with an oddity.
func idOf(name string) string {
	return "p-" + strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '-'
	}, name)
}

func reasonOf(j plan.Job, prospect string) string {
	for _, e := range j.Source.Reading.Exceptions {
		if e.Prospect == prospect {
			return e.Reason
		}
	}
	return "no reason"
}

// bodiesByProspect returns the message bodies in the lake, sorted.
func (h *house) bodiesByProspect() map[string][]string {
	out := make(map[string][]string)
	for _, row := range h.rows() {
		out[row["prospect_id"]] = append(out[row["prospect_id"]], row["message_body"])
	}
	for _, bodies := range out {
		slices.Sort(bodies)
	}
	return out
}

// quarantinedByProspect counts the lines of the quarantine.
func (h *house) quarantinedByProspect() map[string]int {
	h.Helper()
	out := make(map[string]int)
	text := readAll(h, filepath.Join(h.root(), ".prospector", "quarantine", "prospect_events.jsonl"))
	for line := range strings.Lines(text) {
		var e struct {
			Prospect string `json:"prospect_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.Fatal(err)
		}
		out[e.Prospect]++
	}
	return out
}

// hostileAPI serves a world, and counts the requests for each prospect.
type hostileAPI struct {
	world map[string]oddity
	mu    sync.Mutex
	asked map[string]int
}

func (a *hostileAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prospect := strings.Split(r.URL.Path, "/")[2]
	a.mu.Lock()
	a.asked[prospect]++
	asked := a.asked[prospect]
	a.mu.Unlock()
	a.world[prospect].answer(w, r, asked)
}

// say returns an SMS with a second and a body. fields are its other members, each with
// a comma before it.
func say(second int, text string, fields ...string) string {
	return fmt.Sprintf(`{"type":"SMS_MESSAGE","createdAt":"2022-02-01T10:%02d:%02dZ","data":{"text":%s}%s}`,
		second/60, second%60, strconv.Quote(text), strings.Join(fields, ""))
}

// broken returns an event with data, which may be invalid JSON.
func broken(second int, data string) string {
	return fmt.Sprintf(`{"type":"SMS_MESSAGE","createdAt":"2022-02-01T11:%02d:%02dZ","data":%s}`, second/60, second%60, data)
}

// pageOf returns a last page with the given nodes.
func pageOf(nodes ...string) string {
	return pageWith(`"hasNextPage":false,"endCursor":null`, nodes...)
}

func pageWith(info string, nodes ...string) string {
	edges := make([]string, len(nodes))
	for i, n := range nodes {
		edges[i] = `{"node":` + n + `}`
	}
	return `{"edges":[` + strings.Join(edges, ",") + `],"pageInfo":{` + info + `}}`
}

type answer = func(w http.ResponseWriter, r *http.Request, asked int)

// respond returns a response with a status, headers as "Name: value", and a body.
func respond(status int, body string, headers ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/json")
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func body(text string) answer { return respond(http.StatusOK, text) }

// inTurn returns each response once, and then repeats the last one.
func inTurn(answers ...answer) answer {
	return func(w http.ResponseWriter, r *http.Request, asked int) {
		answers[min(asked, len(answers))-1](w, r, asked)
	}
}

// byCursor responds depending on the requested cursor.
func byCursor(pages map[string]answer) answer {
	return func(w http.ResponseWriter, r *http.Request, asked int) {
		page, ok := pages[r.URL.Query().Get("after")]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		page(w, r, asked)
	}
}

// cut announces more bytes than it sends, and ends the connection.
func cut(text string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(buffer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text)+10, text)
		_ = buffer.Flush()
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func deflated(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func inUTF16(text string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

func oddities() map[string]oddity {
	// neighbor is an event next to a bad one, which must not affect it.
	neighbor := say(30, "neighbor")
	quarantines := func(node string) oddity {
		return oddity{answer: body(pageOf(node, neighbor)), rows: []string{"neighbor"}, quarantined: 1}
	}
	row := func(data, text string) oddity {
		return oddity{answer: body(pageOf(broken(1, data), neighbor)), rows: []string{"neighbor", text}}
	}
	failsAtOnce := func(text string, headers ...string) oddity {
		return oddity{answer: respond(http.StatusOK, text, headers...), outcome: isFailed}
	}
	reads := func(a answer, requests int) oddity {
		return oddity{answer: a, rows: []string{"neighbor"}, requests: requests}
	}
	one := pageOf(neighbor)

	return map[string]oddity{
		"an ordinary prospect": reads(body(one), 1),

		// Nodes that are not JSON.
		"NaN":                              quarantines(broken(1, `{"text":"x","sentiment":NaN}`)),
		"Infinity":                         quarantines(broken(1, `{"score":Infinity}`)),
		"minus Infinity":                   quarantines(broken(1, `{"score":-Infinity}`)),
		"undefined":                        quarantines(broken(1, `{"score":undefined}`)),
		"Python's words":                   quarantines(broken(1, `{"a":None,"b":True}`)),
		"a number with a leading zero":     quarantines(broken(1, `{"zip":02139}`)),
		"a number without an integer":      quarantines(broken(1, `{"score":.5}`)),
		"a hexadecimal number":             quarantines(broken(1, `{"score":0x1F}`)),
		"a trailing comma in an object":    quarantines(broken(1, `{"text":"x",}`)),
		"a trailing comma in an array":     quarantines(broken(1, `{"tags":[1,2,]}`)),
		"a line feed in a text":            quarantines(broken(1, "{\"text\":\"a\nb\"}")),
		"an unknown escape":                quarantines(broken(1, `{"text":"a\xb"}`)),
		"a cut escape":                     quarantines(broken(1, `{"text":"a\u12"}`)),
		"a missing colon":                  quarantines(broken(1, `{"text" "x"}`)),
		"a key without quotes":             quarantines(broken(1, `{text:"x"}`)),
		"400 levels of arrays":             quarantines(broken(1, `{"d":`+strings.Repeat("[", 400)+strings.Repeat("]", 400)+"}")),
		"a million levels of arrays":       quarantines(broken(1, `{"d":`+strings.Repeat("[", 1e6)+strings.Repeat("]", 1e6)+"}")),
		"300,000 values":                   quarantines(broken(1, `{"d":[0`+strings.Repeat(",0", 300_000)+"]}")),
		"a key twice":                      quarantines(broken(1, `{"text":"x","text":"y"}`)),
		"a key twice at the top":           quarantines(`{"type":"T","type":"U","createdAt":"2022-02-01T10:00:00Z"}`),
		"a key twice, once with an escape": quarantines(broken(1, `{"text":"x","te\u0078t":"y"}`)),

		// Nodes that are JSON, but no events.
		"a node that is null":      quarantines(`null`),
		"a node that is an array":  quarantines(`[1,2]`),
		"a node that is a text":    quarantines(`"hello"`),
		"no type":                  quarantines(`{"createdAt":"2022-02-01T10:00:00Z"}`),
		"an empty type":            quarantines(`{"type":"","createdAt":"2022-02-01T10:00:00Z"}`),
		"no time":                  quarantines(`{"type":"T"}`),
		"a time that is no day":    quarantines(`{"type":"T","createdAt":"2022-02-30T10:00:00Z"}`),
		"a type of 10,000 letters": quarantines(`{"type":"` + strings.Repeat("T", 10_000) + `","createdAt":"2022-02-01T10:00:00Z"}`),
		"an edge without a node":   {answer: body(`{"edges":[{"cursor":"x"},{"node":` + neighbor + `}],"pageInfo":{"hasNextPage":false}}`), rows: []string{"neighbor"}, quarantined: 1},
		"an edge with two nodes":   {answer: body(`{"edges":[{"node":{},"node":{}},{"node":` + neighbor + `}],"pageInfo":{"hasNextPage":false}}`), rows: []string{"neighbor"}, quarantined: 1},
		"an edge that is null":     {answer: body(`{"edges":[null,{"node":` + neighbor + `}],"pageInfo":{"hasNextPage":false}}`), rows: []string{"neighbor"}, quarantined: 1},
		"an edge that is a number": {answer: body(`{"edges":[7,{"node":` + neighbor + `}],"pageInfo":{"hasNextPage":false}}`), rows: []string{"neighbor"}, quarantined: 1},

		// Nodes that are unusual, but become rows.
		"half of an emoji":             row(`{"text":"soon \ud83d"}`, "soon \ufffd"),
		"an emoji the wrong way round": row(`{"text":"\ude00\ud83d"}`, "\ufffd"),
		"bytes that are not UTF-8":     row("{\"text\":\"caf\xe9\"}", "caf\ufffd"),
		"half an emoji elsewhere":      row(`{"text":"x","note":"\ud83d"}`, "x"),
		"a key like prospector's own":  row(`{"text":"x","note":{"$bytes":"eA=="}}`, "x"),
		"a NUL in a text":              row(`{"text":"a\u0000b"}`, "a\x00b"),
		"250 levels of arrays":         row(`{"text":"x","d":`+strings.Repeat("[", 250)+strings.Repeat("]", 250)+"}", "x"),
		"numbers beyond any type":      row(`{"text":"x","a":1e400,"b":9007199254740993,"c":-0}`, "x"),
		"empty and dotted keys":        row(`{"text":"x","":1,"a.b":2,"a":{"b":3}}`, "x"),
		"data that is null":            row(`null`, ""),
		"data that is a text":          row(`"hello"`, ""),
		"source and agent of another type": {
			answer: body(pageOf(say(1, "x", `,"source":"web","agent":[1]`), neighbor)), rows: []string{"neighbor", "x"}},
		"a time in milliseconds": {
			answer: body(pageOf(say(1, "x", `,"eventTime":1643709620000`), neighbor)), rows: []string{"neighbor", "x"}},
		"a time without an offset": {
			answer: body(pageOf(say(1, "x", `,"eventTime":"2022-02-01T10:00:00"`), neighbor)), rows: []string{"neighbor", "x"}},
		"nine digits of a second": {
			answer: body(pageOf(say(1, "x", `,"eventTime":"2022-02-01T10:00:00.123456789+05:30"`), neighbor)), rows: []string{"neighbor", "x"}},
		"a type with slashes and escapes": {
			answer: body(pageOf(`{"type":"../A/\u001b[31m=","createdAt":"2022-02-01T10:00:00Z","data":{"text":"x"}}`, neighbor)), rows: []string{"neighbor", "x"}},
		"a long description": {
			answer: body(pageOf(say(1, "x", `,"description":"`+strings.Repeat("y", 4097)+`"`), say(2, "y", `,"description":"short"`), neighbor)), rows: []string{"neighbor", "x", "y"}},
		"a text of a megabyte": row(`{"text":"`+strings.Repeat("z", 1<<20)+`"}`, strings.Repeat("z", 1<<20)),
		"an event twice":       {answer: body(pageOf(neighbor, neighbor)), rows: []string{"neighbor"}},
		"two events of one moment": {
			answer: body(pageOf(say(30, "one"), say(30, "two"))), rows: []string{"one", "two"}},

		// Pages that are unusual, but can be read.
		"a byte-order mark":                   reads(body("\xef\xbb\xbf"+one), 1),
		"edges that are null":                 {answer: body(`{"edges":null,"pageInfo":{"hasNextPage":false,"endCursor":null}}`)},
		"no edges in the list":                {answer: body(`{"edges":[],"pageInfo":{"hasNextPage":false,"endCursor":""}}`)},
		"204":                                 {answer: respond(http.StatusNoContent, "")},
		"errors that are empty":               reads(body(`{"errors":[],"edges":[{"node":`+neighbor+`}],"pageInfo":{"hasNextPage":false}}`), 1),
		"errors that are null":                reads(body(`{"errors":null,"edges":[{"node":`+neighbor+`}],"pageInfo":{"hasNextPage":false}}`), 1),
		"gzip":                                reads(respond(http.StatusOK, gzipped(one), "Content-Encoding: gzip"), 1),
		"JSON that is called HTML":            reads(respond(http.StatusOK, one, "Content-Type: text/html; charset=utf-8"), 1),
		"white space around a page":           reads(body("\r\n\t "+one+"\n\n"), 1),
		"a cut response, then a complete one": reads(inTurn(cut(one[:len(one)/2]), body(one)), 2),
		"500, then a page":                    reads(inTurn(respond(500, "oops"), body(one)), 2),
		"429, then a page":                    reads(inTurn(respond(429, "{}", "Retry-After: 0"), body(one)), 2),
		"HTML with 503, then a page":          reads(inTurn(respond(503, "<html>", "Content-Type: text/html"), body(one)), 2),
		"errors, then a page":                 reads(inTurn(body(`{"errors":[{"message":"x"}],"edges":null,"pageInfo":{"hasNextPage":false}}`), body(one)), 2),
		"a cursor with every character":       reads(byCursor(map[string]answer{"": body(pageWith(`"hasNextPage":true,"endCursor":"a+b/c==&x=1 %"`)), "a+b/c==&x=1 %": body(one)}), 2),
		"a cursor that is a number":           reads(byCursor(map[string]answer{"": body(pageWith(`"hasNextPage":true,"endCursor":1`)), "1": body(one)}), 2),
		"an empty page in the middle": reads(byCursor(map[string]answer{
			"": body(pageWith(`"hasNextPage":true,"endCursor":"2"`)), "2": body(pageWith(`"hasNextPage":true,"endCursor":"3"`)), "3": body(one)}), 3),
		"a bad event on the second of three pages": {answer: byCursor(map[string]answer{
			"": body(pageWith(`"hasNextPage":true,"endCursor":"2"`, say(1, "first"))), "2": body(pageWith(`"hasNextPage":true,"endCursor":"3"`, broken(2, `{"x":NaN}`), say(3, "second"))),
			"3": body(pageOf(say(4, "third")))}), rows: []string{"first", "second", "third"}, quarantined: 1, requests: 3},
		"204 after a page": {answer: byCursor(map[string]answer{
			"": body(pageWith(`"hasNextPage":true,"endCursor":"2"`, neighbor)), "2": respond(http.StatusNoContent, "")}), rows: []string{"neighbor"}, requests: 2},

		// Responses that are not pages.
		"errors":                      {answer: body(`{"errors":[{"message":"internal"}],"edges":null,"pageInfo":{"hasNextPage":false}}`), outcome: isFailed, requests: 3},
		"a message instead of a page": {answer: body(`{"message":"internal"}`), outcome: isFailed, requests: 3},
		"no edges at all":             {answer: body(`{"pageInfo":{"hasNextPage":false}}`), outcome: isFailed, requests: 3},
		"a login page":                failsAtOnce("<html><body>Please log in</body></html>", "Content-Type: text/html"),
		"a login page called JSON":    failsAtOnce("<!DOCTYPE html><html></html>"),
		"XML":                         failsAtOnce(`<?xml version="1.0"?><Error/>`, "Content-Type: application/xml"),
		"an array":                    {answer: body(`[]`), outcome: isFailed, requests: 3},
		"brotli":                      failsAtOnce("\x0b\x02\x80", "Content-Encoding: br"),
		"edges that are an object":    failsAtOnce(`{"edges":{},"pageInfo":{"hasNextPage":false}}`),
		"edges twice":                 failsAtOnce(`{"edges":[],"edges":[],"pageInfo":{"hasNextPage":false}}`),
		"no pageInfo":                 failsAtOnce(`{"edges":[]}`),
		"hasNextPage is a text":       failsAtOnce(`{"edges":[],"pageInfo":{"hasNextPage":"true"}}`),
		"a brace too many":            failsAtOnce(one + "}"),
		"a cut answer, every time":    {answer: cut(one[:len(one)/2]), outcome: isFailed, requests: 3},
		"a redirect":                  {answer: respond(http.StatusFound, "", "Location: https://example.com/"), outcome: isFailed},
		"bad request":                 {answer: respond(http.StatusBadRequest, `{}`), outcome: isFailed},
		"not found":                   {answer: respond(http.StatusNotFound, `{"message":"no such prospect"}`), outcome: isNotFound},
		"gone":                        {answer: respond(http.StatusGone, `{}`), outcome: isNotFound},
		"forbidden":                   {answer: respond(http.StatusForbidden, `{}`), outcome: isForbidden},
		"more pages, and no cursor":   {answer: body(pageWith(`"hasNextPage":true,"endCursor":null`, neighbor)), rows: []string{"neighbor"}, outcome: isPartial},
		"the same cursor forever":     {answer: body(pageWith(`"hasNextPage":true,"endCursor":"1"`, neighbor)), rows: []string{"neighbor"}, outcome: isPartial, requests: 3},
		"a second page that is HTML": {answer: byCursor(map[string]answer{
			"": body(pageWith(`"hasNextPage":true,"endCursor":"2"`, neighbor)), "2": body("<html>")}), rows: []string{"neighbor"}, outcome: isPartial, requests: 2},
		"deflate": reads(respond(http.StatusOK, deflated(one), "Content-Encoding: deflate"), 1),
		"UTF-16":  failsAtOnce(inUTF16(one)),
	}
}
