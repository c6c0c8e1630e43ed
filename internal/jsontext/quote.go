package jsontext

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the text of a valid JSON string. If the string has no
// escapes, its bytes are unchanged, even if they are not valid UTF-8. If it has
// escapes, everything that is not Unicode becomes U+FFFD.
func Unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	_ = json.Unmarshal(raw, &text) // cannot fail
	return text
}

// AppendUnquoted appends the text of a valid JSON string without loss: invalid
// UTF-8 is unchanged, and a lone surrogate becomes three bytes as if UTF-8
// could encode it (WTF-8).
func AppendUnquoted(dst, raw []byte) []byte {
	for s := raw[1 : len(raw)-1]; ; {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(dst, s...)
		}
		dst, s = append(dst, s[:n]...), s[n:]
		switch c := s[1]; c {
		case 'u':
			var size int
			dst, size = appendUnit(dst, s)
			s = s[size:]
			continue
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		default:
			dst = append(dst, c)
		}
		s = s[2:]
	}
}

// appendUnit appends the character of the one or two \u escapes at the start of
// s, and returns the size of the escapes.
func appendUnit(dst, s []byte) (_ []byte, size int) {
	const one = len(`\uXXXX`)
	unit := codeUnit(s)
	if !utf16.IsSurrogate(unit) {
		return utf8.AppendRune(dst, unit), one
	}
	if pair := utf16.DecodeRune(unit, codeUnit(s[one:])); pair != utf8.RuneError {
		return utf8.AppendRune(dst, pair), 2 * one
	}
	return append(dst, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F), one
}

// AppendQuoted appends a JSON string with the text. It escapes only what RFC
// 8259 requires. Invalid UTF-8 is unchanged.
func AppendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for {
		n, _ := plain(text)
		dst = append(dst, text[:n]...)
		if n == len(text) {
			return append(dst, '"')
		}
		switch c := text[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		text = text[n+1:]
	}
}
