package terminal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"words", "SMS_MESSAGE", "SMS_MESSAGE"},
		{"other scripts", "Tür 日本 Καλημέρα עברית हिन्दी", "Tür 日本 Καλημέρα עברית हिन्दी"},
		{"an emoji with a variation selector", "❤️", "❤️"},
		{"combining marks", "e\u0301", "e\u0301"},
		{"wide spaces", "a\u00a0b\u3000c", "a\u00a0b\u3000c"},
		{"a backslash", `C:\new`, `C:\new`},
		{"a color", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"a title", "\x1b]0;title\a", `\x1b]0;title\x07`},
		{"lines", "a\nb\r\nc\td", `a\nb\r\nc\td`},
		{"an eight-bit control sequence", "\u009b2J", `\u009b2J`},
		{"an eight-bit control sequence, not in UTF-8", "\x9b2J", `\x9b2J`},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"a right-to-left override", "a\u202etxt.exe", `a\u202etxt.exe`},
		{"isolates", "\u2066a\u2069", `\u2066a\u2069`},
		{"directional marks", "\u200e\u200f\u061c", `\u200e\u200f\u061c`},
		{"line and paragraph separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"a next line", "a\u0085b", `a\u0085b`},
		{"zero-width characters", "a\u200bb\u200cc\u200dd\ufeff\u2060", `a\u200bb\u200cc\u200dd\ufeff\u2060`},
		{"a soft hyphen", "a\u00adb", `a\u00adb`},
		{"tags", "a\U000e0041", `a\U000e0041`},
		{"a filler", "a\u3164b", `a\u3164b`},
		{"a truncated character", "a\xe6\x97b", `a\xe6\x97b`},
		{"a surrogate in CESU-8", "\xed\xa0\xbd", `\xed\xa0\xbd`},
		{"a replacement character", "a\ufffdb", "a\ufffdb"},
		{"a long value", strings.Repeat("ä", MaxLine), strings.Repeat("ä", MaxLine/2) + "… (8192 bytes)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Line(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("a\tb\n\x1bc\r\nd"), "a\tb\n\\x1bc\\r\nd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The result has no control characters, and escaping it again changes nothing.
func FuzzLine(f *testing.F) {
	f.Add("a\x1b[0m\nb\u2028\xff\u202e")
	f.Add(strings.Repeat("\x1b", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		got := Line(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool {
			return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
		}) {
			t.Errorf("%q is not safe", got)
		}
		if again := Line(got); again != got {
			t.Errorf("escaped twice: %q, then %q", got, again)
		}
		if lines := Lines(text); strings.Count(lines, "\n") != strings.Count(text, "\n") {
			t.Errorf("Lines of %q are %q", text, lines)
		}
	})
}

// JSON keeps the value, and returns only printable characters and newlines.
func FuzzJSON(f *testing.F) {
	f.Add("a\x1b[0m\nb\u2028\u009b\x7f\u202e\U000e0041日本")
	f.Fuzz(func(t *testing.T, text string) {
		document, err := json.MarshalIndent(map[string]any{text: []any{text, 1.5, nil}}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got := JSON(document)
		var before, after any
		if err := json.Unmarshal(document, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("JSON changed %s to %s", document, got)
		}
		if i := strings.IndexFunc(string(got), func(r rune) bool { return r != '\n' && !printable(r) }); i >= 0 {
			t.Errorf("byte %d is not safe: %q", i, got)
		}
	})
}
