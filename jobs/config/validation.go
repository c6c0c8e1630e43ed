package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// validated checks a variable's value with the rules of its validation blocks. It returns
// an unknown value if a rule does not hold.
func (vs *variables) validated(v cty.Value, blocks hcl.Blocks, hb *hcl.Block, address string) cty.Value {
	// The rules refer to their own variable.
	vs.nodes[address].value = v
	valid := true
	for _, block := range blocks {
		valid = vs.validate(block, hb, address) && valid
	}
	if !valid {
		return cty.DynamicVal
	}
	return v
}

func (vs *variables) validate(block, hb *hcl.Block, address string) bool {
	r, ok := vs.rule(block, address)
	if !ok {
		return false
	}
	if !refersTo(r.condition, hb.Labels[0]) {
		vs.fail(r.condition.Range(), address, "Invalid condition", fmt.Sprintf(
			"The condition of a validation must refer to %s, whose value it checks.", address))
		return false
	}
	condition, ok := vs.prepare(r.condition, address, false, nil)
	message, also := vs.prepare(r.message, address, false, nil)
	if !ok || !also {
		return false
	}
	if !condition.known || !message.known {
		return true // what it depends on is reported
	}
	holds, known, problems := condition.truth(nil)
	if len(problems) == 0 && !known {
		problems = condition.fault("No value", noValue)
	}
	if len(problems) > 0 || holds {
		vs.diags = append(vs.diags, problems...)
		return holds && len(problems) == 0
	}
	said, problems := message.sentence(nil)
	if len(problems) > 0 {
		vs.diags = append(vs.diags, problems...)
		return false
	}
	vs.fail(hb.DefRange, address, "Invalid value for variable", fmt.Sprintf(
		"%s\n\nThis was checked by the validation rule at %s:%d.", said, r.at.Filename, r.at.Start.Line))
	return false
}

// refersTo reports whether an expression refers to a variable.
func refersTo(expr hcl.Expression, variable string) bool {
	for _, t := range expr.Variables() {
		if t.RootName() != "var" || len(t) < 2 {
			continue
		}
		if name, ok := stepName(t[1]); ok && name == variable {
			return true
		}
	}
	return false
}
