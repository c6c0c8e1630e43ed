package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/sink/store/gcs"
)

// auxiliary are all attributes of sinks and backends that do not name a place. Each may
// be sensitive.
const auxiliary = `
  credentials                 = var.hidden["credentials"]
  impersonate_service_account = var.hidden["account"]
  user_project                = var.hidden["project"]
  kms_key_name                = var.hidden["key"]
  storage_class               = var.hidden["class"]
  endpoint                    = var.hidden["endpoint"]
  metadata                    = { team = var.hidden["team"] }
  timeout                     = var.hidden["timeout"]
  parallelism                 = var.hidden["parallelism"]
`

const auxiliaryValues = `
variable "hidden" {
  sensitive = true
  default = {
    credentials = "keys/lake.json"
    account     = "lake@acme.iam.gserviceaccount.com"
    project     = "acme-billing"
    key         = "projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows"
    class       = "NEARLINE"
    endpoint    = "https://storage-acme.p.googleapis.com/storage/v1/"
    team        = "leasing"
    timeout     = "90s"
    parallelism = "64"
  }
}
`

func TestAuxiliaryAttributes(t *testing.T) {
	lake := func(attributes string) map[string]string {
		return map[string]string{"main.hcl": auxiliaryValues + `
prospector {
  backend "gcs" {
    bucket = "acme-state"` + attributes + `
  }
}
source "simulator" "demo" {}
sink "gcs" "lake" {
  bucket = "acme-lake"
  prefix = "knock"` + attributes + `
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake]
}
output "places" { value = [sink.gcs.lake.bucket, sink.gcs.lake.prefix, sink.gcs.lake.uri] }
`}
	}
	dir := write(t, lake(auxiliary))
	c := load(t, dir, Options{})
	want := gcs.Options{
		Credentials:               "", // compared below, since it is never printed
		ImpersonateServiceAccount: "lake@acme.iam.gserviceaccount.com",
		UserProject:               "acme-billing",
		KMSKeyName:                "projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows",
		StorageClass:              "NEARLINE",
		Endpoint:                  "https://storage-acme.p.googleapis.com",
		Metadata:                  map[string]string{"team": "leasing"},
		Timeout:                   90 * time.Second,
		Parallelism:               64,
	}
	for name, at := range map[string]any{"sink": c.Sinks[0].Settings, "backend": c.Backend.Settings} {
		got := at.(*gcs.Settings).Options
		if key := got.Credentials.Reveal(); key != filepath.Join(dir, "keys", "lake.json") {
			t.Errorf("the credentials of the %s are %s, want a path in %s", name, key, dir)
		}
		got.Credentials = ""
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the %s has other options (-want +got):\n%s", name, d)
		}
	}
	if d := cmp.Diff([]any{"acme-lake", "knock", "gs://acme-lake/knock"}, c.Outputs[0].Value); d != "" {
		t.Error(d)
	}
	// A plan that was saved with other attributes can still be applied.
	if with, without := c.Digest(), load(t, write(t, lake("")), Options{}).Digest(); with != without {
		t.Errorf("the digest is %s with the attributes and %s without them", with, without)
	}
}

// Credentials are the content of a file, or its path.
func TestCredentials(t *testing.T) {
	const key = `{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}`
	dir := write(t, map[string]string{"key.json": key, "main.hcl": minimal})
	for expression, want := range map[string]string{
		`file("key.json")`:                  key,
		`"\n ${file("key.json")}"`:          "\n " + key,
		`"key.json"`:                        filepath.Join(dir, "key.json"),
		`"missing.json"`:                    filepath.Join(dir, "missing.json"), // a run reports it
		`"/etc/prospector/key.json"`:        "/etc/prospector/key.json",
		`""`:                                "",
		`null`:                              "",
		`nonsensitive("../keys/lake.json")`: filepath.Join(filepath.Dir(dir), "keys", "lake.json"),
	} {
		writeFile(t, filepath.Join(dir, "sink.hcl"), "sink \"gcs\" \"lake\" {\n  bucket      = \"acme-lake\"\n  credentials = "+expression+"\n}\n")
		c := load(t, dir, Options{})
		for _, s := range c.Sinks {
			if at, ok := s.Settings.(*gcs.Settings); ok && at.Credentials.Reveal() != want {
				t.Errorf("credentials = %s is %q, want %q", expression, at.Credentials.Reveal(), want)
			}
		}
	}
}

func TestNoReferenceToCredentials(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
sink "gcs" "lake" {
  bucket      = "acme-lake"
  credentials = "hunter2.json"
}
output "key" { value = sink.gcs.lake.credentials }
`})
	_, diags := loadDir(dir, Options{})
	if text := render(diags); !diags.HasErrors() || strings.Contains(text, "hunter2") {
		t.Errorf("the diagnostics are:\n%s", text)
	}
}
