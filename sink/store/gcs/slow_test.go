package gcs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
)

func TestSlowUplink(t *testing.T) {
	const rate = 2_000_000 // bytes per second
	send := func(t *testing.T, timeout time.Duration, size int) gcsfault.Counts {
		t.Parallel()
		server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
		if err != nil {
			t.Fatal(err)
		}
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
		proxy := gcsfault.New(&gcsfault.Faithful{Service: server.HTTPHandler()}, gcsfault.Options{Uplink: rate})
		link := httptest.NewUnstartedServer(proxy)
		link.Listener.Close()
		if link.Listener, err = gcsfault.Listen(t.Context(), "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		link.Start()
		t.Cleanup(link.Close)
		s := openWith(t, gcs.Options{Endpoint: link.URL, Timeout: timeout})
		o, err := s.Put(t.Context(), "a", store.ContentOf(sized(size), ""), store.IfAbsent())
		if err != nil || o.Size != int64(size) {
			t.Errorf("Put returns %+v, %v", o, err)
		}
		return proxy.Counts()
	}
	t.Run("for longer than a call waits without progress", func(t *testing.T) {
		send(t, 180*time.Millisecond, 4<<20) // takes 2.1 seconds
	})
	t.Run("what the kernel has not sent is not a stall", func(t *testing.T) {
		// Without a limit, the kernel has 800 ms of this body when it is written.
		if counts := send(t, 400*time.Millisecond, 3<<20); counts.Requests[gcsfault.Upload] != 1 || counts.Requests[gcsfault.Start] != 0 {
			t.Errorf("one upload takes the requests %v", counts.Requests)
		}
	})
}

// serve answers downloads of an object with n of its bytes every 20 ms.
func serve(size, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !downloads(r) {
			io.WriteString(w, "{}")
			return
		}
		w.Header().Set("X-Goog-Generation", "1")
		w.Header().Set("Content-Length", strconv.Itoa(size))
		var at int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at); err == nil {
			w.Header().Set("Content-Length", strconv.Itoa(size-at))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, size-1, size))
			w.WriteHeader(http.StatusPartialContent)
		}
		for ; at < size && r.Context().Err() == nil; at += n {
			w.Write(make([]byte, min(n, size-at)))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func TestSlowDownload(t *testing.T) {
	const small, large = 1 << 20, 1<<20 + 1 // Open buffers the small object
	read := func(t *testing.T, size, n int, timeout time.Duration) (int64, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		listener := httptest.NewServer(serve(size, n))
		t.Cleanup(listener.Close)
		r, err := openWith(t, gcs.Options{Endpoint: listener.URL, Timeout: timeout}).Open(ctx, "a")
		if err != nil {
			return 0, err
		}
		defer r.Close()
		return io.Copy(io.Discard, r)
	}
	t.Run("without progress", func(t *testing.T) {
		// One byte at a time is not progress.
		if n, err := read(t, large, 1, 30*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || n > 100 {
			t.Errorf("%d bytes are read, error %v; want context.DeadlineExceeded", n, err)
		}
	})
	for _, size := range []int{small, large} {
		t.Run(fmt.Sprintf("%d bytes with progress", size), func(t *testing.T) {
			t.Parallel()
			// It takes 1.3 seconds, longer than a call may wait without progress.
			if n, err := read(t, size, 16<<10, 100*time.Millisecond); n != int64(size) || err != nil {
				t.Errorf("%d bytes are read, error %v", n, err)
			}
		})
	}
}
