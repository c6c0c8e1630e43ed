package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// damaging is a store whose readers fail like those of a connection that changes bytes,
// as often as damaged says.
type damaging struct {
	store.Store
	damaged int
}

func (d *damaging) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := d.Store.Open(ctx, key)
	if d.damaged--; d.damaged < 0 || err != nil {
		return r, err
	}
	r.Close()
	return io.NopCloser(io.MultiReader(strings.NewReader("other"), corrupt{})), nil
}

type corrupt struct{}

func (corrupt) Read([]byte) (int, error) { return 0, store.ErrCorrupt }

func TestFetch(t *testing.T) {
	content := []byte("0123456789")
	for _, test := range []struct {
		name    string
		damaged int
		key     string
		limit   int64
		want    error
	}{
		{"undisturbed", 0, "a", 10, nil},
		{"damaged twice on the way", 2, "a", 10, nil},
		{"damaged each time", 100, "a", 10, store.ErrCorrupt},
		{"larger than the limit", 0, "a", 9, store.ErrTooLarge},
		{"missing", 0, "b", 10, store.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := &damaging{memory.New(), test.damaged}
			if _, err := from.Put(t.Context(), "a", store.ContentOf(content, ""), store.Condition{}); err != nil {
				t.Fatal(err)
			}
			got, err := store.Fetch(t.Context(), from, test.key, test.limit)
			if !errors.Is(err, test.want) || err == nil && !bytes.Equal(got, content) {
				t.Errorf("Fetch returns %q, %v, want the error %v", got, err, test.want)
			}
		})
	}
}
