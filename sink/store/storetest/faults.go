package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"prospector/sink/store"
)

var faultTests = []test{
	{"bytes that do not match their checksum", func(t *testing.T, s store.Store) {
		data := noise(1, 300_000)
		good := store.ContentOf(data, "")
		for name, content := range map[string]store.Content{
			"a size too small": {Reader: bytes.NewReader(data), Size: good.Size - 1, CRC32C: good.CRC32C},
			"a size too large": {Reader: bytes.NewReader(data), Size: good.Size + 1, CRC32C: good.CRC32C},
			"another checksum": {Reader: bytes.NewReader(data), Size: good.Size, CRC32C: good.CRC32C + 1},
			"too short":        {Reader: bytes.NewReader(data[:len(data)-1]), Size: good.Size, CRC32C: good.CRC32C},
			"too long":         {Reader: bytes.NewReader(append(data, 'x')), Size: good.Size, CRC32C: good.CRC32C},
			"no bytes":         {Reader: bytes.NewReader(nil), Size: good.Size, CRC32C: good.CRC32C},
			"an empty size":    {Reader: bytes.NewReader(data), Size: 0, CRC32C: 0},
		} {
			t.Run(name, func(t *testing.T) { wantUnchanged(t, s, content, store.ErrCorrupt) })
		}
	}},
	{"content that cannot be read", func(t *testing.T, s store.Store) {
		broken := errors.New("broken")
		data := noise(1, 300_000)
		content := store.ContentOf(data, "")
		content.Reader = readerAtFunc(func(p []byte, offset int64) (int, error) {
			if n := int64(200_000) - offset; n < int64(len(p)) {
				return copy(p, data[offset:offset+max(n, 0)]), broken
			}
			return copy(p, data[offset:]), nil
		})
		wantUnchanged(t, s, content, broken)
	}},
	{"a put that is cancelled halfway", func(t *testing.T, s store.Store) {
		put(t, s, "old", []byte("old"))
		for _, key := range []string{"old", "new"} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			data := noise(1, 5<<20)
			content := store.ContentOf(data, "")
			content.Reader = readerAtFunc(func(p []byte, offset int64) (int, error) {
				if offset > content.Size/2 {
					cancel()
				}
				return bytes.NewReader(data).ReadAt(p, offset)
			})
			_, err := s.Put(ctx, key, content, store.Condition{})
			wantCancelled(t, "Put", err)
		}
		wantObject(t, s, "old", []byte("old"))
		wantNothing(t, s, "new")
		wantKeys(t, s, "", "old")
	}},
	{"a context that is already cancelled", func(t *testing.T, s store.Store) {
		put(t, s, "old", []byte("old"))
		ctx := cancelled(t)
		_, err := s.Put(ctx, "new", store.ContentOf([]byte("new"), ""), store.Condition{})
		wantCancelled(t, "Put", err)
		_, err = s.Stat(ctx, "old")
		wantCancelled(t, "Stat", err)
		_, err = s.Open(ctx, "old")
		wantCancelled(t, "Open", err)
		wantCancelled(t, "Delete", s.Delete(ctx, "old", store.Condition{}))
		n := 0
		for e, err := range s.List(ctx, "") {
			if n++; n > 1 || err == nil {
				t.Errorf("List returns %v, %v after it was cancelled", e, err)
			}
			wantCancelled(t, "List", err)
		}
		if n == 0 {
			t.Error("a cancelled List looks like that of an empty store")
		}
		wantKeys(t, s, "", "old")
	}},
	{"a reader returns one object or fails", func(t *testing.T, s store.Store) {
		for name, overwrite := range map[string]func(){
			"overwritten": func() { put(t, s, "a", noise(2, 5<<20)) },
			"deleted":     func() { del(t, s, "a") },
		} {
			t.Run(name, func(t *testing.T) {
				old := noise(1, 5<<20)
				put(t, s, "a", old)
				r, err := s.Open(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				head := make([]byte, 1000)
				if _, err := io.ReadFull(r, head); err != nil {
					t.Fatal(err)
				}
				overwrite()
				rest, err := io.ReadAll(r)
				if got := append(head, rest...); !bytes.HasPrefix(old, got) || err == nil && len(got) != len(old) {
					t.Errorf("%d bytes were read, not those of the object that was opened (error %v)", len(got), err)
				}
			})
		}
	}},
}

