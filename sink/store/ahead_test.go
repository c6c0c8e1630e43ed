package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"prospector/internal/heaptest"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// waiting is a store whose Open waits until the test lets it continue.
type waiting struct {
	*memory.Store
	width  int
	opened chan string   // the keys, when Open begins
	pass   chan struct{} // Open continues with each value

	mu            sync.Mutex
	running, most int
}

func newWaiting(t *testing.T, width, objects int) (*waiting, []store.Located) {
	w := &waiting{Store: memory.New(), width: width, opened: make(chan string, 1000), pass: make(chan struct{}, 1000)}
	var all []store.Located
	for i := range objects {
		o, err := w.Put(t.Context(), fmt.Sprintf("%03d", i), store.ContentOf(fmt.Append(nil, "content ", i), ""), store.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, store.Located{From: w, Object: o})
	}
	return w, all
}

func (w *waiting) Concurrency() int { return w.width }

func (w *waiting) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	w.count(1)
	defer w.count(-1)
	w.opened <- key
	select {
	case <-w.pass:
		return w.Store.Open(ctx, key)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (w *waiting) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running += n
	w.most = max(w.most, w.running)
}

func (w *waiting) letPass(n int) {
	for range n {
		w.pass <- struct{}{}
	}
}

func wantContent(t *testing.T, f store.File, object store.Located) {
	t.Helper()
	defer f.Close()
	_, crc, err := store.ChecksumReader(io.NewSectionReader(f, 0, object.Size+1))
	if err != nil || crc != object.CRC32C {
		t.Errorf("%s has the checksum %08x, want %08x: %v", object.Key, crc, object.CRC32C, err)
	}
}

// As many objects are opened at a time as the store serves well, before any of them is
// needed. Each is requested once.
func TestAhead(t *testing.T) {
	for _, test := range []struct{ limit, want int }{{100, 4}, {3, 3}} {
		w, objects := newWaiting(t, 4, 20)
		dir := t.TempDir()
		a := store.OpenAhead(t.Context(), dir, test.limit, objects)
		for range test.want {
			<-w.opened // or the test waits forever
		}
		w.letPass(len(objects))
		for _, o := range objects {
			f, err := a.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, f, o)
		}
		a.Close()
		if requests := test.want + len(w.opened); w.most != test.want || requests != len(objects) {
			t.Errorf("there were %d requests, up to %d at a time, want %d, up to %d", requests, w.most, len(objects), test.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v are left in the directory: %v", left, err)
		}
	}
}

// Objects can be opened in another order, several times, and without an announcement.
func TestAheadInAnyOrder(t *testing.T) {
	w, objects := newWaiting(t, 1, 12)
	w.letPass(100)
	a := store.OpenAhead(t.Context(), t.TempDir(), 100, objects[:10])
	for _, i := range []int{11, 9, 9, 5, 0, 1, 10, 7, 1} {
		f, err := a.Open(t.Context(), objects[i])
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, f, objects[i])
	}
	a.Close()
	if w.most != 1 {
		t.Errorf("there were up to %d requests at a time", w.most)
	}
}

// Open returns the error of each object.
func TestAheadErrors(t *testing.T) {
	w, objects := newWaiting(t, 2, 3)
	w.letPass(100)
	objects[1].CRC32C++
	objects[2].Key = "missing"
	a := store.OpenAhead(t.Context(), t.TempDir(), 100, objects)
	defer a.Close()
	for i, want := range []error{nil, store.ErrCorrupt, store.ErrNotExist} {
		f, err := a.Open(t.Context(), objects[i])
		if !errors.Is(err, want) {
			t.Errorf("the error of %s is %v, want %v", objects[i].Key, err, want)
		}
		if err == nil {
			f.Close()
		}
	}
}

// Close ends the requests in progress, and so does the context.
func TestAheadEnds(t *testing.T) {
	broken := errors.New("broken")
	for _, byContext := range []bool{true, false} {
		w, objects := newWaiting(t, 2, 10)
		ctx, cancel := context.WithCancelCause(t.Context())
		a := store.OpenAhead(ctx, t.TempDir(), 100, objects)
		<-w.opened
		<-w.opened
		if byContext {
			cancel(broken)
			if _, err := a.Open(ctx, objects[0]); !errors.Is(err, broken) {
				t.Errorf("the error is %v", err)
			}
		}
		a.Close()
		cancel(nil)
		if w.running != 0 {
			t.Errorf("%d requests are in progress", w.running)
		}
	}
}

// zeros is a store whose objects have large contents that are not in memory.
type zeros struct{ *memory.Store }

func (zeros) Concurrency() int { return 24 }

func (zeros) Open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zero{}, zerosSize)), nil
}

const zerosSize = 4 << 20

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Objects that are open in advance are on disk, and downloads take little memory.
func TestAheadTakesLittleMemory(t *testing.T) {
	from := zeros{memory.New()}
	var objects []store.Located
	for i := range 24 {
		objects = append(objects, store.Located{From: from, Object: store.Object{
			Entry: store.Entry{Key: fmt.Sprint(i), Size: zerosSize}, CRC32C: store.Checksum(make([]byte, zerosSize)),
		}})
	}
	peak := heaptest.Peak(10, func() {
		a := store.OpenAhead(t.Context(), t.TempDir(), 100, objects)
		defer a.Close()
		for _, o := range objects {
			f, err := a.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
	})
	if peak > 24*128<<10 {
		t.Errorf("%d KiB are in use, but 128 KiB are planned for each of 24 downloads", peak>>10)
	}
}
