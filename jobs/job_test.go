package jobs

import (
	"testing"
)

func TestSinkURI(t *testing.T) {
	for _, c := range []struct {
		name string
		sink Sink
		root string
		job  string
	}{
		{"local", Sink{Kind: "local", Path: "/var/lake"}, "file:///var/lake", "file:///var/lake/events"},
		{"local with a space", Sink{Kind: "local", Path: "/the lake"}, "file:///the%20lake", "file:///the%20lake/events"},
		{"bucket", Sink{Kind: "gcs", Bucket: "acme"}, "gs://acme", "gs://acme/events"},
		{"bucket with prefix", Sink{Kind: "gcs", Bucket: "acme", Prefix: "a/b"}, "gs://acme/a/b", "gs://acme/a/b/events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.sink.URI(""); got != c.root {
				t.Errorf("root %s, want %s", got, c.root)
			}
			if got := c.sink.URI("events"); got != c.job {
				t.Errorf("job %s, want %s", got, c.job)
			}
		})
	}
}

func TestRemovedCovers(t *testing.T) {
	for _, c := range []struct {
		from, address string
		want          bool
	}{
		{"job.old", "job.old", true}, {"job.old", `job.old["a"]`, true}, {"job.old", "job.older", false}, {"job.old", "job.o", false},
		{`job.old["a"]`, `job.old["a"]`, true}, {`job.old["a"]`, "job.old", false}, {`job.old["a"]`, `job.old["b"]`, false},
	} {
		if got := (Removed{From: c.from}).Covers(c.address); got != c.want {
			t.Errorf("%s covers %s: %v", c.from, c.address, got)
		}
	}
}
