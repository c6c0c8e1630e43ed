package gcs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
)

// journal performs one request at a time, and records the objects that it has created, by
// checksum.
type journal struct {
	http.Handler
	mu      sync.Mutex
	created map[uint32][]string // generations
}

func (j *journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	j.mu.Lock()
	defer j.mu.Unlock()
	res := httptest.NewRecorder()
	j.Handler.ServeHTTP(res, r)
	var o struct{ CRC32C, Generation string }
	if uploads(r) && res.Code == http.StatusOK && json.Unmarshal(res.Body.Bytes(), &o) == nil && o.Generation != "" {
		if crc, err := base64.StdEncoding.DecodeString(o.CRC32C); err == nil {
			sum := binary.BigEndian.Uint32(crc)
			j.created[sum] = append(j.created[sum], o.Generation)
		}
	}
	for name, values := range res.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(res.Code)
	w.Write(res.Body.Bytes())
}

// Several writers change one object under faults. What each call returns agrees with
// what the service has done.
func TestRivals(t *testing.T) {
	t.Parallel()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	service := &journal{Handler: server.HTTPHandler(), created: make(map[uint32][]string)}
	proxy := gcsfault.New(&gcsfault.Faithful{Service: service}, gcsfault.Options{Seed: 1, Rate: 0.3})
	listener := httptest.NewServer(proxy)
	t.Cleanup(listener.Close)
	t.Cleanup(proxy.Close)
	opts := gcs.Options{Endpoint: listener.URL, Timeout: 400 * time.Millisecond}
	counts := make(map[string]int)
	var mu sync.Mutex
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		counts[what]++
	}
	var all sync.WaitGroup
	for n := range 4 {
		s := openWith(t, opts)
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for i := range 9 {
				// All attempts of a small object are one request. A larger one has a
				// session after the first attempt.
				data := make([]byte, 100+rng.IntN(2)*300_000)
				copy(data, fmt.Sprintf("%d/%d", n, i))
				content := store.ContentOf(data, "")
				cond := store.IfAbsent()
				if now, err := s.Stat(t.Context(), "a"); err == nil {
					cond = store.IfGeneration(now.Generation)
				} else if !errors.Is(err, store.ErrNotExist) {
					t.Error(err)
				}
				switch rng.IntN(5) {
				case 0:
					cond = store.Condition{}
				case 1:
					if cond.Generation() != "" {
						err := s.Delete(t.Context(), "a", cond)
						if err != nil && !errors.Is(err, store.ErrCondition) && !errors.Is(err, store.ErrNotExist) {
							t.Error(err)
						}
						if now, statErr := s.Stat(t.Context(), "a"); err == nil && statErr == nil && now.Generation == cond.Generation() {
							t.Error("after Delete, the object exists")
						}
						count("delete")
						continue
					}
				}
				o, err := s.Put(t.Context(), "a", content, cond)
				service.mu.Lock()
				created := service.created[content.CRC32C]
				service.mu.Unlock()
				unknown := errors.Is(err, store.ErrOutcomeUnknown)
				switch {
				// If another writer deletes the object between two attempts, IfAbsent
				// creates it twice.
				case cond.Generation() != "" && len(created) > 1:
					t.Errorf("Put with a generation has created %q", created)
				case err == nil && (len(created) == 0 || created[len(created)-1] != o.Generation):
					t.Errorf("Put returns the generation %s, but has created %q", o.Generation, created)
				case errors.Is(err, store.ErrCondition) && !unknown && len(created) > 0:
					t.Errorf("Put returns %v, but has created %q", err, created)
				case err != nil && !errors.Is(err, store.ErrCondition):
					t.Error(err)
				}
				count(fmt.Sprintf("put: success %t, unknown %t, created %t", err == nil, unknown, len(created) > 0))
			}
		})
	}
	all.Wait()
	t.Logf("%v under %d faults", counts, proxy.Counts().Total())
}
