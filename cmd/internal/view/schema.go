package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// schemaPrinter prints tables and their columns.
type schemaPrinter struct{ *printer }

// Table prints the table of a job, including the columns that every table has.
func (v schemaPrinter) Table(job jobs.Job) {
	v.Printf("%s\n", v.paint("# "+job.Address, bold))
	v.Printf("  table %s, partitioned by %s\n\n", job.TableName, strings.Join(job.Schema.Keys(), ", "))
	all := job.Schema.All()
	rows := make([][3]string, len(all))
	var widths [3]int
	for i, c := range all {
		rows[i] = [3]string{c.Name, string(c.Type), protection(c)}
		for column, text := range rows[i] {
			widths[column] = max(widths[column], utf8.RuneCountInString(text))
		}
	}
	for i, c := range all {
		var line Text = "  "
		for column, text := range rows[i] {
			line += Format("%s%s", text, strings.Repeat(" ", widths[column]-utf8.RuneCountInString(text)+2))
		}
		from := c.Provenance()
		if c.Value != "" {
			from = "(" + from + ")"
		}
		v.Printf("%s%s\n", line, from)
		if c.Description != "" {
			v.Printf("      %s\n", v.paint(c.Description, dim))
		}
	}
	t := job.Schema
	v.Printf("\n  event types:    %s\n  other types:    %s\n  other fields:   %s\n  wrong values:   %s\n", strings.Join(t.EventTypes, ", "),
		cmp.Or(t.UnknownType, schemas.Keep), cmp.Or(t.UnknownField, schemas.Keep), cmp.Or(t.Mismatch, schemas.Keep))
}

// protection returns the column's policy, or "personal" for unprotected personal data.
func protection(c schemas.Column) string {
	switch {
	case c.Policy != "":
		return string(c.Policy)
	case c.PII:
		return "personal"
	}
	return ""
}

// SchemaDiff holds the differences between the declared and the accepted tables.
type SchemaDiff struct {
	Locked bool // whether there is a lock
	Jobs   []JobDiff
	Gone   []string // addresses of accepted tables whose jobs are not declared
}

// JobDiff holds the differences between a job's table and the accepted one.
type JobDiff struct {
	Address string
	New     bool // none was accepted
	Changes []schemas.Change
}

// Empty reports whether there is no difference.
func (d SchemaDiff) Empty() bool { return len(d.Jobs) == 0 && len(d.Gone) == 0 }

// SchemaDiff prints the differences, if there are any.
func (v schemaPrinter) SchemaDiff(d SchemaDiff) {
	for _, j := range d.Jobs {
		v.Printf("\n%s\n", v.paint("# "+j.Address, bold))
		if j.New {
			v.Printf("  %s a new table of %s\n", v.symbol(plan.Create), plural(len(j.Changes), "column"))
			continue
		}
		v.columnChanges(j.Changes, "  ")
	}
	for _, address := range d.Gone {
		v.Printf("\n%s\n", v.paint("# "+address, bold))
		v.Printf("  %s the job is no longer declared\n", v.symbol(plan.Delete))
	}
}

// columnChanges prints the changes of a table's columns, one on each line.
func (v *printer) columnChanges(changes []schemas.Change, indent string) {
	width := 0
	for _, c := range changes {
		width = max(width, len(c.Column))
	}
	for _, c := range changes {
		symbol := plan.Update
		switch c.Kind {
		case schemas.Added:
			symbol = plan.Create
		case schemas.Removed:
			symbol = plan.Delete
		}
		line := c.String()
		if c.Column != "" { // otherwise the table itself changes
			line = fmt.Sprintf("%-*s  %s", width, c.Column, line)
		}
		v.Printf("%s%s %s\n", indent, v.symbol(symbol), line)
	}
}

// changesJSON returns changes of columns in the format of the JSON documents.
func changesJSON(changes []schemas.Change) []object {
	out := []object{}
	for _, c := range changes {
		change := object{"kind": c.Kind, "safe": c.Safe()}
		for name, text := range map[string]string{"column": c.Column, "before": c.Before, "after": c.After} {
			if text != "" {
				change[name] = text
			}
		}
		out = append(out, change)
	}
	return out
}

