package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Policy is the protection of a column's values: in the column, and at the column's
// paths in extra_json, for every event type and ignoring the case of keys.
type Policy string

// The policies.
const (
	Drop   Policy = "drop"   // the column is NULL
	Hash   Policy = "hash"   // HMAC-SHA-256 under the table's key, 64 hexadecimal digits
	Mask   Policy = "mask"   // asterisks replace the identifying part
	Redact Policy = "redact" // "[redacted]" replaces every value
)

// Policies returns all policies.
func Policies() []Policy { return []Policy{Drop, Hash, Mask, Redact} }

// Protection identifies how the table protects values: 16 hexadecimal digits, or "" if
// it protects none. It includes the rule by which paths match, so that events that an
// older version protected only by exact paths do not count as protected.
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

// MinKeyLength is the minimum length of a Key, in bytes. Given the hash of a known
// telephone number, a shorter key can be found by trying all of them.
const MinKeyLength = 16

// Key is the secret key of hashes. It is never printed.
type Key struct{ secret string }

// NewKey returns the Key with a secret text.
func NewKey(secret string) Key { return Key{secret} }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.secret == "" }

// Hash returns the HMAC-SHA-256 of a value under the key, as 64 hexadecimal digits. Any
// program with the key computes the same hash.
func (k Key) Hash(value []byte) string {
	h := hmac.New(sha256.New, []byte(k.secret))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil))
}

// ID identifies the key without revealing it: 16 hexadecimal digits, or "" for no key.
// It is a hash under the key of a text that no value has.
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
