package run

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/jobs"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

// A job with a local and a gcs sink has the same files in both, even if it reads the
// published rows from the bucket.
func TestGCS(t *testing.T) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme-lake"})
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL())

	h := newHouse(t)
	h.stores["gcs"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		return gcs.Open(ctx, s.Settings.(*gcs.Settings).Bucket, s.Settings.(*gcs.Settings).Prefix, gcs.Options{})
	}
	bucket := jobs.Sink{Block: jobs.Block{Address: "sink.gcs.lake"}, Location: gcs.At("acme-lake", "knock")}
	h.job().Sinks = []jobs.Sink{bucket, h.job().Sinks[0]} // published rows are read from the first sink
	world := knocksim.Options{Seed: 2, Prospects: 30, Events: 300, AsOf: nightOf(20)}
	h.simulate(world)
	h.apply()
	world.AsOf = nightOf(23)
	h.simulate(world)
	if p := h.apply(); p.Summary().Change == 0 {
		t.Error("no partition has changed, so the test is void")
	}

	opened, err := h.stores["gcs"](t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	root := directory(h.job().Sinks[1])
	remote, here := make(map[string]uint32), make(map[string]uint32)
	for entry, err := range opened.List(t.Context(), "prospect_events/") {
		if err != nil {
			t.Fatal(err)
		}
		object, err := opened.Stat(t.Context(), entry.Key)
		if err != nil {
			t.Fatal(err)
		}
		remote[entry.Key] = object.CRC32C
	}
	for path := range snapshot(t, filepath.Join(root, "prospect_events")) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		here[filepath.ToSlash(key)] = store.Checksum(b)
	}
	if diff := cmp.Diff(here, remote); diff != "" || len(here) == 0 {
		t.Errorf("the sinks differ (-local +gcs):\n%s", diff)
	}
	if p := h.apply(); !p.Summary().Empty() {
		t.Errorf("the next plan is %+v", p.Summary())
	}
}