// Proposals are columns and event types that a job's table could declare.
type Proposals struct {
	Job        jobs.Job
	Columns    []schemas.Proposal
	EventTypes []string // that the table does not expect; ascending
	Survey     schemas.Survey
}

// ProposalsFor returns proposals for what a survey has found.
func ProposalsFor(job jobs.Job, found schemas.Survey) Proposals {
	p := Proposals{Job: job, Columns: schemas.Infer(job.Schema, found), Survey: found}
	for _, eventType := range slices.Sorted(maps.Keys(found.EventTypes)) {
		if !job.Schema.Knows(eventType) {
			p.EventTypes = append(p.EventTypes, eventType)
		}
	}
	return p
}

// Empty reports whether there is nothing to propose or to report.
func (p Proposals) Empty() bool {
	return len(p.Columns)+len(p.EventTypes)+len(p.Survey.Mismatched) == 0 && p.Survey.Further == 0
}

// Proposals prints proposals in the schema language.
func (v schemaPrinter) Proposals(p Proposals) {
	v.Printf("# %s: paste the parts that you want into the block\n#\n", p.Job.Address)
	if name, declared := strings.CutPrefix(p.Job.SchemaBlock.Address, "schema."); declared {
		v.Printf("#   schema %q { … }\n", name)
	} else {
		v.Printf(`#   schema %[1]q {
#     extends = "knock_events"
#     …
#   }
#
# and set in the job: schema = schema.%[1]s
`, p.Job.TableName)
	}
	v.Printf("#\n# For values about people, set pii = true or a policy.\n")
	for _, column := range p.Columns {
		v.Printf("\n%s", Program(column.Source()))
	}
	for _, eventType := range p.EventTypes {
		v.Printf("\n# events: %d\n# To expect their type, add it:\n# event_types = [%s]\n", p.Survey.EventTypes[eventType], Program(schemas.Quote(eventType)))
	}
	blocks := make(map[string]string) // by column
	for _, f := range p.Survey.Counts(p.Survey.Mismatched) {
		v.Printf("\n# events: %d\n# Type %q: the column does not accept a value of the kind %s at %q.\n", f.Events, f.EventType, f.Kind, f.Path)
		block := string(p.Job.Schema.InferTime(f))
		column, _ := p.Job.Schema.Taking(f.Path, f.EventType)
		switch before := blocks[column.Name]; {
		case block == "":
		case before == "":
			v.Printf("# With this block, it does:\n%s", Program([]byte(block)))
			blocks[column.Name] = block
		case before == block:
			v.Printf("# With the block of %s above, it does.\n", column.Name)
		default:
			v.Printf("# The block of %s above is for times in another format, and a column accepts only one.\n", column.Name)
		}
	}
	if p.Survey.Further > 0 {
		v.Printf("\n# More fields that are not listed: %d.\n", p.Survey.Further)
	}
}

// TablesJSON returns the document of schema show -json.
func TablesJSON(all []jobs.Job) ([]byte, error) {
	tables := []object{}
	for _, job := range all {
		t := job.Schema
		table := object{
			"address": job.Address, "table": job.TableName, "fingerprint": t.Fingerprint(),
			"columns": t.Columns, "partition_by": t.PartitionBy, "event_types": t.EventTypes,
			"unknown_type": cmp.Or(t.UnknownType, schemas.Keep), "unknown_field": cmp.Or(t.UnknownField, schemas.Keep), "mismatch": cmp.Or(t.Mismatch, schemas.Keep),
		}
		if job.SchemaBlock.Address != "" {
			table["declared_by"] = job.SchemaBlock.Address
		}
		tables = append(tables, table)
	}
	return json.MarshalIndent(object{
		"format_version": DocumentVersion, "prospector_version": jobs.Version, "jobs": tables,
	}, "", "  ")
}

// SchemaDiffJSON returns the document of schema diff -json.
func SchemaDiffJSON(d SchemaDiff) ([]byte, error) {
	differing := []object{}
	for _, j := range d.Jobs {
		differing = append(differing, object{"address": j.Address, "new": j.New, "changes": changesJSON(j.Changes)})
	}
	return json.MarshalIndent(object{
		"format_version": DocumentVersion, "prospector_version": jobs.Version,
		"locked": d.Locked, "jobs": differing, "gone": append([]string{}, d.Gone...),
	}, "", "  ")
}
