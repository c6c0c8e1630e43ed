package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// world is the API of the source. From one night to the next, some events are new, some
// change, some move to another day, and some disappear. The seed decides which.
type world struct {
	seed      uint64
	prospects int
	events    int      // of a prospect, in the first night
	text      int      // bytes of random text in an event
	types     []string // of events, in turn
	night     atomic.Int64
}

// key is the API key that the world accepts.
const key = "secret"

// ids returns the IDs of the prospects.
func (w *world) ids() []string {
	ids := make([]string, w.prospects)
	for i := range ids {
		ids[i] = strconv.Itoa(1000 + i)
	}
	return ids
}

// event is an event of the Knock API.
type event struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	EventTime   time.Time         `json:"eventTime"`
	CreatedAt   time.Time         `json:"createdAt"`
	Data        map[string]string `json:"data"`

	number int
}

type edge struct {
	Node event `json:"node"`
}

// random returns the random numbers for one purpose.
func (w *world) random(purpose string, id string, number int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintln(h, purpose, id, number)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// list returns the events of a prospect in the current night, without their texts.
func (w *world) list(id string) (edges []edge) {
	night := int(w.night.Load())
	for i := range w.events + night {
		random := w.random("event", id, i)
		e := event{Type: w.types[i%len(w.types)], Description: "first", number: i}
		e.CreatedAt = time.Date(2022, 1, 1, 0, 0, random.IntN(20*24*60*60), i*1000, time.UTC)
		e.EventTime = e.CreatedAt
		gone := false
		for n := range night {
			switch change := random.IntN(40); {
			case change < 4:
				e.Description = fmt.Sprintf("changed in night %d", n+1)
			case change < 6:
				e.EventTime = e.EventTime.Add(24 * time.Hour) // it moves to another partition
			case change < 7:
				gone = true
			}
		}
		if !gone {
			edges = append(edges, edge{e})
		}
	}
	return edges
}

// addText adds its text to an event. The text cannot be compressed to less than half.
func (w *world) addText(id string, e *event) {
	random := w.random("text", id, e.number)
	text := make([]byte, w.text/2)
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	e.Data = map[string]string{"body": hex.EncodeToString(text)}
}

// ServeHTTP serves GET /prospect/{id}/events.
func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutPrefix(r.URL.Path, "/prospect/")
	id, suffix := strings.CutSuffix(id, "/events")
	if !ok || !suffix || r.Header.Get("x-api-key") != key {
		http.Error(out, `{"message":"not found"}`, http.StatusNotFound)
		return
	}
	all := w.list(id)
	number := func(name string) int {
		n, err := strconv.Atoi(r.URL.Query().Get(name))
		if err != nil {
			return 0
		}
		return n
	}
	after := min(number("after"), len(all))
	end := min(after+max(number("first"), 1), len(all))
	page := all[after:end]
	for i := range page {
		w.addText(id, &page[i].Node)
	}
	json.NewEncoder(out).Encode(map[string]any{ //nolint:errcheck // a client that is gone asks again
		"edges":    page,
		"pageInfo": map[string]any{"endCursor": strconv.Itoa(end), "hasNextPage": end < len(all)},
	})
}
