package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
	"prospector/schemas"
)

// check decodes a check of a job's result. Here its conditions are evaluated with the
// types of a result, and during a run with the result itself.
func (l *loader) check(hb *hcl.Block, address string) cty.Value {
	b := l.unopened(hb, address, []string{"job", "severity"}, hcl.BlockHeaderSchema{Type: "assert"})
	b.evaluate(nil, "job", "severity")
	b.require(map[string]string{"job": "the job whose result it checks, such as job.prospect_events"})
	c := jobs.Check{Block: b.Block, Name: hb.Labels[0], Severity: jobs.Warning}
	b.choice("severity", []string{string(jobs.Warning), string(jobs.Error)}, (*string)(&c.Severity))
	var schema schemas.Table
	if j := l.checkedJob(b); j != nil {
		c.Job, schema = j.Address, j.Schema
	}
	if len(b.blocks) == 0 {
		b.fail("", "Nothing to check", fmt.Sprintf("%s needs an assert block, with a condition and an error_message.", address))
	}
	for _, hb := range b.blocks {
		if a, ok := l.assertion(hb, address, schema); ok {
			c.Assertions = append(c.Assertions, a)
		} else {
			b.failed = true
		}
	}
	if !b.failed {
		l.checks = append(l.checks, c)
	}
	return cty.NullVal(cty.DynamicPseudoType) // nothing can refer to it
}

// checkedJob returns the job that a check refers to, or nil.
func (l *loader) checkedJob(b *block) *job {
	if !b.given("job") {
		return nil
	}
	v := b.values["job"]
	address := l.addressOf(v, "job")
	if i := slices.IndexFunc(l.jobs, func(j job) bool { return j.Address == address }); i >= 0 {
		return &l.jobs[i]
	}
	suggestion := ""
	if v.Type().IsObjectType() && !v.IsNull() {
		for _, instance := range v.AsValueMap() {
			if address := l.addressOf(instance, "job"); address != "" {
				base, _, _ := strings.Cut(address, "[")
				suggestion = fmt.Sprintf(" %s has for_each, so it refers to several jobs. Refer to one of them.", base)
			}
		}
	}
	b.wrong("job", "a reference: "+roots["job"].example, suggestion)
	return nil
}

// assertion prepares one condition. Errors that it has for every result are reported
// now.
func (l *loader) assertion(hb *hcl.Block, address string, schema schemas.Table) (jobs.Assertion, bool) {
	r, ok := l.rule(hb, address)
	if !ok {
		return jobs.Assertion{}, false
	}
	local := anyResult(schema)
	condition, ok := l.prepare(r.condition, address, false, local)
	message, also := l.prepare(r.message, address, false, local)
	if !ok || !also {
		return jobs.Assertion{}, false
	}
	_, _, problems := condition.truth(local)
	_, more := message.sentence(local)
	if problems = append(problems, more...); len(problems) > 0 {
		l.diags = append(l.diags, problems...)
		return jobs.Assertion{}, false
	}
	return jobs.Assertion{
		Origin: r.origin,
		Source: l.sourceOf(r),
		Evaluate: func(result jobs.Result) (bool, string, jobs.Diagnostics) {
			local := staged(result, schema)
			holds, known, problems := condition.truth(local)
			if len(problems) == 0 && !known {
				problems = condition.fault("No value", noValue)
			}
			if len(problems) > 0 || holds {
				return holds && len(problems) == 0, "", problems
			}
			said, problems := message.sentence(local)
			if len(problems) == 0 && said == "" {
				said = "The condition does not hold."
			}
			return false, said, problems
		},
	}, true
}

// anyResult is the scope of a result that is not known yet. It has the types of the
// attributes. If the schema is not known, null_share can have any column.
func anyResult(schema schemas.Table) scope {
	number := cty.UnknownVal(cty.Number).RefineNotNull()
	shares := cty.DynamicVal
	if len(schema.All()) > 0 {
		columns := map[string]cty.Value{}
		for _, c := range schema.All() {
			columns[c.Name] = number
		}
		shares = cty.ObjectVal(columns)
	}
	attributes := map[string]cty.Value{
		"null_share":             shares,
		"newest_event":           cty.UnknownVal(cty.String),
		"newest_event_age_hours": cty.UnknownVal(cty.Number),
	}
	for name := range counts(jobs.Result{}) {
		attributes[name] = number
	}
	return scope{"staged": cty.ObjectVal(attributes)}
}

// staged is the scope of a result.
func staged(r jobs.Result, schema schemas.Table) scope {
	shares := map[string]cty.Value{}
	for _, c := range schema.All() {
		shares[c.Name] = cty.Zero
		if r.Rows > 0 {
			shares[c.Name] = cty.NumberFloatVal(float64(r.Nulls[c.Name]) / float64(r.Rows))
		}
	}
	attributes := map[string]cty.Value{
		"null_share":             cty.ObjectVal(shares),
		"newest_event":           cty.NullVal(cty.String),
		"newest_event_age_hours": cty.NullVal(cty.Number),
	}
	if !r.Newest.IsZero() {
		attributes["newest_event"] = cty.StringVal(r.Newest.UTC().Format(time.RFC3339Nano))
		attributes["newest_event_age_hours"] = cty.NumberFloatVal(r.Now.Sub(r.Newest).Hours())
	}
	for name, n := range counts(r) {
		attributes[name] = cty.NumberIntVal(n)
	}
	return scope{"staged": cty.ObjectVal(attributes)}
}

func counts(r jobs.Result) map[string]int64 {
	return map[string]int64{
		"rows": r.Rows, "table_rows": r.TableRows,
		"rows_added": r.RowsAdded, "rows_changed": r.RowsChanged, "rows_removed": r.RowsRemoved,
		"quarantined": r.Quarantined,
		"prospects":   r.Prospects, "prospects_failed": r.ProspectsFailed,
	}
}
