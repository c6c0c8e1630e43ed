package schemas

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Digest is a 128-bit fingerprint of values, rows or sets of rows. The digest of a set
// is a sum, so it does not depend on order. Digests detect accidental differences.
// They do not protect against constructed collisions.
//
// The definition is part of the lake's format. Digests are in every Parquet footer
// and in the state:
//
//	value   xxh3-128 of the value's bytes, seeded with xxh3-64 of the column's
//	        name; an integer, timestamp (µs), date (days), IEEE 754 double or
//	        bool (0 or 1) is 8 bytes, little endian; NULL is zero, so a
//	        column of NULLs changes nothing
//	row     Seal(sum of its values' digests)
//	content sum of its rows' digests
//
// All sums are modulo 2¹²⁸.
type Digest struct{ Hi, Lo uint64 }

// Add returns the sum of two digests.
func (d Digest) Add(e Digest) Digest {
	lo, carry := bits.Add64(d.Lo, e.Lo, 0)
	hi, _ := bits.Add64(d.Hi, e.Hi, carry)
	return Digest{hi, lo}
}

// Seal returns the digest of a row, given the sum of its values' digests. It mixes the
// bits, so that the sum of two rows changes if they swap a value.
func (d Digest) Seal() Digest {
	a := mix(d.Lo ^ 0x9e3779b97f4a7c15)
	b := mix(d.Hi + a)
	return Digest{Hi: b, Lo: mix(a ^ bits.RotateLeft64(b, 29))}
}

// mix is the 64-bit finaliser of MurmurHash3. It is a bijection, and every input bit
// changes every output bit with probability one half.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// String returns 32 hexadecimal digits.
func (d Digest) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], d.Hi)
	binary.BigEndian.PutUint64(b[8:], d.Lo)
	return hex.EncodeToString(b[:])
}

// MarshalText returns String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the result of MarshalText.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 16 {
		return fmt.Errorf("a digest is 32 hexadecimal digits, not %q", text)
	}
	d.Hi, d.Lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return nil
}

// ValueHasher computes the digests of one column's values.
type ValueHasher struct{ seed uint64 }

// HashValuesOf returns the hasher of the column with that name.
func HashValuesOf(column string) ValueHasher { return ValueHasher{xxh3.HashString(column)} }

// String returns the digest of a text.
func (h ValueHasher) String(s string) Digest {
	u := xxh3.HashString128Seed(s, h.seed)
	return Digest{u.Hi, u.Lo}
}

// Int64 returns the digest of an integer, a timestamp in microseconds or a date in
// days, both since 1970-01-01 UTC.
func (h ValueHasher) Int64(v int64) Digest {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(v))
	u := xxh3.Hash128Seed(b[:], h.seed)
	return Digest{u.Hi, u.Lo}
}

// Float64 returns the digest of a float by its bits: 0 and -0 differ.
func (h ValueHasher) Float64(v float64) Digest { return h.Int64(int64(math.Float64bits(v))) }

// Bool returns the digest of a bool.
func (h ValueHasher) Bool(v bool) Digest {
	if v {
		return h.Int64(1)
	}
	return h.Int64(0)
}
