package transform_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/transform"
)

// relay is the envelope of the API's pages.
var relay = transform.Envelope{Events: "edges", Event: "node"}

var update = flag.Bool("update", false, "rewrite the golden files")

// result is the output of a Flattener.
type result struct {
	rows     []map[string]any // as returned by rowsOf
	rejected []transform.Rejected
	books    transform.Books
	batches  []arrow.Record
}

// copied returns a copy of a batch, because a Flattener reuses the memory of its batches.
func copied(batch arrow.Record) arrow.Record {
	columns := make([]arrow.Array, batch.NumCols())
	for i, c := range batch.Columns() {
		var buffers []*memory.Buffer
		for _, b := range c.Data().Buffers() {
			buffers = append(buffers, memory.NewBufferBytes(slices.Clone(b.Bytes())))
		}
		columns[i] = array.MakeFromData(array.NewData(c.DataType(), c.Len(), buffers, nil, c.NullN(), c.Data().Offset()))
	}
	return array.NewRecord(batch.Schema(), columns, batch.NumRows())
}

// flatten flattens the pages of one prospect after another for the built-in table.
func flatten(t testing.TB, prospects map[string][]string) result {
	t.Helper()
	return flattenBy(t, schemas.KnockEvents(), prospects)
}

func flattenBy(t testing.TB, table schemas.Table, prospects map[string][]string) result {
	t.Helper()
	var r result
	f := transform.NewFlattener(table, relay,
		func(batch arrow.Record) error {
			batch = copied(batch)
			r.batches = append(r.batches, batch)
			r.rows = append(r.rows, rowsOf(table.RowColumns(), batch)...)
			return nil
		},
		func(rejected transform.Rejected) error {
			r.rejected = append(r.rejected, rejected)
			return nil
		})
	for _, id := range slices.Sorted(keys(prospects)) {
		f.Begin(id)
		for i, body := range prospects[id] {
			if err := f.Page([]byte(body), fmt.Sprint("cursor-", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.End(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	r.books = f.Books()
	if b := r.books; b.Events != b.Rows+b.Duplicates+b.Quarantined {
		t.Fatalf("the books do not balance: %+v", b)
	}
	if int(r.books.Rows) != len(r.rows) || int(r.books.Quarantined) != len(r.rejected) {
		t.Fatalf("the books are %+v, but there are %d rows and %d rejected events", r.books, len(r.rows), len(r.rejected))
	}
	return r
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// rowsOf returns the values of each row by column. They have the types of encoding/json:
// string, json.Number and bool. A timestamp is a time.Time, a JSON column has a
// json.RawMessage, and a date is a string such as "2006-01-02". NULLs are missing.
func rowsOf(columns []schemas.Column, batch arrow.Record) []map[string]any {
	rows := make([]map[string]any, batch.NumRows())
	for i := range rows {
		rows[i] = make(map[string]any)
		for c, field := range batch.Schema().Fields() {
			column := batch.Column(c)
			if column.IsNull(i) {
				continue
			}
			switch column := column.(type) {
			case *array.String:
				rows[i][field.Name] = strings.Clone(column.Value(i))
				if columns[c].Type == schemas.JSON {
					rows[i][field.Name] = json.RawMessage(column.Value(i))
				}
			case *array.Int64:
				rows[i][field.Name] = json.Number(fmt.Sprint(column.Value(i)))
			case *array.Float64:
				text, _ := json.Marshal(column.Value(i))
				rows[i][field.Name] = json.Number(text)
			case *array.Boolean:
				rows[i][field.Name] = column.Value(i)
			case *array.Timestamp:
				rows[i][field.Name] = time.UnixMicro(int64(column.Value(i))).UTC()
			case *array.Date32:
				rows[i][field.Name] = column.Value(i).ToTime().Format(time.DateOnly)
			}
		}
	}
	return rows
}

// page returns a page with nodes of any text.
func page(nodes ...string) string {
	edges := make([]string, len(nodes))
	for i, n := range nodes {
		edges[i] = `{"node":` + n + `}`
	}
	return `{"edges":[` + strings.Join(edges, ",") + `],"pageInfo":{"endCursor":null,"hasNextPage":false}}`
}

func one(t testing.TB, nodes ...string) result {
	t.Helper()
	return flatten(t, map[string][]string{"47569637": {page(nodes...)}})
}

// The documented response becomes exactly the row that the table specifies.
func TestDocumentedSample(t *testing.T) {
	body, err := os.ReadFile("testdata/documented.json")
	if err != nil {
		t.Fatal(err)
	}
	r := flatten(t, map[string][]string{"47569637": {string(body)}})
	checkGolden(t, "documented.row.json", r.rows)
}

// checkGolden compares a value, as JSON, with a file in testdata.
func checkGolden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("the value differs from %s (-want +got):\n%s", golden, diff)
	}
}

const at = `"createdAt":"2022-01-13T19:27:37.866831+00:00"`

func TestExtra(t *testing.T) {
	for _, test := range []struct {
		name, event string
		columns     map[string]any // some of them
		extra       string         // "" for NULL
	}{
		{"unknown field", `{"type":"T",` + at + `,"zeta":1.0,"alpha":[1e400,{"b":null,"a":true}]}`, nil,
			`{"alpha":[1e400,{"a":true,"b":null}],"zeta":1.0}`},
		{"unknown field next to known ones", `{"type":"T",` + at + `,"data":{"body":"hi","mood":"good"}}`,
			map[string]any{"message_body": "hi"}, `{"data":{"mood":"good"}}`},
		{"null is not absent", `{"type":"T",` + at + `,"agent":null,"description":null,"source":{"title":null}}`, nil,
			`{"agent":null,"description":null,"source":{"title":null}}`},
		{"empty object", `{"type":"T",` + at + `,"data":{},"agent":{}}`, nil, `{"agent":{},"data":{}}`},
		{"another type than in the example", `{"type":"T",` + at + `,"source":"web","agent":[1],"data":7,"description":{"a":1}}`, nil,
			`{"agent":[1],"data":7,"description":{"a":1},"source":"web"}`},
		{"number for a text", `{"type":"T",` + at + `,"description":12}`, nil, `{"description":12}`},
		{"a second path", `{"type":"T",` + at + `,"data":{"text":"hi","sender":"me"}}`,
			map[string]any{"message_body": "hi", "message_from": "me"},
			`{"$from":{"message_body":"data.text","message_from":"data.sender"}}`},
		{"two paths of one column", `{"type":"T",` + at + `,"data":{"text":"second","body":"first"}}`,
			map[string]any{"message_body": "first"}, `{"data":{"text":"second"}}`},
		{"the first path is unusable", `{"type":"T",` + at + `,"data":{"body":null,"text":"second"}}`,
			map[string]any{"message_body": "second"}, `{"$from":{"message_body":"data.text"},"data":{"body":null}}`},
		{"appointment fields of a message", `{"type":"SMS_MESSAGE",` + at + `,"data":{"status":"delivered"}}`, nil, `{"data":{"status":"delivered"}}`},
		{"appointment of another kind", `{"type":"APPOINTMENT_CANCELLED",` + at + `,"data":{"status":"cancelled"}}`,
			map[string]any{"appointment_status": "cancelled"}, ""},
		{"an id of the vendor's", `{"type":"T",` + at + `,"id":9007199254740993}`, nil, `{"id":9007199254740993}`},
		{"time with another offset", `{"type":"T","createdAt":"2022-01-13T21:27:37+02:00"}`,
			map[string]any{"created_at": time.Date(2022, 1, 13, 19, 27, 37, 0, time.UTC)}, `{"createdAt":"2022-01-13T21:27:37+02:00"}`},
		{"time with Z", `{"type":"T","createdAt":"2022-01-13T19:27:37Z"}`,
			map[string]any{"created_at": time.Date(2022, 1, 13, 19, 27, 37, 0, time.UTC)}, ""},
		{"time with nanoseconds", `{"type":"T","createdAt":"2022-01-13T19:27:37.123456789Z"}`,
			map[string]any{"created_at": time.Date(2022, 1, 13, 19, 27, 37, 123456000, time.UTC)}, `{"createdAt":"2022-01-13T19:27:37.123456789Z"}`},
		{"not a time", `{"type":"T",` + at + `,"eventTime":"yesterday"}`,
			map[string]any{"event_date": "2022-01-13"}, `{"eventTime":"yesterday"}`},
		{"a time as a number", `{"type":"T",` + at + `,"eventTime":1642102057}`, nil, `{"eventTime":1642102057}`},
		{"half an emoji", `{"type":"T",` + at + `,"data":{"body":"see you soon \ud83d"}}`,
			map[string]any{"message_body": "see you soon \uFFFD"}, `{"data":{"body":{"$bytes":"c2VlIHlvdSBzb29uIO2gvQ=="}}}`},
		{"invalid UTF-8", "{\"type\":\"T\"," + at + ",\"description\":\"a\xffb\"}",
			map[string]any{"description": "a\uFFFDb"}, `{"description":{"$bytes":"Yf9i"}}`},
		{"half an emoji at a second path", `{"type":"T",` + at + `,"data":{"text":"\ude00"}}`,
			map[string]any{"message_body": "\uFFFD"}, `{"$from":{"message_body":"data.text"},"data":{"text":{"$bytes":"7biA"}}}`},
		{"half an emoji without a column", `{"type":"T",` + at + `,"a":["\ud83d",{"b":"\ud83d"}],"c":"\ud83d"}`, nil,
			`{"a":[{"$bytes":"7aC9"},{"b":{"$bytes":"7aC9"}}],"c":{"$bytes":"7aC9"}}`},
		{"half an emoji for a time", `{"type":"T",` + at + `,"eventTime":"2022-01-13T19:27:37\ud83d"}`, nil,
			`{"eventTime":{"$bytes":"MjAyMi0wMS0xM1QxOToyNzozN+2gvQ=="}}`},
		{"half an emoji in the type", `{"type":"T\ud83d",` + at + `}`,
			map[string]any{"event_type": "T\uFFFD"}, `{"type":{"$bytes":"VO2gvQ=="}}`},
		{"an object like that of half an emoji", `{"type":"T",` + at + `,"a":{"$bytes":"7aC9"}}`, nil, `{"a":{"$$bytes":"7aC9"}}`},
		{"an object like the one before", `{"type":"T",` + at + `,"a":[{"$$bytes":"7aC9"}]}`, nil, `{"a":[{"$$$bytes":"7aC9"}]}`},
		{"an object that has such a field left", `{"type":"T",` + at + `,"data":{"body":"hi","$bytes":"7aC9"}}`,
			map[string]any{"message_body": "hi"}, `{"data":{"$$bytes":"7aC9"}}`},
		{"an event that has such a field left", `{"type":"T",` + at + `,"$bytes":"7aC9"}`, nil, `{"$$bytes":"7aC9"}`},
		{"an object that is no half of an emoji", `{"type":"T",` + at + `,"a":{"$bytes":"aGk="},"b":{"$bytes":"7aC9","c":1},"d":{"$bytes":7},"e":{"$bytes":""}}`, nil,
			`{"a":{"$bytes":"aGk="},"b":{"$bytes":"7aC9","c":1},"d":{"$bytes":7},"e":{"$bytes":""}}`},
		{"escapes", `{"type":"T",` + at + `,"k\u00e9y":"a\"\\\u0001\n\ud83d\ude00\/"}`, nil, "{\"kéy\":\"a\\\"\\\\\\u0001\\n😀/\"}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := one(t, test.event)
			if len(r.rows) != 1 {
				t.Fatalf("no row: %+v", r.rejected)
			}
			for column, want := range test.columns {
				if got := r.rows[0][column]; got != want {
					t.Errorf("%s is %v, want %v", column, got, want)
				}
			}
			got, _ := r.rows[0]["extra_json"].(string)
			if got != test.extra {
				t.Errorf("extra_json is\n%s, want\n%s", got, test.extra)
			}
		})
	}
}

func TestRejected(t *testing.T) {
	for _, test := range []struct{ name, body, reason string }{
		{"no time", page(`{"type":"T"}`), "no usable time"},
		{"null times", page(`{"type":"T","eventTime":null,"createdAt":null}`), "no usable time"},
		{"bad time", page(`{"type":"T","eventTime":"2022-02-30T00:00:00Z"}`), "no usable time"},
		{"no type", page(`{` + at + `}`), "without a type"},
		{"type is a number", page(`{"type":7,` + at + `}`), "without a type"},
		{"empty type", page(`{"type":"",` + at + `}`), "a type of 0 bytes"},
		{"long type", page(`{"type":"` + strings.Repeat("x", 49) + `",` + at + `}`), "a type of 49 bytes"},
		{"node is a text", page(`"hello"`), "not an object"},
		{"node is null", page(`null`), "not an object"},
		{"edge without node", `{"edges":[{"nod":{}}]}`, "without exactly one node"},
		{"edge is null", `{"edges":[null]}`, "without exactly one node"},
		{"edge with two nodes", `{"edges":[{"node":{},"node":{}}]}`, "without exactly one node"},
		{"a key twice", page(`{"type":"T",` + at + `,"a":1,"a":2}`), "same key twice"},
		{"a key twice, deep", page(`{"type":"T",` + at + `,"x":[{"a":1,"b":0,"a":2}]}`), "same key twice"},
		{"invalid UTF-8 in a key", page("{\"type\":\"T\"," + at + ",\"data\":{\"\xff\":1}}"), "not Unicode"},
		{"half a surrogate pair in a key", page(`{"type":"T",` + at + `,"\ud83d":1}`), "not Unicode"},
		{"reserved key", page(`{"type":"T",` + at + `,"$from":{}}`), "$from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := flatten(t, map[string][]string{"1": {test.body}})
			if len(r.rejected) != 1 || !strings.Contains(r.rejected[0].Reason, test.reason) {
				t.Fatalf("the rejected events are %+v, want one with the reason %q", r.rejected, test.reason)
			}
			if !strings.Contains(test.body, string(r.rejected[0].Raw)) {
				t.Errorf("the raw bytes are %q, which are not in the page", r.rejected[0].Raw)
			}
		})
	}
	t.Run("the neighbors are kept", func(t *testing.T) {
		r := one(t, `{"type":"A",`+at+`}`, "{\"type\":\"C\",\"\xff\":1,"+at+"}", `{"type":"B",`+at+`,"description":"\ud83d\ude00"}`)
		if len(r.rows) != 2 || len(r.rejected) != 1 || r.rejected[0].Index != 1 {
			t.Errorf("%d rows, rejected %+v", len(r.rows), r.rejected)
		}
	})
}

// A bad event does not affect other events.
func TestBadNeighbor(t *testing.T) {
	const notJSON, deep, many, twice, noNode = "not JSON", "nested more than 300 deep", "more than 250000 values", "same key twice", "without exactly one node"
	in := func(value string) string { return `{"type":"T",` + at + `,"a":` + value + `}` }
	nested := func(n int) string { return in(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for _, test := range []struct{ name, node, reason string }{
		{"not a number", in(`NaN`), notJSON},
		{"not a number, in capitals", in(`NAN`), notJSON},
		{"infinity", in(`Infinity`), notJSON},
		{"minus infinity", in(`-Infinity`), notJSON},
		{"undefined", in(`undefined`), notJSON},
		{"words of Python", in(`[None,True,False]`), notJSON},
		{"a leading zero", in(`01`), notJSON},
		{"a leading plus", in(`+1`), notJSON},
		{"a leading point", in(`.5`), notJSON},
		{"a trailing point", in(`1.`), notJSON},
		{"a hexadecimal number", in(`0x1F`), notJSON},
		{"an unknown escape", in(`"\x41"`), notJSON},
		{"a cut escape", in(`"\u12"`), notJSON},
		{"a raw line feed", in("\"a\nb\""), notJSON},
		{"a raw NUL", in("\"a\x00b\""), notJSON},
		{"a comma behind the last field", `{"type":"T",` + at + `,}`, notJSON},
		{"a comma behind the last element", in(`[1,]`), notJSON},
		{"a missing comma", in(`[1 2]`), notJSON},
		{"a missing colon", in(`{"b" 1}`), notJSON},
		{"a missing value", in(``), notJSON},
		{"single quotes", in(`'b'`), notJSON},
		{"a key without quotes", in(`{b:1}`), notJSON},
		{"comments", in(`1 /* one */`), notJSON},
		{"no value", ``, notJSON},
		{"a word", `NaN`, notJSON},
		{"two values", `{} {}`, notJSON},
		{"nested as deep as may be", nested(299), ""},
		{"nested one deeper", nested(300), deep},
		{"nested 400 deep", nested(400), deep},
		{"nested a million deep", nested(1 << 20), deep},
		{"too many values", in(`[0` + strings.Repeat(",0", 250_000) + `]`), many},
		{"a key twice", in(`{"b":1,"b":2}`), twice},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := one(t, `{"type":"A",`+at+`}`, test.node, `{"type":"B",`+at+`,"description":"],[}{\""}`)
			if test.reason == "" {
				if len(r.rows) != 3 {
					t.Fatalf("%d rows, rejected %+v", len(r.rows), r.rejected)
				}
				return
			}
			if len(r.rows) != 2 || len(r.rejected) != 1 {
				t.Fatalf("%d rows and %d rejected events", len(r.rows), len(r.rejected))
			}
			if e := r.rejected[0]; e.Index != 1 || !strings.Contains(e.Reason, test.reason) || string(e.Raw) != strings.TrimSpace(test.node) {
				t.Errorf("rejected %.200q of edge %d with the reason %s, want %q", e.Raw, e.Index, e.Reason, test.reason)
			}
		})
	}
	for _, test := range []struct {
		name, edge, raw, reason string // without a reason, the node becomes a row
	}{
		{"a bad field next to the node", `{"cursor":NaN,"node":{"type":"T",` + at + `}}`, "", ""},
		{"a bad text next to the node", `{"cursor":"\x","node":{"type":"T",` + at + `}}`, "", ""},
		{"a comma behind the node", `{"node":{"type":"T",` + at + `},}`, "", ""},
		{"a bad key next to the node", `{cursor:1,"node":{"type":"T",` + at + `}}`, `{cursor:1,"node":{"type":"T",` + at + `}}`, noNode},
		{"a broken key next to the node", `{"\x":1,"node":{}}`, `{"\x":1,"node":{}}`, noNode},
		{"two bad nodes", `{"node":NaN,"node":{}}`, `{"node":NaN,"node":{}}`, noNode},
		{"an edge that is a word", `undefined`, `undefined`, noNode},
		{"two edges without a comma", `{"node":{}} {"node":{}}`, `{"node":{}} {"node":{}}`, noNode},
		{"an edge that is missing", ` `, ``, noNode},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := `{"edges":[{"node":{"type":"A",` + at + `}},` + test.edge + `,{"node":{"type":"B",` + at + `}}],"pageInfo":{}}`
			r := flatten(t, map[string][]string{"1": {body}})
			if test.reason == "" {
				if len(r.rows) != 3 {
					t.Errorf("%d rows, rejected %+v", len(r.rows), r.rejected)
				}
				return
			}
			if len(r.rows) != 2 || len(r.rejected) != 1 {
				t.Fatalf("%d rows and %d rejected events", len(r.rows), len(r.rejected))
			}
			if e := r.rejected[0]; e.Index != 1 || !strings.Contains(e.Reason, test.reason) || string(e.Raw) != test.raw {
				t.Errorf("rejected %q of edge %d with the reason %s", e.Raw, e.Index, e.Reason)
			}
		})
	}
}