// wantUnchanged puts content at a key with an object and at one without. Both must fail
// with the error want, and the store must not change.
func wantUnchanged(t *testing.T, s store.Store, content store.Content, want error) {
	t.Helper()
	old := put(t, s, "old", []byte("old"))
	for _, key := range []string{"old", "new"} {
		if _, err := s.Put(t.Context(), key, content, store.Condition{}); !errors.Is(err, want) {
			t.Errorf("Put returns %v, want %v", err, want)
		}
	}
	wantObject(t, s, "old", []byte("old"))
	if now := stat(t, s, "old"); now != old {
		t.Errorf("the object became %+v, was %+v", now, old)
	}
	wantNothing(t, s, "new")
	wantKeys(t, s, "", "old")
}

var concurrencyTests = []test{
	{"one of many puts with IfAbsent succeeds", func(t *testing.T, s store.Store) {
		for range rounds {
			wantOneWinner(t, s, store.IfAbsent())
			del(t, s, "t/a")
		}
	}},
	{"one of many puts with IfGeneration succeeds", func(t *testing.T, s store.Store) {
		for range rounds {
			o := put(t, s, "t/a", []byte("old"))
			wantOneWinner(t, s, store.IfGeneration(o.Generation))
		}
	}},
	{"one object remains after many puts without a condition", func(t *testing.T, s store.Store) {
		var contents [8][]byte
		for i := range contents {
			contents[i] = noise(uint64(i), 100_000+i)
		}
		var wg sync.WaitGroup
		for _, data := range contents {
			wg.Go(func() {
				if _, err := s.Put(t.Context(), "t/a", store.ContentOf(data, ""), store.Condition{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		i := len(read(t, s, "t/a")) - 100_000
		if i < 0 || i >= len(contents) {
			t.Fatalf("the object has %d bytes", 100_000+i)
		}
		wantObject(t, s, "t/a", contents[i])
	}},
	{"concurrent puts and deletes", func(t *testing.T, s store.Store) {
		// Two goroutines write a key, which is the only one in its directory. A
		// driver that removes empty directories must not make a put fail.
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				key := fmt.Sprintf("p/q/r%d/a", i/2)
				for range 15 {
					if _, err := s.Put(t.Context(), key, store.ContentOf([]byte(key), ""), store.Condition{}); err != nil {
						t.Error(err)
					}
					if err := s.Delete(t.Context(), key, store.Condition{}); err != nil && !errors.Is(err, store.ErrNotExist) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantKeys(t, s, "")
		put(t, s, "p/q/r0/a", []byte("one"))
		wantObject(t, s, "p/q/r0/a", []byte("one"))
	}},
}

// rounds is the number of repetitions of a race. A wrong driver may pass a single one by
// chance.
const rounds = 10

// wantOneWinner puts several contents at the key t/a concurrently. Exactly one must
// succeed.
func wantOneWinner(t *testing.T, s store.Store, cond store.Condition) {
	t.Helper()
	var wg sync.WaitGroup
	var errs [8]error
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.Put(t.Context(), "t/a", store.ContentOf([]byte{byte(i)}, ""), cond)
		})
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, store.ErrCondition):
			t.Errorf("a Put other than the winner returns %v, want ErrCondition", err)
		}
	}
	if winner < 0 {
		t.Fatal("no Put has succeeded")
	}
	wantObject(t, s, "t/a", []byte{byte(winner)})
}

type readerAtFunc func(p []byte, offset int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, offset int64) (int, error) { return f(p, offset) }
