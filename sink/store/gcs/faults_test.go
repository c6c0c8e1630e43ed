package gcs_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs/gcsfault"
)

// front is a proxy between the driver and an emulator that injects faults.
type front struct {
	service http.Handler

	mu sync.Mutex
	// faults has one fault for each request that matches. Nil lets the request pass.
	match  func(*http.Request) bool
	faults []fault
	// seen are the requests that matched.
	seen []string
}

// fault answers a request instead of the service, or damages the answer of the service.
type fault func(w http.ResponseWriter, r *http.Request, service http.Handler)

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	var now fault
	if f.match != nil && f.match(r) {
		f.seen = append(f.seen, r.Method+" "+r.URL.String())
		if len(f.faults) > 0 {
			now, f.faults = f.faults[0], f.faults[1:]
		}
	}
	f.mu.Unlock()
	if now != nil {
		now(w, r, f.service)
		return
	}
	f.service.ServeHTTP(w, r)
}

// disturb applies faults to the requests that match, and resets seen.
func (f *front) disturb(match func(*http.Request) bool, faults ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.match, f.faults, f.seen = match, faults, nil
}

func (f *front) wantSeen(t *testing.T, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) != want {
		t.Errorf("the service got %d requests, want %d: %q", len(f.seen), want, f.seen)
	}
}

const bucket = "prospector"

// newFront starts an emulator behind a front, with one bucket.
func newFront(t *testing.T) *front {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	f := &front{service: &gcsfault.Faithful{Service: server.HTTPHandler()}}
	listener := httptest.NewServer(f)
	t.Cleanup(listener.Close)
	t.Setenv(emulator, listener.URL)
	return f
}

func uploads(r *http.Request) bool   { return strings.HasPrefix(r.URL.Path, "/upload/") }
func downloads(r *http.Request) bool { return r.URL.Query().Get("alt") == "media" }
func deletes(r *http.Request) bool   { return r.Method == http.MethodDelete }
func everything(*http.Request) bool  { return true }

// unavailable answers 503 and does nothing.
func unavailable(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.WriteHeader(http.StatusServiceUnavailable)
}