func TestPageWithoutEvents(t *testing.T) {
	for _, body := range []string{`{}`, `{"edges":null}`, `{"edges":[]}`, `{"edges":{}}`} {
		if r := flatten(t, map[string][]string{"1": {body}}); r.books.Events != 0 {
			t.Errorf("%s has %d events", body, r.books.Events)
		}
	}
}

// ids returns the event IDs by description.
func ids(r result) map[string]string {
	out := make(map[string]string)
	for _, row := range r.rows {
		out[row["description"].(string)] = row["event_id"].(string)
	}
	return out
}

func TestIdentity(t *testing.T) {
	event := func(description, eventTime string) string {
		return fmt.Sprintf(`{"type":"T","description":%q,"eventTime":%q,%s}`, description, eventTime, at)
	}
	first, second, third := event("first", "2022-01-01T00:00:00Z"), event("second", "2022-01-02T00:00:00Z"), event("third", "2022-01-02T00:00:00Z")

	t.Run("is 20 characters and does not change", func(t *testing.T) {
		if got := one(t, first).rows[0]["event_id"]; got != "Az9q0NZqrXV9S9NBWopr" {
			t.Errorf("the ID is %v: IDs of published events must never change", got)
		}
	})
	t.Run("does not depend on values that may change", func(t *testing.T) {
		a := one(t, `{"type":"APPOINTMENT_CREATED","eventTime":"2022-01-01T00:00:00Z",`+at+`,"data":{"status":"confirmed"}}`)
		b := one(t, `{"createdAt":"2022-01-13T19:27:37.866831Z","type":"APPOINTMENT_CREATED","eventTime":"2022-03-01T00:00:00Z","data":{"status":"cancelled"},"id":7}`)
		if x, y := a.rows[0]["event_id"], b.rows[0]["event_id"]; x != y {
			t.Errorf("the IDs are %v and %v", x, y)
		}
	})
	t.Run("differs by prospect, type and creation", func(t *testing.T) {
		seen := map[any]bool{}
		for _, r := range []result{
			one(t, `{"type":"T",`+at+`}`), one(t, `{"type":"U",`+at+`}`),
			one(t, `{"type":"T","createdAt":"2022-01-13T19:27:37.866832+00:00"}`),
			flatten(t, map[string][]string{"47569638": {page(`{"type":"T",` + at + `}`)}}),
		} {
			seen[r.rows[0]["event_id"]] = true
		}
		if len(seen) != 4 {
			t.Errorf("4 events have %d IDs", len(seen))
		}
	})
	t.Run("of ties does not depend on order or pages", func(t *testing.T) {
		want := ids(one(t, first, second, third))
		if len(want) != 3 || want["first"] == want["second"] || want["second"] == want["third"] {
			t.Fatalf("the IDs are %v", want)
		}
		for _, pages := range [][]string{
			{page(third, second, first)}, {page(second), page(first), page(third)}, {page(second, third), page(third, first)},
		} {
			if got := ids(flatten(t, map[string][]string{"47569637": pages})); !cmp.Equal(got, want) {
				t.Errorf("the IDs are %v, want %v", got, want)
			}
		}
	})
	t.Run("exactly the same event is one row", func(t *testing.T) {
		spaced := `{ "type" : "T", "description" : "f\u0069rst", "eventTime" : "2022-01-01T00:00:00.000Z", ` + at + `}`
		r := flatten(t, map[string][]string{"47569637": {page(first, second), page(first), page(spaced, second)}})
		if r.books.Rows != 2 || r.books.Duplicates != 3 || r.books.Tied != 2 {
			t.Errorf("the books are %+v", r.books)
		}
	})
}

