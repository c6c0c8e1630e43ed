package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

// Each kind of backend keeps the state at its path. The next backend that is opened
// there finds it.
func TestOpenBackend(t *testing.T) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL())
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	dir := t.TempDir()
	for _, test := range []struct {
		backend jobs.Backend
		path    string
	}{
		{jobs.Backend{Location: local.At(dir), Key: "here.json"}, filepath.Join(dir, "here.json")},
		{jobs.Backend{Location: gcs.At("acme", "knock/nightly"), Key: "prospector.state.json"}, "gs://acme/knock/nightly/prospector.state.json"},
		{jobs.Backend{Location: gcs.At("acme", ""), Key: "prospector.state.json"}, "gs://acme/prospector.state.json"},
	} {
		b, err := openBackend(t.Context(), test.backend)
		if err != nil {
			t.Fatal(err)
		}
		if b.Path() != test.path {
			t.Errorf("the state is at %s, want %s", b.Path(), test.path)
		}
		if _, err := b.Lock(t.Context(), state.NewLockInfo("apply", time.Now())); err != nil {
			t.Fatal(err)
		}
		s, err := b.Read(t.Context())
		if err == nil {
			err = b.Write(t.Context(), s)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Unlock(); err != nil {
			t.Error(err)
		}
		again, err := openBackend(t.Context(), test.backend)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := again.Read(t.Context()); err != nil || found.Lineage != s.Lineage || found.Serial != 1 {
			t.Errorf("%s: found is %+v (%v)", test.path, found, err)
		}
	}
	if b, err := openBackend(t.Context(), jobs.Backend{Location: gcs.At("missing", ""), Key: "prospector.state.json"}); err == nil {
		t.Errorf("a backend in a missing bucket is opened: %+v", b)
	}
}

// An interrupt while a backend is opened is not an error about the backend.
func TestOpenBackendInterrupted(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := openBackend(ctx, jobs.Backend{Location: gcs.At("acme", ""), Key: "prospector.state.json"})
	if _, isDiagnostic := errors.AsType[jobs.Diagnostic](err); isDiagnostic || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
