package gcs_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/storetest"
)

// emulator is the environment variable in which the client library looks for an emulator.
const emulator = "STORAGE_EMULATOR_HOST"

var stores atomic.Int64

// newBucket creates a bucket in the emulator that the environment names, or in an
// emulator for this test.
func newBucket(t *testing.T) string {
	t.Helper()
	if os.Getenv(emulator) == "" {
		server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		t.Setenv(emulator, server.URL())
	}
	client, err := storage.NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bucket := fmt.Sprintf("prospector-%d-%d", os.Getpid(), stores.Add(1))
	if err := client.Bucket(bucket).Create(t.Context(), "project", nil); err != nil {
		t.Fatal(err)
	}
	return bucket
}

func open(t *testing.T, bucket, prefix string) *gcs.Store {
	t.Helper()
	s, err := gcs.Open(t.Context(), bucket, prefix, gcs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	bucket := newBucket(t)
	for _, prefix := range []string{"", "knock/lake"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				if prefix == "" {
					return open(t, newBucket(t), "")
				}
				return open(t, bucket, fmt.Sprintf("/%s/%d/", prefix, stores.Add(1)))
			}, storetest.CaseFolder, storetest.Files, storetest.Sweeper)
		})
	}
}
