package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"prospector/jobs/config/functions"
)

// The variable file that is always read, the suffix of those that are read after it, and
// the prefix of environment variables.
const (
	variableFile     = "prospector.hclvars"
	autoVariableFile = ".auto.hclvars"
	variablePrefix   = "PROSPECTOR_VAR_"
)

// assignment is a value for a variable from the environment, a file or the command line.
type assignment struct {
	from string // for messages: "-var", a file's name, …
	// text is parsed when the variable's type is known.
	text  string
	value cty.Value // NilVal if there is a text
	at    hcl.Range // in a variable file, or zero
}

// variables has the values that are assigned to variables.
type variables struct {
	*graph
	shown    string                // the directory as the caller named it
	unread   bool                  // whether a variable file could not be read
	assigned map[string]assignment // by variable
}

// assign collects the values of variables. Later ones override earlier ones: the
// environment, prospector.hclvars, *.auto.hclvars, -var-file, -var.
func (vs *variables) assign(o Options) {
	for _, address := range sortedKeys(vs.nodes) {
		name, ok := strings.CutPrefix(address, "var.")
		if text, set := vs.env[variablePrefix+name]; ok && set {
			vs.set(name, assignment{from: variablePrefix + name, text: text})
		}
	}
	if _, err := os.Stat(filepath.Join(vs.dir, variableFile)); !errors.Is(err, fs.ErrNotExist) {
		vs.readVariables(filepath.Join(vs.shown, variableFile))
	}
	entries, _ := os.ReadDir(vs.dir) // was read before
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, autoVariableFile) && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			vs.readVariables(filepath.Join(vs.shown, name))
		}
	}
	for _, name := range o.VarFiles {
		vs.readVariables(name)
	}
	for _, v := range o.Vars {
		name, text, ok := strings.Cut(v, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok:
			// The argument may be a secret, so it is not shown.
			vs.failNowhere("Invalid -var option", "A -var option has no equals sign. Write -var 'NAME=VALUE'.")
		case vs.nodes["var."+name] == nil:
			vs.failNowhere("Value for undeclared variable", fmt.Sprintf("A -var option sets %q, but %s", name, vs.undeclared(name)))
		default:
			vs.set(name, assignment{from: "-var", text: text})
		}
	}
}

func (vs *variables) set(variable string, a assignment) {
	vs.assigned[variable] = a
	vs.secrets.add(variable, a)
}

func (vs *variables) undeclared(name string) string {
	detail := "the configuration declares no such variable."
	var declared []string
	for _, address := range sortedKeys(vs.nodes) {
		if v, ok := strings.CutPrefix(address, "var."); ok {
			declared = append(declared, v)
		}
	}
	return detail + didYouMean(nearest(name, declared))
}

// readVariables reads one variable file. Its lines are never shown.
func (vs *variables) readVariables(file string) {
	before := len(vs.diags)
	body := vs.parse(file, maskVariables)
	if len(vs.diags) > before {
		vs.unread = true
		return
	}
	attrs, diags := body.JustAttributes()
	vs.report("", false, diags)
	for _, name := range sortedKeys(attrs) {
		attr := attrs[name]
		if vs.nodes["var."+name] == nil {
			vs.warn(attr.NameRange, "Value for undeclared variable", fmt.Sprintf("This file sets %q, but %s", name, vs.undeclared(name)))
			continue
		}
		v, diags := attr.Expr.Value(nil)
		vs.report("var."+name, diags.HasErrors() && !constantOnly(diags), diags)
		if diags.HasErrors() {
			v = cty.DynamicVal
		}
		vs.set(name, assignment{from: file, value: v, at: attr.NameRange})
	}
}

// constantOnly reports whether all diagnostics only say that a constant was expected.
// They quote nothing.
func constantOnly(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if d.Summary != "Variables not allowed" && d.Summary != "Function calls not allowed" {
			return false
		}
	}
	return true
}

// declaration is a variable block.
type declaration struct {
	ty        cty.Type
	defaults  *typeexpr.Defaults
	literal   bool // a text is the value, not an expression
	sensitive bool
	nullable  bool
}

