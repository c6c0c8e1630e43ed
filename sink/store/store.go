// Package store is the one small interface over places that hold objects.
//
// A driver's duties: an object appears, changes and disappears whole, whatever
// kills the process; a write can be made conditional on what was last seen; what
// was written is what was meant, by CRC32C; every wait ends when the context
// does. Listing and reading see every write that has returned.
//
// Not a driver's duties: changing several objects at once, knowing what the
// objects mean, retrying what a caller's condition has refused.
//
// The drivers are in the packages below this one; package storetest holds the
// suite that every one of them passes.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"
)

var (
	// ErrNotExist: no object has that key.
	ErrNotExist = errors.New("object does not exist")
	// ErrCondition: the object is not in the state that the caller's Condition
	// names. Nothing was written or deleted.
	ErrCondition = errors.New("object has changed since it was last seen")
	// ErrCorrupt: the bytes that arrived are not the bytes that were announced.
	// Nothing was written.
	ErrCorrupt = errors.New("content does not match its checksum")
)

// Entry is what a listing tells of an object.
type Entry struct {
	// Key is slash-separated and relative to the store's root.
	Key string
	// Size is in bytes.
	Size int64
	// Generation is opaque and not empty. It changes with every write of the
	// key, so that equal generations mean equal content.
	Generation string
}

// Object is an Entry with its checksum, which some drivers must read the
// content to learn.
type Object struct {
	Entry
	// CRC32C is the Castagnoli checksum of the content.
	CRC32C uint32
}

// Content is what Put writes: its bytes, how many, and their checksum, all
// known before the first one is sent. ContentOf makes one from bytes in memory.
type Content struct {
	Reader io.Reader
	Size   int64
	CRC32C uint32
	// Type is a media type; drivers without a place for it ignore it.
	Type string
}

// Condition says what must be true of a key for a write or a delete to happen.
// The zero value is no condition.
type Condition struct {
	absent     bool
	generation string
}

// IfAbsent demands that no object has the key.
func IfAbsent() Condition { return Condition{absent: true} }

// IfGeneration demands that the object is still the one last seen.
func IfGeneration(generation string) Condition { return Condition{generation: generation} }

// Absent reports whether the condition demands that no object has the key.
func (c Condition) Absent() bool { return c.absent }

// Generation is the generation that the condition demands, or "".
func (c Condition) Generation() string { return c.generation }

// Store is a place that holds objects. Its methods may be called concurrently.
// Errors wrap one of this package's sentinels where one fits, and say what was
// attempted on which URI.
type Store interface {
	// URI names an object, or with an empty key the store's root, for people
	// and for readers of the lake: gs://bucket/prefix/key, file:///lake/key.
	URI(key string) string

	// List yields the objects whose keys begin with prefix, ascending by key
	// (byte-wise). A prefix that nothing begins with yields nothing.
	// The first error ends the listing.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]

	// Stat describes one object, its checksum included, or gives ErrNotExist.
	Stat(ctx context.Context, key string) (Object, error)

	// Open reads one object, or gives ErrNotExist. The reader keeps showing
	// the object that was opened, even when the key is written meanwhile, or
	// fails; it never mixes two.
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// Put creates or replaces one object whole, durably, and describes it.
	// It gives ErrCondition when cond does not hold and ErrCorrupt when the
	// bytes do not have the announced size and checksum; then the key holds
	// what it held. A Put that fails otherwise has happened or not, never in
	// part. Repeating a Put whose own first attempt has succeeded unheard is
	// a success, not ErrCondition.
	Put(ctx context.Context, key string, content Content, cond Condition) (Object, error)

	// Delete removes one object. It gives ErrNotExist when there is none, and
	// ErrCondition when cond does not hold.
	Delete(ctx context.Context, key string, cond Condition) error

	// Close releases what the driver holds. The store is not used afterwards.
	Close() error
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ChecksumReader reads r to its end and gives its length and CRC32C.
func ChecksumReader(r io.Reader) (size int64, crc uint32, err error) {
	h := crc32.New(castagnoli)
	size, err = io.Copy(h, r)
	return size, h.Sum32(), err
}

// ContentOf is the Content that b holds.
func ContentOf(b []byte, mediaType string) Content {
	return Content{Reader: bytes.NewReader(b), Size: int64(len(b)), CRC32C: Checksum(b), Type: mediaType}
}

// ErrTooLarge: an object has more bytes than it may have, and was not read.
var ErrTooLarge = errors.New("object is too large")

// ReadAll reads r to its end, or gives ErrTooLarge when that is more than most
// bytes. Whoever decodes a small object reads it by this.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, most)
	}
	return b, err
}

// CheckKey refuses keys that some store could not hold, or could hold under
// another name: empty, absolute, with empty, "." or ".." segments, backslashes
// or control characters, of more than 1024 bytes or with a segment of more than
// 255.
func CheckKey(key string) error {
	if key == "" {
		return errors.New("an object's key is empty")
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch segment {
		case "", ".", "..":
			return fmt.Errorf("object key %q has the segment %q", key, segment)
		}
		if len(segment) > 255 || len(key) > 1024 {
			return fmt.Errorf("object key %.60q… is too long for some stores: it has %d bytes, one segment %d", key, len(key), len(segment))
		}
	}
	if i := strings.IndexFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' || r == 0xfffd }); i >= 0 {
		return fmt.Errorf("object key %q has a character at byte %d that not every store can hold", key, i)
	}
	return nil
}
