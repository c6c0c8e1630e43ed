package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/jobs/state"
	"prospector/sink/store/local"
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
	listed, err := server.ListObjectsWithOptionsPaginated("acme", fakestorage.ListOptions{})
	if err != nil || len(listed.Objects) > 0 {
		t.Errorf("init has left %v, %v", listed.Objects, err)
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

const migrateConfig = `
source "simulator" "s" {
  prospects = 5
  events    = 60
}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.s
  sinks  = [sink.local.lake]
}
`

// withState returns a configuration whose state is in a bucket, below a prefix.
func withState(prefix string) string {
	return migrateConfig + "prospector {\n  backend \"gcs\" {\n    bucket = \"acme\"\n    prefix = \"" + prefix + "\"\n  }\n}\n"
}

// The state moves from this machine to a bucket, to another prefix, and back. Until it is
// moved, no command uses the configured backend.
func TestMigrateState(t *testing.T) {
	server := newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "prospector.state.json")
	write(t, dir, migrateConfig)
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	for _, step := range []struct{ config, from, to string }{
		{withState("a"), file, "gs://acme/a/prospector.state.json"},
		{withState("b"), "gs://acme/a/prospector.state.json", "gs://acme/b/prospector.state.json"},
		{migrateConfig, "gs://acme/b/prospector.state.json", file},
	} {
		before, err := os.ReadFile(filepath.Join(dir, "main.hcl"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, step.config)
		for _, command := range []string{"plan", "apply", "init", "show", "verify"} {
			wants(t, dir, 1, []string{command}, "Error: Backend configuration changed", step.from, step.to, "prospector init -migrate-state", "prospector init -reconfigure")
		}
		wants(t, dir, 1, []string{"init", "-migrate-state"}, "Do you want to move the state?", "Init cancelled. The state stays in "+step.from)
		wants(t, dir, 1, []string{"state", "list"}, "Backend configuration changed")
		wants(t, dir, 0, []string{"init", "-migrate-state", "-auto-approve"},
			"2 objects next to it", "from "+step.from, "to "+step.to, "The state has been moved to "+step.to)
		wants(t, dir, 0, []string{"init"}, "State: "+step.to)
		wants(t, dir, 0, []string{"plan"}, "No changes.")
		wants(t, dir, 0, []string{"show", "-runs"}, "apply")

		// Another machine that still has the former configuration does not begin again.
		write(t, dir, string(before))
		if err := os.RemoveAll(filepath.Join(dir, ".prospector")); err != nil {
			t.Fatal(err)
		}
		wants(t, dir, 1, []string{"plan"}, "Error: The state was moved", step.to)
		write(t, dir, step.config)
		wants(t, dir, 0, []string{"init"}, "State: "+step.to)
	}
	listed, err := server.ListObjectsWithOptionsPaginated("acme", fakestorage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, o := range listed.Objects {
		left = append(left, o.Name)
	}
	want := []string{"a/prospector.state.json", "a/prospector.state.json.backup", "b/prospector.state.json", "b/prospector.state.json.backup"}
	if !slices.Equal(left, want) {
		t.Errorf("the bucket has %q, want %q", left, want)
	}
}

// A second machine accepts a state that was moved, without flags.
func TestMigratedElsewhere(t *testing.T) {
	newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		write(t, dir, strings.Replace(withState("a"), `path = "lake"`, `path = "`+filepath.Join(first, "lake")+`"`, 1))
	}
	wants(t, first, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	wants(t, second, 0, []string{"plan"}, "No changes.")
	for _, dir := range []string{first, second} {
		write(t, dir, strings.Replace(withState("b"), `path = "lake"`, `path = "`+filepath.Join(first, "lake")+`"`, 1))
	}
	wants(t, first, 0, []string{"init", "-migrate-state", "-auto-approve"}, "The state has been moved")
	wants(t, second, 1, []string{"plan"}, "Backend configuration changed", "If another machine has already moved it: prospector init")
	wants(t, second, 0, []string{"init"}, "The state was moved before", "State: gs://acme/b/prospector.state.json")
	wants(t, second, 0, []string{"plan"}, "No changes.")
}

// If the state is lost after it was moved, its backup in the former place can be restored.
func TestRestoreMoved(t *testing.T) {
	server := newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	dir := t.TempDir()
	write(t, dir, withState("a"))
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	write(t, dir, withState("b"))
	wants(t, dir, 0, []string{"init", "-migrate-state", "-auto-approve"}, "The state has been moved")
	backup, err := server.GetObject("acme", "a/prospector.state.json.backup")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "copy"), backup.Content, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, withState("a"))
	wants(t, dir, 1, []string{"init", "-reconfigure"}, "Error: The state was moved", "prospector state push -force FILE")
	wants(t, dir, 1, []string{"state", "push", "copy"}, "was moved to gs://acme/b")
	wants(t, dir, 0, []string{"state", "push", "-force", "copy"}, "Pushed the state")
	wants(t, dir, 0, []string{"plan"}, "No changes.")
}

