package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

func recordIn(t *testing.T) backends {
	dir := t.TempDir()
	return backends{dir: dir, dataRoot: dir, dataDir: filepath.Join(dir, ".prospector"), kinds: store.Kinds{local.Kind, gcs.Kind}}
}

// The record of a backend has all of its settings but the secrets, which come from the
// configuration.
func TestRecordOfBackend(t *testing.T) {
	b := recordIn(t)
	settings := gcs.Kind.New().(*gcs.Settings)
	settings.Bucket, settings.Prefix = "acme", "state"
	settings.Credentials = attribute.Secret("hunter2")
	settings.Endpoint = "http://127.0.0.1:1"
	used := jobs.Backend{Location: store.Location{Kind: gcs.Kind, Settings: settings}, Key: "own.json"}
	for range 2 { // the second time, the file remains
		if err := b.record(used); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(b.dataDir, recordName))
	if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "acme") {
		t.Fatalf("the record is %s, %v", text, err)
	}
	got, err := b.recorded(used)
	if err != nil || got == nil || got.URI(got.Key) != "gs://acme/state/own.json" {
		t.Fatalf("the recorded backend is %+v", got)
	}
	read := got.Settings.(*gcs.Settings)
	if read.Credentials.Reveal() != "hunter2" || read.Endpoint != settings.Endpoint {
		t.Errorf("the settings are %+v", read)
	}
	elsewhere := jobs.Backend{Location: local.At(t.TempDir()), Key: "own.json"}
	if got, err := b.recorded(elsewhere); err != nil || got.Settings.(*gcs.Settings).Credentials != "" {
		t.Errorf("the record has a secret: %v", err)
	}
}

// A record that cannot be used counts as none.
func TestUnusableRecord(t *testing.T) {
	b := recordIn(t)
	configured := jobs.Backend{Location: local.At(b.dir), Key: "own.json"}
	if got, err := b.recorded(configured); got != nil || err != nil {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	if err := b.record(configured); err != nil {
		t.Fatal(err)
	}
	if got, err := b.recorded(configured); err != nil || got == nil || got.URI(got.Key) != configured.URI(configured.Key) {
		t.Errorf("the recorded backend is %+v", got)
	}
	for _, text := range []string{"", "{", `{"version": 2, "type": "local", "key": "a", "settings": {}}`, `{"version": 1, "type": "ftp", "key": "a"}`, `{"version": 1, "type": "local", "settings": {"path": 7}}`} {
		if err := os.WriteFile(filepath.Join(b.dataDir, recordName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := b.recorded(configured); got != nil || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}
