package transform_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"prospector/internal/jsontext"
	"prospector/schemas"
	"prospector/transform"
)

// everyType returns a table with a column of every type. Some columns have several paths,
// paths below another column's path, or only some types of events.
func everyType(t testing.TB) schemas.Table {
	t.Helper()
	table, err := schemas.KnockEvents().Declare(
		schemas.Column{Name: "a_string", Type: schemas.String, From: []string{"data.string", "data.text2"}},
		schemas.Column{Name: "an_int64", Type: schemas.Int64, From: []string{"data.int64", "data.n"}},
		schemas.Column{Name: "a_float64", Type: schemas.Float64, From: []string{"data.float64", "data.big"}},
		schemas.Column{Name: "a_bool", Type: schemas.Bool, From: []string{"data.bool"}, When: []string{"SMS_*"}},
		schemas.Column{Name: "a_timestamp", Type: schemas.Timestamp, From: []string{"data.timestamp", "at"}},
		schemas.Column{Name: "a_date", Type: schemas.Date, From: []string{"data.date"}},
		schemas.Column{Name: "a_json", Type: schemas.JSON, From: []string{"data.json", "json"}},
		schemas.Column{Name: "in_s", Type: schemas.Timestamp, From: []string{"data.in_s", "data.in_s2"}, Time: "unix_s"},
		schemas.Column{Name: "in_ms", Type: schemas.Timestamp, From: []string{"data.in_ms"}, Time: "unix_ms"},
		schemas.Column{Name: "in_us", Type: schemas.Timestamp, From: []string{"data.in_us"}, Time: "unix_us"},
		schemas.Column{Name: "by_layout", Type: schemas.Timestamp, From: []string{"data.by_layout"}, Time: "%d.%m.%Y %H:%M"},
		schemas.Column{Name: "outer", Type: schemas.Int64, From: []string{"data.outer"}},
		schemas.Column{Name: "inner", Type: schemas.Int64, From: []string{"data.outer.inner", "data.outer.a.b"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// rebuild rebuilds the event of a row as the documentation of the table describes, using
// only encoding/json. It places each column at its first path, or at the path in "$from" of
// extra_json. Then extra_json overwrites these values.
func rebuild(table schemas.Table, row map[string]any) (map[string]any, error) {
	extra := make(map[string]any)
	if text, ok := row["extra_json"].(string); ok {
		if !jsontext.IsPortable([]byte(text)) {
			return nil, errors.New("extra_json cannot be read by every reader")
		}
		if err := decode([]byte(text), &extra); err != nil {
			return nil, err
		}
		extra, _ = unescape(extra).(map[string]any)
	}
	from, _ := extra["$from"].(map[string]any)
	delete(extra, "$from")
	event := make(map[string]any)
	for _, c := range table.All() {
		value, ok := row[c.Name]
		if !ok || len(c.From) == 0 {
			continue
		}
		path := c.From[0]
		if p, ok := from[c.Name].(string); ok {
			path = p
		}
		switch v := value.(type) {
		case time.Time:
			value = written(c.Time, v)
		case json.RawMessage:
			if !jsontext.IsPortable(v) {
				return nil, fmt.Errorf("the column %s cannot be read by every reader", c.Name)
			}
			value = nil
			if err := decode(v, &value); err != nil {
				return nil, err
			}
		case string:
			if !utf8.ValidString(v) {
				return nil, fmt.Errorf("the column %s is not UTF-8", c.Name)
			}
		}
		set(event, strings.Split(path, "."), value)
	}
	overlay(event, extra)
	return event, nil
}

// unescape replaces the objects in extra_json that represent broken strings, and removes a $
// from the key of objects that only look like them.
func unescape(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = unescape(value[i])
		}
	case map[string]any:
		for key, inner := range value {
			text, _ := inner.(string)
			broken, err := base64.StdEncoding.DecodeString(text)
			like := len(value) == 1 && dollarsBytes.MatchString(key) && err == nil && !utf8.Valid(broken) && base64.StdEncoding.EncodeToString(broken) == text
			switch {
			case like && key == "$bytes":
				return brokenText(broken)
			case like:
				return map[string]any{key[1:]: text}
			}
			value[key] = unescape(inner)
		}
	}
	return value
}

var dollarsBytes = regexp.MustCompile(`^[$]+bytes$`)

// brokenText represents a string that is not Unicode in the tests, because encoding/json
// would decode all of them to U+FFFD.
func brokenText(content []byte) string { return fmt.Sprintf("\x00broken %x", content) }

var (
	stringsOfJSON = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"`)
	escapesOfJSON = regexp.MustCompile(`(?s)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.`)
)

// decodeExactly is decode with brokenText for strings that are not Unicode.
func decodeExactly(text []byte, into any) error {
	text = stringsOfJSON.ReplaceAllFunc(text, func(quoted []byte) []byte {
		content := escapesOfJSON.ReplaceAllFunc(quoted[1:len(quoted)-1], func(escape []byte) []byte {
			unit, err := strconv.ParseUint(strings.TrimPrefix(string(escape), `\u`), 16, 16)
			if err != nil || len(escape) != len(`\uXXXX`) || unit < 0xD800 || unit > 0xDFFF {
				var s string
				_ = json.Unmarshal(slices.Concat([]byte(`"`), escape, []byte(`"`)), &s)
				return []byte(s)
			}
			return []byte{0xE0 | byte(unit>>12), 0x80 | byte(unit>>6)&0x3F, 0x80 | byte(unit)&0x3F}
		})
		if utf8.Valid(content) {
			return quoted
		}
		quoted, _ = json.Marshal(brokenText(content))
		return quoted
	})
	return decode(text, into)
}

// written returns a time in the format that its column declares.
func written(form string, t time.Time) any {
	units := map[string]int64{"unix_s": 1e6, "unix_ms": 1e3, "unix_us": 1}
	switch unit := units[form]; {
	case unit > 0:
		text := big.NewRat(t.UnixMicro(), unit).FloatString(6)
		return json.Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
	case form == "%d.%m.%Y %H:%M":
		return t.Format("02.01.2006 15:04")
	}
	return t.Format(time.RFC3339Nano)
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

// sameInstants gives UTC times in timestamp columns a uniform format, because "Z" and
// "+00:00" are equal, and so are ".5" and ".500000". The row of the event has the type that
// decides which columns apply: the event itself may have a type that is not Unicode.
func sameInstants(table schemas.Table, row, event map[string]any) map[string]any {
	event = copyOf(event)
	for _, c := range table.All() {
		if c.Type != schemas.Timestamp || !c.Applies(fmt.Sprint(row["event_type"])) {
			continue
		}
		for _, path := range c.From {
			keys := strings.Split(path, ".")
			object := event
			for _, key := range keys[:len(keys)-1] {
				object, _ = object[key].(map[string]any)
			}
			text, _ := object[keys[len(keys)-1]].(string)
			if m := inUTC.FindStringSubmatch(text); m != nil {
				object[keys[len(keys)-1]] = m[1] + "T" + m[2] + strings.TrimRight("."+m[3], ".0") + "Z"
			}
		}
	}
	return event
}

func copyOf(object map[string]any) map[string]any {
	out := make(map[string]any, len(object))
	for key, value := range object {
		if inner, ok := value.(map[string]any); ok {
			value = copyOf(inner)
		}
		out[key] = value
	}
	return out
}

// checkRoundTrip compares a row, or a rejected event, with its event.
func checkRoundTrip(t *testing.T, table schemas.Table, node string) {
	t.Helper()
	r := flattenBy(t, table, map[string][]string{"1": {page(node)}})
	if len(r.rejected)+len(r.rows) != 1 {
		t.Fatalf("%d rows and %d rejected events for one event", len(r.rows), len(r.rejected))
	}
	if len(r.rejected) == 1 {
		if raw := string(r.rejected[0].Raw); strings.TrimSpace(raw) != strings.TrimSpace(node) {
			t.Fatalf("the raw bytes are %q, want %q", raw, node)
		}
		return
	}
	var want, event map[string]any
	if err := decodeExactly([]byte(node), &want); err != nil {
		t.Fatalf("a value that is not an object became a row: %v", err)
	}
	got, err := rebuild(table, r.rows[0])
	if err != nil {
		t.Fatalf("the row has invalid JSON: %v", err)
	}
	instants := func(event map[string]any) map[string]any { return sameInstants(table, r.rows[0], event) }
	if diff := cmp.Diff(instants(want), instants(got)); diff != "" {
		t.Fatalf("the rebuilt event differs (-event +row):\n%s\nevent: %s\nrow: %v", diff, node, r.rows[0])
	}
	text, err := transform.Event(table.RowColumns(), r.batches[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := decodeExactly(text, &event); err != nil {
		t.Fatalf("the event of a row is not JSON: %v", err)
	}
	if diff := cmp.Diff(instants(want), instants(event)); diff != "" {
		t.Fatalf("the result of Event differs (-event +Event):\n%s\nevent: %s\nrow: %v", diff, node, r.rows[0])
	}
	conformed := r.conform(t, table, table)
	if diff := cmp.Diff(r.rows, conformed); diff != "" {
		t.Fatalf("Conform to the same table changes the row (-row +conformed):\n%s\nevent: %s", diff, node)
	}
}

// conform converts the rows of the result from one table to another.
func (r *result) conform(t testing.TB, from, to schemas.Table) (rows []map[string]any) {
	t.Helper()
	batches := func(yield func(arrow.Record, error) bool) {
		for _, b := range r.batches {
			if !yield(b, nil) {
				return
			}
		}
	}
	for batch, err := range transform.Conform(batches, from, to) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, rowsOf(to.RowColumns(), batch)...)
	}
	return rows
}

// Every event is rejected, or becomes a row from which it can be rebuilt without loss.
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
		`{"type":"SMS_\ud83d",` + at + `,"data":{"text":"\ude00","string":"\ud83d","json":["\ud83d"],"mood":{"a":"\ud83d"}},"description":"\ude00\ud83d"}`,
		"{\"type\":\"T\"," + at + ",\"a\":[\"\xff\"],\"data\":{\"body\":\"\xed\xa0\xbd\",\"$bytes\":\"7aC9\"}}",
		`{"type":"T",` + at + `,"\ud83d":1}`, `{"type":"T",` + at + `,"$bytes":"7aC9"}`, `{"type":"T",` + at + `,"a":{"$$bytes":"7aC9"},"b":{"$bytes":"\ud83d"}}`,
		"{\"type\":\"APPOINTMENT_\xb5\"," + at + ",\"data\":{\"startTime\":\"2022-01-18T20:00:00+00:00\"}}",
		`[]`, `{}`, `7`, `{"type":"T","type":"U",` + at + `}`, strings.Repeat(`{"a":`, 250) + `1` + strings.Repeat(`}`, 250),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, node []byte) {
		if !json.Valid(node) || depth(node) > 250 { // package extract refuses such pages
			return
		}
		for _, table := range []schemas.Table{schemas.KnockEvents(), everyType(t)} {
			checkRoundTrip(t, table, string(node))
		}
	})
}

