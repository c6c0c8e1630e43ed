package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
)

// hasForEach reports whether a job block has for_each, and so declares a job for each
// key.
func hasForEach(hb *hcl.Block) bool {
	body, ok := hb.Body.(*hclsyntax.Body)
	return ok && body.Attributes["for_each"] != nil
}

// instanceOf returns the address of an instance of a job.
func instanceOf(address, key string) string { return address + "[" + strconv.Quote(key) + "]" }

// job returns the value of a reference to the job: one job, or with for_each an object
// with the jobs by key.
func (l *loader) job(hb *hcl.Block, address string) cty.Value {
	if !hasForEach(hb) {
		return l.oneJob(hb, address, hb.Labels[0], nil)
	}
	each, ok := l.forEach(hb, address)
	if len(each) == 0 {
		// Errors in the rest of the block are reported too.
		declared := len(l.jobs)
		l.oneJob(hb, address, hb.Labels[0], eachScope(cty.UnknownVal(cty.String), cty.DynamicVal))
		l.jobs = l.jobs[:declared]
	}
	if !ok {
		return cty.DynamicVal
	}
	before := len(l.diags)
	instances := map[string]cty.Value{}
	for _, key := range sortedKeys(each) {
		instances[key] = l.oneJob(hb, instanceOf(address, key), hb.Labels[0]+"_"+key, eachScope(cty.StringVal(key), each[key]))
	}
	l.diags = append(l.diags[:before], distinct(l.diags[before:])...)
	return cty.ObjectVal(instances)
}

func eachScope(key, value cty.Value) scope {
	return scope{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
}

// forEach returns the values of for_each, by key. It reports a problem, and then
// returns false.
func (l *loader) forEach(hb *hcl.Block, address string) (map[string]cty.Value, bool) {
	before := len(l.diags)
	b := l.unopenedJob(hb, address)
	l.diags = l.diags[:before] // oneJob reports them
	v, ok := l.evaluate(b.attrs["for_each"].Expr, address, false, nil)
	if !ok {
		return nil, false
	}
	if v.IsMarked() {
		b.fail("for_each", "Sensitive for_each", "The keys of for_each become addresses and names of tables, which are shown, so they cannot be sensitive. If they are not secret, use nonsensitive(…).")
		return nil, false
	}
	ty := v.Type()
	b.values["for_each"] = v
	const expected = "a map or a set of strings"
	switch {
	case !b.given("for_each"):
		b.fail("for_each", "Wrong value for for_each", "for_each must be "+expected+"; found null.")
		return nil, false
	case ty.IsMapType() || ty.IsObjectType():
	case ty.IsSetType() && (ty.ElementType() == cty.String || v.LengthInt() == 0):
	case ty.IsTupleType() || ty.IsListType():
		b.wrong("for_each", expected, " To convert it, use toset(…).")
		return nil, false
	default:
		b.wrong("for_each", expected, "")
		return nil, false
	}
	each := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		if ty.IsSetType() {
			key = e
		}
		if key.IsNull() {
			b.fail("for_each", "Wrong value for for_each", "for_each must be "+expected+"; the set contains a null.")
			return nil, false
		}
		each[key.AsString()] = e
	}
	return each, true
}

// distinct leaves out diagnostics of an instance that another instance has too.
func distinct(diags jobs.Diagnostics) (out jobs.Diagnostics) {
	seen := map[string]bool{}
	for _, d := range diags {
		at := ""
		if d.Origin != nil {
			at = fmt.Sprintf("%s:%d:%d", d.Origin.Filename, d.Origin.Line, d.Origin.Column)
		}
		text := strings.Join([]string{at, d.Summary, strings.ReplaceAll(d.Detail, d.Address, "")}, "\n")
		if !seen[text] {
			out = append(out, d)
		}
		seen[text] = true
	}
	return out
}

// missingInstance describes what is wrong with the steps after a reference to a job
// with for_each. The instances are the attributes of v.
func (g *graph) missingInstance(target string, steps hcl.Traversal, v cty.Value) (summary, detail string) {
	if len(steps) == 0 {
		return "", ""
	}
	var keys []string
	if v.IsKnown() {
		keys = sortedKeys(v.Type().AttributeTypes())
	}
	_, index := steps[0].(hcl.TraverseIndex)
	key, named := stepName(steps[0])
	if !index || !named {
		example := "KEY"
		if len(keys) > 0 {
			example = keys[0]
		}
		return "Missing instance key", fmt.Sprintf("%s has for_each, so it has an instance for each key. Refer to one of them, such as %s.",
			target, instanceOf(target, example))
	}
	target = instanceOf(target, key)
	if v.IsKnown() && !slices.Contains(keys, key) {
		detail = target + " is not declared: for_each has no such key"
		switch {
		case len(keys) == 0:
			return "Unknown instance", detail + ", since it is empty."
		case nearest(key, keys) != "":
			return "Unknown instance", detail + "." + didYouMean(nearest(key, keys))
		}
		return "Unknown instance", fmt.Sprintf("%s, only %s.", detail, listed(keys))
	}
	if detail = missing(target, steps[1:], g.blockTypes["job"]); detail != "" {
		return "Unknown attribute", detail
	}
	return "", ""
}
