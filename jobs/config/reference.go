package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// node is what an expression can refer to (and outputs, to which none can). A
// node whose evaluation failed has an unknown value: whatever depends on it is
// left alone, so that one mistake is one diagnostic. No other value is unknown.
type node struct {
	declared hcl.Range
	evaluate func() cty.Value
	value    cty.Value // NilVal until it is evaluated
}

// sensitive marks a value that is never shown.
const sensitive = "sensitive"

// add declares a node. The first of two with one address counts.
func (l *loader) add(address string, at hcl.Range, evaluate func() cty.Value) {
	if first := l.nodes[address]; first != nil {
		l.fail(at, address, "Duplicate declaration", fmt.Sprintf("%s is declared already, at %s:%d. Rename or remove one of the two.",
			address, first.declared.Filename, first.declared.Start.Line))
		return
	}
	l.nodes[address] = &node{declared: at, evaluate: evaluate}
}

// value evaluates a node, the first time that it is asked for.
func (l *loader) value(address string) cty.Value {
	n := l.nodes[address]
	if n.value == cty.NilVal {
		l.active = append(l.active, address)
		n.value = n.evaluate()
		l.active = l.active[:len(l.active)-1]
	}
	return n.value
}

// evaluate gives an expression's value, and false when it has none because of
// a problem that is now reported. Secret says that nothing of the expression
// may be quoted.
func (l *loader) evaluate(expr hcl.Expression, address string, secret bool) (cty.Value, bool) {
	scope, ok, known := tree{}, true, true
	for _, t := range expr.Variables() {
		path, v := l.resolve(t, address, secret)
		ok = ok && path != nil
		if path != nil {
			secret = secret || v.ContainsMarked()
			known = known && v.IsWhollyKnown()
			scope.set(v, path)
		}
	}
	if !ok {
		return cty.DynamicVal, false
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: scope.values(), Functions: l.functions})
	l.report(address, secret || callsSensitive(expr), diags)
	if v.IsWhollyKnown() && !diags.HasErrors() {
		return v, true
	}
	if known && !diags.HasErrors() {
		l.fail(expr.Range(), address, "No value", "The expression has no definite value, which may be due to a null among its arguments.")
	}
	return cty.DynamicVal, false
}

func callsSensitive(expr hcl.Expression) (found bool) {
	if e, ok := expr.(hclsyntax.Expression); ok {
		hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
			call, ok := n.(*hclsyntax.FunctionCallExpr)
			found = found || ok && call.Name == "sensitive"
			return nil
		})
	}
	return found
}

// kind is one root of references.
type kind struct {
	steps   int // names that follow the root
	noun    string
	example string
	// object is what a reference yields, or NilType where it is any value.
	object cty.Type
}

var kinds = map[string]kind{
	"var":   {1, "variable", "a variable is referred to as var.NAME", cty.NilType},
	"local": {1, "local value", "a local value is referred to as local.NAME", cty.NilType},
	"source": {2, "source", "a source is referred to by its type and name, such as source.knock.production",
		object("id", "type", "name", "endpoint")},
	"prospects": {1, "list of prospects", "a list of prospects is referred to by its name, such as prospects.crm",
		object("id", "name", "file", "column")},
	"sink": {2, "sink", "a sink is referred to by its type and name, such as sink.local.lake",
		object("id", "type", "name", "path", "bucket", "prefix", "uri")},
	"job": {1, "job", "a job is referred to by its name, such as job.prospect_events", cty.Object(map[string]cty.Type{
		"id": cty.String, "name": cty.String, "uris": cty.List(cty.String)})},
}

func object(attributes ...string) cty.Type {
	types := make(map[string]cty.Type, len(attributes))
	for _, a := range attributes {
		types[a] = cty.String
	}
	return cty.Object(types)
}

// resolve finds what a reference stands for: the names that lead there, and the
// value. It reports a reference to nothing, for which the names are nil.
func (l *loader) resolve(t hcl.Traversal, address string, secret bool) ([]string, cty.Value) {
	fail := func(summary, detail string) ([]string, cty.Value) {
		if secret {
			detail = hiddenDetail
		}
		l.fail(t.SourceRange(), address, summary, detail)
		return nil, cty.NilVal
	}
	root := t.RootName()
	k, ok := kinds[root]
	if !ok {
		detail := fmt.Sprintf("There is no %q to refer to: expressions know %s.", root, strings.Join(sortedKeys(kinds), ", "))
		if suggestion := nearest(root, sortedKeys(kinds)); suggestion != "" {
			detail += didYouMean(suggestion)
		} else if len(t) == 1 {
			detail += " A text stands in double quotes."
		}
		return fail("Unknown reference", detail)
	}
	path := []string{root}
	for _, step := range t[1:] {
		if attr, ok := step.(hcl.TraverseAttr); ok && len(path) <= k.steps {
			path = append(path, attr.Name)
		} else {
			break
		}
	}
	if len(path) <= k.steps {
		return fail("Incomplete reference", capital(k.example)+".")
	}
	target := strings.Join(path, ".")
	if l.nodes[target] == nil {
		return fail("Unknown reference", l.unknown(target, root))
	}
	if k.object != cty.NilType && len(t) > len(path) {
		if attr, ok := t[len(path)].(hcl.TraverseAttr); ok && !k.object.HasAttribute(attr.Name) {
			names := sortedKeys(k.object.AttributeTypes())
			return fail("Unknown attribute", fmt.Sprintf("%s has no attribute %q, only %s.%s",
				target, attr.Name, strings.Join(names, ", "), didYouMean(nearest(attr.Name, names))))
		}
	}
	if i := slices.Index(l.active, target); i >= 0 {
		return fail("Circular reference", fmt.Sprintf("%s depends on itself: %s.",
			target, strings.Join(append(slices.Clone(l.active[i:]), target), " → ")))
	}
	return path, l.value(target)
}

// unknown says what there is instead of an address.
func (l *loader) unknown(target, root string) string {
	var declared []string
	for _, address := range sortedKeys(l.nodes) {
		if strings.HasPrefix(address, root+".") {
			declared = append(declared, address)
		}
	}
	if suggestion := nearest(target, declared); suggestion != "" {
		return fmt.Sprintf("%s is not declared.%s", target, didYouMean(suggestion))
	}
	switch {
	case len(declared) == 0:
		return fmt.Sprintf("%s is not declared, nor is any other %s.", target, kinds[root].noun)
	case len(declared) > 6:
		declared = append(declared[:6], "…")
	}
	return fmt.Sprintf("%s is not declared. There is %s.", target, strings.Join(declared, ", "))
}

// tree builds the nested objects of an evaluation's scope. Its leaves are
// cty.Value, its inner nodes trees.
type tree map[string]any

func (t tree) set(v cty.Value, path []string) {
	for _, name := range path[:len(path)-1] {
		if t[name] == nil {
			t[name] = tree{}
		}
		t = t[name].(tree)
	}
	t[path[len(path)-1]] = v
}

func (t tree) values() map[string]cty.Value {
	out := make(map[string]cty.Value, len(t))
	for name, v := range t {
		if sub, ok := v.(tree); ok {
			out[name] = cty.ObjectVal(sub.values())
		} else {
			out[name] = v.(cty.Value)
		}
	}
	return out
}
