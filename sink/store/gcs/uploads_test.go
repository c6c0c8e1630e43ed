package gcs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"prospector/internal/heaptest"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
)

// refused performs the request, and then answers that its precondition does not hold, as
// if a proxy had repeated the request.
func refused(w http.ResponseWriter, r *http.Request, service http.Handler) {
	service.ServeHTTP(httptest.NewRecorder(), r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusPreconditionFailed)
	io.WriteString(w, `{"error": {"code": 412, "errors": [{"reason": "conditionNotMet"}]}}`)
}

// A write or delete that is refused because of itself has succeeded.
func TestRefusedByItself(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	small, large := sized(100), sized(9<<20)
	seen := func() store.Condition { return store.IfGeneration(put(t, s, "a", "old").Generation) }
	absent := func() store.Condition {
		if err := s.Delete(t.Context(), "a", store.Condition{}); err != nil && !errors.Is(err, store.ErrNotExist) {
			t.Fatal(err)
		}
		return store.IfAbsent()
	}
	for name, test := range map[string]struct {
		data      []byte
		condition func() store.Condition
		faults    []fault
	}{
		"a small object":                               {small, absent, []fault{refused}},
		"a small object, after a retry":                {small, seen, []fault{unavailable, refused}},
		"a small object, whose response is lost twice": {small, seen, []fault{lost, lost}},
		"a large object":                               {large, seen, []fault{nil, refused}},
		"a large object, in a second session": {large, absent, []fault{nil, lost, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusGone)
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			cond := test.condition()
			f.disturb(uploads, test.faults...)
			o, err := s.Put(t.Context(), "a", store.ContentOf(test.data, ""), cond)
			f.disturb(nil)
			if err != nil {
				t.Fatal(err)
			}
			if now, err := s.Stat(t.Context(), "a"); err != nil || now != o || o.CRC32C != store.Checksum(test.data) {
				t.Errorf("the object is %+v, %v; Put returned %+v", now, err, o)
			}
		})
	}
	for name, faults := range map[string][]fault{"a delete": {refused}, "a delete, after a retry": {unavailable, refused}, "a delete, twice": {lost, lost}} {
		t.Run(name, func(t *testing.T) {
			cond := seen()
			f.disturb(deletes, faults...)
			if err := s.Delete(t.Context(), "a", cond); err != nil {
				t.Error(err)
			}
			if _, err := s.Stat(t.Context(), "a"); !errors.Is(err, store.ErrNotExist) {
				t.Errorf("after Delete Stat returns %v", err)
			}
		})
	}
}

// sent counts the bytes that upload requests send.
type sent struct {
	http.Handler
	bytes atomic.Int64
}

func (s *sent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		r.Body = &counting{r.Body, &s.bytes}
	}
	s.Handler.ServeHTTP(w, r)
}

