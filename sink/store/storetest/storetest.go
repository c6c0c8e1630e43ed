// Package storetest is the conformance suite that every driver of package store passes.
// A driver's test calls Run and RunKind, and adds only tests of the driver itself: how it
// survives a crash, how it handles faults of a network, and its errors.
//
// The suite is deliberately strict in one case: a second Put with IfAbsent must return
// store.ErrCondition even if its bytes equal those of the object. Only a retry inside one
// call of Put may count as a success, and only the driver's own test can cause one.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"prospector/sink/store"
)

// Run tests a driver. open returns a new, empty store and may register a cleanup.
// Run closes the store. The driver must implement every optional interface that is not
// in lacks, and none that is.
func Run(t *testing.T, open func(t *testing.T) store.Store, lacks ...Optional) {
	t.Run("optional", func(t *testing.T) { runOptional(t, open, lacks) })
	for _, test := range slices.Concat(objectTests, listTests, conditionTests, faultTests, concurrencyTests) {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, s)
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, s store.Store)
}

var objectTests = []test{
	{"an object has the content that was put", func(t *testing.T, s store.Store) {
		o := put(t, s, "t/a.parquet", []byte("one"))
		if o.Key != "t/a.parquet" || o.Size != 3 || o.CRC32C != store.Checksum([]byte("one")) || o.Generation == "" {
			t.Errorf("Put described %+v", o)
		}
		wantObject(t, s, "t/a.parquet", []byte("one"))
	}},
	{"a second put replaces the object", func(t *testing.T, s store.Store) {
		put(t, s, "a", []byte("a long first content"))
		put(t, s, "a", []byte("short"))
		wantObject(t, s, "a", []byte("short"))
		wantKeys(t, s, "", "a")
	}},
	{"an empty object is an object", func(t *testing.T, s store.Store) {
		put(t, s, "empty", nil)
		wantObject(t, s, "empty", nil)
	}},
	{"an object of 5 MiB", func(t *testing.T, s store.Store) {
		data := noise(1, 5<<20)
		put(t, s, "big", data)
		wantObject(t, s, "big", data)
	}},
	{"content that ends with its last byte", func(t *testing.T, s store.Store) {
		// An io.ReaderAt may return io.EOF together with the last bytes.
		data := noise(1, 300_000)
		content := store.ContentOf(data, "text/plain")
		content.Reader = readerAtFunc(func(p []byte, offset int64) (int, error) {
			n := copy(p, data[min(offset, int64(len(data))):])
			if offset+int64(n) == int64(len(data)) {
				return n, io.EOF
			}
			return n, nil
		})
		for _, key := range []string{"a", "b"} { // the same content, twice
			if _, err := s.Put(t.Context(), key, content, store.Condition{}); err != nil {
				t.Fatal(err)
			}
			wantObject(t, s, key, data)
		}
	}},
	{"objects that do not exist", func(t *testing.T, s store.Store) {
		put(t, s, "t/a", []byte("one"))
		for _, key := range []string{"t", "t/b", "t/a/b", "u/a"} {
			wantNothing(t, s, key)
		}
	}},
	{"delete", func(t *testing.T, s store.Store) {
		put(t, s, "t/a", []byte("one"))
		put(t, s, "t/b", []byte("two"))
		del(t, s, "t/a")
		wantNothing(t, s, "t/a")
		wantObject(t, s, "t/b", []byte("two"))
		wantKeys(t, s, "", "t/b")
		del(t, s, "t/b")
		wantKeys(t, s, "")
		put(t, s, "t/a", []byte("again"))
		wantObject(t, s, "t/a", []byte("again"))
	}},
	{"unusual keys that CheckKey allows", func(t *testing.T, s store.Store) {
		for i, key := range unusualKeys {
			if err := store.CheckKey(key); err != nil {
				t.Fatal(err)
			}
			put(t, s, key, []byte{byte(i)})
		}
		for i, key := range unusualKeys {
			wantObject(t, s, key, []byte{byte(i)})
		}
		wantKeys(t, s, "", slices.Sorted(slices.Values(unusualKeys))...)
		for _, key := range unusualKeys {
			del(t, s, key)
		}
		wantKeys(t, s, "")
	}},
	{"keys that CheckKey refuses", func(t *testing.T, s store.Store) {
		ctx := t.Context()
		for _, key := range []string{
			"", "/abs", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", `a\b`, "a\nb", "a\x00b", "a\xffb",
			strings.Repeat("a", 256), strings.Repeat("a/", 512) + "b",
		} {
			_, putErr := s.Put(ctx, key, store.ContentOf([]byte("x"), ""), store.Condition{})
			_, statErr := s.Stat(ctx, key)
			_, openErr := s.Open(ctx, key)
			deleteErr := s.Delete(ctx, key, store.Condition{})
			for method, err := range map[string]error{"Put": putErr, "Stat": statErr, "Open": openErr, "Delete": deleteErr} {
				if err == nil || errors.Is(err, store.ErrNotExist) {
					t.Errorf("%s of the key %q returns %v, want an error", method, key, err)
				}
			}
		}
		wantKeys(t, s, "")
	}},
	{"generations change with every write", func(t *testing.T, s store.Store) {
		seen := map[string]bool{}
		for i := range 20 {
			if i == 10 {
				del(t, s, "a")
			}
			o := put(t, s, "a", []byte("the same"))
			if seen[o.Generation] {
				t.Fatalf("write %d has the generation %s of an earlier one", i, o.Generation)
			}
			seen[o.Generation] = true
		}
	}},
	{"generations do not change without a write", func(t *testing.T, s store.Store) {
		o := put(t, s, "t/a", []byte("one"))
		put(t, s, "t/b", []byte("two"))
		read(t, s, "t/a")
		if again := stat(t, s, "t/a"); again != o {
			t.Errorf("Stat returns %+v, Put returned %+v", again, o)
		}
	}},
	{"URIs", func(t *testing.T, s store.Store) {
		root := s.URI("")
		scheme, rest, ok := strings.Cut(root, "://")
		if !ok || scheme == "" || rest == "" || strings.HasSuffix(root, "/") || strings.Contains(rest, "//") {
			t.Errorf("the root's URI is %q", root)
		}
		const key = "t/event_type=SMS_MESSAGE/event_date=2022-01-13/part-00000.parquet"
		if got := s.URI(key); got != root+"/"+key {
			t.Errorf("URI is %q, want the root's %q and the key", got, root)
		}
		_, err := s.Stat(t.Context(), key)
		if err == nil || !strings.Contains(err.Error(), s.URI(key)) {
			t.Errorf("the error %q does not name %s", err, s.URI(key))
		}
	}},
}

