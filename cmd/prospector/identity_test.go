package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

const identityConfig = `
variable "key" {
  type      = string
  sensitive = true
}
variable "endpoint" { type = string }
prospector {
  backend "gcs" {
    bucket      = "acme"
    prefix      = "state"
    credentials = var.key
    endpoint    = var.endpoint
  }
}
source "simulator" "s" {
  prospects = 5
  events    = 60
}
sink "gcs" "lake" {
  bucket        = "acme"
  prefix        = "lake"
  credentials   = "key.json"
  endpoint      = var.endpoint
  storage_class = "NEARLINE"
  metadata      = { team = "leasing" }
  timeout       = "20s"
  parallelism   = 4
}
job "events" {
  source = source.simulator.s
  sinks  = [sink.gcs.lake]
}
output "where" { value = sink.gcs.lake.uri }
`

// The credentials authorize every request, and appear nowhere. A plan that was saved with
// other settings can be applied.
func TestCredentials(t *testing.T) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	to, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"access_token": "hunter2-token", "token_type": "Bearer", "expires_in": 3600}`)
		case r.Header.Get("Authorization") != "Bearer hunter2-token":
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	defer front.Close()

	dir := t.TempDir()
	key := newKey(t, front.URL+"/token")
	if err := os.WriteFile(filepath.Join(dir, "key.json"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("PROSPECTOR_VAR_key", key)
	t.Setenv("PROSPECTOR_VAR_endpoint", front.URL)
	write(t, dir, identityConfig)
	var printed strings.Builder
	succeeds := func(args ...string) {
		t.Helper()
		code, text := run(t, dir, args...)
		if code != 0 {
			t.Fatalf("%q exits with %d:\n%s", args, code, text)
		}
		printed.WriteString(text)
	}
	succeeds("init")
	succeeds("plan", "-out=night.plan")
	succeeds("show", "-json", "night.plan")
	write(t, dir, strings.NewReplacer("NEARLINE", "COLDLINE", "20s", "10s", "leasing", "sales", "= 4", "= 2").Replace(identityConfig))
	succeeds("apply", "night.plan")
	succeeds("verify")
	succeeds("state", "pull")
	succeeds("show", "-runs", "-json")
	succeeds("apply", "-auto-approve")
	if n := refused.Load(); n > 0 {
		t.Errorf("%d requests had no token", n)
	}

	listed, err := server.ListObjectsWithOptionsPaginated("acme", fakestorage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range listed.Objects {
		object, err := server.GetObject("acme", o.Name)
		if err != nil {
			t.Fatal(err)
		}
		noSecret(t, o.Name, object.Content)
		if strings.HasPrefix(o.Name, "lake/") && (object.StorageClass != "COLDLINE" || object.Metadata["team"] != "sales") {
			t.Errorf("%s has the storage class %s and the metadata %v", o.Name, object.StorageClass, object.Metadata)
		}
	}
	if len(listed.Objects) < 10 {
		t.Errorf("there are %d objects, so the test is void", len(listed.Objects))
	}
	noSecret(t, "the output", []byte(printed.String()))
	noSecretIn(t, dir, "key.json")

	// An error points at the attribute.
	write(t, dir, strings.Replace(identityConfig, "key.json", "hunter2.json", 1))
	code, text := run(t, dir, "plan")
	if code != 1 || !strings.Contains(text, `credentials = "************"`) || !strings.Contains(text, "neither a key in JSON nor the path of a file") {
		t.Errorf("plan exits with %d:\n%s", code, text)
	}
	noSecret(t, "the error", []byte(text))
}

// newKey returns the key of a service account. Its ID is a secret that is easy to find.
func newKey(t *testing.T, tokens string) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "hunter2@acme.iam.gserviceaccount.com", "private_key_id": "hunter2",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), "token_uri": tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func noSecret(t *testing.T, where string, content []byte) {
	t.Helper()
	for _, secret := range []string{"hunter2", "PRIVATE KEY"} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s contains %q", where, secret)
		}
	}
}

// noSecretIn checks all files of a directory but one.
func noSecretIn(t *testing.T, dir, except string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == except {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		noSecret(t, path, content)
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files were checked, %v", files, err)
	}
}
