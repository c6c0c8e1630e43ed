package knocksim

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The node of the documented response, with patterns in place of its values.
var documented = regexp.MustCompile(`^` + strings.NewReplacer("{", `\{`, "}", `\}`, "STRING", `"[^"]+"`, "TIME", isoformat, "UUID", uuidFormat).Replace(
	`{"type":"APPOINTMENT_CREATED","description":"A tour appointment was scheduled via knock","eventTime":TIME,"createdAt":TIME,`+
		`"source":{"title":STRING},"agent":{"username":UUID},`+
		`"data":{"startTime":TIME,"endTime":TIME,"status":STRING,"tourType":STRING}}`) + `$`)

const (
	isoformat  = `"\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d\d\d\d\d\d)?[+]00:00"`
	uuidFormat = `"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`
)

// dataKeys lists the keys of data by kind. An optional key ends in ?.
var dataKeys = map[string]string{
	"APPOINTMENT_CREATED": "startTime endTime status tourType",
	"SMS_MESSAGE":         "direction from to body deliveryStatus? segments?",
	"EMAIL_MESSAGE":       "direction from to subject body attachments threadId",
	"KNOCKBOT_MESSAGE":    "direction from to text intent confidence sessionId",
	"WEB_MESSAGE":         "direction from to body page",
	"FACEBOOK_MESSAGE":    "direction from to body attachments",
}

func TestEventShapes(t *testing.T) {
	s := mustNew(t, Options{Prospects: 300, Events: 10_000, Seed: 2})
	var (
		times    = regexp.MustCompile(`^` + isoformat + `$`)
		uuids    = regexp.MustCompile(`^` + uuidFormat + `$`)
		kinds    = map[string]int{}
		seen     = map[string]int{} // events by feature: some must have it, but not all
		total    int
		statuses = map[string]int{}
	)
	for id, nodes := range truth(s) {
		unique := map[string]bool{}
		for _, node := range nodes {
			var event struct {
				Type, Description    string
				EventTime, CreatedAt json.RawMessage
				Source               struct{ Title string }
				Agent                *struct{ Username json.RawMessage }
				Data                 map[string]any
			}
			decoder := json.NewDecoder(bytes.NewReader(node))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&event); err != nil || decoder.More() || !utf8.Valid(node) {
				t.Fatalf("prospect %s: %v\n%s", id, err, node)
			}
			kinds[event.Type]++
			total += len(node)

			happened, created := parseTime(t, times, event.EventTime), parseTime(t, times, event.CreatedAt)
			if happened.After(created) || happened.Before(defaultSince) || !created.Before(february) {
				t.Fatalf("the event is from %s, but was created at %s", happened, created)
			}
			key := event.Type + " " + string(event.CreatedAt)
			if unique[key] {
				t.Fatalf("prospect %s has two events %s", id, key)
			}
			unique[key] = true
			tally := func(what string, is bool) {
				if is {
					seen[what]++
				}
			}
			tally("late logging", happened != created)
			tally("late by a day", happened.YearDay() != created.YearDay())
			tally("full second", !bytes.Contains(event.CreatedAt, []byte(".")))
			tally("no agent", event.Agent == nil)
			if event.Agent != nil && !uuids.Match(event.Agent.Username) {
				t.Fatalf("agent %s is not a UUID", event.Agent.Username)
			}
			if event.Source.Title == "" || event.Description == "" {
				t.Fatalf("the source or the description is empty: %s", node)
			}
			checkKeys(t, event.Type, event.Data)
			if event.Type == "APPOINTMENT_CREATED" {
				if !documented.Match(node) {
					t.Fatalf("not as documented: %s", node)
				}
				start, _ := time.Parse(time.RFC3339, event.Data["startTime"].(string))
				if start.Before(created) {
					t.Fatalf("a tour begins before it is booked: %s", node)
				}
				end, _ := time.Parse(time.RFC3339, event.Data["endTime"].(string))
				status := event.Data["status"].(string)
				if (status == "completed" || status == "no_show") && end.After(february) {
					t.Fatalf("a tour is completed before its end: %s", node)
				}
				statuses[status]++
				continue
			}
			words, ok := event.Data["body"].(string)
			if !ok {
				words, ok = event.Data["text"].(string)
			}
			if !ok || words == "" || event.Data["from"] == event.Data["to"] {
				t.Fatalf("the text is empty, or from and to are equal: %s", node)
			}
			tally("inbound", event.Data["direction"] == "inbound")
			tally("outbound", event.Data["direction"] == "outbound")
			tally("line feed", strings.Contains(words, "\n"))
			tally("quote", strings.Contains(words, `"`))
			tally("emoji", strings.Contains(words, "🐶"))
			tally("joined emoji", strings.Contains(words, "👨‍👩‍👧‍👦"))
			tally("han", strings.Contains(words, "您好"))
			tally("arabic", strings.Contains(words, "مرحبا"))
			tally("tab", strings.Contains(words, "\t"))
			tally("escaped accent", bytes.Contains(node, []byte(`\u00e9`)))
			tally("escaped emoji", bytes.Contains(node, []byte(`\ud83d\udc36`)))
			tally("escaped slash", bytes.Contains(node, []byte(`\/`)))
			tally("raw accent", bytes.Contains(node, []byte("é")))
		}
	}
	for kind, percent := range map[string]int{"APPOINTMENT_CREATED": 12, "SMS_MESSAGE": 42, "EMAIL_MESSAGE": 16,
		"KNOCKBOT_MESSAGE": 17, "WEB_MESSAGE": 8, "FACEBOOK_MESSAGE": 5} {
		if n := kinds[kind]; n < percent*90 || n > percent*110 {
			t.Errorf("%d of 10000 events are %s, want about %d %%", n, kind, percent)
		}
	}
	for _, what := range []string{"late logging", "late by a day", "full second", "no agent", "inbound", "outbound", "line feed", "quote", "emoji",
		"joined emoji", "han", "arabic", "tab", "escaped accent", "escaped emoji", "escaped slash", "raw accent"} {
		if n := seen[what]; n == 0 || n > 7500 {
			t.Errorf("%d of 10000 events have: %s", n, what)
		}
	}
	for _, status := range []string{"confirmed", "cancelled", "completed", "no_show"} {
		if statuses[status] == 0 {
			t.Errorf("no appointment is %s", status)
		}
	}
	if mean := total / 10_000; mean < 420 || mean > 470 {
		t.Errorf("an event has %d bytes, want about 440", mean)
	}
}