// Like FuzzRoundTrip, with events that have unusual values at the paths of the tables.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tables := []schemas.Table{schemas.KnockEvents(), everyType(t)}
	for range 5000 {
		node := oddEvent(rng, oddTimes)
		for _, table := range tables {
			checkRoundTrip(t, table, node)
		}
	}
}

// The state that a Flattener keeps from earlier events has no effect: an event has the same
// result alone and among others, some of which are not JSON.
func TestEarlierEventsHaveNoEffect(t *testing.T) {
	discarding := everyType(t)
	discarding.UnknownField = schemas.Discard
	for name, table := range map[string]schemas.Table{
		"built-in": schemas.KnockEvents(), "every type": everyType(t), "fields that are dropped": discarding,
		"values that are protected": protecting(t, secret, everyPolicy),
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			prospects := make(map[string][]string)
			var want result
			kinds := make([]string, 50) // whose keys recur with other values
			for i := range kinds {
				kinds[i] = oddEvent(rng, oddTimes)
			}
			for i := range 3000 {
				node := kinds[rng.IntN(len(kinds))]
				for range rng.IntN(4) {
					other := strings.Replace(node, ": "+oddValues[rng.IntN(len(oddValues))], ": "+oddValues[rng.IntN(len(oddValues))], 1)
					if json.Valid([]byte(other)) {
						node = other
					}
				}
				switch rng.IntN(20) {
				case 0:
					node = strings.Replace(node, ":", " : ", 1+rng.IntN(3))
				case 1:
					node = strings.Replace(node, `"a"`, `"\ud83d"`, 1) // a key or a value
				case 2:
					node = strings.Replace(node, `"data"`, `"d\u0061ta"`, 1)
				case 3:
					node = strings.Replace(node, `"body"`, "\"\xff\"", 1)
				}
				id := fmt.Sprintf("%04d", i)
				prospects[id] = []string{page(node)}
				alone := flattenBy(t, table, map[string][]string{id: {page(node)}})
				want.rows, want.rejected = append(want.rows, alone.rows...), append(want.rejected, alone.rejected...)
				want.books.Add(alone.books)
			}
			got := flattenBy(t, table, prospects)
			if len(want.rows) < 500 || len(want.rejected) < 500 {
				t.Fatalf("there are %d rows and %d rejected events, want more", len(want.rows), len(want.rejected))
			}
			if diff := cmp.Diff(want.rows, got.rows); diff != "" {
				t.Errorf("the rows differ (-alone +among others):\n%s", diff)
			}
			if diff := cmp.Diff(want.rejected, got.rejected); diff != "" {
				t.Errorf("the rejected events differ (-alone +among others):\n%s", diff)
			}
			if got.books != want.books {
				t.Errorf("the books are %+v, want %+v", got.books, want.books)
			}
		})
	}
}

