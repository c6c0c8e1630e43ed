package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"prospector/jobs"
	"prospector/jobs/config/functions"
)

// node is what an expression can refer to, or an output. A node whose evaluation failed
// has an unknown value. What depends on it is not reported, so that one mistake is one
// diagnostic. No other value is unknown.
type node struct {
	declared hcl.Range
	each     bool // whether it has for_each, and so is an object with jobs by key
	evaluate func() cty.Value
	value    cty.Value // NilVal until it is evaluated
}

// graph has the nodes of a configuration, and evaluates expressions that refer to them.
type graph struct {
	*reporter
	*outside
	functions  map[string]function.Function
	blockTypes map[string]cty.Type // of references to blocks, by root
	nodes      map[string]*node
	active     []string // addresses of the nodes in evaluation, outermost first
}

func newGraph(o *outside, blockTypes map[string]cty.Type) *graph {
	all := functions.All(functions.Outside{Env: o.lookupEnv, ReadFile: o.readFile, FileExists: o.fileExists})
	r := newReporter()
	r.functionNames = sortedKeys(all)
	return &graph{reporter: r, outside: o, functions: all, blockTypes: blockTypes, nodes: map[string]*node{}}
}

// add declares a node. Of two with the same address, the first counts.
func (g *graph) add(address string, at hcl.Range, evaluate func() cty.Value) bool {
	if first := g.nodes[address]; first != nil {
		g.fail(at, address, "Duplicate declaration", fmt.Sprintf("%s is already declared, at %s:%d. Rename or remove one of the two.",
			address, first.declared.Filename, first.declared.Start.Line))
		return false
	}
	g.nodes[address] = &node{declared: at, evaluate: evaluate}
	return true
}

// value returns the value of a node, and evaluates it the first time.
func (g *graph) value(address string) cty.Value {
	n := g.nodes[address]
	if n.value == cty.NilVal {
		g.active = append(g.active, address)
		n.value = n.evaluate()
		g.active = g.active[:len(g.active)-1]
	}
	return n.value
}

// scope is what an expression can refer to in addition to the nodes, by root: each in a
// job with for_each, and staged in a check.
type scope map[string]cty.Value

// elsewhere describes where the roots of scopes can be used.
var elsewhere = map[string]string{
	"each":   "each.key and each.value exist only in a job that has for_each, in its other attributes.",
	"staged": "staged is what a run will publish. It exists only in the assert blocks of a check.",
}

// prepared is an expression whose references are resolved.
type prepared struct {
	graph   *graph
	expr    hcl.Expression
	address string
	roots   tree
	secret  bool // it must not be quoted
	known   bool // no reference leads to a node that failed
}

// prepare resolves an expression's references. It reports a problem, and then returns
// false. A secret expression is never quoted.
func (g *graph) prepare(expr hcl.Expression, address string, secret bool, local scope) (prepared, bool) {
	p := prepared{graph: g, expr: expr, address: address, roots: tree{}, secret: secret || g.callsSensitive(expr), known: true}
	ok := true
	for _, t := range expr.Variables() {
		path, v := g.resolve(t, address, secret, local)
		ok = ok && path != nil
		if path != nil {
			secret = secret || v.ContainsMarked()
			p.known = p.known && (v.IsWhollyKnown() || len(path) == 1)
			p.roots.set(v, path)
		}
	}
	p.secret = p.secret || secret
	return p, ok
}

// value evaluates the expression. The values of local replace those that it was prepared
// with.
func (p prepared) value(local scope) (cty.Value, jobs.Diagnostics) {
	variables := p.roots.values()
	for root := range variables {
		if v, ok := local[root]; ok {
			variables[root] = v
		}
	}
	v, diags := p.expr.Value(&hcl.EvalContext{Variables: variables, Functions: p.graph.functions})
	return v, p.graph.translate(p.address, p.secret, diags)
}

