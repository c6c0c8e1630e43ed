package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fastjson"

	"prospector/internal/jsontext"
)

// The response that the vendor documents.
const documented = `{
  "edges": [
    {
      "node": {
        "type": "APPOINTMENT_CREATED",
        "description": "A tour appointment was scheduled via knock",
        "eventTime": "2022-01-13T19:27:37.866831+00:00",
        "createdAt": "2022-01-13T19:27:37.866831+00:00",
        "source": { "title": "Property Website" },
        "agent": { "username": "e5e42ae3-a3fa-48ae-a5c5-92ca704d38ad" },
        "data": {
          "startTime": "2022-01-18T20:00:00+00:00",
          "endTime": "2022-01-18T20:30:00+00:00",
          "status": "confirmed",
          "tourType": "IN_PERSON"
        }
      }
    }
  ],
  "pageInfo": { "endCursor": "MQ==", "hasNextPage": true }
}`

// separable returns a page with the node between two others.
func separable(node string) string {
	return `{"edges":[{"node":{"text":"],{\""}},{"node":` + node + `},{}],"pageInfo":{"endCursor":"C","hasNextPage":true}}`
}

var pages = []struct {
	name, body string
	want       pageInfo
	err        string // part of the error; "" if there is none
}{
	{"documented", documented, pageInfo{1, true, "MQ=="}, ""},
	{"last page", `{"edges":[{},{}],"pageInfo":{"endCursor":"Mg==","hasNextPage":false}}`, pageInfo{2, false, "Mg=="}, ""},
	{"other order and members", `{"extensions":{"edges":[1]},"pageInfo":{"startCursor":"A","hasNextPage":true,"endCursor":"B"},"edges":[1,[2,3],{"edges":[4]}]}`, pageInfo{3, true, "B"}, ""},
	{"white space", " \t\r\n{ \"edges\" : [ ] , \"pageInfo\" : { \"hasNextPage\" : false } } \n", pageInfo{}, ""},
	{"edges of other types", `{"edges":[null,1,"x",[]],"pageInfo":{"hasNextPage":false}}`, pageInfo{4, false, ""}, ""},

	// Every empty page that docs/knock-api.md considers.
	{"empty, cursor null", `{"edges":[],"pageInfo":{"endCursor":null,"hasNextPage":false}}`, pageInfo{}, ""},
	{"empty, cursor empty", `{"edges":[],"pageInfo":{"endCursor":"","hasNextPage":false}}`, pageInfo{}, ""},
	{"empty, cursor missing", `{"edges":[],"pageInfo":{"hasNextPage":false}}`, pageInfo{}, ""},
	{"edges null", `{"edges":null,"pageInfo":{"hasNextPage":false}}`, pageInfo{}, ""},
	{"empty with more", `{"edges":[],"pageInfo":{"endCursor":"C","hasNextPage":true}}`, pageInfo{0, true, "C"}, ""},
	{"edges null with more", `{"edges":null,"pageInfo":{"endCursor":"C","hasNextPage":true}}`, pageInfo{0, true, "C"}, ""},
	{"empty pageInfo", `{"edges":[],"pageInfo":{}}`, pageInfo{}, ""},

	// More pages without a cursor: Pages reports this as an error.
	{"more, cursor null", `{"edges":[1],"pageInfo":{"endCursor":null,"hasNextPage":true}}`, pageInfo{1, true, ""}, ""},
	{"more, cursor empty", `{"edges":[1],"pageInfo":{"endCursor":"","hasNextPage":true}}`, pageInfo{1, true, ""}, ""},
	{"more, cursor missing", `{"edges":[1],"pageInfo":{"hasNextPage":true}}`, pageInfo{1, true, ""}, ""},
	{"more, cursor an object", `{"edges":[1],"pageInfo":{"endCursor":{},"hasNextPage":true}}`, pageInfo{}, "endCursor is not a string"},
	{"last, cursor an object", `{"edges":[1],"pageInfo":{"endCursor":{},"hasNextPage":false}}`, pageInfo{1, false, ""}, ""},

	{"no hasNextPage, events and cursor", `{"edges":[1],"pageInfo":{"endCursor":"C"}}`, pageInfo{1, true, "C"}, ""},
	{"hasNextPage null, events and cursor", `{"edges":[1],"pageInfo":{"endCursor":"C","hasNextPage":null}}`, pageInfo{1, true, "C"}, ""},
	{"other pageInfo keys", `{"edges":[1],"pageInfo":{"has_next_page":true,"end_cursor":"secret"}}`, pageInfo{}, "pageInfo has has_next_page, end_cursor, but neither hasNextPage nor endCursor"},
	{"pageInfo keys in lower case", `{"edges":[],"pageInfo":{"hasnextpage":false,"endcursor":null}}`, pageInfo{}, "pageInfo has hasnextpage, endcursor, but neither"},
	{"pageInfo keys that are data", `{"edges":[1],"pageInfo":{"secret@example.com":1}}`, pageInfo{}, "neither hasNextPage nor endCursor, but other keys"},
	{"other pageInfo keys next to null", `{"edges":[1],"pageInfo":{"hasNextPage":null,"endCursor":null,"hasMore":false}}`, pageInfo{}, "pageInfo has hasMore, but neither"},
	{"other pageInfo keys next to hasNextPage", `{"edges":[1],"pageInfo":{"hasNextPage":false,"end_cursor":"C"}}`, pageInfo{1, false, ""}, ""},
	{"pageInfo null with startCursor", `{"edges":[1],"pageInfo":{"hasNextPage":null,"endCursor":null,"startCursor":"A","hasPreviousPage":false}}`, pageInfo{1, false, ""}, ""},
	{"no hasNextPage, events, no cursor", `{"edges":[1],"pageInfo":{}}`, pageInfo{1, false, ""}, ""},
	{"no hasNextPage, cursor, no events", `{"edges":[],"pageInfo":{"endCursor":"C"}}`, pageInfo{0, false, "C"}, ""},
	{"no hasNextPage, events, cursor an array", `{"edges":[1],"pageInfo":{"endCursor":[]}}`, pageInfo{}, "endCursor is not a string"},
	{"hasNextPage a string", `{"edges":[1],"pageInfo":{"endCursor":"C","hasNextPage":"false"}}`, pageInfo{}, "hasNextPage is not true or false"},
	{"hasNextPage a number", `{"edges":[1],"pageInfo":{"endCursor":"C","hasNextPage":0}}`, pageInfo{}, "hasNextPage is not true or false"},

	{"cursor a number", `{"edges":[1],"pageInfo":{"endCursor":9007199254740993,"hasNextPage":true}}`, pageInfo{1, true, "9007199254740993"}, ""},
	{"cursor escaped", `{"edges":[1],"pageInfo":{"endCursor":"a\/b\u003d\u003d\"","hasNextPage":true}}`, pageInfo{1, true, `a/b=="`}, ""},
	{"cursor not UTF-8", "{\"edges\":[1],\"pageInfo\":{\"endCursor\":\"\xff\",\"hasNextPage\":true}}", pageInfo{1, true, "\xff"}, ""},
	{"keys escaped", `{"edge\u0073":[1],"page\u0049nfo":{"endCursor":"C","hasNextPage":true}}`, pageInfo{1, true, "C"}, ""},
	{"event not UTF-8", "{\"edges\":[\"\xc3\x28 and on for some more bytes\"],\"pageInfo\":{\"hasNextPage\":false}}", pageInfo{1, false, ""}, ""},

	{"no pageInfo", `{"edges":[1]}`, pageInfo{}, "no pageInfo"},
	{"pageInfo null", `{"edges":[1],"pageInfo":null}`, pageInfo{}, "no pageInfo"},
	{"pageInfo an array", `{"edges":[1],"pageInfo":[]}`, pageInfo{}, "no pageInfo"},
	{"error envelope", `{"message":"Internal server error"}`, pageInfo{}, "no edges, but message"},
	{"edges missing", `{"pageInfo":{"hasNextPage":false}}`, pageInfo{}, "no edges"},
	{"no edges, personal keys", `{"secret@example.com":1,"status":200,"requestId":"secret","pageInfo":{}}`, pageInfo{}, "no edges, but status, requestId"},
	{"another edges", `{"Edges":[],"pageInfo":{}}`, pageInfo{}, "no edges, but Edges"},
	{"in data", `{"data":{"edges":[],"pageInfo":{"hasNextPage":false}}}`, pageInfo{}, "no edges, but data"},
	{"edges an object", `{"edges":{},"pageInfo":{"hasNextPage":false}}`, pageInfo{}, "edges is not an array"},
	{"edges a string", `{"edges":"[]","pageInfo":{"hasNextPage":false}}`, pageInfo{}, "edges is not an array"},
	{"edges twice", `{"edges":[1],"edges":[2],"pageInfo":{"hasNextPage":false}}`, pageInfo{}, "twice"},
	{"pageInfo twice", `{"edges":[1],"pageInfo":{"hasNextPage":true,"endCursor":"C"},"pageInfo":{"hasNextPage":false}}`, pageInfo{}, "twice"},
	{"hasNextPage twice", `{"edges":[1],"pageInfo":{"hasNextPage":true,"endCursor":"C","hasNextPage":false}}`, pageInfo{}, "twice"},
	{"cursor twice", `{"edges":[1],"pageInfo":{"hasNextPage":true,"endCursor":"C","endCursor":"D"}}`, pageInfo{}, "twice"},

	{"nothing", ``, pageInfo{}, "is empty"},
	{"white space only", " \r\n", pageInfo{}, "is empty"},
	{"HTML", `<html>secret</html>`, pageInfo{}, "returns HTML"},
	{"an array", `[]`, pageInfo{}, "not an object"},
	{"null", `null`, pageInfo{}, "not an object"},
	{"two objects", `{"pageInfo":{}}{"pageInfo":{}}`, pageInfo{}, "byte 15 of 30"},
	{"trailing text", `{"pageInfo":{}} secret`, pageInfo{}, "byte 16 of 22"},
	{"truncated", documented[:600], pageInfo{}, "ends early: after 600 bytes"},
	{"truncated in an escape", `{"a":"\`, pageInfo{}, "ends early: after 7 bytes"},
	{"truncated in a \\u", `{"a":"\u00`, pageInfo{}, "ends early"},
	{"truncated in a word", `{"a":nu`, pageInfo{}, "ends early"},
	{"truncated in a number", `{"a":-`, pageInfo{}, "ends early"},
	{"depth bomb", `{"edges":` + strings.Repeat("[", 10<<20), pageInfo{}, "cannot be separated"},
	{"deep but allowed", `{"a":` + strings.Repeat("[", 299) + strings.Repeat("]", 299) + `,"edges":[],"pageInfo":{}}`, pageInfo{}, ""},
	// Pages that are not valid JSON, or nested too deeply, but whose edges can be
	// separated.
	{"too deep by one", `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `,"edges":[],"pageInfo":{}}`, pageInfo{}, ""},
	{"scalar too deep by one", `{"a":` + strings.Repeat("[", 299) + "1" + strings.Repeat("]", 299) + `,"edges":[],"pageInfo":{}}`, pageInfo{}, ""},
	{"an event nested a million deep", separable(`{"a":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`), pageInfo{3, true, "C"}, ""},
	{"not a number", separable(`{"a":NaN}`), pageInfo{3, true, "C"}, ""},
	{"infinities", separable(`{"a":[Infinity,-Infinity]}`), pageInfo{3, true, "C"}, ""},
	{"words of other languages", separable(`{"a":undefined,"b":None,"c":True,"d":nil}`), pageInfo{3, true, "C"}, ""},
	{"numbers of other languages", separable(`{"a":[01,+1,.5,1.,0x1F,1_000]}`), pageInfo{3, true, "C"}, ""},
	{"an unknown escape", separable(`{"a":"\x"}`), pageInfo{3, true, "C"}, ""},
	{"a cut escape", separable(`{"a":"\u12"}`), pageInfo{3, true, "C"}, ""},
	{"a cut escape before a quote", separable(`{"a":"\u12\"],"}`), pageInfo{3, true, "C"}, ""},
	{"a raw line feed", separable("{\"a\":\"1\n2\"}"), pageInfo{3, true, "C"}, ""},
	{"a NUL between values", separable("{\"a\":\x00}"), pageInfo{3, true, "C"}, ""},
	{"trailing commas", separable(`{"a":[1,],}`), pageInfo{3, true, "C"}, ""},
	{"a missing comma", separable(`{"a":1 "b":2}`), pageInfo{3, true, "C"}, ""},
	{"a missing value", separable(`{"a":}`), pageInfo{3, true, "C"}, ""},
	{"no node at all", separable(``), pageInfo{3, true, "C"}, ""},
	{"comments", separable(`{/* one */"a":1 // another
	}`), pageInfo{3, true, "C"}, ""},
	{"keys without quotes", separable(`{a:1}`), pageInfo{3, true, "C"}, ""},
	{"single quotes", separable(`{'a':'1'}`), pageInfo{3, true, "C"}, ""},
	{"a bad key next to the node", `{"edges":[{"node":{},cursor:1},{}],"pageInfo":{}}`, pageInfo{2, false, ""}, ""},
	{"a bad value next to edges", `{"took":NaN,"edges":[{}],"pageInfo":{}}`, pageInfo{1, false, ""}, ""},
	{"a comma after the last edge", `{"edges":[{},{},],"pageInfo":{}}`, pageInfo{2, false, ""}, ""},
	{"a missing edge", `{"edges":[{},,{}],"pageInfo":{}}`, pageInfo{3, false, ""}, ""},
	{"a comma after the last member", `{"edges":[{}],"pageInfo":{},}`, pageInfo{1, false, ""}, ""},

	// Pages whose edges cannot be separated.
	{"edges is an unknown word", `{"edges":nan,"pageInfo":{}}`, pageInfo{}, "cannot be separated"},
	{"edges and more", `{"edges":[] [],"pageInfo":{}}`, pageInfo{}, "cannot be separated"},
	{"a bad key next to edges", `{edges:[],"pageInfo":{}}`, pageInfo{}, "cannot be separated"},
	{"a broken key next to edges", `{"\x":1,"edges":[],"pageInfo":{}}`, pageInfo{}, "cannot be separated"},
	{"brackets that do not match", separable(`{"a":[}]`), pageInfo{}, "cannot be separated"},
	{"a string that does not end", separable(`{"a":"}`), pageInfo{}, "cannot be separated"},
	{"an event that does not end", separable(`{"a":1`), pageInfo{}, "cannot be separated"},
	{"bad pageInfo", `{"edges":[],"pageInfo":{"endCursor":"C","hasNextPage":True}}`, pageInfo{}, "pageInfo is not valid JSON"},
	{"bad pageInfo and event", `{"edges":[NaN],"pageInfo":{"endCursor":"C","hasNextPage":false,}}`, pageInfo{}, "pageInfo is not valid JSON"},
	{"pageInfo and more", `{"edges":[NaN],"pageInfo":{} {}}`, pageInfo{}, "pageInfo is not valid JSON"},
	{"edges twice, and a bad event", `{"edges":[NaN],"edges":[],"pageInfo":{}}`, pageInfo{}, "twice"},
	{"bad edges twice", `{"edges":nan,"edges":[],"pageInfo":{}}`, pageInfo{}, "twice"},
}

func TestParsePage(t *testing.T) {
	for _, c := range pages {
		t.Run(c.name, func(t *testing.T) {
			got, err := parsePage([]byte(c.body))
			switch {
			case c.err == "" && err != nil:
				t.Fatal(err)
			case c.err == "" && got != c.want:
				t.Errorf("got %+v, want %+v", got, c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}

// TestTruncated: no prefix of a page is a page, and the error for each is transient.
func TestTruncated(t *testing.T) {
	for n := range documented {
		got, err := parsePage([]byte(documented[:n]))
		if passing := new(transient); !errors.As(err, passing) {
			t.Errorf("the first %d bytes: %+v, %v", n, got, err)
		}
	}
}

// TestReportedErrors: a body that reports an error is not a page, whatever else it
// contains. A key for errors with an empty value has no effect.
func TestReportedErrors(t *testing.T) {
	for _, key := range []string{"errors", "error", "errorMessage", "error_message", "errorMessages", "Errors", "ERROR", "exception", "fault", `err\u006fr`} {
		for _, value := range []string{`[{"message":"secret"}]`, `{"message":"secret"}`, `"secret"`, `true`, `500`, `-1`, `[null]`, `" "`} {
			for _, body := range []string{
				`{"%s":%s}`, `{"%s":%s,"edges":null,"pageInfo":{"hasNextPage":false}}`, `{"edges":[{"node":{}}],"pageInfo":{"hasNextPage":true,"endCursor":"C"},"%s":%s}`,
			} {
				body = fmt.Sprintf(body, key, value)
				_, err := parsePage([]byte(body))
				if passing := new(transient); !errors.As(err, passing) || !strings.Contains(err.Error(), "reports an error") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v", body, err)
				}
			}
		}
		for _, value := range []string{`NaN`, ``, `"\x"`} { // not valid JSON
			body := fmt.Sprintf(`{"edges":[1],"%s":%s,"pageInfo":{"hasNextPage":false}}`, key, value)
			if _, err := parsePage([]byte(body)); err == nil || !strings.Contains(err.Error(), "reports an error") {
				t.Errorf("%s: %v", body, err)
			}
		}
		for _, value := range []string{`null`, `[]`, `[ ]`, `{}`, "{\n}", `""`, `false`, `0`, `-0`, `0.0`, `0e5`} {
			body := fmt.Sprintf(`{"edges":[1],"%s":%s,"pageInfo":{"hasNextPage":false}}`, key, value)
			if got, err := parsePage([]byte(body)); err != nil || got.events != 1 {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	}
	// Only members of the page itself report errors.
	for _, body := range []string{
		`{"edges":[{"node":{"error":"secret"}}],"pageInfo":{}}`, `{"edges":[1],"pageInfo":{},"terror":1,"message":"secret","error for secret":1}`,
		`{"edges":[1],"pageInfo":{},"success":true,"ok":1,"status":"ok","code":200,"statusCode":"399"}`,
	} {
		if _, err := parsePage([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestErrorKeys: APIs report errors under many keys, next to edges and in pageInfo.
func TestErrorKeys(t *testing.T) {
	for _, member := range []string{
		`"errorCode":"E1"`, `"error_code":7`, `"errorDetails":{"a":1}`, `"Error_Type":"x"`, `"err":"secret"`, `"exception":{"a":1}`, `"failed":true`, `"hasErrors":true`,
		`"success":false`, `"Success":"false"`, `"ok":0`, `"status":"error"`, `"status":"FAILED"`, `"status":500`, `"statusCode":400`, `"status_code":"503"`, `"code":429`,
	} {
		for _, body := range []string{
			`{%s,"edges":[],"pageInfo":{"hasNextPage":false}}`, `{"edges":[{}],"pageInfo":{"hasNextPage":false},%s}`,
			`{"edges":[],"pageInfo":{"hasNextPage":false,%s}}`, `{"edges":[{}],"pageInfo":{%s}}`,
		} {
			body = fmt.Sprintf(body, member)
			_, err := parsePage([]byte(body))
			if passing := new(transient); !errors.As(err, passing) || !strings.Contains(err.Error(), "reports an error") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", body, err)
			}
			if !new(Client).Silent([]byte(body)) { // the journal of an earlier version may have such a page
				t.Errorf("%s is not Silent", body)
			}
		}
	}
}

func TestSilent(t *testing.T) {
	for body, want := range map[string]bool{
		`{"edges":[],"pageInfo":{"hasNextPage":false}}`:                                                                    false,
		`{"took":NaN,"edges":[],"pageInfo":{}}`:                                                                            true,
		`{"message":"Internal server error","edges":[],"pageInfo":{"hasNextPage":false}}`:                                  true,
		`{"edges":[],"pageInfo":{"hasNextPage":false},"totalCount":5}`:                                                     true,
		`{"edges":[],"pageInfo":{"hasNextPage":false},"Edges":[{}]}`:                                                       true,
		`{"edges":[],"pageInfo":{"hasNextPage":false,"reason":"timeout"}}`:                                                 true,
		`{"edges":[],"pageInfo":{"hasNextPage":false},"totalCount":0,"errors":[]}`:                                         false,
		`{"edges":[],"pageInfo":{"hasNextPage":false,"endCursor":"A","startCursor":"A","hasPreviousPage":true,"count":0}}`: false,
		`{"took":NaN,"edges":null,"pageInfo":{}}`:                                                                          true,
		`{"pageInfo":{"hasNextPage":false},"edges":null}`:                                                                  true,
		` {"edges" : null , "pageInfo":{"hasNextPage":true}}`:                                                              true,
		noContent: true,
	} {
		if got := new(Client).Silent([]byte(body)); got != want {
			t.Errorf("Silent is %v for %s", got, body)
		}
		if _, err := parsePage([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzParsePage compares the scanner with two parsers that share no code with it.
func FuzzParsePage(f *testing.F) {
	for _, c := range pages {
		if len(c.body) < 1000 {
			f.Add([]byte(c.body))
		}
	}
	f.Add([]byte(`{"edges":[],"pageInfo":{},"n":[0,-0,1.5,-12e+3,0.1E-9,true,false,null,"\ud800\b"]}`))
	for _, bad := range []string{`01`, `1.`, `.5`, `+1`, `1e`, `-`, `NaN`, `"a` + "\n" + `b"`, `"\x"`, `"\u12g4"`, `[1,]`, `[,1]`, `{"a":1,}`, `{a:1}`, `{"a"}`, `truE`, `"12345678` + "\x1f" + `"`} {
		f.Add([]byte(`{"edges":[],"pageInfo":{},"bad":` + bad + `}`))
	}
	var parser fastjson.Parser
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := parsePage(body)
		scanned := jsontext.IsValid(body)
		if valid := json.Valid(body); scanned && !valid {
			t.Fatalf("%q is not JSON, and was accepted", body)
		} else if valid && !scanned && strings.Count(string(body), "[")+strings.Count(string(body), "{") < jsontext.MaxDepth {
			t.Fatalf("%q is JSON, and was refused", body)
		}
		if err != nil {
			return
		}
		var e envelope
		if ok := e.separate(body); !ok || e.events != page.events {
			t.Errorf("%d events, but %d are separated (%v) in %q", page.events, e.events, ok, body)
		}
		if !scanned {
			return
		}
		// The transformation must find the same number of events on the page.
		v, err := parser.ParseBytes(body)
		if err != nil {
			t.Fatalf("fastjson refuses the page %q", body)
		}
		if n := len(v.GetArray("edges")); n != page.events {
			t.Errorf("%d events, fastjson finds %d in %q", page.events, n, body)
		}
		info := v.GetObject("pageInfo")
		if info == nil {
			t.Fatalf("fastjson finds no pageInfo in %q", body)
		}
		if has := info.Get("hasNextPage"); has != nil && has.Type() != fastjson.TypeNull && page.more != (has.Type() == fastjson.TypeTrue) {
			t.Errorf("more is %v in %q", page.more, body)
		}
	})
}

// somePage returns a page with events of about 440 bytes, which is a typical size.
func somePage(events int, cursor string) []byte {
	event := `{"node":{"type":"SMS_MESSAGE","description":"An SMS was sent by the prospect to the property","eventTime":"2022-01-13T19:27:37.866831+00:00","createdAt":"2022-01-13T19:27:37.866831+00:00","source":{"title":"Property Website"},"agent":{"username":"e5e42ae3-a3fa-48ae-a5c5-92ca704d38ad"},"data":{"direction":"inbound","from":"+12065550100","to":"+12065550199","body":"Hi! Is the two-bedroom still \"available\"?\nWe would love to see it."}}}`
	edges := strings.TrimSuffix(strings.Repeat(event+",", events), ",")
	return fmt.Appendf(nil, `{"edges":[%s],"pageInfo":{"endCursor":%q,"hasNextPage":%t}}`, edges, cursor, cursor != "")
}

func BenchmarkParsePage(b *testing.B) {
	const events = 100
	body := somePage(events, "MQ==")
	perSecond := func(b *testing.B) { b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s") }
	b.Run("this", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parsePage(body); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
	b.Run("fastjson", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		var parser fastjson.Parser
		for b.Loop() {
			if _, err := parser.ParseBytes(body); err != nil || fastjson.ValidateBytes(body) != nil {
				b.Fatal("not valid")
			}
		}
		perSecond(b)
	})
}
