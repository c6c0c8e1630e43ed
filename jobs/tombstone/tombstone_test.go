package tombstone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/sink/store"
	"prospector/sink/store/memory"
)

func TestHas(t *testing.T) {
	var s Set
	for _, id := range []string{"alice", "bob", "alice"} {
		s = s.Add("a", id)
	}
	s = s.Add("b", "carol")
	for id, want := range map[string]bool{"alice": true, "bob": true, "carol": true, "": false, "Alice": false, "alice ": false, "dave": false} {
		if s.Has(id) != want {
			t.Errorf("Has(%q) is %t", id, !want)
		}
	}
	if s.Len() != 3 || len(s) != 2 {
		t.Errorf("there are %d tombstones under %d keys", s.Len(), len(s))
	}
	if text := fmt.Sprint(s); strings.Contains(text, "alice") {
		t.Errorf("the set contains the ID of a prospect: %s", text)
	}
	one, other := Set{}.Add("a", "alice"), Set{}.Add("a", "alice")
	if one[0].Hashes[0] == other[0].Hashes[0] {
		t.Error("a prospect has the same hash under two keys")
	}
}

// Merge loses no tombstone, modifies neither set, and does not depend on the
// order.
func TestMerge(t *testing.T) {
	a := Set{}.Add("a", "alice").Add("a", "bob")
	b := a.Add("a", "carol").Add("b", "dave")
	c := Set{}.Add("a", "alice") // the same lineage, but another key
	before := slices.Clone(a[0].Hashes)
	for _, sets := range [][]Set{{a, b, c}, {c, b, a}, {b, a, c, a}, {nil, c, a, b, nil}} {
		var all Set
		for _, s := range sets {
			all = all.Merge(s)
		}
		if diff := cmp.Diff(a.Merge(b).Merge(c), all); diff != "" {
			t.Errorf("the result depends on the order:\n%s", diff)
		}
		if all.Len() != 5 || !all.Contains(a) || !all.Contains(b) || !all.Contains(c) || a.Contains(all) {
			t.Errorf("the set is %v", all)
		}
	}
	if diff := cmp.Diff(before, a[0].Hashes); diff != "" {
		t.Errorf("a set has changed:\n%s", diff)
	}
}

func stored(t *testing.T, files store.Store) []byte {
	t.Helper()
	r, err := files.Open(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, files store.Store, text []byte) {
	t.Helper()
	if _, err := files.Put(t.Context(), Key, store.ContentOf(text, ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func TestReadAndWrite(t *testing.T) {
	files := memory.New()
	if s, err := Read(t.Context(), files); err != nil || s.Len() != 0 {
		t.Errorf("without a file, Read returned %v and %v", s, err)
	}
	a := Set{}.Add("a", "alice")
	want := a
	for _, s := range []Set{a, a, Set{}.Add("b", "bob"), a.Add("a", "carol"), a} {
		want = want.Merge(s)
		if err := Write(t.Context(), files, s); err != nil {
			t.Fatal(err)
		}
		got, err := Read(t.Context(), files)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("the set differs (-want +got): %v\n%s", err, diff)
		}
	}
	before, err := files.Stat(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), files, want); err != nil {
		t.Fatal(err)
	}
	if after, err := files.Stat(t.Context(), Key); err != nil || after.Generation != before.Generation {
		t.Errorf("a file that has all tombstones was rewritten: %v", err)
	}
}

// racing is a store in which another run writes before each of the first writes.
type racing struct {
	store.Store
	others []Set
}

func (r *racing) Put(ctx context.Context, key string, c store.Content, cond store.Condition) (store.Object, error) {
	if len(r.others) > 0 {
		other := r.others[0]
		r.others = r.others[1:]
		if err := Write(ctx, r.Store, other); err != nil {
			return store.Object{}, err
		}
	}
	return r.Store.Put(ctx, key, c, cond)
}

func TestWriteWhileAnotherRunWrites(t *testing.T) {
	files := &racing{Store: memory.New(), others: []Set{Set{}.Add("b", "bob"), Set{}.Add("c", "carol")}}
	if err := Write(t.Context(), files, Set{}.Add("a", "alice")); err != nil {
		t.Fatal(err)
	}
	s, err := Read(t.Context(), files)
	for _, id := range []string{"alice", "bob", "carol"} {
		if !s.Has(id) {
			t.Errorf("the tombstone of %s is lost (%v)", id, err)
		}
	}
	for range 2 * maxAttempts {
		files.others = append(files.others, Set{}.Add(fmt.Sprint(len(files.others)), "x"))
	}
	if err := Write(t.Context(), files, Set{}.Add("d", "dave")); !errors.Is(err, store.ErrCondition) {
		t.Errorf("while another run kept writing, Write returned %v", err)
	}
}

// If any byte of a file is damaged, Read refuses it or returns the same
// tombstones, and the next Write replaces it. Write does not replace a file of
// a newer version.
func TestDamaged(t *testing.T) {
	want := Set{}.Add("a", "alice").Add("a", "bob")
	intact, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(11, 3))
	for i := range intact {
		damaged := bytes.Clone(intact)
		damaged[i] ^= byte(1 + rng.IntN(255))
		for _, text := range [][]byte{damaged, intact[:i], slices.Concat(intact[:i], intact[i+1:])} {
			got, err := decode(text)
			if err == nil && !cmp.Equal(want, got) || err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("with byte %d damaged: %v, %v", i, got, err)
			}
		}
	}
	files := memory.New()
	put(t, files, intact[:20])
	if _, err := Read(t.Context(), files); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), files.URI(Key)) {
		t.Errorf("Read returned %v", err)
	}
	if err := Write(t.Context(), files, want); err != nil || !bytes.Equal(stored(t, files), intact) {
		t.Errorf("the damaged file was not replaced: %v", err)
	}
	newer := []byte(`{"version":2}`)
	put(t, files, newer)
	if err := Write(t.Context(), files, want); !errors.Is(err, ErrNewer) || !bytes.Equal(stored(t, files), newer) {
		t.Errorf("for a file of a newer version, Write returned %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := encode(Set{}.Add("a", "alice"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"checksum":"","keys":[{"hashes":[""]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decode(b) })
}
