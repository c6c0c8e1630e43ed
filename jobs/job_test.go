package jobs

import (
	"testing"
)

func TestRemovedCovers(t *testing.T) {
	for _, c := range []struct {
		from, address string
		want          bool
	}{
		{"job.old", "job.old", true}, {"job.old", `job.old["a"]`, true}, {"job.old", "job.older", false}, {"job.old", "job.o", false},
		{`job.old["a"]`, `job.old["a"]`, true}, {`job.old["a"]`, "job.old", false}, {`job.old["a"]`, `job.old["b"]`, false},
	} {
		if got := (Removed{From: c.from}).Covers(c.address); got != c.want {
			t.Errorf("Covers of %s with %s returned %v", c.from, c.address, got)
		}
	}
}
