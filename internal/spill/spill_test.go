package spill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// At any limit, a Map returns the same entries as a map that keeps the first
// values.
func TestMap(t *testing.T) {
	for _, limit := range []int64{0, 100, 1000, 10_000, 1 << 20} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(limit)))
			dir := filepath.Join(t.TempDir(), "runs")
			m := NewMap(dir, limit)
			want := make(map[string]string)
			check := func() {
				t.Helper()
				var keys []string
				for e, err := range m.All() {
					if err != nil {
						t.Fatal(err)
					}
					keys = append(keys, e.Key)
					if want[e.Key] != string(e.Value) {
						t.Fatalf("%q has the value %q, want %q", e.Key, e.Value, want[e.Key])
					}
				}
				if len(keys) != len(want) || !slices.IsSorted(keys) {
					t.Fatalf("%d keys, want %d; sorted: %v", len(keys), len(want), slices.IsSorted(keys))
				}
			}
			for i := range 500 {
				key, value := fmt.Sprint(rng.IntN(200)), fmt.Sprint(i)
				if rng.IntN(50) == 0 {
					key = ""
				}
				isNew, err := m.Put(key, []byte(value))
				if err != nil {
					t.Fatal(err)
				}
				_, known := want[key]
				if isNew == known && !m.Spilled() {
					t.Errorf("Put(%q) returned isNew %v", key, isNew)
				}
				if !known {
					want[key] = value
				}
				if i%100 == 0 {
					check()
				}
			}
			check()
			if m.Spilled() != (limit < 1<<20) {
				t.Errorf("Spilled returned %v", m.Spilled())
			}
			for e, err := range m.All() { // a reader may stop early
				if err != nil {
					t.Fatal(e, err)
				}
				break
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("Close left %v", left)
			}
		})
	}
}

// A truncated or deleted run is an error.
func TestDamagedRun(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"truncated in a value": func(path string) error { return os.Truncate(path, 10) },
		"truncated in a key":   func(path string) error { return os.Truncate(path, 2) },
		"deleted":              os.Remove,
	} {
		m := NewMap(t.TempDir(), 0)
		if _, err := m.Put("abcdef", []byte("ghijkl")); err != nil {
			t.Fatal(err)
		}
		if err := damage(m.runs[0]); err != nil {
			t.Fatal(err)
		}
		var got error
		for _, err := range m.All() {
			got = err
		}
		if got == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
