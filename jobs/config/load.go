// Package config reads the configuration of a working directory, which is written in
// HCL, and turns it into the validated values of package jobs.
//
// Every problem that can be found offline becomes a diagnostic with its place in the
// source. Load reports all of them at once. No diagnostic shows a value that a variable
// declares sensitive, an API key, or a line of a variable file.
//
// The package does not contact a source, open a sink or read prospects. The stages do
// that, and report problems at a place in the source with jobs.Block.Diagnose.
//
// Load reads the files (files.go) and collects the blocks. Every variable, local value
// and block is a node (reference.go), which is evaluated when it is first referred to.
// block.go has the tools with which sources.go, sinks.go, schema.go, job.go and
// foreach.go decode their blocks. rule.go has what validations of variables and checks of
// results share. Moved and removed jobs (moves.go) and the places of tables (places.go)
// are checked last, when all jobs are known.
package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"prospector/extract"
	"prospector/jobs"
	"prospector/sink/store"
)

// Options are what the environment and the command line add to a directory.
type Options struct {
	// Sources are the kinds of sources that the program supports.
	Sources extract.Kinds
	// Vars are "name=value", in order. They override VarFiles.
	Vars []string
	// VarFiles are paths of variable files, in order.
	VarFiles []string
	// Stores are the kinds of store that sinks and backends can have. The first one
	// on this machine is the default backend.
	Stores store.Kinds
	// Environ is the environment, in the form of os.Environ.
	Environ []string
	// ReplaceLock reports that the schema lock will be rewritten. Then a broken lock is
	// only a warning.
	ReplaceLock bool
}

// Load reads every *.hcl file in dir whose name does not begin with a dot, as one
// configuration. The configuration is nil if one of the diagnostics is an error. The
// diagnostics name files relative to dir.
func Load(dir string, o Options) (*jobs.Configuration, jobs.Diagnostics) {
	return loadAs(dir, o, func(l *loader, apart map[string][]*hcl.Block) *jobs.Configuration {
		c := l.evaluateAll(apart)
		c.Lock = l.lock(o.ReplaceLock)
		for _, m := range c.Moved { // a moved job keeps its lock
			if t, ok := c.Lock[m.From]; ok {
				delete(c.Lock, m.From)
				c.Lock[m.To] = t
			}
		}
		return c
	})
}

// LoadBackend reads only the backend of a directory, for commands that need nothing
// else. Variables that the backend does not refer to need no value, and errors in jobs
// do not matter.
func LoadBackend(dir string, o Options) (*jobs.Backend, jobs.Diagnostics) {
	return loadAs(dir, o, func(l *loader, apart map[string][]*hcl.Block) *jobs.Backend {
		var c jobs.Configuration
		l.settings(apart["prospector"], &c)
		return &c.Backend
	})
}

// loadAs declares the blocks of a directory, and evaluates them with evaluate.
func loadAs[T any](dir string, o Options, evaluate func(*loader, map[string][]*hcl.Block) *T) (*T, jobs.Diagnostics) {
	l, err := newLoader(dir, o)
	if err != nil {
		return nil, jobs.Diagnostics{{Severity: jobs.Error, Summary: "Cannot find the working directory", Detail: err.Error()}}
	}
	var c *T
	if apart := l.declareAll(o); apart != nil {
		c = evaluate(l, apart)
	}
	slices.SortStableFunc(l.diags, func(a, b jobs.Diagnostic) int { return compareOrigins(a.Origin, b.Origin) })
	if l.diags.HasErrors() {
		return nil, l.diags
	}
	return c, l.diags
}

// compareOrigins orders by place. A diagnostic without a place comes first.
func compareOrigins(a, b *jobs.Origin) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	return cmp.Or(strings.Compare(a.Filename, b.Filename), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// loader is one Load: the results of its blocks, by address. Expressions are evaluated by
// its graph, and variables have a type of their own.
type loader struct {
	*graph
	variables *variables
	shown     string // the directory as the caller named it

	sourceKinds extract.Kinds
	storeKinds  store.Kinds

	sources   map[string]jobs.Source
	prospects map[string]jobs.Prospects
	sinks     map[string]jobs.Sink
	schemas   map[string]schema
	jobs      []job
	outputs   []jobs.Output
	checks    []jobs.Check
}

func newLoader(dir string, o Options) (*loader, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("making %s absolute: %w", dir, err)
	}
	out := &outside{dir: abs, env: map[string]string{}, secrets: secretValues{variables: map[string]bool{}}}
	for _, entry := range o.Environ {
		name, value, _ := strings.Cut(entry, "=")
		out.env[name] = value
	}
	g := newGraph(out, blockTypes(locationAttributes(o.Stores)))
	return &loader{
		graph: g, variables: &variables{graph: g, shown: dir, assigned: map[string]assignment{}}, shown: dir,
		sourceKinds: o.Sources, storeKinds: o.Stores,
		sources: map[string]jobs.Source{}, prospects: map[string]jobs.Prospects{},
		sinks: map[string]jobs.Sink{}, schemas: map[string]schema{},
	}, nil
}

var rootSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "prospector"},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "source", LabelNames: []string{"type", "name"}},
	{Type: "prospects", LabelNames: []string{"name"}},
	{Type: "sink", LabelNames: []string{"type", "name"}},
	{Type: "schema", LabelNames: []string{"name"}},
	{Type: "job", LabelNames: []string{"name"}},
	{Type: "check", LabelNames: []string{"name"}},
	{Type: "moved"},
	{Type: "removed"},
	{Type: "output", LabelNames: []string{"name"}},
}}

// declareAll reads the files and makes the nodes of their blocks. It returns the blocks
// that nothing can refer to, by type. It returns nil if a file is broken, because the
// missing blocks would only cause more errors.
func (l *loader) declareAll(o Options) (apart map[string][]*hcl.Block) {
	bodies := l.readConfiguration()
	if l.diags.HasErrors() {
		return nil
	}
	apart = map[string][]*hcl.Block{}
	for _, body := range bodies {
		content, diags := body.Content(rootSchema)
		l.report("", false, diags)
		for _, b := range content.Blocks {
			switch b.Type {
			case "prospector", "moved", "removed":
				apart[b.Type] = append(apart[b.Type], b)
			default:
				l.declare(b)
			}
		}
	}
	l.variables.assign(o)
	return apart
}

// evaluateAll evaluates all nodes and blocks.
func (l *loader) evaluateAll(apart map[string][]*hcl.Block) *jobs.Configuration {
	for _, address := range sortedKeys(l.nodes) {
		l.value(address)
	}
	c := &jobs.Configuration{Dir: l.dir, Outputs: l.outputs, Checks: l.checks}
	l.settings(apart["prospector"], c)
	c.Moved, c.Removed = l.moves(apart["moved"], apart["removed"])
	if declaresNothing(l.nodes, apart) && !l.diags.HasErrors() {
		l.failNowhere("No jobs declared", fmt.Sprintf(
			"The configuration in %s has neither a job nor a sink, so there is nothing to do. A job names a source, sinks and, unless the source is a simulator, prospects.", l.dir))
	}
	l.checkJobs(c.Backend)
	for _, j := range l.jobs {
		c.Jobs = append(c.Jobs, j.Job)
	}
	slices.SortFunc(c.Jobs, func(a, b jobs.Job) int { return strings.Compare(a.Address, b.Address) })
	for _, address := range sortedKeys(l.sinks) {
		c.Sinks = append(c.Sinks, l.sinks[address])
	}
	return c
}

// declaresNothing reports whether there is neither a job nor a trace of an earlier one:
// a sink, or a moved or removed block.
func declaresNothing(nodes map[string]*node, apart map[string][]*hcl.Block) bool {
	for address := range nodes {
		if strings.HasPrefix(address, "job.") || strings.HasPrefix(address, "sink.") {
			return false
		}
	}
	return len(apart["moved"]) == 0 && len(apart["removed"]) == 0
}

// declare makes the nodes of a top-level block.
func (l *loader) declare(b *hcl.Block) {
	if b.Type == "locals" {
		attrs, diags := b.Body.JustAttributes()
		l.report("", false, diags)
		for _, name := range sortedKeys(attrs) {
			attr, address := attrs[name], "local."+name
			l.add(address, attr.NameRange, func() cty.Value {
				v, _ := l.evaluate(attr.Expr, address, false, nil)
				return v
			})
		}
		return
	}
	root := b.Type
	if root == "variable" {
		root = "var"
	}
	address := strings.Join(append([]string{root}, b.Labels...), ".")
	if !l.checkLabels(b, address) {
		return
	}
	if b.Type == "variable" && isSensitiveVariable(b.Body) {
		l.secrets.variables[b.Labels[0]] = true
		l.secrets.add(b.Labels[0], defaultOf(b.Body))
	}
	decode := map[string]func(*hcl.Block, string) cty.Value{
		"variable":  l.variables.variable,
		"source":    l.source,
		"prospects": l.prospectList,
		"sink":      l.sink,
		"schema":    l.schema,
		"job":       l.job,
		"check":     l.check,
		"output":    l.output,
	}[b.Type]
	if l.add(address, b.DefRange, func() cty.Value { return decode(b, address) }) && b.Type == "job" {
		l.nodes[address].each = hasForEach(b)
	}
}

// checkLabels reports a name that is not valid in a reference or as a directory.
func (l *loader) checkLabels(b *hcl.Block, address string) bool {
	i := len(b.Labels) - 1
	name := b.Labels[i]
	if b.Type == "job" {
		if jobName.MatchString(name) {
			return true
		}
		l.fail(b.LabelRanges[i], address, "Invalid job name", fmt.Sprintf(
			"%q cannot be the name of a job and its table's directory. A name has %s.%s", name, nameRule, didYouMean(tableName(name))))
		return false
	}
	if hclsyntax.ValidIdentifier(name) {
		return true
	}
	l.fail(b.LabelRanges[i], address, "Invalid "+b.Type+" name", fmt.Sprintf(
		"%q is not a valid name. A name begins with a letter and has only letters, digits, underscores and hyphens.", name))
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
