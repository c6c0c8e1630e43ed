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

// assign collects the values of variables. Later ones override earlier ones: the
// environment, prospector.hclvars, *.auto.hclvars, -var-file, -var.
func (l *loader) assign(o Options) {
	for _, address := range sortedKeys(l.nodes) {
		name, ok := strings.CutPrefix(address, "var.")
		if text, set := l.env[variablePrefix+name]; ok && set {
			l.set(name, assignment{from: variablePrefix + name, text: text})
		}
	}
	if _, err := os.Stat(filepath.Join(l.dir, variableFile)); !errors.Is(err, fs.ErrNotExist) {
		l.readVariables(filepath.Join(l.shown, variableFile))
	}
	entries, _ := os.ReadDir(l.dir) // was read before
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, autoVariableFile) && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			l.readVariables(filepath.Join(l.shown, name))
		}
	}
	for _, name := range o.VarFiles {
		l.readVariables(name)
	}
	for _, v := range o.Vars {
		name, text, ok := strings.Cut(v, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok:
			// The argument may be a secret, so it is not shown.
			l.failNowhere("Invalid -var option", "A -var option has no equals sign. Write -var 'NAME=VALUE'.")
		case l.nodes["var."+name] == nil:
			l.failNowhere("Value for undeclared variable", fmt.Sprintf("A -var option sets %q, but %s", name, l.undeclared(name)))
		default:
			l.set(name, assignment{from: "-var", text: text})
		}
	}
}

func (l *loader) set(variable string, a assignment) {
	l.assigned[variable] = a
	l.secrets.add(variable, a)
}

func (l *loader) undeclared(name string) string {
	detail := "the configuration declares no such variable."
	var declared []string
	for _, address := range sortedKeys(l.nodes) {
		if v, ok := strings.CutPrefix(address, "var."); ok {
			declared = append(declared, v)
		}
	}
	return detail + didYouMean(nearest(name, declared))
}

// readVariables reads one variable file. Its lines are never shown.
func (l *loader) readVariables(file string) {
	before := len(l.diags)
	body := l.parse(file, maskVariables)
	if len(l.diags) > before {
		l.unread = true
		return
	}
	attrs, diags := body.JustAttributes()
	l.report("", false, diags)
	for _, name := range sortedKeys(attrs) {
		attr := attrs[name]
		if l.nodes["var."+name] == nil {
			l.warn(attr.NameRange, "Value for undeclared variable", fmt.Sprintf("This file sets %q, but %s", name, l.undeclared(name)))
			continue
		}
		v, diags := attr.Expr.Value(nil)
		l.report("var."+name, diags.HasErrors() && !constantOnly(diags), diags)
		if diags.HasErrors() {
			v = cty.DynamicVal
		}
		l.set(name, assignment{from: file, value: v, at: attr.NameRange})
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

func (l *loader) variable(hb *hcl.Block, address string) cty.Value {
	schema := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "validation"}}}
	for _, name := range []string{"type", "default", "description", "sensitive", "nullable"} {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, diags := hb.Body.Content(schema)
	l.report(address, false, diags)

	failed := diags.HasErrors()
	d := declaration{ty: cty.DynamicPseudoType, literal: true, nullable: true}
	constant := func(name string, ty cty.Type) cty.Value {
		attr := content.Attributes[name]
		if attr == nil {
			return cty.NilVal
		}
		v, diags := attr.Expr.Value(nil)
		l.report(address, d.sensitive && !constantOnly(diags), diags)
		if diags.HasErrors() {
			failed = true
			return cty.NilVal
		}
		c, err := convert.Convert(v, ty)
		if err != nil || name != "default" && c.IsNull() {
			failed = true
			l.fail(attr.Expr.Range(), address, "Wrong value for "+name, fmt.Sprintf("%s must be a constant %s.", name, ty.FriendlyName()))
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
		l.report(address, false, diags)
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
			l.fail(content.Attributes["default"].Expr.Range(), address, "Invalid default value for variable", fmt.Sprintf(
				"The default of %s does not fit its type: %s.", address, err))
			return cty.DynamicVal
		}
		fallback = v
	}
	return l.validated(l.assignedTo(d, fallback, hb, address), content.Blocks, hb, address)
}

// assignedTo returns a variable's value: the assigned one, or its default.
func (l *loader) assignedTo(d declaration, fallback cty.Value, hb *hcl.Block, address string) cty.Value {
	name := hb.Labels[0]
	a, ok := l.assigned[name]
	if !ok {
		if fallback == cty.NilVal && l.unread {
			return cty.DynamicVal // the file that could not be read may set it
		}
		if fallback == cty.NilVal {
			how := fmt.Sprintf("with -var '%s=VALUE', in the environment as %s%s,", name, variablePrefix, name)
			if d.sensitive { // shells keep a history of command lines
				how = fmt.Sprintf("in the environment as %s%s,", variablePrefix, name)
			}
			l.fail(hb.DefRange, address, "No value for required variable", fmt.Sprintf(
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
			l.fail(at, address, "Invalid value for variable", fmt.Sprintf(
				"The value of %s from %s is not an expression of its type, %s. %s", address, a.from, typeexpr.TypeString(d.ty), detail))
			return cty.DynamicVal
		}
	}
	if !v.IsKnown() {
		return cty.DynamicVal // reported when it was read
	}
	v, err := d.convert(v)
	if err != nil {
		l.fail(at, address, "Invalid value for variable", fmt.Sprintf("The value of %s from %s does not fit its type: %s.", address, a.from, err))
		return cty.DynamicVal
	}
	if v.IsNull() && !d.nullable {
		if fallback == cty.NilVal {
			l.fail(at, address, "Invalid value for variable", fmt.Sprintf("The value of %s from %s is null, which nullable = false forbids.", address, a.from))
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
