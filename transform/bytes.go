package transform

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"prospector/internal/jsontext"
)

// Every reader of JSON must accept extra_json, and many refuse invalid UTF-8 or an escape
// that is half of a surrogate pair. A string that is not Unicode is called broken. In
// extra_json it becomes an object such as {"$bytes":"7aC9"}, which has its bytes in base64.
//
// An event may itself have such an object. Writing adds a $ to its key, and also to keys
// that already have more than one $. Reading removes one $. An object whose bytes would be
// valid UTF-8 stays unchanged, because it cannot represent a broken string.

// bytesKey is the key of the object that represents a broken string.
const bytesKey = "$bytes"

// replacement replaces bytes that are not Unicode in a column.
var replacement = []byte("\uFFFD")

// form says how broken strings are written.
type form uint8

const (
	plainForm form = iota // with their bytes
	extraForm             // as objects
	eventForm             // with their bytes, from a text in extraForm
)

// isReserved reports whether a key is $bytes, $$bytes and so on.
func isReserved(key []byte) bool {
	dollars, ok := bytes.CutSuffix(key, []byte(bytesKey[1:]))
	return ok && len(dollars) > 0 && len(bytes.TrimLeft(dollars, "$")) == 0
}

// appendReserved appends an object with one field whose key is reserved.
func appendReserved(dst []byte, v value, form form) (_ []byte, err error) {
	key, inner := v.shape().key, value{v.in, v.at + 1}
	switch broken, ok := bytesOf(inner); {
	case !ok:
	case form == extraForm:
		key = append([]byte{'$'}, key...)
	case len(key) == len(bytesKey):
		return jsontext.AppendQuoted(dst, broken), nil
	default:
		key = key[1:]
	}
	dst = append(jsontext.AppendQuoted(append(dst, '{'), key), ':')
	if dst, err = appendJSON(dst, inner, form); err != nil {
		return dst, err
	}
	return append(dst, '}'), nil
}

// appendBytes appends the object that represents a broken string.
func appendBytes(dst, s []byte) []byte {
	dst = append(dst, `{"`+bytesKey+`":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, s), `"}`...)
}

// isBytes reports whether v can be the value of $bytes in the object for a broken string.
func isBytes(v value) bool {
	_, ok := bytesOf(v)
	return ok
}

// bytesOf decodes the value of an object that represents a broken string. ok is false if
// the value cannot be one.
func bytesOf(v value) (broken []byte, ok bool) {
	if v.kind() != aString {
		return nil, false
	}
	text := v.string()
	broken, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || utf8.Valid(broken) {
		return nil, false
	}
	return broken, base64.StdEncoding.EncodeToString(broken) == string(text) // decoding skips line feeds
}
