package store_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

// limited is a store in which some operations fail.
type limited struct {
	store.Store
	denied map[string]bool // "create", "read", "replace", "list", "delete"
	// silent is an operation that has no effect, but reports success.
	silent string
}

var errDenied = errors.New("permission denied")

func (l *limited) deny(verb string) error {
	if l.denied[verb] {
		return errDenied
	}
	return nil
}

func (l *limited) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	verb := "replace"
	if cond.Absent() {
		verb = "create"
	}
	if err := l.deny(verb); err != nil {
		return store.Object{}, err
	}
	return l.Store.Put(ctx, key, content, cond)
}

func (l *limited) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := l.deny("read"); err != nil {
		return nil, err
	}
	if l.silent == "read" {
		return io.NopCloser(strings.NewReader("other bytes")), nil
	}
	return l.Store.Open(ctx, key)
}

func (l *limited) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	switch err := l.deny("list"); {
	case err != nil:
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, err) }
	case l.silent == "list":
		return func(func(store.Entry, error) bool) {}
	}
	return l.Store.List(ctx, prefix)
}

func (l *limited) Delete(ctx context.Context, key string, cond store.Condition) error {
	if err := l.deny("delete"); err != nil {
		return err
	}
	return l.Store.Delete(ctx, key, cond)
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name    string
		denied  []string
		silent  string
		want    string // the beginning of the error
		remains bool
	}{
		{name: "everything is permitted"},
		{name: "a read-only account", denied: []string{"create", "replace", "delete"}, want: "prospector cannot create objects there: permission denied"},
		{name: "a write-only account", denied: []string{"read"}, want: "prospector can create objects there, but cannot read them: permission denied"},
		{name: "other bytes", silent: "read", want: "prospector can create objects there, but cannot read them: reading mem"},
		{name: "create and read", denied: []string{"replace", "delete"}, remains: true,
			want: "prospector can create and read objects there, but cannot replace or delete them: permission denied"},
		{name: "no replace", denied: []string{"replace"}, want: "prospector can create and read objects there, but cannot replace them: permission denied"},
		{name: "no list", denied: []string{"list"}, want: "prospector can create, read and replace objects there, but cannot list them: permission denied"},
		{name: "a list without the object", silent: "list", want: "prospector can create, read and replace objects there, but cannot list them: listing mem"},
		{name: "no delete", denied: []string{"delete"}, remains: true,
			want: "prospector can create, read, replace and list objects there, but cannot delete them: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			under := memory.New()
			l := &limited{Store: under, denied: make(map[string]bool), silent: test.silent}
			for _, verb := range test.denied {
				l.denied[verb] = true
			}
			err := store.Probe(t.Context(), l, "own/")
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("the error is\n%v\nwant\n%s…", err, test.want)
			}
			var left []string
			for entry, err := range under.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, entry.Key)
			}
			if (len(left) > 0) != test.remains {
				t.Errorf("these objects are left: %q", left)
			}
			if test.remains && !strings.Contains(err.Error(), under.URI(left[0])) {
				t.Errorf("the error does not name %s: %v", under.URI(left[0]), err)
			}
		})
	}
}

// An interrupt deletes the object.
func TestProbeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := memory.New()
	err := store.Probe(ctx, &interrupting{s, cancel}, "own/")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	for entry := range s.List(t.Context(), "") {
		t.Errorf("%s is left", entry.Key)
	}
}

type interrupting struct {
	store.Store
	interrupt func()
}

func (i *interrupting) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	i.interrupt()
	return i.Store.Open(ctx, key)
}

// The probe of a directory leaves it as it was.
func TestProbeDirectory(t *testing.T) {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := store.Probe(t.Context(), s, ".prospector/"); err != nil {
		t.Error(err)
	}
	for entry := range s.List(t.Context(), "") {
		t.Errorf("%s is left", entry.Key)
	}
}
