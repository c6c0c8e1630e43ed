package config

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
	"prospector/schemas"
)

// job is a declared job and its tables, one a sink.
type job struct {
	jobs.Job
	tables []table
}

type table struct {
	sink string // address
	uri  string
	path string // of a local sink, or ""
	// shown is the URI, unless it is sensitive.
	shown string
}

var jobName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)

// tableName makes a job's name of what somebody took for one, or gives "".
func tableName(name string) string {
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9-]+`).ReplaceAllString(strings.ToLower(name), "_"), "_-")
	if !jobName.MatchString(name) {
		return ""
	}
	return name
}

var compressions = []string{string(jobs.Snappy), string(jobs.ZSTD), string(jobs.GZip), string(jobs.Uncompressed)}

func (l *loader) job(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, []string{"source", "prospects", "sinks", "partition_by", "compression"})
	b.require(map[string]string{
		"source": "where events come from, such as source.knock.production",
		"sinks":  "where the table is kept, such as [sink.local.lake]",
	})
	j := job{Job: jobs.Job{Block: b.Block, Name: hb.Labels[0], Table: schemas.KnockEvents(), Compression: jobs.Snappy}}

	if s, ok := l.sources[b.reference("source")]; ok {
		j.Source = s
		if v, set := b.values["prospects"]; j.Source.Simulator == nil && (!set || v.IsNull()) {
			b.fail("prospects", "Missing required attribute", fmt.Sprintf(
				"%s needs prospects, such as prospects.crm: the API cannot list them. Only a simulator knows its own.", address))
		}
	}
	if p, ok := l.prospects[b.reference("prospects")]; ok {
		j.Prospects = &p
	}
	for _, s := range b.sinkList() {
		t := table{sink: s.Address, uri: s.URI(j.Name)}
		if t.shown = t.uri; len(s.marks) > 0 {
			t.shown = "a sensitive place"
		}
		if s.Kind == "local" {
			t.path = filepath.Join(s.Path, j.Name)
		}
		j.Sinks, j.tables = append(j.Sinks, s.Sink), append(j.tables, t)
	}
	b.partitionBy(&j.Table)
	var compression string
	if b.text("compression", &compression) {
		if !slices.Contains(compressions, compression) {
			b.wrong("compression", "one of "+strings.Join(compressions, ", "), b.hint("compression", nearest(compression, compressions)))
		}
		j.Compression = jobs.Compression(compression)
	}
	if b.failed {
		return cty.DynamicVal
	}
	l.jobs = append(l.jobs, j)
	uris := make([]cty.Value, len(j.tables))
	for i, t := range j.tables {
		uris[i] = cty.StringVal(t.uri)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "name": cty.StringVal(j.Name),
		"uris": b.marked(cty.ListVal(uris), "sinks"), // as sensitive as where the sinks are
	})
}

// addressOf gives the address of the block that a reference stands for, or ""
// when the value is no reference to a block of that kind.
func addressOf(v cty.Value, kind string) string {
	if v.IsNull() || !v.Type().Equals(kinds[kind].object) || v.GetAttr("id").IsNull() {
		return ""
	}
	return v.GetAttr("id").AsString()
}

// reference reads an attribute that refers to a block of the kind that it is
// named for, and gives the block's address or "".
func (b *block) reference(kind string) string {
	if !b.given(kind) {
		return ""
	}
	address := addressOf(b.values[kind], kind)
	if !strings.HasPrefix(address, kind+".") || b.l.nodes[address] == nil {
		b.wrong(kind, "a reference: "+kinds[kind].example, "")
	}
	return address
}

// sinkList reads the sinks of a job.
func (b *block) sinkList() []sink {
	if !b.given("sinks") {
		return nil
	}
	const expected = "a list of sinks, such as [sink.local.lake]"
	v := b.values["sinks"]
	ty := v.Type()
	if address := addressOf(v, "sink"); address != "" {
		b.wrong("sinks", expected, didYouMean("["+address+"]"))
		return nil
	}
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		b.wrong("sinks", expected, "")
		return nil
	}
	if v.LengthInt() == 0 {
		b.fail("sinks", "No sinks", "The list of sinks is empty, so the table would be kept nowhere. Name a sink, such as [sink.local.lake].")
		return nil
	}
	var out []sink
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, ok := b.l.sinks[addressOf(e, "sink")]
		if !ok {
			b.fail("sinks", "Wrong value for sinks", fmt.Sprintf("sinks must be %s; the list holds something else.", expected))
			return nil
		}
		if slices.ContainsFunc(out, func(o sink) bool { return o.Address == s.Address }) {
			b.fail("sinks", "Sink listed twice", fmt.Sprintf("%s stands twice in the list. Remove one of the two.", s.Address))
			continue
		}
		out = append(out, s)
	}
	return out
}

func (b *block) partitionBy(into *schemas.Table) {
	const expected = `a list of columns, such as ["event_type", "event_date"]`
	v, ok := b.converted("partition_by", cty.List(cty.String), expected)
	if !ok {
		return
	}
	var keys []string
	suggestion := ""
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() {
			b.wrong("partition_by", expected, " It holds a null.")
			return
		}
		key := e.AsString()
		if suggestion == "" && !slices.Contains(schemas.PartitionKeys(), key) {
			suggestion = b.hint("partition_by", nearest(key, schemas.PartitionKeys()))
		}
		keys = append(keys, key)
	}
	t, err := into.PartitionedBy(keys...)
	switch {
	case err != nil && b.hidden("partition_by"):
		b.wrong("partition_by", expected, "")
	case err != nil:
		b.fail("partition_by", "Invalid partition key", capital(err.Error())+"."+suggestion)
	default:
		*into = t
	}
}

// checkJobs reports what is wrong with the jobs as a whole.
func (l *loader) checkJobs(backend jobs.Backend) {
	declared := slices.ContainsFunc(sortedKeys(l.nodes), func(a string) bool { return strings.HasPrefix(a, "job.") })
	if !declared && !l.diags.HasErrors() {
		l.failNowhere("No jobs declared", fmt.Sprintf(
			"The configuration in %s has no job block, so there is nothing to do. A job names a source, sinks and, unless the source is a simulator, prospects.", l.dir))
	}
	type place struct {
		j job
		t table
	}
	var seen []place
	for _, j := range l.jobs {
		for _, t := range j.tables {
			for _, o := range seen {
				if !within(t.uri, o.t.uri, "/") && !within(o.t.uri, t.uri, "/") {
					continue
				}
				l.diags = append(l.diags, j.Diagnose("sinks", "Two tables in one place", fmt.Sprintf(
					"%s in %s is %s, and %s in %s is %s (%s:%d). A table needs a place of its own, since its readers take every file below it for theirs: change the path or the prefix of one sink.",
					j.Address, t.sink, t.shown, o.j.Address, o.t.sink, o.t.shown, o.j.Origin.Filename, o.j.Origin.Line)))
				break
			}
			seen = append(seen, place{j, t})
			l.checkTable(j, t, backend)
		}
	}
}

// checkTable keeps what is not a table's own out of its directory.
func (l *loader) checkTable(j job, t table, backend jobs.Backend) {
	if t.path == "" {
		return
	}
	others := map[string]string{"the configuration": l.dir, "the state": backend.Path}
	if j.Prospects != nil && j.Prospects.File != "-" {
		others["the list of prospects"] = j.Prospects.File
	}
	for _, what := range sortedKeys(others) {
		if within(others[what], t.path, string(filepath.Separator)) {
			l.diags = append(l.diags, j.Diagnose("sinks", "Foreign files in a table", fmt.Sprintf(
				"The directory of %s in %s would hold %s, and readers of the lake take every file in it for the table's. Change the path of the sink.",
				j.Address, t.sink, what)))
		}
	}
}

// within reports whether a path is another or lies below it.
func within(path, root, separator string) bool {
	return strings.HasPrefix(path+separator, strings.TrimSuffix(root, separator)+separator)
}

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
			"The value of %s comes from something sensitive. Add sensitive = true to the output to say that this is meant.", address))
	}
	if b.failed {
		return cty.DynamicVal
	}
	v, ok := plain(b.values["value"])
	if !ok {
		b.fail("value", "Invalid output", fmt.Sprintf("The value of %s holds a number that is too large to be shown.", address))
		return cty.DynamicVal
	}
	b.l.outputs = append(b.l.outputs, jobs.Output{Name: hb.Labels[0], Value: v, Sensitive: hidden})
	return cty.NullVal(cty.DynamicPseudoType) // nothing can refer to it
}

// plain makes the value of a jobs.Output. It gives false for a number that a
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
