package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs/config/functions"
)

// The value of a sensitive variable comes from outside of the configuration, and env and
// file read texts from there. So a text that they read is sensitive if it contains such
// a value.

// minSecret is the minimum length in bytes of a value that makes a text that contains it
// sensitive. Shorter values occur in texts by chance.
const minSecret = 6

// secretValues are the values of sensitive variables.
type secretValues struct {
	variables map[string]bool // the names of sensitive variables
	values    []string
}

// add adds a value that is assigned to a variable, or its default.
func (s *secretValues) add(variable string, a assignment) {
	if !s.variables[variable] {
		return
	}
	s.addText(a.text)
	if a.value == cty.NilVal || !a.value.IsWhollyKnown() {
		return
	}
	_ = cty.Walk(a.value, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.Type() == cty.String && !v.IsNull() {
			s.addText(v.AsString())
		}
		return true, nil
	})
}

func (s *secretValues) addText(text string) {
	if text = strings.TrimSpace(text); len(text) >= minSecret {
		s.values = append(s.values, text)
	}
}

// guard returns a text from outside. It is sensitive if it is or contains the value of a
// sensitive variable.
func (s *secretValues) guard(environment, text string) cty.Value {
	v := cty.StringVal(text)
	if name, ok := strings.CutPrefix(environment, variablePrefix); ok && s.variables[name] {
		return v.Mark(functions.Sensitive)
	}
	for _, secret := range s.values {
		if strings.Contains(text, secret) {
			return v.Mark(functions.Sensitive)
		}
	}
	return v
}

// isSensitiveVariable reports whether a variable block declares its variable sensitive,
// or may do so.
func isSensitiveVariable(body hcl.Body) bool {
	b, ok := body.(*hclsyntax.Body)
	if !ok || b.Attributes["sensitive"] == nil {
		return false
	}
	v, _ := b.Attributes["sensitive"].Expr.Value(nil)
	return !v.RawEquals(cty.False)
}

// defaultOf returns a variable's default as an assignment.
func defaultOf(body hcl.Body) assignment {
	if b, ok := body.(*hclsyntax.Body); ok && b.Attributes["default"] != nil {
		if v, diags := b.Attributes["default"].Expr.Value(nil); !diags.HasErrors() {
			return assignment{value: v}
		}
	}
	return assignment{}
}

// callsSensitive reports whether an expression calls sensitive, or reads a secret with
// env or file. Such an expression must not be quoted.
func (g *graph) callsSensitive(expr hcl.Expression) (found bool) {
	e, ok := expr.(hclsyntax.Expression)
	if !ok {
		return false
	}
	hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			switch call.Name {
			case "sensitive":
				found = true
			case "env", "file":
				found = found || g.readsSecret(call)
			}
		}
		return nil
	})
	return found
}

// readsSecret reports whether a call reads a secret, or may do so because its arguments
// are not constant.
func (g *graph) readsSecret(call *hclsyntax.FunctionCallExpr) bool {
	if len(g.secrets.variables) == 0 {
		return false
	}
	args := make([]cty.Value, len(call.Args))
	for i, arg := range call.Args {
		v, diags := arg.Value(nil)
		if diags.HasErrors() {
			return true
		}
		args[i] = v
	}
	v, err := g.functions[call.Name].Call(args)
	return err == nil && v.IsMarked()
}
