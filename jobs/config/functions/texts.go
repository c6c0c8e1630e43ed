package functions

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Terraform's functions of texts that cty's library lacks.

// digests have the functions that return the digest of a text, in hexadecimal.
var digests = map[string]function.Function{
	"md5":    onText(func(s string) string { d := md5.Sum([]byte(s)); return hex.EncodeToString(d[:]) }),
	"sha1":   onText(func(s string) string { d := sha1.Sum([]byte(s)); return hex.EncodeToString(d[:]) }),
	"sha256": onText(func(s string) string { d := sha256.Sum256([]byte(s)); return hex.EncodeToString(d[:]) }),
	"sha512": onText(func(s string) string { d := sha512.Sum512([]byte(s)); return hex.EncodeToString(d[:]) }),
}

var (
	encodeBase64 = onText(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })
	encodeURL    = onText(url.QueryEscape)
)

var decodeBase64 = function.New(&function.Spec{
	Params: []function.Parameter{text("str")},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		out, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "it is not base64")
		}
		if !utf8.Valid(out) {
			return cty.NilVal, function.NewArgErrorf(0, "its content is not text in UTF-8")
		}
		return cty.StringVal(string(out)), nil
	},
})

// compareTimes is timecmp: -1, 0 or 1 if the first time is before, equal to or after
// the second.
var compareTimes = function.New(&function.Spec{
	Params: []function.Parameter{text("time_a"), text("time_b")},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var times [2]time.Time
		for i := range times {
			var err error
			if times[i], err = time.Parse(time.RFC3339, args[i].AsString()); err != nil {
				return cty.NilVal, function.NewArgErrorf(i, `it is not a time such as "2022-02-01T00:00:00Z"`)
			}
		}
		return cty.NumberIntVal(int64(times[0].Compare(times[1]))), nil
	},
})

var containsText = onTexts(strings.Contains)

// isSensitive reports whether a value is hidden wherever it goes.
var isSensitive = function.New(&function.Spec{
	Params: []function.Parameter{{
		Name: "value", Type: cty.DynamicPseudoType,
		AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true,
	}},
	Type: function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(args[0].IsMarked()), nil
	},
})