// fault returns an error about the expression.
func (p prepared) fault(summary, detail string) jobs.Diagnostics {
	return jobs.Diagnostics{{
		Severity: jobs.Error, Summary: summary, Detail: detail, Address: p.address, Origin: p.graph.origin(p.expr.Range()),
	}}
}

const noValue = "The expression has no definite value. One of its arguments may be null."

// evaluate returns an expression's value. It reports a problem, and then returns false.
// A secret expression is never quoted.
func (g *graph) evaluate(expr hcl.Expression, address string, secret bool, local scope) (cty.Value, bool) {
	p, ok := g.prepare(expr, address, secret, local)
	if !ok {
		return cty.DynamicVal, false
	}
	v, diags := p.value(local)
	g.diags = append(g.diags, diags...)
	if v.IsWhollyKnown() && !diags.HasErrors() {
		return v, true
	}
	if p.known && local.known() && !diags.HasErrors() {
		g.diags = append(g.diags, p.fault("No value", noValue)...)
	}
	return cty.DynamicVal, false
}

// known reports whether the scope's values are known, not only their types.
func (s scope) known() bool {
	for _, v := range s {
		if !v.IsWhollyKnown() {
			return false
		}
	}
	return true
}

// root describes the references that begin with one word, such as var.
type root struct {
	steps   int // names after the word
	noun    string
	example string
}

var roots = map[string]root{
	"var":       {1, "variable", "refer to a variable as var.NAME"},
	"local":     {1, "local value", "refer to a local value as local.NAME"},
	"source":    {2, "source", "refer to a source by its type and name, such as source.knock.production"},
	"prospects": {1, "list of prospects", "refer to a list of prospects by its name, such as prospects.crm"},
	"sink":      {2, "sink", "refer to a sink by its type and name, such as sink.local.lake"},
	"schema":    {1, "schema", "refer to a schema by its name, such as schema.prospect_events"},
	"job":       {1, "job", "refer to a job by its name, such as job.prospect_events"},
}

// blockTypes returns the types of references to blocks, by root. The attributes are
// those that the location of a sink can have.
func blockTypes(location []string) map[string]cty.Type {
	return map[string]cty.Type{
		"source":    object("id", "type", "name", "endpoint"),
		"prospects": object("id", "name", "file", "column"),
		"sink":      object(append([]string{"id", "type", "name", "uri"}, location...)...),
		"schema":    object("id", "name"),
		"job": cty.Object(map[string]cty.Type{
			"id": cty.String, "name": cty.String, "table": cty.String, "uris": cty.List(cty.String)}),
	}
}

func object(attributes ...string) cty.Type {
	types := make(map[string]cty.Type, len(attributes))
	for _, a := range attributes {
		types[a] = cty.String
	}
	return cty.Object(types)
}

// resolve returns the names and the value of what a reference refers to. It reports an
// unknown reference, and then returns nil.
func (g *graph) resolve(t hcl.Traversal, address string, secret bool, local scope) ([]string, cty.Value) {
	fail := func(p *problem) ([]string, cty.Value) {
		if secret {
			p.detail = hiddenDetail
		}
		g.fail(t.SourceRange(), address, p.summary, p.detail)
		return nil, cty.NilVal
	}
	root := t.RootName()
	if v, ok := local[root]; ok {
		if detail := missing(root, t[1:], v.Type()); detail != "" {
			secret = secret || v.ContainsMarked()
			return fail(&problem{"Unknown attribute", detail})
		}
		return []string{root}, v
	}
	k, ok := roots[root]
	if !ok {
		return fail(unknownRoot(t, local))
	}
	path := []string{root}
	for _, step := range t[1:] {
		attr, ok := step.(hcl.TraverseAttr)
		if !ok || len(path) > k.steps {
			break
		}
		path = append(path, attr.Name)
	}
	if len(path) <= k.steps {
		return fail(&problem{"Incomplete reference", capital(k.example) + "."})
	}
	target, steps := strings.Join(path, "."), t[len(path):]
	if p := g.checkReference(root, target, steps); p != nil {
		return fail(p)
	}
	v := g.value(target)
	if g.nodes[target].each {
		if summary, detail := g.missingInstance(target, steps, v); detail != "" {
			return fail(&problem{summary, detail})
		}
	}
	return path, v
}

