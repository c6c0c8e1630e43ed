package reconcile

import (
	"slices"
	"testing"
)

// Counts can be added in any order, also to those that have no columns yet.
func TestFilledAdd(t *testing.T) {
	none, some := Filled{}, Filled{Rows: 2, Values: []int64{2, 1}}
	for name, order := range map[string][]Filled{
		"none first": {none, some, some}, "none last": {some, some, none}, "no columns": {{Values: []int64{}}, some, some},
	} {
		var sum Filled
		for _, f := range order {
			sum.Add(f)
		}
		if sum.Rows != 4 || !slices.Equal(sum.Values, []int64{4, 2}) {
			t.Errorf("%s: the sum is %+v", name, sum)
		}
	}
}
