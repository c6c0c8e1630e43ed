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

// The file of variables that is read without being named, and the ending of
// those that are read after it.
const (
	variableFile     = "prospector.hclvars"
	autoVariableFile = ".auto.hclvars"
	variablePrefix   = "PROSPECTOR_VAR_"
)

// assignment is a value for a variable that the caller's surroundings give.
type assignment struct {
	from string // for people: "-var", a file's name, …
	// A text is parsed as the variable's type asks, once that is known.
	text  string
	value cty.Value // NilVal where there is a text
	at    hcl.Range // in a variable file, or zero
}

// assign collects the variables' values, a later one in place of an earlier:
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
			// What was given may be the secret itself, so it is not shown.
			l.failNowhere("Invalid -var option", "A -var option is -var 'NAME=VALUE': there is no equals sign in one of them.")
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

// readVariables reads one file of variables. Its lines are never shown.
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

// constantOnly reports whether all that is wrong is that a constant was
// expected, which is said without quoting anything.
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
	literal   bool // a text is the value itself, rather than an expression
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

// assignedTo chooses a variable's value: what is assigned, else its default.
func (l *loader) assignedTo(d declaration, fallback cty.Value, hb *hcl.Block, address string) cty.Value {
	name := hb.Labels[0]
	a, ok := l.assigned[name]
	if !ok {
		if fallback == cty.NilVal && l.unread {
			return cty.DynamicVal // it may stand in the file that could not be read
		}
		if fallback == cty.NilVal {
			how := fmt.Sprintf("with -var '%s=VALUE', in the environment as %s%s,", name, variablePrefix, name)
			if d.sensitive { // the command line stays in the shell's history
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
				"The value of %s from %s is no expression for its type, %s. %s", address, a.from, typeexpr.TypeString(d.ty), detail))
			return cty.DynamicVal
		}
	}
	if !v.IsKnown() {
		return cty.DynamicVal // reported where it was read
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

// parse makes a value of a text from the command line or the environment, as
// Terraform does: of a primitive type it is the value, of others an expression.
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

// convert makes the value fit the variable's type. Its error quotes no value.
func (d declaration) convert(v cty.Value) (cty.Value, error) {
	if d.defaults != nil && !v.IsNull() {
		v = d.defaults.Apply(v)
	}
	out, err := convert.Convert(v, d.ty)
	if err != nil && d.sensitive {
		// Even an attribute's name could say something.
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