// A prospect may have more events than fit in one batch. Duplicates are still detected, and
// IDs are distinct.
func TestHugeProspect(t *testing.T) {
	const n = 200_000
	var pages []string
	for from := 0; from < n; from += 1000 {
		var nodes []string
		for i := from; i < from+1000; i++ {
			nodes = append(nodes, fmt.Sprintf(`{"type":"T","createdAt":"2022-01-01T00:00:%02d.%06dZ","description":"%d"}`, i%60, i/7, i))
		}
		pages = append(pages, page(nodes...))
	}
	pages = append(pages, pages[0], pages[len(pages)/2])
	r := flatten(t, map[string][]string{"1": pages})
	if len(r.batches) < 2 {
		t.Fatalf("there are %d batches, want several", len(r.batches))
	}
	if r.books.Rows != n || r.books.Duplicates != 2000 {
		t.Errorf("the books are %+v", r.books)
	}
	distinct := make(map[any]bool, n)
	for _, row := range r.rows {
		distinct[row["event_id"]] = true
	}
	if len(distinct) != n {
		t.Errorf("%d rows have %d IDs", n, len(distinct))
	}
}

// The same events become the same rows in any order of prospects, pages and batches.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var nodes []string
	for i := range 300 {
		nodes = append(nodes, fmt.Sprintf(`{"type":"T%d","createdAt":"2022-01-01T00:00:0%dZ","data":{"body":"%d"}}`, i%3, i%10, i%100))
	}
	want := ""
	for range 20 {
		rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		var pages []string
		for chunk := range slices.Chunk(nodes, 1+rng.IntN(50)) {
			pages = append(pages, page(chunk...))
		}
		r := flatten(t, map[string][]string{"1": pages})
		lines := make([]string, len(r.rows))
		for i, row := range r.rows {
			lines[i] = fmt.Sprint(row)
		}
		slices.Sort(lines)
		got := strings.Join(lines, "\n")
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatal("another order results in different rows")
		}
	}
}
