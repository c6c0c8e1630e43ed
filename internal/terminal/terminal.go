// Package terminal escapes untrusted text so that it is safe to print: names
// and messages from a server, a file system, a state or an event.
//
// Safe text does not move the cursor, change colors, hide other text or begin a
// new line. Printable characters of every script are unchanged. Other
// characters are escaped as in Go: \x1b, \n, \u202e.
//
// The package does not escape backslashes, so escaping a text twice is the same
// as escaping it once.
package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the maximum number of bytes of a line that are printed. It is the
// maximum length of a path on Linux.
const MaxLine = 4096

// Line escapes text that is printed within a line.
func Line(s string) string { return shortened(s, "") }

// Lines escapes text that may have several lines. It does not escape tabs.
func Lines(s string) string {
	if !strings.Contains(s, "\n") {
		return shortened(s, "\t")
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = shortened(line, "\t")
	}
	return strings.Join(lines, "\n")
}

// Program escapes text for programs. It does not escape newlines and tabs, and
// does not shorten the text.
func Program(s string) string { return escape(s, "\n\t") }

// JSON escapes a JSON document without changing its values. Apart from white
// space, only the strings of a document can have characters that are not
// printable.
func JSON(document []byte) []byte {
	text := string(document)
	i := strings.IndexFunc(text, func(r rune) bool { return r >= 0x7f && !printable(r) })
	if i < 0 {
		return document
	}
	b := append([]byte(nil), document[:i]...)
	for _, r := range text[i:] {
		switch {
		case r < 0x7f || printable(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := surrogates(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// printable reports whether a character is visible on a terminal and does not
// affect others.
func printable(r rune) bool {
	if r < utf8.RuneSelf {
		return ' ' <= r && r < 0x7f
	}
	return (unicode.IsPrint(r) || unicode.Is(unicode.Zs, r)) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// escape escapes characters that are not printable, except those in keep.
func escape(s, keep string) string {
	var b strings.Builder
	start := 0 // of the text that is not yet in b
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && n == 1
		if !invalid && (printable(r) || strings.ContainsRune(keep, r)) {
			i += n
			continue
		}
		b.WriteString(s[start:i])
		switch {
		case invalid:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
		start = i
	}
	if start == 0 {
		return s
	}
	b.WriteString(s[start:])
	return b.String()
}

// shortened escapes a line and shortens it if it is too long.
func shortened(line, keep string) string {
	const slack = 64 // more than the suffix that is appended, so that a line is shortened only once
	text := line
	if len(line) > MaxLine+slack {
		text = line[:boundary(line, MaxLine)]
	}
	text = escape(text, keep)
	if len(text) > MaxLine+slack {
		text = text[:boundary(text, MaxLine)]
	} else if len(line) <= MaxLine+slack {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text, len(line))
}

// boundary returns the index of the last character that begins at or before the
// given byte.
func boundary(s string, at int) int {
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}
