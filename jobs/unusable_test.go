package jobs_test

import (
	"errors"
	"fmt"
	"testing"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store/gcs"
)

// An error about a place points at the attribute that causes it.
func TestUnusable(t *testing.T) {
	s := jobs.Sink{
		Block: jobs.Block{Address: "sink.gcs.lake", Attributes: map[string]jobs.Origin{
			"bucket": {Filename: "main.hcl", Line: 2}, "credentials": {Filename: "main.hcl", Line: 3},
		}},
		Location: gcs.At("acme", ""),
	}
	for line, err := range map[int]error{
		2: errors.New("listing gs://acme: no"),
		3: fmt.Errorf("opening gs://acme: %w", attribute.NewProblem("credentials", "Invalid credentials", "no")),
	} {
		d := s.Unusable("Sink cannot be opened", err)
		if d.Origin == nil || d.Origin.Line != line || d.Detail != err.Error()+"." || d.Summary != "Sink cannot be opened" {
			t.Errorf("the diagnostic is %+v at %+v, want line %d", d, d.Origin, line)
		}
	}
}
