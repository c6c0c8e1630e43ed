package jsontext

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// IsPortable reports whether every JSON reader accepts a text: the text is
// valid, nested at most MaxDepth deep, and Unicode.
func IsPortable(text []byte) bool {
	return IsValid(text) && IsUnicode(text)
}

// IsUnicode reports whether all strings in a valid text are Unicode: valid
// UTF-8 without an escaped lone surrogate.
func IsUnicode(text []byte) bool { return utf8.Valid(text) && !hasLoneSurrogate(text) }

// hasLoneSurrogate reports whether a valid text has an escaped lone surrogate.
func hasLoneSurrogate(text []byte) bool {
	for {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			return false
		}
		text = text[n:]
		unit := codeUnit(text)
		if !utf16.IsSurrogate(unit) {
			text = text[len(`\n`):]
			continue
		}
		text = text[len(`\uXXXX`):]
		if utf16.DecodeRune(unit, codeUnit(text)) == utf8.RuneError {
			return true
		}
		text = text[len(`\uXXXX`):]
	}
}

// codeUnit returns the code unit that a text begins with, as in \u00e9, or -1.
func codeUnit(text []byte) rune {
	if len(text) < len(`\uXXXX`) || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
