package sealed

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

type file struct {
	Version  int               `json:"version"`
	Checksum string            `json:"checksum"`
	Names    map[string]string `json:"names"`
}

func example() file {
	return file{Version: 1, Names: map[string]string{"checksum": "", `"checksum":""`: "a<b", "é\u2028": `\"checksum\":\"\"`}}
}

func seal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerify(t *testing.T) {
	text := string(seal(t, example()))
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"as written", text, nil},
		{"with other white space", strings.ReplaceAll(text, "\n", "\r\n\t"), nil},
		{"with another value", strings.Replace(text, "a\\u003cb", "a\\u003cc", 1), ErrMismatch},
		{"with another escape of the same value", strings.Replace(text, "a\\u003cb", "a<b", 1), ErrMismatch},
		{"with an additional member", strings.Replace(text, `"version": 1`, `"version": 1, "new": 1`, 1), ErrMismatch},
		{"with a second checksum", strings.Replace(text, `"version": 1`, `"version": 1, "checksum": "x"`, 1), ErrMismatch},
		{"with an empty checksum", `{"checksum":""}`, ErrMismatch},
		{"with a checksum that is a quotation mark", `{"checksum":"\""}`, ErrMismatch},
		{"without a checksum", `{"version":1}`, ErrMissing},
		{"with null", `{"checksum":null}`, ErrMissing},
		{"null", `null`, ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := Verify([]byte(test.text)); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("Verify returned %v, want %v", err, test.want)
			}
		})
	}
	if err := Verify([]byte(text[:len(text)/2])); err == nil {
		t.Error("Verify accepted half a file")
	}
	if _, err := Marshal(struct{}{}); err == nil {
		t.Error("Marshal accepted a type without a checksum")
	}
}

// Verify detects the change of any byte that is not white space.
func TestEveryByte(t *testing.T) {
	text := seal(t, example())
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range text {
		damaged := append([]byte(nil), text...)
		damaged[i] ^= 1 << rng.IntN(8)
		if Verify(damaged) != nil {
			continue
		}
		var got file
		if err := json.Unmarshal(damaged, &got); err != nil {
			t.Fatal(err)
		}
		if got.Checksum = ""; !reflect.DeepEqual(got, example()) {
			t.Errorf("with byte %d changed, Verify accepted %+v", i, got)
		}
	}
	for n := range text[:len(text)-1] {
		if Verify(text[:n]) == nil {
			t.Errorf("Verify accepted the first %d bytes", n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"checksum":"sha256:"}`))
	f.Add(seal(f, example()))
	f.Fuzz(func(t *testing.T, text []byte) { _ = Verify(text) })
}
