package transform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
)

// rebuild makes the event of a row, by what the table's documentation says and
// by encoding/json alone: the columns at their first paths, or at those that
// extra_json's "$from" names, and extra_json over them.
func rebuild(row map[string]any) (map[string]any, error) {
	extra := make(map[string]any)
	if text, ok := row["extra_json"].(string); ok {
		if err := decode([]byte(text), &extra); err != nil {
			return nil, err
		}
	}
	from, _ := extra["$from"].(map[string]any)
	delete(extra, "$from")
	event := make(map[string]any)
	for _, c := range schemas.KnockEvents().All() {
		value, ok := row[c.Name]
		if !ok || len(c.From) == 0 {
			continue
		}
		path := c.From[0]
		if p, ok := from[c.Name].(string); ok {
			path = p
		}
		if at, ok := value.(time.Time); ok {
			value = at.Format(time.RFC3339Nano)
		}
		set(event, strings.Split(path, "."), value)
	}
	overlay(event, extra)
	return event, nil
}

func set(object map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		inner, ok := object[key].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			object[key] = inner
		}
		object = inner
	}
	object[path[len(path)-1]] = value
}

func overlay(onto, with map[string]any) {
	for key, value := range with {
		below, ok := onto[key].(map[string]any)
		above, both := value.(map[string]any)
		if ok && both {
			overlay(below, above)
		} else {
			onto[key] = value
		}
	}
}

func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

var inUTC = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:[Zz]|[+-]00:?(?:00)?)$`)

// sameInstants makes times of UTC that are written differently equal: "Z" and
// "+00:00" say the same, and so do ".5" and ".500000".
func sameInstants(event map[string]any) map[string]any {
	event = maps.Clone(event)
	instant := func(object map[string]any, key string) {
		text, _ := object[key].(string)
		if m := inUTC.FindStringSubmatch(text); m != nil {
			object[key] = m[1] + "T" + m[2] + strings.TrimRight("."+m[3], ".0") + "Z"
		}
	}
	instant(event, "eventTime")
	instant(event, "createdAt")
	if data, ok := event["data"].(map[string]any); ok && strings.HasPrefix(fmt.Sprint(event["type"]), "APPOINTMENT_") {
		data = maps.Clone(data)
		instant(data, "startTime")
		instant(data, "endTime")
		event["data"] = data
	}
	return event
}

// Any event is in a row from which it can be rebuilt, field for field and number
// for number, or it is rejected.
func FuzzRoundTrip(f *testing.F) {
	sample, err := os.ReadFile("testdata/documented.json")
	if err != nil {
		f.Fatal(err)
	}
	var documented struct {
		Edges []struct{ Node json.RawMessage }
	}
	if err := json.Unmarshal(sample, &documented); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(documented.Edges[0].Node))
	for _, seed := range []string{
		`{"type":"T",` + at + `}`,
		`{"type":"SMS_MESSAGE",` + at + `,"data":{"text":"hi","body":null,"from":"+1","to":["a","b"],"n":1.0,"big":1e400,"i":9223372036854775808}}`,
		`{"type":"APPOINTMENT_X","eventTime":"2022-01-13 19:27:37,5","data":{"startTime":"2022-01-18T20:00:00.1234567-0730","endTime":"2022-01-18T20:00:00"}}`,
		`{"type":"T","eventTime":null,` + at + `,"source":{},"agent":{"username":7,"x":{"y":[]}},"":0,"!":1,"~":2}`,
		`{"type":"\u0000é😀","createdAt":"0001-01-01T00:00:00Z","description":"\u2028\ud83d\ude00</script>"}`,
		`{"type":"T",` + at + `,"$from":1}`, `{"type":"T",` + at + `,"data":{"$from":{"a":"b"}}}`,
		`[]`, `{}`, `7`, `{"type":"T","type":"U",` + at + `}`, strings.Repeat(`{"a":`, 250) + `1` + strings.Repeat(`}`, 250),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, node []byte) {
		if !json.Valid(node) || depth(node) > 250 { // extract lets neither pass
			t.Skip()
		}
		r := one(t, string(node))
		if len(r.rejected)+len(r.rows) != 1 {
			t.Fatalf("%d rows and %d rejected events of one", len(r.rows), len(r.rejected))
		}
		if len(r.rejected) == 1 {
			if !bytes.Equal(bytes.TrimSpace(r.rejected[0].Raw), bytes.TrimSpace(node)) {
				t.Fatalf("rejected with the bytes %q instead of %q", r.rejected[0].Raw, node)
			}
			return
		}
		var want map[string]any
		if err := decode(node, &want); err != nil {
			t.Fatalf("a row was made of what is no object: %v", err)
		}
		got, err := rebuild(r.rows[0])
		if err != nil {
			t.Fatalf("extra_json is not JSON: %v", err)
		}
		if diff := cmp.Diff(sameInstants(want), sameInstants(got)); diff != "" {
			t.Errorf("the row does not tell the event (-event +row):\n%s\nrow: %v", diff, r.rows[0])
		}
	})
}

func depth(text []byte) (deepest int) {
	d := json.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// Whatever a page holds, flattening ends without a panic, and the books balance.
func FuzzPage(f *testing.F) {
	f.Add([]byte(page(`{"type":"T",` + at + `}`)))
	f.Add([]byte(`{"edges":[null,7,{"node":[]},{"node":{"type":"T"}}]}`))
	f.Add([]byte("{\"edges\":[{\"node\":{\"type\":\"\xff\"}}]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if json.Valid(body) && depth(body) < 250 {
			flatten(t, map[string][]string{"1": {string(body)}})
		}
	})
}