type counting struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// An upload continues where the service says, in this call or in the next run.
func TestUploadContinues(t *testing.T) {
	f := newFront(t)
	counted := &sent{Handler: f.service}
	f.service = counted
	data := sized(10 << 20)
	half := func(then func()) fault {
		return func(_ http.ResponseWriter, r *http.Request, service http.Handler) {
			r.Body = io.NopCloser(io.LimitReader(r.Body, 5<<20))
			service.ServeHTTP(httptest.NewRecorder(), r)
			then()
			panic(http.ErrAbortHandler)
		}
	}
	killed := func(t *testing.T, dir string, content store.Content) {
		s := openWith(t, gcs.Options{Uploads: dir})
		ctx, cancel := context.WithCancel(t.Context())
		f.disturb(uploads, nil, half(cancel))
		if _, err := s.Put(ctx, "a", content, store.IfAbsent()); !errors.Is(err, context.Canceled) {
			t.Fatalf("the first Put returns %v", err)
		}
		f.disturb(nil)
	}
	entry := func(t *testing.T, dir string) string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("the directory has the entries %q, %v", names, err)
		}
		return names[0]
	}
	content := store.ContentOf(data, "text/plain")
	other := store.ContentOf(append([]byte("x"), data[1:]...), "text/plain")
	const all, rest = 10 << 20, 5 << 20
	for name, test := range map[string]struct {
		second store.Content
		change func(t *testing.T, entry string)
		want   int64 // bytes that the second Put sends
	}{
		"the same content": {content, func(t *testing.T, entry string) {
			for path, mode := range map[string]fs.FileMode{entry: 0o600, filepath.Dir(entry): 0o700} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s is %v, %v", path, info.Mode(), err)
				}
			}
		}, rest},
		"other content of that size": {other, nil, all},
		"a damaged entry": {content, func(t *testing.T, entry string) {
			text, err := os.ReadFile(entry)
			if err == nil {
				err = os.WriteFile(entry, bytes.Replace(text, []byte("upload_id="), []byte("upload_id=0"), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, all},
		"an empty entry": {content, func(t *testing.T, entry string) {
			if err := os.Truncate(entry, 0); err != nil {
				t.Fatal(err)
			}
		}, all},
		"an old entry": {content, func(t *testing.T, entry string) {
			old := time.Now().Add(-7 * 24 * time.Hour)
			if err := os.Chtimes(entry, old, old); err != nil {
				t.Fatal(err)
			}
		}, all},
		"a session that the service has lost": {content, func(*testing.T, string) {
			f.disturb(uploads, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusNotFound) })
		}, all},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "uploads")
			killed(t, dir, content)
			if test.change != nil {
				test.change(t, entry(t, dir))
			}
			s := openWith(t, gcs.Options{Uploads: dir})
			counted.bytes.Store(0)
			o, err := s.Put(t.Context(), "a", test.second, store.IfAbsent())
			if err != nil || o.CRC32C != test.second.CRC32C {
				t.Fatalf("the second Put returns %+v, %v", o, err)
			}
			if n := counted.bytes.Load(); n != test.want {
				t.Errorf("the second Put sends %d bytes, want %d", n, test.want)
			}
			if left, _ := os.ReadDir(dir); name != "other content of that size" && len(left) > 0 {
				t.Errorf("after the second Put, there are the entries %v", left)
			}
			if err := s.Delete(t.Context(), "a", store.Condition{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	finished := func(t *testing.T, dir string) {
		s := openWith(t, gcs.Options{Uploads: dir})
		ctx, cancel := context.WithCancel(t.Context())
		f.disturb(uploads, nil, after(cancel))
		if _, err := s.Put(ctx, "a", content, store.IfAbsent()); !errors.Is(err, context.Canceled) {
			t.Fatalf("the first Put returns %v", err)
		}
		f.disturb(nil)
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, s store.Store)
		want   error
	}{
		"finished":               {func(*testing.T, store.Store) {}, nil},
		"finished, and deleted":  {func(t *testing.T, s store.Store) { s.Delete(t.Context(), "a", store.Condition{}) }, nil},
		"finished, and replaced": {func(t *testing.T, s store.Store) { put(t, s, "a", "other") }, store.ErrCondition},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "uploads")
			finished(t, dir)
			s := openWith(t, gcs.Options{Uploads: dir})
			test.change(t, s)
			o, err := s.Put(t.Context(), "a", content, store.IfAbsent())
			if !errors.Is(err, test.want) {
				t.Errorf("the second Put returns %v, want %v", err, test.want)
			}
			if now, statErr := s.Stat(t.Context(), "a"); err == nil && (statErr != nil || now != o) {
				t.Errorf("the object is %+v, %v; the second Put returned %+v", now, statErr, o)
			}
			if err := s.Delete(t.Context(), "a", store.Condition{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("finished, and the service does not say what became of the object", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "uploads")
		finished(t, dir)
		s := openWith(t, gcs.Options{Uploads: dir, Timeout: 50 * time.Millisecond})
		f.disturb(func(r *http.Request) bool { return r.Method == http.MethodGet }, slices.Repeat([]fault{unavailable}, 1000)...)
		defer f.disturb(nil)
		if _, err := s.Put(t.Context(), "a", content, store.IfAbsent()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second Put returns %v, want context.DeadlineExceeded", err)
		}
		f.disturb(nil)
		if err := s.Delete(t.Context(), "a", store.Condition{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("in one call", func(t *testing.T) {
		s := openWith(t, gcs.Options{Uploads: filepath.Join(t.TempDir(), "uploads")})
		f.disturb(uploads, nil, half(func() {}))
		counted.bytes.Store(0)
		if o, err := s.Put(t.Context(), "a", content, store.IfAbsent()); err != nil || o.CRC32C != content.CRC32C {
			t.Fatalf("Put returns %+v, %v", o, err)
		}
		f.wantSeen(t, 4) // start, half, query, rest
		if n := counted.bytes.Load(); n != all {
			t.Errorf("Put sends %d bytes, want %d", n, all)
		}
	})
}

// Without the repairs of package gcsfault, the emulator refuses to say how much a session
// has. The upload then starts again.
func TestSessionWithoutStatus(t *testing.T) {
	f := newFront(t)
	f.service = f.service.(*gcsfault.Faithful).Service
	s := open(t, bucket, "lake")
	content := store.ContentOf(sized(9<<20), "")
	f.disturb(uploads, nil, unavailable)
	if o, err := s.Put(t.Context(), "a", content, store.IfAbsent()); err != nil || o.CRC32C != content.CRC32C {
		t.Errorf("Put returns %+v, %v", o, err)
	}
	f.wantSeen(t, 5) // start, content, status, start, content
}

// drain is a service that accepts sessions, and keeps nothing but checksums.
type drain struct{}

func (d *drain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		io.WriteString(w, "{}")
	case http.MethodPost:
		w.Header().Set("Location", "http://"+r.Host+"/session/"+strconv.Itoa(int(stores.Add(1))))
	case http.MethodPut:
		h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		n, err := io.Copy(h, r.Body)
		if err != nil {
			return
		}
		crc := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, h.Sum32()))
		fmt.Fprintf(w, `{"size": "%d", "generation": "1", "crc32c": %q}`, n, crc)
	}
}

// pattern is a content of any size that takes no memory.
type pattern struct{ size int64 }

func (c pattern) ReadAt(p []byte, offset int64) (int, error) {
	n := int(min(int64(len(p)), c.size-offset))
	for i := range n {
		p[i] = byte((offset + int64(i)) >> 8)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestUploadsTakeLittleMemory(t *testing.T) {
	listener := httptest.NewServer(new(drain))
	defer listener.Close()
	s := openWith(t, gcs.Options{Endpoint: listener.URL})
	size, crc, err := store.ChecksumReader(io.NewSectionReader(pattern{48 << 20}, 0, 48<<20))
	if err != nil {
		t.Fatal(err)
	}
	peak := heaptest.Peak(10, func() {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				content := store.Content{Reader: pattern{size}, Size: size, CRC32C: crc}
				if _, err := s.Put(t.Context(), fmt.Sprint(i), content, store.IfAbsent()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	if peak > 8<<20 {
		t.Errorf("8 uploads of %d MiB have %d KiB in use", size>>20, peak>>10)
	}
	t.Logf("8 uploads of %d MiB have %d KiB in use", size>>20, peak>>10)
}
