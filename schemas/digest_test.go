package schemas

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
)

// The digests were computed with the reference implementation of XXH3, in C, following
// the comment of Digest. Published files have such digests, so they must never change.
func TestDigestDefinition(t *testing.T) {
	for _, test := range []struct {
		column string
		value  any
		want   string
	}{
		{"event_id", "", "e6cbc72cd934c0d714bc4046b4e1ea4e"},
		{"message_body", "", "92710c5d77436b12e7843b761d931cf2"},
		{"event_id", "Az9q0NZqrXV9S9NBWopr", "5708867013386932c7609450d39b882d"},
		{"message_body", "Grüße 😀", "77b5202b3aab488a340f0042bd1f38eb"},
		{"message_body", strings.Repeat("x", 17), "3755762336515403650d6c54b91494ba"},
		{"message_body", strings.Repeat("x", 200), "c2b72fd35fec90508814bd458eeaa236"},
		{"message_body", strings.Repeat("x", 1000), "835a47d5da1a06f1a362a72cd73c0449"},
		{"event_time", int64(0), "f4e63590aeb43398258afae1e909402b"},
		{"event_time", int64(1642102057866831), "c612c61af3a94ba411976d6c691df9f7"},
		{"event_time", int64(-1), "5753f80b12a0fbd97d6f7c0161f0c41d"},
		{"event_date", int64(19005), "6bd480d3eba6c8b9542dbfb2d447a25d"},
		{"event_date", int64(-1), "54fd0b54f4ec609155ec952d3b8756d0"},
	} {
		h := HashValuesOf(test.column)
		var got Digest
		switch v := test.value.(type) {
		case string:
			got = h.String(v)
		case int64:
			got = h.Int64(v)
		}
		if got.String() != test.want {
			t.Errorf("%s = %.20v has the digest %s, not %s", test.column, test.value, got, test.want)
		}
	}

	for sum, want := range map[Digest]string{
		{}:                       "6393d51c06c618dcc104baa07971c94c",
		{Lo: 1}:                  "3a3c7f8ad167625aefff4a2273522cc5",
		{^uint64(0), ^uint64(0)}: "67278deb051c0808d71c4ae8980a8faf",
	} {
		if got := sum.Seal().String(); got != want {
			t.Errorf("the seal of %s is %s, not %s", sum, got, want)
		}
	}

	id, body, at := HashValuesOf("event_id"), HashValuesOf("message_body"), HashValuesOf("event_time")
	a := id.String("a").Add(body.String("x")).Add(at.Int64(7)).Seal()
	b := id.String("b").Add(at.Int64(-7)).Seal() // its message_body is NULL
	for got, want := range map[Digest]string{
		a:        "76bbc89ccccb9e202f613dbcf6524082",
		b:        "9591a4c7161be7fb8ca71ba0fcea74f8",
		a.Add(b): "0c4d6d63e2e7861bbc08595df33cb57a",
	} {
		if got.String() != want {
			t.Errorf("the digest of the rows is %s, want %s", got, want)
		}
	}
}

func TestDigestText(t *testing.T) {
	property := func(d Digest) bool {
		text, err := json.Marshal(d)
		var back Digest
		return err == nil && len(text) == 34 && json.Unmarshal(text, &back) == nil && back == d
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("0", 34), strings.Repeat("g", 32), " " + strings.Repeat("0", 32)} {
		d := Digest{1, 2}
		if err := d.UnmarshalText([]byte(bad)); err == nil || d != (Digest{1, 2}) {
			t.Errorf("%q is parsed as %s", bad, d)
		}
	}
}

func TestDigestSums(t *testing.T) {
	commutes := func(a, b Digest) bool { return a.Add(b) == b.Add(a) }
	associates := func(a, b, c Digest) bool { return a.Add(b).Add(c) == a.Add(b.Add(c)) }
	hasZero := func(a Digest) bool { return a.Add(Digest{}) == a }
	hasInverse := func(a Digest) bool {
		return a.Add(Digest{^a.Hi, ^a.Lo}).Add(Digest{Lo: 1}) == Digest{} // modulo 2¹²⁸
	}
	for name, property := range map[string]any{"commutes": commutes, "associates": associates, "zero": hasZero, "inverse": hasInverse} {
		if err := quick.Check(property, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := (Digest{Lo: ^uint64(0)}).Add(Digest{Lo: 1}); got != (Digest{Hi: 1}) {
		t.Errorf("the carry is lost: %s", got)
	}
}

// If two rows swap a value, the sum of their values' digests stays the same. The sum of
// their sealed digests changes.
func TestSealDetectsSwappedValues(t *testing.T) {
	id, body := HashValuesOf("event_id"), HashValuesOf("message_body")
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, rng.IntN(4))
		for i := range b {
			b[i] = byte('a' + rng.IntN(3))
		}
		return string(b)
	}
	tried := 0
	for range 1000 {
		a, b, x, y := text(), text(), text(), text()
		if a == b || x == y {
			continue
		}
		tried++
		row := func(i, m string) Digest { return id.String(i).Add(body.String(m)) }
		if row(a, x).Add(row(b, y)) != row(a, y).Add(row(b, x)) {
			t.Fatal("the sums without seals differ: the test is ineffective")
		}
		if row(a, x).Seal().Add(row(b, y).Seal()) == row(a, y).Seal().Add(row(b, x).Seal()) {
			t.Errorf("(%q, %q), (%q, %q) and the rows with swapped texts have the same digest", a, x, b, y)
		}
	}
	if tried < 100 {
		t.Errorf("only %d pairs were tried", tried)
	}
	if HashValuesOf("message_from").String("x") == HashValuesOf("message_to").String("x") {
		t.Error("the same value has the same digest in two columns")
	}
	if (Digest{}).Seal() == (Digest{}) {
		t.Error("the digest of a row of NULLs is zero")
	}
}
