package state

import (
	"context"
	"io"
	"testing"

	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// asked is a store that counts its requests.
type asked struct {
	*memory.Store
	stat, open, put int
}

func (a *asked) Stat(ctx context.Context, key string) (store.Object, error) {
	a.stat++
	return a.Store.Stat(ctx, key)
}

func (a *asked) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	a.open++
	return a.Store.Open(ctx, key)
}

func (a *asked) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if cond == (store.Condition{}) {
		a.stat++ // a driver needs the generation
	}
	a.put++
	return a.Store.Put(ctx, key, c, cond)
}

// A save does not read the state again, and looks at the backup only once. The backup is
// the state before the save, even if another program has written the backup: then the
// save looks at the state once more.
func TestRequestsOfSaves(t *testing.T) {
	files := &asked{Store: memory.New()}
	o := storage{files: files, key: "state"}
	s := New()
	for save, want := range []asked{{put: 1}, {stat: 2, put: 2}, {stat: 1, put: 2}, {stat: 1, put: 2}, {stat: 3, put: 3}} {
		if save == 4 {
			if _, err := files.Store.Put(t.Context(), o.BackupKey(), store.ContentOf([]byte("other"), ""), store.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		files.stat, files.open, files.put = 0, 0, 0
		if err := o.Write(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if files.stat != want.stat || files.open != 0 || files.put != want.put {
			t.Errorf("save %d: %d descriptions, %d downloads and %d uploads; want %d, 0 and %d", save, files.stat, files.open, files.put, want.stat, want.put)
		}
		if save == 0 {
			continue
		}
		b, err := store.Fetch(t.Context(), files, o.BackupKey(), MaxSize)
		if err != nil {
			t.Fatal(err)
		}
		if before, err := Decode(b); err != nil || before.Serial != s.Serial-1 {
			t.Errorf("save %d: the backup is %+v: %v", save, before, err)
		}
	}
}
