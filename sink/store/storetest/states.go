package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"prospector/sink/store"
)

var listTests = []test{
	{"an empty store lists nothing", func(t *testing.T, s store.Store) {
		wantKeys(t, s, "")
		wantKeys(t, s, "t/")
	}},
	{"keys are in order of their bytes", func(t *testing.T, s store.Store) {
		// A walk through directories would return a/x before a-b/x and a.txt.
		want := []string{"B/x", "a-b/x", "a.txt", "a/a-b", "a/a/x", "a/x", "a/x0", "a0/x", "b", "é"}
		for _, key := range slices.Backward(want) {
			put(t, s, key, []byte(key))
		}
		wantKeys(t, s, "", want...)
	}},
	{"a prefix may end anywhere", func(t *testing.T, s store.Store) {
		for _, key := range []string{"t/p=1/a", "t/p=1/b", "t/p=10/a", "t/p=2/a", "t2/a", "u"} {
			put(t, s, key, []byte(key))
		}
		for prefix, want := range map[string][]string{
			"t":        {"t/p=1/a", "t/p=1/b", "t/p=10/a", "t/p=2/a", "t2/a"},
			"t/":       {"t/p=1/a", "t/p=1/b", "t/p=10/a", "t/p=2/a"},
			"t/p=1":    {"t/p=1/a", "t/p=1/b", "t/p=10/a"},
			"t/p=1/":   {"t/p=1/a", "t/p=1/b"},
			"t/p=1/b":  {"t/p=1/b"},
			"t/p=1/bc": nil,
			"u":        {"u"},
			"u/":       nil,
			"v":        nil,
			"v/w/":     nil,
			"/":        nil,
			"/t":       nil,
			"t//":      nil,
			"t/../":    nil,
			"../":      nil,
			"./t":      nil,
			"\x00":     nil,
		} {
			wantKeys(t, s, prefix, want...)
		}
	}},
	{"a listing can end early", func(t *testing.T, s store.Store) {
		put(t, s, "a", []byte("a"))
		put(t, s, "b", []byte("b"))
		for range s.List(t.Context(), "") {
			break
		}
		wantKeys(t, s, "", "a", "b")
	}},
}

var conditionTests = []test{
	{"IfAbsent creates only missing objects", func(t *testing.T, s store.Store) {
		wantPut(t, s, "a", "one", store.IfAbsent(), nil)
		wantPut(t, s, "a", "two", store.IfAbsent(), store.ErrCondition)
		// Only a retry by the driver may count as the first attempt.
		wantPut(t, s, "a", "one", store.IfAbsent(), store.ErrCondition)
		wantObject(t, s, "a", []byte("one"))
		del(t, s, "a")
		wantPut(t, s, "a", "three", store.IfAbsent(), nil)
		wantObject(t, s, "a", []byte("three"))
	}},
	{"IfGeneration replaces only that generation", func(t *testing.T, s store.Store) {
		first := put(t, s, "a", []byte("one"))
		second := wantPut(t, s, "a", "two", store.IfGeneration(first.Generation), nil)
		wantPut(t, s, "a", "three", store.IfGeneration(first.Generation), store.ErrCondition)
		wantObject(t, s, "a", []byte("two"))
		listed := list(t, s, "a")[0]
		if listed.Generation != second.Generation {
			t.Fatalf("List returns the generation %s, Put returned %s", listed.Generation, second.Generation)
		}
		wantPut(t, s, "a", "four", store.IfGeneration(listed.Generation), nil)
		wantObject(t, s, "a", []byte("four"))
	}},
	{"IfGeneration does not create", func(t *testing.T, s store.Store) {
		o := put(t, s, "t/a", []byte("one"))
		wantPut(t, s, "t/b", "two", store.IfGeneration(o.Generation), store.ErrCondition)
		wantPut(t, s, "t/b", "two", store.IfGeneration("no such generation"), store.ErrCondition)
		wantNothing(t, s, "t/b")
		del(t, s, "t/a")
		wantPut(t, s, "t/a", "two", store.IfGeneration(o.Generation), store.ErrCondition)
		wantKeys(t, s, "")
	}},
	{"an equal object has another generation", func(t *testing.T, s store.Store) {
		o := put(t, s, "a", []byte("one"))
		put(t, s, "a", []byte("one"))
		wantPut(t, s, "a", "two", store.IfGeneration(o.Generation), store.ErrCondition)
	}},
	{"delete with a condition", func(t *testing.T, s store.Store) {
		ctx := t.Context()
		first := put(t, s, "a", []byte("one"))
		second := put(t, s, "a", []byte("two"))
		for name, cond := range map[string]store.Condition{
			"an earlier generation": store.IfGeneration(first.Generation),
			"an unknown generation": store.IfGeneration("no such generation"),
			"absent":                store.IfAbsent(),
		} {
			if err := s.Delete(ctx, "a", cond); !errors.Is(err, store.ErrCondition) {
				t.Errorf("Delete with %s returns %v, want ErrCondition", name, err)
			}
		}
		wantObject(t, s, "a", []byte("two"))
		if err := s.Delete(ctx, "a", store.IfGeneration(second.Generation)); err != nil {
			t.Error(err)
		}
		if err := s.Delete(ctx, "a", store.IfGeneration(second.Generation)); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("the second Delete returns %v, want ErrNotExist", err)
		}
		wantNothing(t, s, "a")
	}},
}

// wantPut puts data. The error must be want; nil is success.
func wantPut(t *testing.T, s store.Store, key, data string, cond store.Condition, want error) store.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, store.ContentOf([]byte(data), ""), cond)
	if !errors.Is(err, want) {
		t.Fatalf("Put of %q returns %v, want %v", data, err, want)
	}
	return o
}

// wantCancelled checks that err is that of a cancelled context.
func wantCancelled(t *testing.T, method string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a cancelled context returns %v, want context.Canceled", method, err)
	}
}
