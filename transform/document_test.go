package transform

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"prospector/internal/jsontext"
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
		{"half of a pair", `"\ud83d"`, 1, nil},
		{"what is escaped is no half", `"\\ud83d"`, 1, nil},
		{"half of a pair in a key", `{"\uD83D":1}`, 2, errNotUnicode},
		{"half of a pair in a key, behind a text with one", `["\ud83d",{"\uD83D":1}]`, 4, errNotUnicode},
		{"half of a pair in a text, behind a key", `{"a":"\uD83D","b":1}`, 3, nil},
		{"half of a pair in a key, before what is not JSON", `{"\uD83D":NaN}`, 3, errNotJSON},
		{"a byte that is no UTF-8", "\"\xff\"", 1, nil},
		{"a byte that is no UTF-8 in a key", "{\"\xff\":1}", 2, errNotUnicode},
		{"nothing", "", 1, errNotJSON},
		{"more than a value", "{} {}", 10, errNotJSON},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d document
			if _, err := d.parse([]byte(test.text), test.most); !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
		})
	}
}

// In a broken string, a lone surrogate has the bytes that it would have in UTF-8.
func TestBrokenStrings(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{ // "" if the string is not broken
		{"both halves of a pair", `"\ud83d\ude00"`, ""},
		{"what is escaped is no half", `"\\ud83d"`, ""},
		{"half of a pair", `"a\ud83d"`, "a\xed\xa0\xbd"},
		{"half of a pair, and another character", `"\ud83d\u0041"`, "\xed\xa0\xbdA"},
		{"half of a pair, and another escape", `"\ud83d\n"`, "\xed\xa0\xbd\n"},
		{"the second half first", `"\ude00\ud83d"`, "\xed\xb8\x80\xed\xa0\xbd"},
		{"a half before a pair", `"\ud83d\ud83d\ude00"`, "\xed\xa0\xbd😀"},
		{"a half behind a pair", `"\ud83d\ude00\uDE00"`, "😀\xed\xb8\x80"},
		{"the first and the last half", `"\ud800 \udfff"`, "\xed\xa0\x80 \xed\xbf\xbf"},
		{"a byte that is no UTF-8", "\"\xff\"", "\xff"},
		{"a byte that is no UTF-8, and an escape", "\"\xff\\n\"", "\xff\n"},
		{"a half in UTF-8", "\"\xed\xa0\xbd\"", "\xed\xa0\xbd"},
		{"half of a character", "\"\xf0\x9f\"", "\xf0\x9f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d document
			v, err := d.parse([]byte(test.text), 1)
			if err != nil {
				t.Fatal(err)
			}
			if broken := v.isBroken(); broken != (test.want != "") || broken && string(v.string()) != test.want {
				t.Errorf("broken: %v, text %q, want %q", broken, v.string(), test.want)
			}
		})
	}
}

// Known keys are recognized by their bytes, but a refused key is refused again.
func TestParseAgain(t *testing.T) {
	for _, key := range []string{`"\ud83d"`, "\"\xff\"", `"a\u12"`, `"a`} {
		var d document
		for range 3 {
			if _, err := d.parse([]byte(`{"a":{`+key+`:1}}`), 10); err == nil {
				t.Errorf("the key %s is accepted", key)
			}
			if _, err := d.parse([]byte(`{"a":{"b":1}}`), 10); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzDocument compares the parser, and the canonical JSON of its values, with the standard
// library.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"b":[1,-0.5e+7,true],"a":{"":null}}`, " [ ] ", `{ "a" : "x" , "b" : { } }`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d\ud83d"`,
		`01`, `1.`, `-`, `1e`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `nul`, `"\x"`, `"\u12g4"`, "\"\n\"", `"12345678`, "\ufeff1", `"é12345678\\"`,
		`{"$bytes":"7aC9"}`, `[{"$$bytes":"7aC9"},"\ud83d"]`, `{"$bytes":{"$bytes":"7aC9"}}`, `{"$bytes":"\ud83d"}`, `{"$bytes":"aGk="}`, `{"$bytes":"7aC9","a":1}`,
		"{\"a\":\"\xff\"}", `{"\ud83d":"\ud83d"}`, `{"$bytes":"7aC\n9"}`, `{"$bytes":"7aA="}`, `{"$bytes":"7aB="}`,
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
		checkForms(t, v)
		canonical, err := appendCanonical(nil, v)
		if errors.Is(err, errDuplicateKey) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if d.broken { // the standard library writes U+FFFD for each byte or each escape
			return
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

// checkForms writes a value in the form of extra_json, which every reader of JSON accepts,
// and reads it again.
func checkForms(t *testing.T, v value) {
	t.Helper()
	plain, err := appendCanonical(nil, v)
	if err != nil {
		return
	}
	extra, err := appendJSON(nil, v, extraForm)
	if err != nil || !json.Valid(extra) || !jsontext.IsUnicode(extra) {
		t.Fatalf("%q became %q: %v", plain, extra, err)
	}
	var d document
	again, err := d.parse(extra, maxValues)
	if errors.Is(err, errTooDeep) || errors.Is(err, errTooMany) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if back, err := appendJSON(nil, again, eventForm); err != nil || string(back) != string(plain) {
		t.Fatalf("%q became %q, which became %q: %v", plain, extra, back, err)
	}
}

func decode(t *testing.T, text []byte, to any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}
