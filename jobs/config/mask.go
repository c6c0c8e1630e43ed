package config

import (
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A diagnostic shows a line of the source, which may contain a secret. So it shows the
// line from a copy of the file, with every byte of a secret overwritten. All other text
// keeps its place.

// maskConfiguration hides in a *.hcl file the values of api_key and hash_key, the
// defaults of sensitive variables, constant arguments of sensitive(), and passwords in
// URLs.
func maskConfiguration(src []byte, body *hclsyntax.Body, broken bool) []byte {
	out := append([]byte(nil), src...)
	for _, m := range userinfo.FindAllSubmatchIndex(src, -1) {
		overwrite(out, m[2], m[3])
	}
	// By token, because a broken file has no tree or only a part of one.
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	for i := 1; i < len(tokens); i++ {
		name := string(tokens[i-1].Bytes)
		if tokens[i].Type == hclsyntax.TokenEqual && (isSecret(name) || name == "default" && broken) {
			i = maskExpression(out, tokens, i+1)
		}
	}
	if body == nil {
		return out
	}
	hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "sensitive" {
			for _, arg := range call.Args {
				if r := arg.Range(); len(arg.Variables()) == 0 {
					overwrite(out, r.Start.Byte, r.End.Byte)
				}
			}
		}
		return nil
	})
	for _, b := range body.Blocks {
		if b.Type != "variable" || b.Body.Attributes["default"] == nil {
			continue
		}
		if isSensitiveVariable(b.Body) {
			r := b.Body.Attributes["default"].Expr.Range()
			overwrite(out, r.Start.Byte, r.End.Byte)
		}
	}
	return out
}

// maskVariables hides everything in a variable file except for the names.
func maskVariables(src []byte, body *hclsyntax.Body, _ bool) []byte {
	out := append([]byte(nil), src...)
	overwrite(out, 0, len(out))
	if body == nil {
		return out
	}
	for _, attr := range body.Attributes {
		copy(out[attr.NameRange.Start.Byte:], src[attr.NameRange.Start.Byte:attr.EqualsRange.End.Byte])
	}
	return out
}

var userinfo = regexp.MustCompile(`//([^/@\s"]+)@`)

// maskExpression hides the expression that begins with token i, except for function
// names and references. Any other word may be a key without quotes. It returns the
// index of the last token that it read.
func maskExpression(out []byte, tokens hclsyntax.Tokens, i int) int {
	depth, reference := 0, false
	for ; i < len(tokens); i++ {
		t := tokens[i]
		next := tokens[min(i+1, len(tokens)-1)].Type
		depth += nesting(t.Type)
		if depth < 0 || depth == 0 && t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenEOF {
			break
		}
		hide := nesting(t.Type) == 0
		switch t.Type {
		case hclsyntax.TokenIdent:
			_, root := roots[string(t.Bytes)]
			reference = reference || root && next == hclsyntax.TokenDot
			hide = !reference && next != hclsyntax.TokenOParen
		case hclsyntax.TokenDot:
			hide = !reference
		default:
			reference = false
			hide = hide && t.Type != hclsyntax.TokenComma
		}
		if hide {
			overwrite(out, t.Range.Start.Byte, t.Range.End.Byte)
		}
	}
	return i
}

func overwrite(out []byte, from, to int) {
	for i := from; i < min(to, len(out)); i++ {
		if out[i] > ' ' {
			out[i] = '*'
		}
	}
}
