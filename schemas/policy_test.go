package schemas

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Test cases 2 and 6 of RFC 4231. Any other program with the key computes the same
// hashes, and can join on them.
func TestHashIsHMAC(t *testing.T) {
	for _, test := range []struct{ name, key, value, want string }{
		{"a short key", "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"a key longer than a block", strings.Repeat("\xaa", 131), "Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := NewKey(test.key).Hash([]byte(test.value)); got != test.want {
				t.Errorf("the hash is %s, not %s", got, test.want)
			}
		})
	}
}

func TestKeyID(t *testing.T) {
	a, b := NewKey("a key of sixteen bytes"), NewKey("another of sixteen bytes")
	if len(a.ID()) != 16 || a.ID() != NewKey("a key of sixteen bytes").ID() || a.ID() == b.ID() {
		t.Errorf("the IDs are %q and %q", a.ID(), b.ID())
	}
	if id := (Key{}).ID(); id != "" || !(Key{}).IsZero() || a.IsZero() {
		t.Errorf("the zero key has the ID %q", id)
	}
	if !a.Equal(NewKey("a key of sixteen bytes")) || a.Equal(b) {
		t.Error("Equal does not compare keys by their text")
	}
}

func TestKeyIsNotShown(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	key := NewKey(secret)
	table := KnockEvents()
	table.HashKey = key

	var shown bytes.Buffer
	for _, value := range []any{key, &key, table, &table, []Key{key}, map[string]Key{"a": key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
		if err := json.NewEncoder(&shown).Encode(value); err != nil {
			t.Fatal(err)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("it", "value", value)
		}
	}
	if err := xml.NewEncoder(&shown).Encode(key); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("the output shows the key as %s", form)
		}
	}
	if !strings.Contains(shown.String(), hidden) {
		t.Error("nothing was printed: the test is ineffective")
	}
}
