package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"prospector/jobs"
)

// rule is a condition and its error message: a validation of a variable, or an assertion
// of a check.
type rule struct {
	at                 hcl.Range
	origin             jobs.Origin
	condition, message hcl.Expression
}

// rule reads a block with a condition and an error_message.
func (g *graph) rule(hb *hcl.Block, address string) (rule, bool) {
	b := g.unopened(hb, address, []string{"condition", "error_message"})
	for _, name := range []string{"condition", "error_message"} {
		if b.attrs[name] == nil {
			b.fail(name, "Missing required attribute", map[string]string{
				"condition":     "The " + hb.Type + " block needs condition: what must be true.",
				"error_message": "The " + hb.Type + " block needs error_message: the message when the condition does not hold.",
			}[name])
		}
	}
	if b.attrs["condition"] == nil || b.attrs["error_message"] == nil {
		return rule{}, false
	}
	condition := b.attrs["condition"].Expr
	return rule{hb.DefRange, *g.origin(condition.Range()), condition, b.attrs["error_message"].Expr}, true
}

// truth evaluates a condition. It is unknown if something that it depends on is.
func (p prepared) truth(local scope) (holds, known bool, problems jobs.Diagnostics) {
	v, problems := p.value(local)
	if problems.HasErrors() {
		return false, false, problems
	}
	v, _ = v.UnmarkDeep()
	out, err := convert.Convert(v, cty.Bool)
	if err != nil {
		return false, false, p.fault("Invalid condition", "A condition must be true or false; this is "+kindOf(v.Type())+".")
	}
	if out.IsNull() {
		return false, false, p.fault("Invalid condition", "A condition must be true or false; this is null.")
	}
	if !out.IsKnown() {
		return false, false, nil
	}
	return out.True(), true, nil
}

// hiddenMessage replaces an error_message that contains a sensitive value.
const hiddenMessage = "The error message included a sensitive value, so it will not be displayed."

// sentence evaluates an error_message. It returns "" if that is unknown.
func (p prepared) sentence(local scope) (string, jobs.Diagnostics) {
	v, problems := p.value(local)
	if problems.HasErrors() {
		return "", problems
	}
	v, marks := v.UnmarkDeep()
	out, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", p.fault("Invalid error message", "An error_message must be a string; this is "+kindOf(v.Type())+".")
	}
	switch {
	case out.IsNull():
		return "", p.fault("Invalid error message", "An error_message must be a string; this is null.")
	case len(marks) > 0:
		return hiddenMessage, nil
	case !out.IsKnown():
		return "", nil
	}
	return out.AsString(), nil
}

func kindOf(ty cty.Type) string {
	switch {
	case ty.IsTupleType():
		return "a list"
	case ty.IsObjectType():
		return "an object"
	}
	return "a " + ty.FriendlyName()
}

// sourceOf returns the text of the rule's expressions, without comments, white space and
// secrets.
func (g *graph) sourceOf(r rule) string {
	var b bytes.Buffer
	for i, expr := range []hcl.Expression{r.condition, r.message} {
		if i > 0 {
			b.WriteByte('\n')
		}
		at := expr.Range()
		tokens, _ := hclsyntax.LexExpression(at.SliceBytes(g.text[at.Filename]), at.Filename, hcl.InitialPos)
		for j, t := range tokens {
			switch t.Type {
			case hclsyntax.TokenComment, hclsyntax.TokenNewline, hclsyntax.TokenEOF:
				continue
			}
			if j > 0 {
				b.WriteByte(' ')
			}
			b.Write(t.Bytes)
		}
	}
	return b.String()
}
