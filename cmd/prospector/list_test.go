package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

const listConfig = `
source "simulator" "s" {
  prospects = 20
  events    = 600
}
prospects "crm" {
  file   = "gs://acme/lists/ids.csv"
  column = "prospect_id"
}
sink "local" "lake" { path = "lake" }
job "events" {
  source    = source.simulator.s
  prospects = prospects.crm
  sinks     = [sink.local.lake]
}
`

// A list in a bucket is read like a file. A changed one makes a saved plan stale.
func TestListInABucket(t *testing.T) {
	forbidden := false
	server := newBucket(t, fakestorage.CreateBucketOpts{}, func(r *http.Request) bool {
		return forbidden || strings.HasSuffix(r.URL.Path, "/o") // an account that cannot list the bucket
	})
	put := func(ids ...string) {
		server.CreateObject(fakestorage.Object{
			ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "acme", Name: "lists/ids.csv"},
			Content:     []byte("name,prospect_id\nsomeone," + strings.Join(ids, "\nsomeone,") + "\n"),
		})
	}
	dir := t.TempDir()
	write(t, dir, listConfig)
	put("60822465")
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "Apply complete!", "1 prospect")

	wants(t, dir, 0, []string{"plan", "-out=night.plan"}, "No changes.")
	put("60822465", "26445524")
	wants(t, dir, 1, []string{"apply", "night.plan"},
		"Saved plan is stale", "the list of prospects gs://acme/lists/ids.csv has changed since job.events was read")
	wants(t, dir, 0, []string{"apply", "-auto-approve"}, "2 prospects: 1 new", "Apply complete!")
	wants(t, dir, 1, []string{"erase", "-prospect=60822465"},
		"The prospect is still listed", "gs://acme/lists/ids.csv names the prospect", "Erase cancelled.")

	const unreadable = "Prospects cannot be read"
	put("60822465", "")
	wants(t, dir, 1, []string{"plan"}, unreadable, "gs://acme/lists/ids.csv, line 3: unusable prospect ID: it is empty")
	forbidden = true
	wants(t, dir, 1, []string{"plan"}, unreadable, "gs://acme/lists/ids.csv: the service returned 403 forbidden", "storage.objects.get")
	forbidden = false
	write(t, dir, strings.ReplaceAll(listConfig, "ids.csv", "none.csv"))
	wants(t, dir, 1, []string{"plan"}, unreadable, `on main.hcl line 7, in prospects "crm"`, "gs://acme/lists/none.csv: object does not exist; check the URI")
}