// lost performs the request and then closes the connection without an answer.
func lost(_ http.ResponseWriter, r *http.Request, service http.Handler) {
	service.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// halved closes the connection in the middle of the answer.
func halved(w http.ResponseWriter, r *http.Request, service http.Handler) {
	full := httptest.NewRecorder()
	service.ServeHTTP(full, r)
	for name, values := range full.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(full.Code)
	w.Write(full.Body.Bytes()[:full.Body.Len()/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// also lets another writer act before the fault.
func also(other func(), then fault) fault {
	return func(w http.ResponseWriter, r *http.Request, service http.Handler) {
		other()
		then(w, r, service)
	}
}

// after lets another writer act after the service has performed the request.
func after(other func()) fault {
	return func(_ http.ResponseWriter, r *http.Request, service http.Handler) {
		service.ServeHTTP(httptest.NewRecorder(), r)
		other()
		panic(http.ErrAbortHandler)
	}
}

func put(t *testing.T, s store.Store, key, data string) store.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, store.ContentOf([]byte(data), ""), store.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestPutIsRepeated(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	other := open(t, bucket, "lake")
	// The requests of the other writer pass the front as well, but after the faults.
	write := func(data string) func() { return func() { put(t, other, "a", data) } }

	conditions := map[string]func() store.Condition{
		"no condition": func() store.Condition { return store.Condition{} },
		"IfAbsent": func() store.Condition {
			if err := other.Delete(t.Context(), "a", store.Condition{}); err != nil {
				t.Fatal(err)
			}
			return store.IfAbsent()
		},
		"IfGeneration": func() store.Condition { return store.IfGeneration(put(t, other, "a", "seen").Generation) },
	}
	for name, condition := range conditions {
		for _, test := range []struct {
			name     string
			fault    fault
			want     error // of a Put that has a condition
			unknown  bool  // whether such a Put may have written something
			requests int
		}{
			{"undisturbed", nil, nil, false, 1},
			{"not performed", unavailable, nil, false, 2},
			{"performed, but the response is lost", lost, nil, false, 2},
			{"not performed, and another writer finishes first", also(write("other"), unavailable), store.ErrCondition, true, 3},
			{"performed, and another writer replaces it", after(write("other")), store.ErrCondition, true, 3},
			{"another writer finishes first with the same content", also(write("own"), func(w http.ResponseWriter, r *http.Request, h http.Handler) { h.ServeHTTP(w, r) }), store.ErrCondition, false, 2},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				put(t, other, "a", "old")
				cond := condition()
				f.disturb(uploads, test.fault)
				o, err := s.Put(t.Context(), "a", store.ContentOf([]byte("own"), ""), cond)
				if cond == (store.Condition{}) {
					// It starts over instead.
					if test.want != nil {
						test.requests++
					}
					test.want = nil
				}
				f.wantSeen(t, test.requests)
				f.disturb(nil)
				if !errors.Is(err, test.want) {
					t.Fatalf("Put returns %v, want %v", err, test.want)
				}
				if err != nil {
					if errors.Is(err, store.ErrOutcomeUnknown) != test.unknown {
						t.Errorf("Put returns %v; the outcome is unknown: %t", err, test.unknown)
					}
					return
				}
				now, err := other.Stat(t.Context(), "a")
				if err != nil || now != o || now.CRC32C != store.Checksum([]byte("own")) {
					t.Errorf("the object is %+v, %v; Put returned %+v", now, err, o)
				}
			})
		}
	}
}

func TestDeleteIsRepeated(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	for name, fault := range map[string]fault{"not performed": unavailable, "performed, but the response is lost": lost} {
		t.Run(name, func(t *testing.T) {
			o := put(t, s, "a", "one")
			f.disturb(deletes, fault)
			if err := s.Delete(t.Context(), "a", store.IfGeneration(o.Generation)); err != nil {
				t.Error(err)
			}
			f.wantSeen(t, 2)
			if _, err := s.Stat(t.Context(), "a"); !errors.Is(err, store.ErrNotExist) {
				t.Errorf("after Delete Stat returns %v", err)
			}
		})
	}
}

func TestEveryChangeHasAPrecondition(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	f.disturb(func(r *http.Request) bool { return uploads(r) || deletes(r) })
	put(t, s, "a", "one")
	put(t, s, "a", "two")
	if err := s.Delete(t.Context(), "a", store.Condition{}); err != nil {
		t.Fatal(err)
	}
	f.wantSeen(t, 3)
	for _, request := range f.seen {
		if !strings.Contains(request, "ifGenerationMatch=") {
			t.Errorf("without a precondition: %s", request)
		}
	}
}

// TestLargeObjects tests objects that take several requests.
func TestLargeObjects(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	data := bytes.Repeat([]byte("0123456789abcdef"), 33<<20/16)
	f.disturb(uploads, nil, unavailable)
	o, err := s.Put(t.Context(), "a", store.ContentOf(data, ""), store.IfAbsent())
	if err != nil || o.Size != int64(len(data)) || o.CRC32C != store.Checksum(data) {
		t.Fatalf("Put returns %+v, %v", o, err)
	}
	f.wantSeen(t, 4) // a session, its content, how much it has, its content again
	wrong := store.ContentOf(data, "")
	wrong.CRC32C++
	if _, err := s.Put(t.Context(), "b", wrong, store.Condition{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Put returns %v, want ErrCorrupt", err)
	}
	if _, err := s.Stat(t.Context(), "b"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("after a corrupt Put Stat returns %v", err)
	}
}

func TestCorruptedInTransit(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	modify := func(w http.ResponseWriter, r *http.Request, service http.Handler) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(body, []byte("original")) {
			t.Errorf("the request's body is %q, %v", body, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte("original"), []byte("modified"), 1)))
		service.ServeHTTP(w, r)
	}
	f.disturb(uploads, slices.Repeat([]fault{modify}, 5)...)
	if _, err := s.Put(t.Context(), "a", store.ContentOf([]byte("original"), ""), store.Condition{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Put returns %v, want ErrCorrupt", err)
	}
	f.wantSeen(t, 5)
	f.disturb(nil)
	if _, err := s.Stat(t.Context(), "a"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("after a corrupt Put Stat returns %v", err)
	}
}

func TestReadIsResumed(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	old := strings.Repeat("old ", 500_000)
	for name, test := range map[string]struct {
		action   func()
		complete bool
	}{
		"unchanged":   {func() {}, true},
		"overwritten": {func() { put(t, s, "a", strings.Repeat("new ", 500_000)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, s, "a", old)
			f.disturb(downloads, halved)
			r, err := s.Open(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			test.action()
			data, err := io.ReadAll(r)
			if test.complete != (err == nil && string(data) == old) {
				t.Errorf("%d bytes were read, error %v", len(data), err)
			}
			if !strings.HasPrefix(old, string(data)) {
				t.Error("two objects were mixed")
			}
			if err != nil && (!strings.Contains(err.Error(), s.URI("a")) || !errors.Is(err, store.ErrCorrupt)) {
				t.Errorf("the error is %q, want ErrCorrupt with the name of the object", err)
			}
		})
	}
}

// Open reads a small object again if it is replaced before its bytes have arrived.
func TestReplacedDuringOpen(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	old, next := strings.Repeat("old ", 1000), strings.Repeat("next ", 1000)
	put(t, s, "a", old)
	f.disturb(downloads, func(w http.ResponseWriter, r *http.Request, service http.Handler) {
		halved(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			service.ServeHTTP(w, r)
			put(t, s, "a", next)
		}))
	})
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); err != nil || string(data) != next {
		t.Errorf("%d bytes are read, error %v", len(data), err)
	}
	f.wantSeen(t, 3) // the last one asks for the new object
}
