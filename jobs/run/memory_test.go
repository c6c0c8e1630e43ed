package run

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"prospector/internal/heaptest"
)

// hugeRow is the approximate size in bytes of a row of the test.
const hugeRow = 24 << 20

// hugeEvents responds with one event for each prospect. The texts in the given fields
// have hugeRow bytes together. The handler streams the event.
func hugeEvents(fields []string, days bool, night *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var number int
		fmt.Sscanf(strings.Split(r.URL.Path, "/")[2], "%d", &number)
		day := 1
		if days {
			day = number
		}
		at := fmt.Sprintf("2022-01-%02dT10:00:%02dZ", day, number)
		fmt.Fprintf(w, `{"edges":[{"node":{"type":"SMS_MESSAGE","description":"night %d","eventTime":%q,"createdAt":%q,"data":{"number":%d`,
			night.Load(), at, at, number)
		random := rand.NewChaCha8([32]byte{byte(number)})
		raw := make([]byte, 48<<10)
		block := make([]byte, 64<<10)
		for _, field := range fields {
			fmt.Fprintf(w, `,%q:"`, field)
			for range hugeRow / len(fields) / len(block) {
				random.Read(raw)
				base64.StdEncoding.Encode(block, raw)
				w.Write(block)
			}
			io.WriteString(w, `"`)
		}
		io.WriteString(w, `}}}],"pageInfo":{"endCursor":null,"hasNextPage":false}}`)
	}
}

// Only a few copies of one huge text are in memory at a time, however many there are.
func TestHugeTextsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a gigabyte")
	}
	for _, test := range []struct {
		name   string
		fields []string
		days   bool
	}{
		{"in one partition", []string{"body"}, false},
		{"in a partition each", []string{"body"}, true},
		{"two in each row", []string{"body", "subject"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			const prospects = 6
			var night atomic.Int64
			server := httptest.NewServer(hugeEvents(test.fields, test.days, &night))
			defer server.Close()
			h := newHouse(t)
			h.limit = 64 << 20
			var ids []string
			for i := range prospects {
				ids = append(ids, fmt.Sprint(i+1))
			}
			h.ask(server.URL, ids...)
			for _, want := range []string{"added", "unchanged", "changed"} {
				peak := heaptest.Peak(5, func() {
					books := h.apply().Jobs[0].Source.Books
					if got := map[string]int64{"added": books.Added, "unchanged": books.Unchanged, "changed": books.Changed}; got[want] != prospects {
						t.Errorf("the books are %+v, but all rows must be %s", books, want)
					}
				})
				t.Logf("%s: %d MiB, %.1f rows beyond the limit", want, peak>>20, float64(peak-h.limit)/hugeRow)
				if most := h.limit + 6*hugeRow; peak > most {
					t.Errorf("%s: %d MiB were in use at once, and at most %d are expected", want, peak>>20, most>>20)
				}
				if want == "unchanged" {
					night.Add(1)
				}
			}
		})
	}
}
