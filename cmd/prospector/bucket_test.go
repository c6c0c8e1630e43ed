package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

const bucketConfig = `
prospector {
  backend "gcs" {
    bucket = "acme"
    prefix = "state"
  }
}
source "simulator" "s" {
  prospects = 5
  events    = 60
}
sink "gcs" "lake" {
  bucket = "acme"
  prefix = "lake"
}
job "events" {
  source = source.simulator.s
  sinks  = [sink.gcs.lake]
}
`

// newBucket makes the bucket acme in an emulator, behind a proxy that refuses some
// requests. The program finds it in the environment.
func newBucket(t *testing.T, bucket fakestorage.CreateBucketOpts, refuses func(*http.Request) bool) *fakestorage.Server {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	bucket.Name = "acme"
	server.CreateBucketWithOpts(bucket)
	to, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses != nil && refuses(r) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error": {"code": 403, "message": "someone@example.com does not have access", "errors": [{"reason": "forbidden"}]}}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", front.URL)
	return server
}

// run runs the program to its end, and returns its exit code and what it has printed,
// with single spaces.
func run(t *testing.T, dir string, args ...string) (code int, printed string) {
	t.Helper()
	p := start(t, dir, args...)
	_ = p.Wait()
	return p.ProcessState.ExitCode(), strings.Join(strings.Fields(p.out.String()), " ")
}

// wants checks the exit code and what was printed.
func wants(t *testing.T, dir string, wantCode int, args []string, texts ...string) {
	t.Helper()
	code, printed := run(t, dir, args...)
	if code != wantCode {
		t.Errorf("%q exits with %d, want %d:\n%s", args, code, wantCode, printed)
	}
	for _, text := range texts {
		if !strings.Contains(printed, text) {
			t.Errorf("%q does not print %q:\n%s", args, text, printed)
		}
	}
}

// init fails if the account may not do what a run does, and says what is missing.
func TestInitWithoutPermission(t *testing.T) {
	writes := func(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
	deletes := func(r *http.Request) bool {
		return r.Method == http.MethodDelete || writes(r) && r.URL.Query().Get("ifGenerationMatch") != "0"
	}
	for _, test := range []struct {
		name    string
		refuses func(*http.Request) bool
		want    []string
	}{
		{"a read-only account", writes, []string{
			"The state cannot be kept there", "Sink cannot be used", "prospector cannot create objects there", "storage.objects.create",
		}},
		{"an account that cannot delete", deletes, []string{
			"prospector can create and read objects there, but cannot replace or delete them", "The test object gs://acme/lake/.prospector/probe-", "delete it",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			newBucket(t, fakestorage.CreateBucketOpts{}, test.refuses)
			dir := t.TempDir()
			write(t, dir, bucketConfig)
			wants(t, dir, 1, []string{"init"}, test.want...)
		})
	}
}

// init and erase warn about a bucket that keeps older versions. init leaves no object.
func TestVersionedBucket(t *testing.T) {
	server := newBucket(t, fakestorage.CreateBucketOpts{VersioningEnabled: true}, nil)
	dir := t.TempDir()
	write(t, dir, bucketConfig)
	warning := "Warning: gs://acme keeps noncurrent versions of objects"
	wants(t, dir, 0, []string{"init"}, warning, "gcloud storage buckets update gs://acme --no-versioning", "Prospector has been initialized.")
	objects, _, err := server.ListObjects("acme", "", "", false)
	if err != nil || len(objects) > 0 {
		t.Errorf("init has left %v, %v", objects, err)
	}
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	wants(t, dir, 1, []string{"erase", "-prospect=someone"}, warning, "Erase cancelled.")
}

// An account that may not read the settings of the bucket can do everything else.
func TestUncheckedBucket(t *testing.T) {
	newBucket(t, fakestorage.CreateBucketOpts{}, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/b/acme") })
	dir := t.TempDir()
	write(t, dir, bucketConfig)
	wants(t, dir, 0, []string{"init"}, "Note: The settings of gs://acme were not checked", "roles/storage.legacyBucketReader", "Prospector has been initialized.")
}