// problem is what is wrong with a reference.
type problem struct{ summary, detail string }

// unknownRoot describes a reference that begins with an unknown word.
func unknownRoot(t hcl.Traversal, local scope) *problem {
	root := t.RootName()
	if detail := elsewhere[root]; detail != "" {
		return &problem{"Unknown reference", detail}
	}
	known := append(sortedKeys(roots), sortedKeys(local)...)
	slices.Sort(known)
	detail := fmt.Sprintf("References cannot begin with %q, only with %s.", root, strings.Join(known, ", "))
	if suggestion := nearest(root, known); suggestion != "" {
		detail += didYouMean(suggestion)
	} else if len(t) == 1 {
		detail += " A string needs double quotes."
	}
	return &problem{"Unknown reference", detail}
}

// checkReference describes what is wrong with a reference to a node, before the node is
// evaluated. It returns nil if nothing is. steps are what follows the node's address.
func (g *graph) checkReference(root, target string, steps hcl.Traversal) *problem {
	n := g.nodes[target]
	if n == nil {
		return &problem{"Unknown reference", g.unknown(target, root)}
	}
	if root == "job" && !n.each && len(steps) > 0 {
		if _, index := steps[0].(hcl.TraverseIndex); index {
			return &problem{"Unknown instance", fmt.Sprintf("%s has no for_each, so refer to it without a key.", target)}
		}
	}
	if ty, ok := g.blockTypes[root]; ok && !n.each {
		if detail := missing(target, steps, ty); detail != "" {
			return &problem{"Unknown attribute", detail}
		}
	}
	// A variable has its value before it is validated.
	if i := slices.Index(g.active, target); i >= 0 && n.value == cty.NilVal {
		return &problem{"Circular reference", fmt.Sprintf("%s depends on itself: %s.",
			target, strings.Join(append(slices.Clone(g.active[i:]), target), " → "))}
	}
	return nil
}

// missing describes the first step of a reference that is not an attribute of the type,
// or returns "".
func missing(target string, steps hcl.Traversal, ty cty.Type) string {
	for _, step := range steps {
		if !ty.IsObjectType() {
			return ""
		}
		name, ok := stepName(step)
		if !ok {
			return "" // HCL reports it
		}
		if !ty.HasAttribute(name) {
			names := sortedKeys(ty.AttributeTypes())
			return fmt.Sprintf("%s has no attribute %q, only %s.%s",
				target, name, strings.Join(names, ", "), didYouMean(nearest(name, names)))
		}
		target, ty = target+"."+name, ty.AttributeType(name)
	}
	return ""
}

// stepName returns the attribute of a step, which is written .name or ["name"].
func stepName(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// unknown describes an address that is not declared, and what is.
func (g *graph) unknown(target, root string) string {
	var declared []string
	for _, address := range sortedKeys(g.nodes) {
		if strings.HasPrefix(address, root+".") {
			declared = append(declared, address)
		}
	}
	if suggestion := nearest(target, declared); suggestion != "" {
		return fmt.Sprintf("%s is not declared.%s", target, didYouMean(suggestion))
	}
	if len(declared) == 0 {
		return fmt.Sprintf("%s is not declared, and neither is any other %s.", target, roots[root].noun)
	}
	return fmt.Sprintf("%s is not declared, only %s.", target, listed(declared))
}

// listed lists the first names.
func listed(names []string) string {
	if len(names) > 6 {
		names = append(names[:6:6], "…")
	}
	return strings.Join(names, ", ")
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