func (vs *variables) variable(hb *hcl.Block, address string) cty.Value {
	schema := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "validation"}}}
	for _, name := range []string{"type", "default", "description", "sensitive", "nullable"} {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, diags := hb.Body.Content(schema)
	vs.report(address, false, diags)

	failed := diags.HasErrors()
	d := declaration{ty: cty.DynamicPseudoType, literal: true, nullable: true}
	constant := func(name string, ty cty.Type) cty.Value {
		attr := content.Attributes[name]
		if attr == nil {
			return cty.NilVal
		}
		v, diags := attr.Expr.Value(nil)
		vs.report(address, d.sensitive && !constantOnly(diags), diags)
		if diags.HasErrors() {
			failed = true
			return cty.NilVal
		}
		c, err := convert.Convert(v, ty)
		if err != nil || name != "default" && c.IsNull() {
			failed = true
			vs.fail(attr.Expr.Range(), address, "Wrong value for "+name, fmt.Sprintf("%s must be a constant %s.", name, ty.FriendlyName()))
			return cty.NilVal
		}
		return c
	}
	if v := constant("sensitive", cty.Bool); v != cty.NilVal {
		d.sensitive = v.True()
	}
	if v := constant("nullable", cty.Bool); v != cty.NilVal {
		d.nullable = v.True()
	}
	constant("description", cty.String)
	if attr := content.Attributes["type"]; attr != nil {
		ty, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		vs.report(address, false, diags)
		failed = failed || diags.HasErrors()
		d.ty, d.defaults, d.literal = ty, defaults, ty.IsPrimitiveType()
	}
	fallback := constant("default", cty.DynamicPseudoType)
	if failed {
		return cty.DynamicVal
	}
	if fallback != cty.NilVal {
		v, err := d.convert(fallback)
		if err != nil {
			vs.fail(content.Attributes["default"].Expr.Range(), address, "Invalid default value for variable", fmt.Sprintf(
				"The default of %s does not fit its type: %s.", address, err))
			return cty.DynamicVal
		}
		fallback = v
	}
	return vs.validated(vs.assignedTo(d, fallback, hb, address), content.Blocks, hb, address)
}

// assignedTo returns a variable's value: the assigned one, or its default.
func (vs *variables) assignedTo(d declaration, fallback cty.Value, hb *hcl.Block, address string) cty.Value {
	name := hb.Labels[0]
	a, ok := vs.assigned[name]
	if !ok {
		if fallback == cty.NilVal && vs.unread {
			return cty.DynamicVal // the file that could not be read may set it
		}
		if fallback == cty.NilVal {
			how := fmt.Sprintf("with -var '%s=VALUE', in the environment as %s%s,", name, variablePrefix, name)
			if d.sensitive { // shells keep a history of command lines
				how = fmt.Sprintf("in the environment as %s%s,", variablePrefix, name)
			}
			vs.fail(hb.DefRange, address, "No value for required variable", fmt.Sprintf(
				"The variable %q has no default, and nothing sets it. Set it %s or as %s = … in %s or a file named by -var-file.",
				name, how, name, variableFile))
			return cty.DynamicVal
		}
		return d.mark(fallback)
	}
	at, v := a.at, a.value
	if at.Filename == "" {
		at = hb.DefRange
	}
	if v == cty.NilVal {
		var diags hcl.Diagnostics
		if v, diags = d.parse(a.text); diags.HasErrors() {
			detail := diags[0].Summary + ": " + diags[0].Detail
			if d.sensitive {
				detail = hiddenDetail
			}
			vs.fail(at, address, "Invalid value for variable", fmt.Sprintf(
				"The value of %s from %s is not an expression of its type, %s. %s", address, a.from, typeexpr.TypeString(d.ty), detail))
			return cty.DynamicVal
		}
	}
	if !v.IsKnown() {
		return cty.DynamicVal // reported when it was read
	}
	v, err := d.convert(v)
	if err != nil {
		vs.fail(at, address, "Invalid value for variable", fmt.Sprintf("The value of %s from %s does not fit its type: %s.", address, a.from, err))
		return cty.DynamicVal
	}
	if v.IsNull() && !d.nullable {
		if fallback == cty.NilVal {
			vs.fail(at, address, "Invalid value for variable", fmt.Sprintf("The value of %s from %s is null, which nullable = false forbids.", address, a.from))
			return cty.DynamicVal
		}
		v = fallback
	}
	return d.mark(v)
}

// parse parses a text from the command line or the environment, as Terraform does: the
// text is the value of a primitive type, and an expression for any other type.
func (d declaration) parse(text string) (cty.Value, hcl.Diagnostics) {
	if d.literal {
		return cty.StringVal(text), nil
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return expr.Value(nil)
}

// convert converts the value to the variable's type. Its error quotes no value.
func (d declaration) convert(v cty.Value) (cty.Value, error) {
	if d.defaults != nil && !v.IsNull() {
		v = d.defaults.Apply(v)
	}
	out, err := convert.Convert(v, d.ty)
	if err != nil && d.sensitive {
		// Even the name of an attribute could be secret.
		err = fmt.Errorf("it must be of type %s", typeexpr.TypeString(d.ty))
	}
	return out, err
}

func (d declaration) mark(v cty.Value) cty.Value {
	if d.sensitive {
		return v.Mark(functions.Sensitive)
	}
	return v
}
