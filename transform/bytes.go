package transform

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"prospector/internal/jsontext"
)

// extra_json must be read by any reader of JSON, and many refuse an escape that is
// half of a surrogate pair, or invalid UTF-8. So a broken string, one that is not
// Unicode, is written as an object there: {"$bytes":"7aC9"} has its bytes in base64.
//
// An object that an event has itself, and that looks like that, is written with one
// $ more in its key, and so is one that looks like the result: reading takes one
// away. An object whose bytes would be valid UTF-8 does not look like that, since
// it stands for no broken string.

// bytesKey is the key of the object that stands for a broken string.
const bytesKey = "$bytes"

// replacement is what a column has in place of bytes that are not Unicode.
var replacement = []byte("\uFFFD")

// form is how broken strings are written.
type form uint8

const (
	plainForm form = iota // with their bytes
	extraForm             // as objects
	eventForm             // with their bytes; the text that is read is in extraForm
)

// isReserved reports whether a key is $bytes, $$bytes and so on.
func isReserved(key []byte) bool {
	dollars, ok := bytes.CutSuffix(key, []byte(bytesKey[1:]))
	return ok && len(dollars) > 0 && len(bytes.TrimLeft(dollars, "$")) == 0
}

// appendReserved writes an object with one field, whose key is reserved.
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

// appendBytes writes the object that stands for a broken string.
func appendBytes(dst, s []byte) []byte {
	dst = append(dst, `{"`+bytesKey+`":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, s), `"}`...)
}

// isBytes reports whether the object that stands for some broken string could have
// that value.
func isBytes(v value) bool {
	_, ok := bytesOf(v)
	return ok
}

// bytesOf decodes the value of an object that stands for a broken string. ok is
// false if it cannot be that.
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
