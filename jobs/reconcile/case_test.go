package reconcile

import (
	"strings"
	"testing"

	"prospector/jobs"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// foldingStore is a store that ignores the case of keys.
type foldingStore struct{ store.Store }

func (foldingStore) FoldsCase() (bool, error) { return true, nil }

func TestCheckCase(t *testing.T) {
	job := jobs.Job{Block: jobs.Block{Address: "job.events"}, Sinks: []jobs.Sink{{Block: jobs.Block{Address: sinkName}}}}
	for _, test := range []struct {
		name       string
		partitions []string
		in         store.Store
		refuses    bool
	}{
		{"twins", []string{"t=SMS", "t=sms"}, foldingStore{memory.New()}, true},
		{"twins in a store that distinguishes them", []string{"t=SMS", "t=sms"}, memory.New(), false},
		{"others", []string{"t=SMS", "t=sms2"}, foldingStore{memory.New()}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := CheckCase(job, map[string]store.Store{sinkName: test.in}, test.partitions)
			if (err != nil) != test.refuses || err != nil && !strings.Contains(err.Error(), "t=SMS\n") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
