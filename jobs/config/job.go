package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
	"prospector/schemas"
)

// job is a declared job and its table in each sink.
type job struct {
	jobs.Job
	tables []table
}

type table struct {
	sink string // address
	uri  string
	dir  string // absolute path, if the sink is on this machine
}

const nameRule = "at most 100 lower-case letters, digits, hyphens and underscores, beginning with a letter or digit"

var jobName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)

// tableName returns a valid name that is similar to an invalid one, or "".
func tableName(name string) string {
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9-]+`).ReplaceAllString(strings.ToLower(name), "_"), "_-")
	if !jobName.MatchString(name) {
		return ""
	}
	return name
}

var compressions = []string{string(jobs.Snappy), string(jobs.ZSTD), string(jobs.GZip), string(jobs.Uncompressed)}

// Smaller files are not worth opening. A larger file could have more row groups than 16
// bits count.
const (
	minFileSize = 1 << 20
	maxFileSize = 16 << 30
)

var jobAttributes = []string{"source", "prospects", "sinks", "schema", "table", "partition_by", "compression", "target_file_size", "on_missing", "on_foreign_file", "on_erased"}

// jobBlock reads the attributes of a job.
type jobBlock struct{ *block }

func (g *graph) unopenedJob(hb *hcl.Block, address string) *jobBlock {
	return &jobBlock{g.unopened(hb, address, append([]string{"for_each"}, jobAttributes...), hcl.BlockHeaderSchema{Type: "lifecycle"})}
}

// oneJob decodes a job, or one instance of it. name is the default name of its table.
// local is the scope of the instance.
func (l *loader) oneJob(hb *hcl.Block, address, name string, local scope) cty.Value {
	b := l.unopenedJob(hb, address)
	b.evaluate(local, jobAttributes...)
	b.require(map[string]string{
		"source": "where events come from, such as source.knock.production",
		"sinks":  "where the table is published, such as [sink.local.lake]",
	})
	j := job{Job: jobs.Job{Block: b.Block, TableName: name, Schema: schemas.KnockEvents(), Compression: jobs.Snappy, TargetFileSize: jobs.DefaultTargetFileSize}}

	if s, ok := l.sources[b.reference("source")]; ok {
		j.Source = s
		if v, set := b.values["prospects"]; !l.sourceKinds.Find(s.Kind).ListsProspects && (!set || v.IsNull()) {
			b.fail("prospects", "Missing required attribute", fmt.Sprintf(
				"%s needs prospects, such as prospects.crm, because a source of type %q does not list them.", address, s.Kind))
		}
	}
	if p, ok := l.prospects[b.reference("prospects")]; ok {
		j.Prospects = &p
	}
	if s, ok := l.schemas[b.reference("schema")]; ok {
		j.SchemaBlock, j.Schema = s.Block, s.table
	}
	b.table(&j.TableName, hb.Labels[0])
	for _, s := range l.sinkList(b) {
		t := table{sink: s.Address, uri: s.URI(j.TableName)}
		if dir, ok := s.Directory(); ok {
			t.dir = filepath.Join(dir, j.TableName)
		}
		j.Sinks, j.tables = append(j.Sinks, s), append(j.tables, t)
	}
	b.partitionBy(&j.Schema)
	b.choice("compression", compressions, (*string)(&j.Compression))
	b.size("target_file_size", minFileSize, maxFileSize, &j.TargetFileSize)
	b.deletes("on_missing", &j.DeleteMissing)
	b.deletes("on_foreign_file", &j.DeleteForeign)
	b.chooses("on_erased", "skip", "export", &j.ExportErased)
	if lifecycle := b.single(); lifecycle != nil {
		inner := l.unopened(lifecycle, address, []string{"prevent_destroy"})
		inner.evaluate(local, "prevent_destroy")
		inner.bool("prevent_destroy", &j.PreventDestroy)
		j.Attributes["prevent_destroy"] = inner.Attributes["prevent_destroy"]
		b.failed = b.failed || inner.failed
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
		"id": cty.StringVal(address), "name": cty.StringVal(hb.Labels[0]), "table": cty.StringVal(j.TableName),
		"uris": b.marked(cty.ListVal(uris), "sinks"), // as sensitive as the choice of sinks
	})
}

// deletes reads "keep", which is the default, or "delete".
func (b *jobBlock) deletes(name string, into *bool) { b.chooses(name, "keep", "delete", into) }

// chooses reads one of two words, and sets whether it is not the default.
func (b *jobBlock) chooses(name, byDefault, other string, into *bool) {
	way := byDefault
	b.choice(name, []string{byDefault, other}, &way)
	*into = way == other
}

const badTableName = "Invalid table name"

// table reads the name of a job's table. The default of a job with for_each is made from
// its key, and may be invalid.
func (b *jobBlock) table(into *string, label string) {
	if v, set := b.values["table"]; (!set || v.IsNull()) && !jobName.MatchString(*into) {
		reported := slices.ContainsFunc(b.graph.diags, func(d jobs.Diagnostic) bool {
			return d.Summary == badTableName && d.Origin != nil && *d.Origin == b.Attributes["for_each"]
		})
		if b.failed = true; reported {
			return // reporting the first instance is enough
		}
		b.fail("for_each", badTableName, fmt.Sprintf(
			"The table of this instance would be %q by default, but the name of a table has %s. Set table in the job, for example table = \"%s_${replace(lower(each.key), \"/[^a-z0-9]+/\", \"_\")}\".",
			*into, nameRule, label))
	}
	var name string
	if !b.text("table", &name) {
		return
	}
	switch {
	case b.hidden("table"):
		b.fail("table", "Sensitive table name", "The name of a table appears in every plan and in the paths of its files, so it cannot be sensitive. If it is not secret, use nonsensitive(…).")
	case !jobName.MatchString(name):
		b.fail("table", badTableName, fmt.Sprintf("%q cannot be the name of a table and its directory. A name has %s.%s", name, nameRule, didYouMean(tableName(name))))
	default:
		*into = name
	}
}

// addressOf returns the address of the block that a reference with that root refers
// to, or "" if the value is not such a reference.
func (g *graph) addressOf(v cty.Value, root string) string {
	if v.IsNull() || !v.Type().Equals(g.blockTypes[root]) || v.GetAttr("id").IsNull() {
		return ""
	}
	return v.GetAttr("id").AsString()
}

// reference reads an attribute that is named for the root of the reference that it
// holds. It returns the address of the block, or "".
func (b *jobBlock) reference(root string) string {
	if !b.given(root) {
		return ""
	}
	address := b.graph.addressOf(b.values[root], root)
	if !strings.HasPrefix(address, root+".") || b.graph.nodes[address] == nil {
		b.wrong(root, "a reference: "+roots[root].example, "")
	}
	return address
}

// sinkList reads the sinks of a job.
func (l *loader) sinkList(b *jobBlock) []jobs.Sink {
	if !b.given("sinks") {
		return nil
	}
	const expected = "a list of sinks, such as [sink.local.lake]"
	v := b.values["sinks"]
	ty := v.Type()
	if address := b.graph.addressOf(v, "sink"); address != "" {
		b.wrong("sinks", expected, didYouMean("["+address+"]"))
		return nil
	}
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		b.wrong("sinks", expected, "")
		return nil
	}
	if v.LengthInt() == 0 {
		b.fail("sinks", "No sinks", "The list of sinks is empty, so the table would not be published. Name a sink, such as [sink.local.lake].")
		return nil
	}
	var out []jobs.Sink
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, ok := l.sinks[l.addressOf(e, "sink")]
		if !ok {
			b.fail("sinks", "Wrong value for sinks", fmt.Sprintf("sinks must be %s; the list contains a value that is not a sink.", expected))
			return nil
		}
		if slices.ContainsFunc(out, func(o jobs.Sink) bool { return o.Address == s.Address }) {
			b.fail("sinks", "Sink listed twice", fmt.Sprintf("%s is in the list twice. Remove one of the two.", s.Address))
			continue
		}
		out = append(out, s)
	}
	return out
}

func (b *jobBlock) partitionBy(into *schemas.Table) {
	const expected = `a list of columns, such as ["event_type", "event_date"]`
	var keys []string
	if !b.texts("partition_by", expected, &keys) {
		return
	}
	suggestion := ""
	unknown := func(key string) bool { return !slices.Contains(into.Roles().PartitionKeys(), key) }
	if i := slices.IndexFunc(keys, unknown); i >= 0 {
		suggestion = b.hint("partition_by", nearest(keys[i], into.Roles().PartitionKeys()))
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
