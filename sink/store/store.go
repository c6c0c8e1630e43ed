// Package store defines Store, a small interface to places that hold objects.
//
// The duties of a driver: an object appears, changes and disappears atomically, whatever
// kills the process. A write can depend on the object that the caller last saw. A CRC32C
// proves that the bytes written are the intended ones. Every wait ends when the context
// ends. Listing and reading see every write that has returned.
//
// A driver does not change several objects at once, does not know what objects mean,
// and does not retry an operation whose condition does not hold.
//
// The drivers are in the packages below this one. Each describes its kind of store in a
// Kind. Package storetest holds the conformance suite that every driver passes.
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
	// ErrNotExist means that no object has that key.
	ErrNotExist = errors.New("object does not exist")
	// ErrCondition means that the caller's Condition does not hold. Nothing was
	// written or deleted, unless the error is also ErrOutcomeUnknown.
	ErrCondition = errors.New("object has changed since it was last seen")
	// ErrOutcomeUnknown means that an earlier attempt of a Put got no answer. It may
	// have written the object before another writer replaced it.
	ErrOutcomeUnknown = errors.New("an earlier attempt to write it got no answer, and may have succeeded")
	// ErrCorrupt means that the bytes read are not the bytes that were announced.
	// Nothing was written.
	ErrCorrupt = errors.New("content does not match its checksum")
)

// Entry is what a listing shows of an object.
type Entry struct {
	// Key is slash-separated and relative to the store's root.
	Key string
	// Size is in bytes.
	Size int64
	// Generation is opaque and not empty. It changes with every write of the key,
	// so equal generations mean equal content.
	Generation string
}

// Object is an Entry with its checksum. Some drivers must read the content to compute
// the checksum.
type Object struct {
	Entry
	// CRC32C is the Castagnoli checksum of the content.
	CRC32C uint32
}

// Content is what Put writes. Size and CRC32C are known before the first byte is sent.
// Put can read any part of it at any time, so that it can repeat an attempt. ContentOf
// makes a Content from bytes in memory.
type Content struct {
	Reader io.ReaderAt
	Size   int64
	CRC32C uint32
	// Type is a media type. Drivers that cannot store it ignore it.
	Type string
}

// Stream returns a reader of the content from its first byte. It returns one byte more
// than the announced size if there is one, so that Check detects it.
func (c Content) Stream() io.Reader { return io.NewSectionReader(c.Reader, 0, c.Size+1) }

// Check returns ErrCorrupt unless the bytes that were read from Stream have the announced
// size and checksum.
func (c Content) Check(size int64, crc uint32) error {
	if size == c.Size && crc == c.CRC32C {
		return nil
	}
	return fmt.Errorf("%w: %d bytes with CRC32C %08x were announced, %d with %08x were read",
		ErrCorrupt, c.Size, c.CRC32C, size, crc)
}

// Condition is what must be true of a key for a write or a delete to happen. The zero
// value is no condition.
type Condition struct {
	absent     bool
	generation string
}

// IfAbsent returns the condition that no object has the key.
func IfAbsent() Condition { return Condition{absent: true} }

// IfGeneration returns the condition that the object has that generation.
func IfGeneration(generation string) Condition { return Condition{generation: generation} }

// Absent reports whether the condition is that no object has the key.
func (c Condition) Absent() bool { return c.absent }

// Generation returns the generation that the object must have, or "".
func (c Condition) Generation() string { return c.generation }

// Store is a place that holds objects. Its methods may be called concurrently.
// Errors wrap one of this package's errors where one fits, and name the operation and
// the URI.
type Store interface {
	// URI returns the URI of an object, or with an empty key the URI of the store's
	// root: gs://bucket/prefix/key, file:///lake/key.
	URI(key string) string

	// List yields the objects whose keys begin with prefix, in ascending order of
	// the keys' bytes. The first error ends the listing.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]

	// Stat describes one object, including its checksum, or returns ErrNotExist.
	Stat(ctx context.Context, key string) (Object, error)

	// Open opens one object for reading, or returns ErrNotExist. If the key is
	// written in the meantime, the reader continues with the object that was opened,
	// or fails. It never mixes two objects.
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// Put creates or replaces one object, atomically and durably, and describes it.
	// It returns ErrCondition if cond does not hold, and ErrCorrupt if the bytes do
	// not have the announced size and checksum. In both cases the key does not
	// change. After another error the Put has happened completely or not at all. If
	// the driver repeats an attempt that had succeeded without an answer, that is a
	// success, not ErrCondition. If another writer has replaced the object since an
	// attempt without an answer, the error is ErrCondition and ErrOutcomeUnknown.
	Put(ctx context.Context, key string, content Content, cond Condition) (Object, error)

	// Delete removes one object. It returns ErrNotExist if the object does not exist,
	// and ErrCondition if cond does not hold.
	Delete(ctx context.Context, key string, cond Condition) error

	// Close releases the driver's resources. The store must not be used afterwards.
	Close() error
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ChecksumReader reads r to its end and returns its length and CRC32C.
func ChecksumReader(r io.Reader) (size int64, crc uint32, err error) {
	h := crc32.New(castagnoli)
	size, err = io.Copy(h, r)
	return size, h.Sum32(), err
}

// ContentOf returns a Content with the bytes of b.
func ContentOf(b []byte, mediaType string) Content {
	return Content{Reader: bytes.NewReader(b), Size: int64(len(b)), CRC32C: Checksum(b), Type: mediaType}
}

// ErrTooLarge means that an object is larger than its limit.
var ErrTooLarge = errors.New("object is too large")

// ReadAll reads r to its end, or returns ErrTooLarge if r has more than limit bytes. Use
// it to read small objects.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
	}
	return b, err
}

// maxReads is how often Fetch and OpenFile read an object whose bytes change on the way.
const maxReads = 3

// Fetch reads an object into memory, or returns ErrTooLarge if it has more than limit
// bytes. If the bytes change on the way, Fetch reads them again.
func Fetch(ctx context.Context, from Store, key string, limit int64) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		b, err := fetch(ctx, from, key, limit)
		if !errors.Is(err, ErrCorrupt) || attempt == maxReads {
			return b, err
		}
	}
}

func fetch(ctx context.Context, from Store, key string, limit int64) ([]byte, error) {
	r, err := from.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := ReadAll(r, limit)
	if errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("reading %s: %w", from.URI(key), err)
	}
	return b, err
}

// CheckKey rejects keys that a store may be unable to hold, or may hold under another
// name: keys that are empty or absolute, that have empty, "." or ".." segments,
// backslashes or control characters, that have more than 1024 bytes, or that have a
// segment of more than 255 bytes.
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
			return fmt.Errorf("object key %.60q… is too long for some stores: it has %d bytes, and one segment has %d", key, len(key), len(segment))
		}
	}
	if i := strings.IndexFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' || r == 0xfffd }); i >= 0 {
		return fmt.Errorf("object key %q has a character at byte %d that some stores cannot hold", key, i)
	}
	return nil
}
