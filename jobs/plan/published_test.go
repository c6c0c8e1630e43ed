package plan

import (
	"testing"

	"prospector/jobs/state"
)

// The rows of a partition are read from a sink in which its change is finished, even if
// another sink comes first.
func TestReadsFinishedChanges(t *testing.T) {
	before, after := state.Partition{Rows: 1}, state.Partition{Rows: 2}
	refreshed := func(p map[string]state.Partition, unfinished ...string) *Refreshed {
		r := &Refreshed{Sink: state.Sink{Partitions: p}, Unfinished: make(map[string]state.Partition)}
		for _, path := range unfinished {
			r.Unfinished[path] = after
		}
		return r
	}
	prior := map[string]*Refreshed{
		"a": refreshed(map[string]state.Partition{"p": before, "q": before, "r": before}, "p", "q"),
		"b": refreshed(map[string]state.Partition{"p": after, "q": before, "r": before, "s": after}, "q"),
	}
	for path, want := range map[string]string{"p": "b", "q": "a", "r": "a", "s": "b"} {
		if at, p, ok := Published([]string{"a", "b"}, prior, path); at != want || !ok || p.Rows != prior[want].Partitions[path].Rows {
			t.Errorf("%s is read from %s with %d rows, %t; want %s", path, at, p.Rows, ok, want)
		}
	}
}
