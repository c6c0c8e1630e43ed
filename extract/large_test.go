package extract

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// One large page at a time is in memory, however many workers there are, and whether or
// not its size is announced. Small pages do not wait. The timeout of a request does not
// include the wait.
func TestLargePages(t *testing.T) {
	large := page(1, `"hasNextPage":false,"x":"`+strings.Repeat("x", largePage)+`"`)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, large)
	z.Close()
	client, _ := newClient(t, Options{Timeout: time.Second, MaxAttempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		switch strings.Split(r.URL.Path, "/")[2] {
		case "announced":
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			io.WriteString(w, large)
		case "chunked":
			w.(http.Flusher).Flush()
			io.WriteString(w, large)
		case "packed":
			w.Write(packed.Bytes())
		default:
			io.WriteString(w, page(1, `"hasNextPage":false`))
		}
	})
	var prospects []string
	for range 3 {
		prospects = append(prospects, "announced", "small", "chunked", "packed")
	}
	var inMemory, most, small, sawSmall atomic.Int64
	err := Each(t.Context(), len(prospects), func(yield func(string, error) bool) {
		for _, p := range prospects {
			if !yield(p, nil) {
				return
			}
		}
	}, func(ctx context.Context, _ int, prospect string) error {
		for p, err := range client.Pages(ctx, prospect, Position{}) {
			if err != nil {
				return err
			}
			if !IsLarge(len(p.Body)) {
				small.Add(1)
				continue
			}
			if n := inMemory.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(150 * time.Millisecond) // 9 of them take longer than Timeout
			inMemory.Add(-1)
			sawSmall.Store(small.Load())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sawSmall.Load() < 3 { // before the end of the last large page
		t.Error("small pages wait for large ones")
	}
	if most.Load() != 1 {
		t.Errorf("%d large pages were in memory at once", most.Load())
	}
	if pages := client.Stats().Pages; pages != int64(len(prospects)) {
		t.Errorf("%d pages of %d were read", pages, len(prospects))
	}
	if done, err := client.Turn(t.Context()); err != nil {
		t.Error(err)
	} else {
		done()
	}
}

// The turn passes on when a page fails. Waiting for it ends with the context.
func TestLargePageFails(t *testing.T) {
	client, _ := newClient(t, Options{MaxAttempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"edges":[`+strings.Repeat(" ", 2*largePage))
	})
	if _, err := read(t.Context(), client, "1", Position{}); err == nil {
		t.Fatal("an incomplete page was read")
	}
	done, err := client.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := client.Turn(ctx); err == nil {
		t.Error("two pages have the turn")
	}
	done()
}

// A page reports whether it has the turn. A page that is not large can have it.
func TestPageHasTurn(t *testing.T) {
	client, _ := newClient(t, Options{MaxAttempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		mib, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[2])
		body := page(1, `"hasNextPage":false,"x":"`+strings.Repeat("x", mib<<20)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body)
	})
	for mib, want := range map[int]bool{0: false, 1: false, 3: true, 6: true} {
		for p, err := range client.Pages(t.Context(), strconv.Itoa(mib), Position{}) {
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			done, err := client.Turn(ctx)
			cancel()
			if p.HasTurn() != want || (err != nil) != want {
				t.Errorf("%d MiB: HasTurn is %t, and Turn returns %v", mib, p.HasTurn(), err)
			}
			if err == nil {
				done()
			}
		}
	}
}
