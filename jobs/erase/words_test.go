package erase

import (
	"bytes"
	"strings"
	"testing"
)

func TestCountWord(t *testing.T) {
	block := strings.Repeat("x", searchBlock)
	for _, test := range []struct {
		name, text, id string
		want           int64
	}{
		{"nothing", "", "17", 0},
		{"all of the text", "17", "17", 1},
		{"a JSON string", `{"id":"17"}`, "17", 1},
		{"within a number", `117 171 1.17 17a a17`, "17", 1},
		{"next to another", "17,17\n17", "17", 3},
		{"next to other letters", "é17é", "17", 1},
		{"escaped in JSON", `"a\"b\u003cc"`, `a"b<c`, 1},
		{"unescaped", `a"b<c`, `a"b<c`, 1},
		{"at the end of a block", block[:searchBlock-3] + " 17 17", "17", 2},
		{"across the end of a block", block[:searchBlock-2] + " 17", "17", 1},
		{"at the start of a block", block[:searchBlock-1] + " 17 ", "17", 1},
		{"after a letter at the end of a block", block + "17", "17", 0},
		{"before a letter at the start of a block", block[:searchBlock-3] + " 17x", "17", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := countWord(bytes.NewReader([]byte(test.text)), int64(len(test.text)), test.id)
			if err != nil || got != test.want {
				t.Errorf("%d words, %v; want %d", got, err, test.want)
			}
		})
	}
}

func TestCountStrings(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
		ok   bool
	}{
		{`{"a":17,"b":"17","17":["17","170"]}`, 3, true},
		{"\"17\"\n\"18\"\n", 1, true},
		{`"\u0031\u0037"`, 1, true},
		{`{"a":"17"`, 1, true}, // truncated
		{`{"a":"17`, 0, false},
		{`17 text`, 0, false},
	} {
		if got, ok := countStrings(strings.NewReader(test.text), "17"); ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %d, %t; want %d, %t", test.text, got, ok, test.want, test.ok)
		}
	}
}

func FuzzCountWord(f *testing.F) {
	f.Add([]byte("17 and 17"), "17")
	f.Fuzz(func(t *testing.T, text []byte, id string) {
		if id == "" {
			return
		}
		if n, err := countWord(bytes.NewReader(text), int64(len(text)), id); err != nil || n > 0 && len(text) < len(id) {
			t.Errorf("%d words, %v", n, err)
		}
	})
}