func parseTime(t *testing.T, format *regexp.Regexp, raw json.RawMessage) time.Time {
	t.Helper()
	if !format.Match(raw) || bytes.HasSuffix(raw, []byte(`.000000+00:00"`)) {
		t.Fatalf("time %s is not in the format of Python's isoformat", raw)
	}
	at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func checkKeys(t *testing.T, kind string, data map[string]any) {
	t.Helper()
	var allowed []string
	for _, key := range strings.Fields(dataKeys[kind]) {
		key, optional := strings.CutSuffix(key, "?")
		if _, ok := data[key]; !ok && !optional {
			t.Fatalf("%s has no data.%s", kind, key)
		}
		allowed = append(allowed, key)
	}
	for key := range data {
		if !slices.Contains(allowed, key) {
			t.Fatalf("%s has data.%s", kind, key)
		}
	}
}

func TestAppendTime(t *testing.T) {
	for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 3000; at = at.Add(9*time.Hour*24 + 7*time.Hour + 13*time.Minute + 59*time.Second + 12345*time.Microsecond) {
		want := at.Format("2006-01-02T15:04:05.000000-07:00")
		if got := string(appendTime(nil, at.UnixMicro())); got != strings.Replace(want, ".000000", "", 1) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if got := string(appendTime(nil, time.Date(2024, 2, 29, 23, 59, 59, 1000, time.UTC).UnixMicro())); got != "2024-02-29T23:59:59.000001+00:00" {
		t.Errorf("the last second of a leap day is %s", got)
	}
}

func TestSentencesHaveNoUnknownBlanks(t *testing.T) {
	for _, pool := range [][]sentence{inbound, outbound, worldwide, bot, subjects} {
		for _, s := range pool {
			for i, p := range s {
				if p.blank == none && i < len(s)-1 {
					t.Errorf("an unknown blank follows %q", p.text[raw])
				}
			}
		}
	}
}

// Both spellings of every text are valid JSON for the same string.
func TestSpellings(t *testing.T) {
	for _, s := range []string{"", "plain", "quote \" slash / back \\", "line\nfeed\ttab\x01\x1f", "é – 李娜 👨‍👩‍👧‍👦 \u2028 \u007f"} {
		for spelling, got := range newText(s) {
			var back string
			if err := json.Unmarshal([]byte(`"`+got+`"`), &back); err != nil || back != s {
				t.Errorf("%q, spelling %d: %s decodes to %q (%v)", s, spelling, got, back, err)
			}
			if spelling == ascii && strings.ContainsFunc(got, func(r rune) bool { return r > '~' }) {
				t.Errorf("%q is not ASCII: %s", s, got)
			}
		}
	}
}
