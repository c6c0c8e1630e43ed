package reconcile

import (
	"slices"
	"testing"
)

// Counts can be added in any order, also to those that have no columns yet.
func TestValueCountAdd(t *testing.T) {
	none, some := valueCount{}, valueCount{rows: 2, values: []int64{2, 1}}
	for name, order := range map[string][]valueCount{
		"none first": {none, some, some}, "none last": {some, some, none}, "no columns": {{values: []int64{}}, some, some},
	} {
		var sum valueCount
		for _, f := range order {
			sum.add(f)
		}
		if sum.rows != 4 || !slices.Equal(sum.values, []int64{4, 2}) {
			t.Errorf("%s: the sum is %+v", name, sum)
		}
	}
}