// Conform returns the rows that the other table would have for the events.
func TestConform(t *testing.T) {
	partitioned := func(table schemas.Table, keys ...string) schemas.Table {
		table, err := table.PartitionedBy(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	discarding := everyType(t)
	discarding.UnknownField = schemas.Discard
	strict := everyType(t)
	strict.Mismatch, strict.UnknownType, strict.UnknownField = schemas.Quarantine, schemas.Fail, schemas.Fail
	builtin := schemas.KnockEvents()
	for _, test := range []struct {
		name     string
		from, to schemas.Table
		like     schemas.Table // the table whose rows are expected
	}{
		{"new columns", builtin, everyType(t), everyType(t)},
		{"columns that are gone", everyType(t), builtin, builtin},
		{"all columns that can go", everyType(t), schemas.KnockEvents().Core(), schemas.KnockEvents().Core()},
		{"other partitions", everyType(t), partitioned(everyType(t), "event_month"), partitioned(everyType(t), "event_month")},
		{"fields that are dropped", builtin, discarding, discarding},
		{"what a strict table would refuse is kept", builtin, strict, everyType(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			for range 1000 {
				events := map[string][]string{"1": {page(oddEvent(rng, timesOfUTC))}}
				r := flattenBy(t, test.from, events)
				want := flattenBy(t, test.like, events)
				if diff := cmp.Diff(want.rows, r.conform(t, test.from, test.to)); diff != "" {
					t.Fatalf("the row differs (-flattened +conformed):\n%s\nevent: %s", diff, events["1"])
				}
			}
		})
	}
	t.Run("an error comes after the rows before it", func(t *testing.T) {
		r := one(t, `{"type":"T",`+at+`}`)
		errStream := errors.New("the stream broke")
		rows := func(yield func(arrow.Record, error) bool) {
			_ = yield(r.batches[0], nil) && yield(nil, errStream) && yield(r.batches[0], nil)
		}
		var errs []error
		for _, err := range transform.Conform(rows, builtin, everyType(t)) {
			errs = append(errs, err)
		}
		if !slices.Equal(errs, []error{nil, errStream}) {
			t.Errorf("the errors are %v", errs)
		}
	})
	t.Run("a row that another program wrote is an error", func(t *testing.T) {
		r := one(t, `{"type":"T",`+at+`,"zeta":1}`)
		columns := r.batches[0].Columns()
		extra := slices.IndexFunc(builtin.RowColumns(), func(c schemas.Column) bool { return c.Value == schemas.Extra })
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.Append(`{"createdAt":`)
		columns[extra] = b.NewStringArray()
		rows := func(yield func(arrow.Record, error) bool) {
			yield(array.NewRecord(r.batches[0].Schema(), columns, 1), nil)
		}
		for _, err := range transform.Conform(rows, builtin, builtin) {
			if err == nil || !strings.Contains(err.Error(), r.rows[0]["event_id"].(string)) {
				t.Errorf("the error is %v", err)
			}
		}
	})
}

// oddTimes and timesOfUTC are JSON values at the places of times. Each of timesOfUTC has the
// format of Event, or is not a time in any table.
var (
	timesOfUTC = []string{
		`"2022-01-13T19:27:37.866831+00:00"`, `"2022-01-13T19:27:37+00:00"`, `"0001-01-01T00:00:00+00:00"`, `"9999-12-31T23:59:59.999999+00:00"`,
		`"1969-12-31T23:59:59.000001+00:00"`, `"yesterday"`, `"2022-01-13T19:27:37\ud83d"`, `""`, `null`, `7`, `"2022-01-13"`,
	}
	oddTimes = append([]string{
		`"2022-01-13T19:27:37Z"`, `"2022-01-13 19:27:37.5-00:00"`, `"2022-01-13T21:27:37+02:00"`, `"2022-01-13T19:27:37.1234567Z"`,
		`"2022-01-13T19:27:37"`, `"2022-02-30T00:00:00Z"`, `{}`, `[]`, `true`,
	}, timesOfUTC...)
	oddValues = []string{
		`null`, `""`, `"a"`, `"\u0000\ud83d\ude00"`, `"true"`, `"5"`, `"5.0"`, `" 5"`, `"NaN"`, `"02139"`, `true`, `false`,
		`0`, `-0`, `1`, `1.0`, `1e3`, `1E400`, `1e-400`, `0.1`, `0.10`, `-2.5`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`,
		`9007199254740993`, `0.1000000000000000055511151231257827`, `1e999999999`, `"2022-01-13"`, `"2022-02-29"`, `"2022-01-13T19:27:37Z"`,
		`"\ud83d"`, `"\ude00 \ud83d\ud83d\ude00"`, "\"\xff\"", "\"\xed\xa0\xbd\\n\"", `["\ud83d"]`, `{"x":"\ud83d","inner":"\ud83d"}`,
		`{"$bytes":"7aC9"}`, `{"$$bytes":"7aC9"}`, `[{"$bytes":"7aC9"}]`, `{"$bytes":"aGk="}`, `{"$bytes":"\ud83d"}`, `{"$bytes":{"$bytes":"7aC9"}}`, `{"inner":5,"$bytes":"7aC9"}`, `"7aC9"`,
		`1643709620`, `1643709620.5`, `1643709620.1234567`, `-1.5`, `1643709620000`, `1643709620000.25`, `"1643709620000"`, `1643709620123456`, `1.64e9`,
		`"13.01.2022 19:27"`, `"13.01.2022 19:27:30"`, `"2022-01-13T19:27:37.5+00:00"`, `"2022-01-13T21:27:37+02:00"`,
		`{}`, `[]`, `[null,{"b":1,"a":[]}]`, `{"inner":5}`, `{"inner":null,"a":{"b":"7"}}`, `{"a":{"b":1.0},"x":{}}`, `{"":{"$from":0}}`,
	}
	oddPlaces = []string{
		"direction", "messageDirection", "from", "sender", "body", "text", "message", "string", "text2", "int64", "n", "float64", "big",
		"bool", "date", "json", "outer", "status", "startTime", "timestamp", "in_s", "in_s2", "in_ms", "in_us", "by_layout", "unknown", "$from", "$bytes", "", "a.b",
	}
)

// oddEvent returns a random event with a type and usually a time.
func oddEvent(rng *rand.Rand, times []string) string {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	fields := []string{`"type":` + pick([]string{`"SMS_MESSAGE"`, `"APPOINTMENT_CREATED"`, `"T"`, `"SMS_\ud83d"`})}
	for _, key := range []string{"eventTime", "createdAt", "at"} {
		if rng.IntN(3) > 0 {
			fields = append(fields, fmt.Sprintf("%q:%s", key, pick(times)))
		}
	}
	for _, key := range []string{"description", "source", "agent", "json", "zeta", "$bytes"} {
		if rng.IntN(3) == 0 {
			fields = append(fields, fmt.Sprintf("%q:%s", key, pick(oddValues)))
		}
	}
	var data []string
	for _, at := range rng.Perm(len(oddPlaces))[:rng.IntN(8)] {
		values := oddValues
		if place := oddPlaces[at]; place == "startTime" || place == "timestamp" {
			values = times
		}
		data = append(data, fmt.Sprintf("%q: %s", oddPlaces[at], pick(values)))
	}
	if rng.IntN(4) > 0 {
		fields = append(fields, `"data":{`+strings.Join(data, " ,")+`}`)
	}
	rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return "{" + strings.Join(fields, ",") + "}"
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