// A killed move leaves locks in both backends, which force-unlock releases.
func TestMigrateLocked(t *testing.T) {
	server := newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	dir := t.TempDir()
	write(t, dir, withState("a"))
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	write(t, dir, withState("b"))
	for _, prefix := range []string{"a", "b"} {
		info := state.NewLockInfo("init", time.Now())
		info.Lease, info.Expires = time.Minute, time.Now().Add(time.Minute)
		text, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		server.CreateObject(fakestorage.Object{
			ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "acme", Name: prefix + "/prospector.state.json.lock"}, Content: text,
		})
		wants(t, dir, 1, []string{"init", "-migrate-state", "-auto-approve"}, "The state is locked by another run", "prospector force-unlock "+info.ID)
		wants(t, dir, 0, []string{"force-unlock", "-force", info.ID}, "The state has been unlocked.")
	}
	wants(t, dir, 0, []string{"init", "-migrate-state", "-auto-approve"}, "The state has been moved to gs://acme/b/prospector.state.json")
	wants(t, dir, 1, []string{"force-unlock", "-force", "another"}, "the state is not locked")
}

// A state that an apply could not write is pushed before the state moves.
func TestMigrateErrored(t *testing.T) {
	newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	dir := t.TempDir()
	write(t, dir, migrateConfig)
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	text, err := os.ReadFile(filepath.Join(dir, "prospector.state.json"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	files, err := local.OpenPrivate(dir)
	if err == nil {
		err = state.WriteErrored(t.Context(), files, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, withState("a"))
	wants(t, dir, 1, []string{"init", "-migrate-state", "-auto-approve"}, "A newer state was not pushed", "prospector state push "+state.ErroredName)
	write(t, dir, migrateConfig)
	wants(t, dir, 0, []string{"state", "push", state.ErroredName}, "Pushed the state")
	write(t, dir, withState("a"))
	wants(t, dir, 0, []string{"init", "-migrate-state", "-auto-approve"}, "The state has been moved")
}

// A directory without a record, such as a new container, works as before, except if it has
// a state and the configured backend has none, or an empty one.
func TestWithoutRecord(t *testing.T) {
	newBucket(t, fakestorage.CreateBucketOpts{}, nil)
	dir := t.TempDir()
	forget := func() {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, ".prospector")); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, migrateConfig)
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	forget()
	write(t, dir, withState("a"))
	for _, command := range []string{"plan", "init", "show"} {
		wants(t, dir, 1, []string{command}, "Error: The configured backend has no state", "A run would create everything again.", "prospector init -migrate-state")
	}
	emptied := t.TempDir()
	write(t, emptied, withState("b"))
	wants(t, emptied, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	wants(t, emptied, 0, []string{"destroy", "-auto-approve"}, "Destroy complete!")
	write(t, dir, withState("b"))
	wants(t, dir, 1, []string{"plan"}, "Error: The configured backend has an empty state", "A run would create everything again.", "prospector init -migrate-state")
	write(t, dir, withState("a"))
	wants(t, dir, 0, []string{"init", "-reconfigure"}, "State: gs://acme/a/prospector.state.json")
	wants(t, dir, 1, []string{"plan"}, "not in the state") // the files in the lake, which the user has decided to leave
	forget()
	wants(t, dir, 0, []string{"init", "-migrate-state", "-auto-approve"}, "The state has been moved to gs://acme/a/prospector.state.json")
	wants(t, dir, 0, []string{"plan"}, "No changes.")
	forget()
	wants(t, dir, 0, []string{"plan"}, "No changes.")
	wants(t, dir, 1, []string{"init", "-migrate-state", "-reconfigure"}, "cannot be combined")
}

// A directory with its record can be moved.
func TestMovedDirectory(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "one")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, migrateConfig)
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!")
	moved := filepath.Join(parent, "two")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	code, printed := run(t, moved, "state", "list")
	if code != 0 {
		t.Error(printed)
	}
}
