package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Policy says how a column's values are protected: in the column, and at the
// column's paths inside extra_json, whatever the event's type and in whatever case
// the keys are written.
type Policy string

// The policies.
const (
	Drop   Policy = "drop"   // the column is NULL
	Hash   Policy = "hash"   // HMAC-SHA-256 under the table's key, 64 hexadecimal digits
	Mask   Policy = "mask"   // what tells people apart is replaced by asterisks
	Redact Policy = "redact" // "[redacted]" stands for every value
)

// Policies are all of them.
func Policies() []Policy { return []Policy{Drop, Hash, Mask, Redact} }

// Protection identifies how the table protects values: 16 hexadecimal digits, or
// "" when it does not. It includes how paths match, so that events that were
// protected by exact paths alone do not count as protected.
func (t Table) Protection() string {
	if !t.Protects() {
		return ""
	}
	h := sha256.New()
	fmt.Fprintln(h, "regardless of case")
	for _, c := range t.Columns {
		if c.Policy != "" {
			fmt.Fprintf(h, "%q %q\n", c.From, c.Policy)
		}
	}
	fmt.Fprintf(h, "%q\n", t.HashKeyID)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// MinKeyLength is how long a Key must be, in bytes: a shorter one could be found
// by trying, given the hash of a known telephone number.
const MinKeyLength = 16

// Key is the secret that values are hashed with. It is never printed.
type Key struct{ secret string }

// NewKey makes a Key of a secret text.
func NewKey(secret string) Key { return Key{secret} }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.secret == "" }

// Hash is the HMAC-SHA-256 of a value under the key, as 64 hexadecimal digits:
// what any other program with the key computes of the same text.
func (k Key) Hash(value []byte) string {
	h := hmac.New(sha256.New, []byte(k.secret))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil))
}

// ID tells keys apart without telling the key: 16 hexadecimal digits, "" for no
// key. It is a hash under the key of a text that no value has.
func (k Key) ID() string {
	if k.IsZero() {
		return ""
	}
	return k.Hash([]byte("\x00prospector hash key"))[:16]
}

const hidden = "(sensitive value)"

// Format hides the key from fmt, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides the key from slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key from every encoder.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Equal reports whether two keys are the same.
func (k Key) Equal(o Key) bool { return k == o }
