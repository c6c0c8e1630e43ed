package config

import (
	"fmt"
	"math"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
)

func (l *loader) output(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, []string{"value", "sensitive", "description"})
	var hidden bool
	var description string
	b.bool("sensitive", &hidden)
	b.text("description", &description)
	if _, ok := b.values["value"]; !ok {
		b.require(map[string]string{"value": "what to show"})
	}
	if len(b.marks["value"]) > 0 && !hidden {
		b.fail("value", "Output refers to sensitive values", fmt.Sprintf(
			"The value of %s comes from a sensitive value. If this is intended, add sensitive = true to the output.", address))
	}
	if b.failed {
		return cty.DynamicVal
	}
	v, ok := plain(b.values["value"])
	if !ok {
		b.fail("value", "Invalid output", fmt.Sprintf("The value of %s contains a number that is too large to show.", address))
		return cty.DynamicVal
	}
	l.outputs = append(l.outputs, jobs.Output{Name: hb.Labels[0], Value: v, Sensitive: hidden})
	return cty.NullVal(cty.DynamicPseudoType) // nothing can refer to it
}

// plain returns the value for a jobs.Output. It returns false for a number that a
// float64 cannot hold.
func plain(v cty.Value) (any, bool) {
	switch ty := v.Type(); {
	case v.IsNull():
		return nil, true
	case ty == cty.String:
		return v.AsString(), true
	case ty == cty.Bool:
		return v.True(), true
	case ty == cty.Number:
		n, _ := v.AsBigFloat().Float64()
		return n, !math.IsInf(n, 0)
	case ty.IsMapType() || ty.IsObjectType():
		out := map[string]any{}
		for it := v.ElementIterator(); it.Next(); {
			key, e := it.Element()
			p, ok := plain(e)
			if !ok {
				return nil, false
			}
			out[key.AsString()] = p
		}
		return out, true
	default: // a list, a set or a tuple
		out := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			p, ok := plain(e)
			if !ok {
				return nil, false
			}
			out = append(out, p)
		}
		return out, true
	}
}
