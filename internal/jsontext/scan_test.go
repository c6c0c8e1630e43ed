package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestStrings tests every byte at every index of short and long strings.
func TestStrings(t *testing.T) {
	for _, length := range []int{1, 7, 8, 9, 30} {
		for at := range length {
			for c := range 256 {
				text := []byte(`"` + strings.Repeat("é", length)[:length] + `"`)
				text[1+at] = byte(c)
				end, _, ok := Scanner(text).String(0)
				if got, want := ok && end == len(text), json.Valid(text); got != want {
					t.Errorf("IsValid(%q) is %v, want %v", text, got, want)
				}
			}
		}
	}
}

func TestIsPortable(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		name, text string
		want       bool
	}{
		{"an object", ` {"a":[1,"\n\\é",null]} `, true},
		{"a pair", `"\ud83d\uDE00"`, true},
		{"two pairs", `"\ud83d\ude00\ud83d\ude00"`, true},
		{"a high surrogate", `"\ud83d"`, false},
		{"a low surrogate", `"\ude00"`, false},
		{"surrogates in the wrong order", `"\ude00\ud83d"`, false},
		{"a surrogate before another escape", `"\ud83d\n"`, false},
		{"a surrogate before another character", `"\ud83d\u0041"`, false},
		{"a surrogate after a pair", `"\ud83d\ude00\ud83d"`, false},
		{"a surrogate in a key", `{"\ud83d":1}`, false},
		{"an escaped backslash", `"\\ud83d"`, true},
		{"an escaped backslash before a surrogate", `"\\\ud83d"`, false},
		{"invalid UTF-8", "\"\xff\"", false},
		{"a surrogate in UTF-8", "\"\xed\xa0\xbd\"", false},
		{"at the maximum depth", nested(MaxDepth), true},
		{"too deep", nested(MaxDepth + 1), false},
		{"not JSON", `{"a":NaN}`, false},
		{"nothing", ``, false},
		{"two values", `1 2`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := IsPortable([]byte(test.text)); got != test.want {
				t.Errorf("IsPortable(%s) is %v", test.text, got)
			}
		})
	}
}
