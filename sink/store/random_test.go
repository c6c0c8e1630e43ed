package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// sequential hides the ReadAt of a store's readers.
type sequential struct{ store.Store }

func (s sequential) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := s.Store.Open(ctx, key)
	return struct{ io.ReadCloser }{r}, err
}

func TestOpenFile(t *testing.T) {
	from, dir := sequential{memory.New()}, t.TempDir()
	content := []byte("0123456789")
	object, err := from.Put(t.Context(), "a/b", store.ContentOf(content, ""), store.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := store.OpenFile(t.Context(), from, object, dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := f.ReadAt(got, 3); err != nil || !bytes.Equal(got, content[3:7]) {
		t.Errorf("ReadAt returns %q: %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	object.CRC32C++
	if _, err := store.OpenFile(t.Context(), from, object, dir); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("an object with another checksum: %v", err)
	}
	object.Key = "a/c"
	if _, err := store.OpenFile(t.Context(), from, object, dir); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("an object that is not there: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}
