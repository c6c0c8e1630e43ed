package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The same links always give the same steps, even if rows move in a cycle. Without a
// cycle, a partition has a higher step than those that its rows move to.
func TestSteps(t *testing.T) {
	for _, test := range []struct {
		name  string
		links []Link
		want  map[string]int
	}{
		{"no links", nil, map[string]int{}},
		{"a chain", []Link{{"a", "b"}, {"b", "c"}}, map[string]int{"a": 2, "b": 1}},
		{"a fork", []Link{{"a", "b"}, {"a", "c"}, {"c", "d"}}, map[string]int{"a": 2, "c": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			links := make(map[Link]bool)
			for _, l := range test.links {
				links[l] = true
			}
			if diff := cmp.Diff(test.want, Steps(links)); diff != "" {
				t.Errorf("the steps (-want +got):\n%s", diff)
			}
		})
	}
	cycle := map[Link]bool{{"a", "b"}: true, {"b", "c"}: true, {"c", "a"}: true, {"c", "d"}: true}
	want := Steps(cycle)
	for range 100 {
		if diff := cmp.Diff(want, Steps(cycle)); diff != "" {
			t.Fatalf("the steps of a cycle differ (-first +later):\n%s", diff)
		}
	}
}
