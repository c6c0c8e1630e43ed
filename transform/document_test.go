package transform

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		name, text string
		most       int
		want       error
	}{
		{"as many values as there may be", `{"a":[1,2]}`, 4, nil},
		{"one value more", `{"a":[1,2,3]}`, 4, errTooMany},
		{"as deep as may be", nested(maxNesting), 1000, nil},
		{"one deeper", nested(maxNesting + 1), 1000, errTooDeep},
		{"a scalar one deeper", strings.Replace(nested(maxNesting), "[]", "[0]", 1), 1000, errTooDeep},
		{"both halves of a pair", `"\ud83d\ude00"`, 1, nil},
		{"half of a pair", `"\ud83d"`, 1, errNotUnicode},
		{"half of a pair, and another character", `"\ud83d\u0041"`, 1, errNotUnicode},
		{"the second half first", `"\ude00\ud83d"`, 1, errNotUnicode},
		{"what is escaped is no half", `"\\ud83d"`, 1, nil},
		{"half of a pair in a key", `{"\uD83D":1}`, 2, errNotUnicode},
		{"a byte that is no UTF-8", "\"\xff\"", 1, errNotUnicode},
		{"nothing", "", 1, errNotJSON},
		{"more than a value", "{} {}", 10, errNotJSON},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d document
			if _, err := d.parse([]byte(test.text), test.most); !errors.Is(err, test.want) {
				t.Errorf("the error is %v, not %v", err, test.want)
			}
		})
	}
}

// A key is told from others by what came before, but not once it was refused.
func TestParseAgain(t *testing.T) {
	for _, key := range []string{`"\ud83d"`, "\"\xff\"", `"a\u12"`, `"a`} {
		var d document
		for range 3 {
			if _, err := d.parse([]byte(`{"a":{`+key+`:1}}`), 10); err == nil {
				t.Errorf("the key %s passes", key)
			}
			if _, err := d.parse([]byte(`{"a":{"b":1}}`), 10); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzDocument holds the parser, and what is written of its values, against the
// standard library.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"b":[1,-0.5e+7,true],"a":{"":null}}`, " [ ] ", `{ "a" : "x" , "b" : { } }`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d\ud83d"`,
		`01`, `1.`, `-`, `1e`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `nul`, `"\x"`, `"\u12g4"`, "\"\n\"", `"12345678`, "\ufeff1", `"é12345678\\"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var d document
		v, err := d.parse(text, maxValues)
		if errors.Is(err, errTooDeep) || errors.Is(err, errTooMany) {
			return
		}
		if json.Valid(text) != (err == nil || errors.Is(err, errNotUnicode)) {
			t.Fatalf("%q: the error is %v", text, err)
		}
		if err != nil {
			return
		}
		canonical, err := appendCanonical(nil, v)
		if errors.Is(err, errDuplicateKey) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var want, got any
		decode(t, text, &want)
		decode(t, canonical, &got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %s", text, canonical)
		}
		again, err := d.parse(canonical, maxValues)
		if err != nil {
			t.Fatal(err)
		}
		if same, _ := appendCanonical(nil, again); string(same) != string(canonical) {
			t.Errorf("%s became %s", canonical, same)
		}
	})
}

func decode(t *testing.T, text []byte, to any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}
