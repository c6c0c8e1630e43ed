package transform_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
	"prospector/transform"
)

// For any page, memory and time are proportional to its size. With these pages, a quadratic
// algorithm would take hours.
func TestHostilePages(t *testing.T) {
	const mega = 1 << 20
	event := func(field string) string { return page(`{"type":"T",` + at + `,` + field + `}`) }
	manyKeys := func(n int, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"key%d":%s,`, i, value)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for _, test := range []struct {
		name             string
		body             string
		invalid          bool
		rows, quarantine int64
		reason           string
	}{
		{"opened and not closed", `{"edges":` + strings.Repeat("[", 10*mega), true, 0, 0, ""},
		{"opened and not closed, in an event", `{"edges":[{"node":` + strings.Repeat(`{"a":`, 2*mega), true, 0, 0, ""},
		{"deep", event(`"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), false, 0, 1, "nested more than 300 deep"},
		{"edges that are numbers", `{"edges":[0` + strings.Repeat(",0", 5*mega) + `]}`, false, 0, 5*mega + 1, "exactly one node"},
		{"an array of numbers", event(`"a":[0` + strings.Repeat(",0", 5*mega) + `]`), false, 0, 1, "more than 250000 values"},
		{"an array of arrays", event(`"a":[[]` + strings.Repeat(",[]", 3*mega) + `]`), false, 0, 1, "more than 250000 values"},
		{"many values next to events", `{"a":[0` + strings.Repeat(",0", 5*mega) + `],` + page(`{"type":"T",` + at + `}`)[1:], false, 1, 0, ""},
		{"values just within the bound", event(`"a":[0` + strings.Repeat(",0", 249_000) + `]`), false, 1, 0, ""},
		{"a long text", event(`"description":"` + strings.Repeat("a, ", 5*mega/3) + `"`), false, 1, 0, ""},
		{"a long text to be escaped", event(`"a":"` + strings.Repeat(`\u0000,[{`, mega/2) + `"`), false, 1, 0, ""},
		{"a long number", event(`"a":` + strings.Repeat("9", 5*mega)), false, 1, 0, ""},
		{"a long number for a column", event(`"data":{"segments":1` + strings.Repeat("0", 5*mega) + `e-5242880}`), false, 1, 0, ""},
		{"many keys", event(manyKeys(100_000, "1")), false, 1, 0, ""},
		{"many keys in objects of the table", event(`"data":{` + manyKeys(100_000, `{"a":1}`) + `}`), false, 1, 0, ""},
		{"a key that occurs often", event(strings.Repeat(`"a":1,`, 100_000) + `"b":1`), false, 0, 1, "same key twice"},
		{"many events", page(strings.Split(strings.Repeat(`{"type":"T"}`+"\n", 200_000)+`{}`, "\n")...), false, 0, 200_001, "without a type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(test.body)
			var reason string
			var rejected int64
			f := transform.NewFlattener(counting(t), relay, func(arrow.Record) error { return nil },
				func(r transform.Rejected) error { reason, rejected = r.Reason, rejected+1; return nil })
			f.Begin("1")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := f.Page(body, "")
			runtime.ReadMemStats(&after)
			if (err != nil) != test.invalid {
				t.Fatalf("the error is %v", err)
			}
			if b := f.Books(); b.Rows != test.rows || b.Quarantined != test.quarantine || rejected != test.quarantine || !strings.Contains(reason, test.reason) {
				t.Errorf("the books are %+v, %d events are rejected, the last one with the reason %q", b, rejected, reason)
			}
			const each = 48 // bytes for each rejected event
			if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(160*mega+12*len(body)+each*int(rejected)); took > limit {
				t.Errorf("a page of %d MB took %d MB of memory, and the limit is %d", len(body)/mega, took/mega, limit/mega)
			}
			if err := f.End(); err != nil {
				t.Fatal(err)
			}
			_ = f.Flush()
			runtime.GC()
			runtime.ReadMemStats(&after)
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 40*mega {
				t.Errorf("after a page of %d MB, %d MB of memory are kept", len(body)/mega, kept/mega)
			}
			runtime.KeepAlive(f)
			runtime.KeepAlive(body)
		})
	}
}

// Both ways to read a page have the same result.
func TestEdgeByEdge(t *testing.T) {
	nodes := []string{
		`{"type":"A",` + at + `}`, `7`, `{"type":"B"}`, ` {"type" : "C", ` + at + `, "data":{"body":"]}\",\\"}} `, `null`, `{"type":"D",` + at + `,"a":1,"a":2}`,
	}
	plain := page(nodes...)
	separated := strings.Replace(page(append(nodes, "{\"type\":\"\xff\"}")...), `"node"`, `"n\u006fde"`, 1)
	want, got := one(t, nodes...), flatten(t, map[string][]string{"47569637": {separated}})
	if want.books.Rows != 2 || got.books.Rows != 2 || fmt.Sprint(want.rows) != fmt.Sprint(got.rows) {
		t.Errorf("the rows are\n%v, want\n%v", got.rows, want.rows)
	}
	if len(got.rejected) != len(want.rejected)+1 {
		t.Fatalf("%d events are rejected", len(got.rejected))
	}
	for i, r := range want.rejected {
		if g := got.rejected[i]; r.Reason != g.Reason || r.Index != g.Index || !bytes.Equal(bytes.TrimSpace(r.Raw), bytes.TrimSpace(g.Raw)) {
			t.Errorf("rejected %+v, want %+v", g, r)
		}
	}
	for _, body := range []string{`{"edges":[],"edges":[]}`, `{"edges":[null],"\u0065dges":[]}`, "{\"edges\":[\"\xff\"],\"edges\":[]}", plain[:len(plain)-1], ``, `nul`} {
		f := transform.NewFlattener(schemas.KnockEvents(), relay, func(arrow.Record) error { return nil }, func(transform.Rejected) error { return nil })
		if err := f.Page([]byte(body), ""); err == nil || f.Books().Events != 0 {
			t.Errorf("%q was accepted as a page, with %d events", body, f.Books().Events)
		}
	}
}
