package gcs_test

import (
	"testing"

	"prospector/internal/attribute"
	"prospector/sink/store/gcs"
	"prospector/sink/store/storetest"
)

func TestKind(t *testing.T) {
	newFront(t)
	for _, prefix := range []string{"", "knock/events"} {
		t.Run(prefix, func(t *testing.T) { storetest.RunKind(t, gcs.At(bucket, prefix)) })
	}
}

func TestURI(t *testing.T) {
	for _, c := range []struct{ bucket, prefix, root, table string }{
		{"acme", "", "gs://acme", "gs://acme/events"},
		{"acme", "a/b", "gs://acme/a/b", "gs://acme/a/b/events"},
		{"acme", "/a/", "gs://acme/a", "gs://acme/a/events"},
	} {
		at := gcs.At(c.bucket, c.prefix)
		if root, table := at.URI(""), at.URI("events"); root != c.root || table != c.table {
			t.Errorf("the URIs of %q in %s are %s and %s", c.prefix, c.bucket, root, table)
		}
		if dir, ok := at.Directory(); ok {
			t.Errorf("%s is the directory %s", c.bucket, dir)
		}
	}
}

// The messages are in the golden files of package config.
func TestPrefixes(t *testing.T) {
	check := func(text string) (string, *attribute.Problem) {
		s := &gcs.Settings{Prefix: text}
		problem := s.Attributes()[1].Check(text)
		return s.Prefix, problem
	}
	for text, want := range map[string]string{"": "", "/": "", "/knock/": "knock", "a/b": "a/b"} {
		if got, problem := check(text); problem != nil || got != want {
			t.Errorf("the prefix %q becomes %q, %v", text, got, problem)
		}
	}
	for _, text := range []string{"a//b", "a*b", "a?", `a\b`, "a\n", "a/../b", ".", "a\xff"} {
		if got, problem := check(text); problem == nil {
			t.Errorf("the prefix %q is valid: %q", text, got)
		}
	}
}