// unusualKeys contain characters with a special meaning in file systems, URLs and
// patterns.
var unusualKeys = []string{
	".hidden",
	strings.Repeat("a", 255),
	"100%",
	"100%25",
	"_x",
	"a b/ c",
	"a+b",
	"a&b?c#d",
	"event_type=SMS_MESSAGE/event_date=2022-01-13/part-00000.parquet",
	"quote'\"",
	"star*[x]{y}",
	"tilde~:;,@!$()",
	"ümlaut/日本語/🏠",
}

// put writes data without a condition.
func put(t *testing.T, s store.Store, key string, data []byte) store.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, store.ContentOf(data, "application/octet-stream"), store.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func del(t *testing.T, s store.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key, store.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, s store.Store, key string) store.Object {
	t.Helper()
	o, err := s.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func read(t *testing.T, s store.Store, key string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

func list(t *testing.T, s store.Store, prefix string) []store.Entry {
	t.Helper()
	var entries []store.Entry
	for e, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// wantObject compares the results of all methods that read an object with data.
func wantObject(t *testing.T, s store.Store, key string, data []byte) {
	t.Helper()
	if got := read(t, s, key); !bytes.Equal(got, data) {
		t.Errorf("%q holds %d bytes (%.20q…), want %d (%.20q…)", key, len(got), got, len(data), data)
	}
	o := stat(t, s, key)
	if o.Key != key || o.Size != int64(len(data)) || o.CRC32C != store.Checksum(data) || o.Generation == "" {
		t.Errorf("Stat of %q returns %+v", key, o)
	}
	for _, e := range list(t, s, key) {
		if e.Key == key {
			if e != o.Entry {
				t.Errorf("List returns %+v, Stat %+v", e, o.Entry)
			}
			return
		}
	}
	t.Errorf("List does not return %q", key)
}

func wantNothing(t *testing.T, s store.Store, key string) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.Stat(ctx, key); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Stat of %q returns %v, want ErrNotExist", key, err)
	}
	if r, err := s.Open(ctx, key); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Open of %q returns %v, want ErrNotExist", key, err)
		if err == nil {
			r.Close()
		}
	}
	if err := s.Delete(ctx, key, store.Condition{}); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Delete of %q returns %v, want ErrNotExist", key, err)
	}
}

func wantKeys(t *testing.T, s store.Store, prefix string, want ...string) {
	t.Helper()
	var got []string
	for _, e := range list(t, s, prefix) {
		got = append(got, e.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("List(%q) returns\n%q, want\n%q", prefix, got, want)
	}
}

// noise returns n random bytes, which depend on the seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	data := make([]byte, n)
	rand.NewChaCha8(key).Read(data)
	return data
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
