package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fastjson"
)

func elements(text string) ([]string, bool) {
	all, ok := Elements([]byte(text))
	if !ok {
		return nil, false
	}
	list := []string{}
	for e := range all {
		list = append(list, string(e))
	}
	return list, true
}

func members(text string) ([]string, bool) {
	all, ok := Members([]byte(text))
	if !ok {
		return nil, false
	}
	list := []string{}
	for key, value := range all {
		list = append(list, fmt.Sprintf("%s: %s", key, value))
	}
	return list, true
}

func TestElements(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // nil if the text cannot be separated
	}{
		{"none", ` [ ] `, []string{}},
		{"values", "[1, \"a\" ,\n[2,[3]],{\"b\":{},\"c\":4} ,null]", []string{`1`, `"a"`, `[2,[3]]`, `{"b":{},"c":4}`, `null`}},
		{"commas and brackets in strings", `["],{\"[",{"]}":","}]`, []string{`"],{\"["`, `{"]}":","}`}},
		{"words and numbers", `[NaN,-Infinity,undefined,01,+1,.5,1.]`, []string{`NaN`, `-Infinity`, `undefined`, `01`, `+1`, `.5`, `1.`}},
		{"broken escapes", `["\x","\u12","\\",2]`, []string{`"\x"`, `"\u12"`, `"\\"`, `2`}},
		{"raw control characters", "[\"a\nb\",\"\x00\",2]", []string{"\"a\nb\"", "\"\x00\"", `2`}},
		{"invalid UTF-8", "[\"\xff\",\xfe,2]", []string{"\"\xff\"", "\xfe", `2`}},
		{"a trailing comma", `[1,2, ]`, []string{`1`, `2`}},
		{"a missing element", `[1,,2]`, []string{`1`, ``, `2`}},
		{"only a comma", `[,]`, []string{``}},
		{"a missing comma", `[{} {},2]`, []string{`{} {}`, `2`}},
		{"a colon", `["a":1,2]`, []string{`"a":1`, `2`}},
		{"trailing commas in inner values", `[{"a":1,},[2,],3]`, []string{`{"a":1,}`, `[2,]`, `3`}},
		{"nothing", ``, nil},
		{"an object", `{}`, nil},
		{"a word", `nan`, nil},
		{"not closed", `[1`, nil},
		{"not opened", `1]`, nil},
		{"trailing text", `[1] 2`, nil},
		{"two arrays", `[1][2]`, nil},
		{"brackets that do not match", `[{]}]`, nil},
		{"one bracket too many", `[1]]`, nil},
		{"a string that does not end", `["a]`, nil},
		{"a string that ends in a backslash", `["a\"]`, nil},
		{"the end in an escape", `["a\`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := elements(test.text); ok != (test.want != nil) || !slices.Equal(got, test.want) {
				t.Errorf("the elements are %q (%v), want %q", got, ok, test.want)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // nil if the text cannot be separated
	}{
		{"none", ` { } `, []string{}},
		{"values", "{\"a\":1,\n\"b\" : [2,{\"c\":3}] , \"\":\"}\"}", []string{`"a": 1`, `"b": [2,{"c":3}]`, `"": "}"`}},
		{"an escaped key", `{"\u0061\"":1}`, []string{`"\u0061\"": 1`}},
		{"a bad value", `{"a":NaN,"b":"\x"}`, []string{`"a": NaN`, `"b": "\x"`}},
		{"a missing value", `{"a":,"b":1}`, []string{`"a": `, `"b": 1`}},
		{"two values", `{"a":1 2,"b":3}`, []string{`"a": 1 2`, `"b": 3`}},
		{"a trailing comma", `{"a":1,}`, []string{`"a": 1`}},
		{"the same key twice", `{"a":1,"a":2}`, []string{`"a": 1`, `"a": 2`}},
		{"an array", `[]`, nil},
		{"a broken key", `{"\x":1}`, nil},
		{"a newline in a key", "{\"a\n\":1}", nil},
		{"a key without quotes", `{a:1}`, nil},
		{"a key in single quotes", `{'a':1}`, nil},
		{"no key", `{"a":1,:2}`, nil},
		{"no colon", `{"a" 1}`, nil},
		{"no value and no colon", `{"a"}`, nil},
		{"a missing member", `{"a":1,,"b":2}`, nil},
		{"trailing text", `{} {}`, nil},
		{"not closed", `{"a":1`, nil},
		{"closed by another bracket", `{"a":1]`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := members(test.text); ok != (test.want != nil) || !slices.Equal(got, test.want) {
				t.Errorf("the members are %q (%v), want %q", got, ok, test.want)
			}
		})
	}
}

// Separating any text takes linear time and memory. With these texts, a
// quadratic algorithm would take hours.
func TestSeparateHostile(t *testing.T) {
	const mega = 1 << 20
	for _, test := range []struct {
		name, text string
		want       int // the number of elements, or -1 if the text cannot be separated
	}{
		{"opened and not closed", strings.Repeat("[", 64*mega), -1},
		{"opened and closed", strings.Repeat("[", 8*mega) + strings.Repeat("]", 8*mega), 1},
		{"alternating brackets", "[" + strings.Repeat(`{"a":[`, mega) + strings.Repeat(`]}`, mega) + "]", 1},
		{"many elements", "[" + strings.Repeat("[],", 4*mega) + "]", 4 * mega},
		{"many commas", "[" + strings.Repeat(",", 8*mega) + "]", 8 * mega},
		{"many quotes", "[" + strings.Repeat(`""`, 8*mega) + "]", 1},
		{"many backslashes", `["` + strings.Repeat(`\`, 8*mega) + `"]`, 1},
		{"a string that does not end", `["` + strings.Repeat(`\"`, 8*mega), -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			n := -1
			if all, ok := Elements([]byte(test.text)); ok {
				n = 0
				for range all {
					n++
				}
			}
			runtime.ReadMemStats(&after)
			if n != test.want {
				t.Errorf("there are %d elements, want %d", n, test.want)
			}
			if took := int(after.TotalAlloc - before.TotalAlloc); took > 2*len(test.text)+mega { // the text is copied once
				t.Errorf("a text of %d bytes took %d bytes of memory", len(test.text), took)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// FuzzSeparate compares the result for valid texts with a parser that shares no
// code with the package.
func FuzzSeparate(f *testing.F) {
	for _, text := range []string{
		`[]`, `{}`, ` [ 1 , "a,]" , {"b":[ ]} ] `, `{"a":[1,2],"b":{"c":"}"},"\u0061":"\\"}`, `[[[]]]`, `[1,]`, `{"a":1,}`, `[,]`,
		`[NaN,{"a":"\x"},"\u12"]`, `{"a":{`, `["\"`, "[\"\xff\n\"]", `[}`, `{"a":]}`, `{"a" : "b" , "c":1.5e3}`, `[1]]`, `{'a':1}`,
	} {
		f.Add([]byte(text))
	}
	var parser fastjson.Parser
	f.Fuzz(func(t *testing.T, text []byte) {
		array, isArray := elements(string(text))
		object, isObject := members(string(text))
		if isArray && isObject {
			t.Fatalf("%q is an array and an object", text)
		}
		for _, e := range array {
			if !bytes.Contains(text, []byte(e)) {
				t.Errorf("%q has no element %q", text, e)
			}
		}
		v, err := parser.ParseBytes(text)
		if err != nil || !json.Valid(text) {
			return
		}
		switch v.Type() {
		case fastjson.TypeArray:
			if want := v.GetArray(); !isArray || len(array) != len(want) {
				t.Errorf("%q has %d elements, want %d", text, len(array), len(want))
			}
		case fastjson.TypeObject:
			if !isObject || len(object) != v.GetObject().Len() {
				t.Errorf("%q has %d members, want %d", text, len(object), v.GetObject().Len())
			}
		default:
			if isArray || isObject {
				t.Errorf("%q is separated, want an error", text)
			}
		}
		for _, e := range array {
			if !json.Valid([]byte(e)) {
				t.Errorf("the element %q of %q is not valid", e, text)
			}
		}
	})
}
