// Package tombstone records which prospects were erased, without storing their
// IDs, so that a later list of prospects does not bring them back by accident.
//
// A tombstone is the HMAC-SHA-256 of a prospect's ID under a random key. The
// state and every sink have a copy of all tombstones, so that losing the state
// does not lose them. The file shows whether a known ID was erased, but does
// not reveal the IDs.
//
// The package does not decide what happens to an erased prospect.
package tombstone

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Set is a set of tombstones, in ascending order of their keys. The zero value
// is an empty set. The methods do not modify the set.
type Set []Keyed

// Keyed are the tombstones under one key.
type Keyed struct {
	// Lineage is the lineage of the state that generated the key.
	Lineage string `json:"lineage"`
	Key     []byte `json:"key"` // 32 random bytes
	// Hashes have 64 hexadecimal digits each, and are in ascending order.
	Hashes []string `json:"hashes"`
}

const keySize = 32

func (k Keyed) hash(prospect string) string {
	h := hmac.New(sha256.New, k.Key)
	h.Write([]byte(prospect))
	return hex.EncodeToString(h.Sum(nil))
}

func (k Keyed) has(hash string) bool {
	_, found := slices.BinarySearch(k.Hashes, hash)
	return found
}

// Has reports whether the prospect was erased.
func (s Set) Has(prospect string) bool {
	return slices.ContainsFunc(s, func(k Keyed) bool { return k.has(k.hash(prospect)) })
}

// Add returns the set with a tombstone of the prospect, under the key of the
// lineage. It generates the key if the set has none.
func (s Set) Add(lineage, prospect string) Set {
	i := slices.IndexFunc(s, func(k Keyed) bool { return k.Lineage == lineage })
	var under Keyed
	if i >= 0 {
		under = s[i]
	} else {
		under = Keyed{Lineage: lineage, Key: make([]byte, keySize)}
		rand.Read(under.Key) // it never fails
	}
	under.Hashes = []string{under.hash(prospect)}
	return s.Merge(Set{under})
}

// Merge returns the tombstones of both sets.
func (s Set) Merge(other Set) Set {
	var out Set
	for _, k := range slices.Concat(s, other) {
		i, found := slices.BinarySearchFunc(out, k.Key, func(k Keyed, key []byte) int { return bytes.Compare(k.Key, key) })
		if !found {
			out = slices.Insert(out, i, Keyed{Lineage: k.Lineage, Key: k.Key})
		}
		hashes := slices.Concat(out[i].Hashes, k.Hashes)
		slices.Sort(hashes)
		out[i].Hashes = slices.Compact(hashes)
	}
	return out
}

// Contains reports whether the set has every tombstone of the other set.
func (s Set) Contains(other Set) bool { return s.Merge(other).Len() == s.Len() }

// Len returns the number of tombstones.
func (s Set) Len() (n int) {
	for _, k := range s {
		n += len(k.Hashes)
	}
	return n
}
