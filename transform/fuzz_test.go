package transform_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"

	"prospector/transform"
)

// oddPages are unusual pages that docs/knock-api.md and experience suggest.
var oddPages = []string{
	`{}`, `{"edges":null}`, `{"edges":[]}`, `{"edges":{}}`, `{"edges":[],"pageInfo":null}`, `{"edges":[],"pageInfo":{"endCursor":"","hasNextPage":true}}`,
	`{"edges":[],"edges":[null]}`, `{"\u0065dges":[null]}`, `{"edges":[{"n\u006fde":{"type":"T",` + at + `}}]}`,
	`[]`, `null`, `7`, `"edges"`, ` {"edges" : [ { "node" : { } } , { } ] } `, `{"edges":[[[]]]}`, `{"edges":[nan]}`, `{"edges":[01]}`, `{"edges":[{"node":{"a":1]}]`,
	`{"edges":[null,7,{"node":[]},{"node":{"type":"T"}},{"node":null},{"cursor":"MQ==","node":{"type":"T",` + at + `}},{"node":{},"node":{}}]}`,
	"{\"edges\":[{\"node\":{\"type\":\"\xff\"}}]}", `{"edges":[{"node":{"type":"\ud83d",` + at + `}},{"node":{"type":"\ud83d\ude00",` + at + `}}]}`,
	page(`{"type":"T",`+at+`,"source":null,"agent":"x","data":[1]}`, `{"type":"T","eventTime":"2022-01-13T19:27:37","createdAt":null}`),
	page(`{"type":"T",`+at+`,"a":1,"a":2}`, `{"type":"T",`+at+`,"$from":{}}`, `{"type":"",`+at+`}`, `{"type":7,`+at+`}`),
	page(`{"type":"T",` + at + `,"a":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`),
	page(`{"type":"T",`+at+`}`, `{"type":"T",`+at+`}`, `{"type":"T",`+at+`,"description":"another"}`),
	page(`{"type":"T",`+at+`,"a":NaN}`, `{"type":"T",`+at+`}`, `{"type":"T",`+at+`,"a":"\x"}`, ``, `{"type":"T",`+at+`,}`),
	`{"edges":[{"cursor":NaN,"node":{"type":"T",` + at + `}},{"node":NaN,},,{"\x":1,"node":{}}],"took":+1}`, `{"edges":[1,],}`, `{"edges":[] []}`,
}

// For any page, flattening does not panic. If the page is JSON, the books balance.
func FuzzPage(f *testing.F) {
	for _, body := range oddPages {
		f.Add([]byte(body))
	}
	table := protecting(f, secret, everyPolicy)
	f.Fuzz(func(t *testing.T, body []byte) {
		var rows, rejected int64
		flattener := transform.NewFlattener(table, relay,
			func(batch arrow.Record) error { rows += batch.NumRows(); return nil },
			func(r transform.Rejected) error {
				if rejected++; r.Raw != nil && json.Valid(body) && !json.Valid(r.Raw) {
					t.Errorf("the node %q is not JSON", r.Raw)
				}
				return nil
			})
		flattener.Begin("1")
		if err := flattener.Page(body, ""); err != nil && flattener.Books() != (transform.Books{}) {
			t.Errorf("after an invalid page, the books are %+v", flattener.Books())
		}
		if err := flattener.End(); err != nil {
			t.Fatal(err)
		}
		if err := flattener.Flush(); err != nil {
			t.Fatal(err)
		}
		if b := flattener.Books(); b.Rows != rows || b.Quarantined != rejected || b.Events != rows+rejected+b.Duplicates {
			t.Errorf("the books are %+v; there are %d rows and %d rejected events", b, rows, rejected)
		}
	})
}

// The same events have the same IDs in any order and on any pages. An ID does not depend on
// the content of its event, unless another event has the same type and creation time.
func FuzzIdentity(f *testing.F) {
	f.Add(uint64(1), "hello")
	f.Add(uint64(2), "\u0000\"\U0001f600")
	f.Add(uint64(3), "")
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		rng := rand.New(rand.NewPCG(seed, 0))
		quoted, _ := json.Marshal(text)
		moments := 1 + rng.IntN(20)
		var nodes, others []string
		for i := range 1 + rng.IntN(30) {
			key := fmt.Sprintf(`"type":"T%d","createdAt":"2022-01-01T00:00:%02d.5Z"`, rng.IntN(2), rng.IntN(moments))
			nodes = append(nodes, fmt.Sprintf(`{%s,"data":{"body":%s,"n":%d}}`, key, quoted, i))
			others = append(others, fmt.Sprintf(`{"data":{"n":%d},"description":%s,"eventTime":"2023-01-01T00:00:00Z",%s}`, i, quoted, key))
		}
		ids := func(pages ...string) (ids map[string]string, untied []string) {
			r := flatten(t, map[string][]string{"1": pages})
			ids = make(map[string]string)
			of := make(map[string][]string) // by type and time
			for _, row := range r.rows {
				var extra struct{ Data struct{ N json.Number } }
				if err := json.Unmarshal([]byte(row["extra_json"].(string)), &extra); err != nil {
					t.Fatal(err)
				}
				id := row["event_id"].(string)
				ids[string(extra.Data.N)] = id
				key := fmt.Sprint(row["event_type"], row["created_at"])
				of[key] = append(of[key], id)
			}
			for _, same := range of {
				if len(same) == 1 {
					untied = append(untied, same[0])
				}
			}
			slices.Sort(untied)
			return ids, untied
		}
		want, untied := ids(page(nodes...))
		_, changed := ids(page(others...))
		if diff := cmp.Diff(untied, changed); diff != "" {
			t.Errorf("IDs depend on the content of events (-before +after):\n%s", diff)
		}
		rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		var pages []string
		for chunk := range slices.Chunk(nodes, 1+rng.IntN(len(nodes))) {
			pages = append(pages, page(chunk...))
		}
		if got, _ := ids(append(pages, pages[0])...); !cmp.Equal(got, want) {
			t.Errorf("another order results in different IDs:\n%s", cmp.Diff(want, got))
		}
	})
}
