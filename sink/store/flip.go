package store

import (
	"hash/crc32"
	"io"
	"iter"
)

// FlippedByte is a change of one byte of an object: the byte at Offset is its
// former value XOR Mask.
type FlippedByte struct {
	Offset int64
	Mask   byte
}

// FlippedBytes lists every change of one byte that turns the CRC32C was into the
// CRC32C is, for an object of size bytes. If one byte of the object has changed, that
// change is in the list. Other changes are in the list by chance, about one per 16 MiB,
// so callers must check the content that they get by undoing a change.
//
// It does not read the object. A CRC is linear, so was XOR is depends only on the change.
func FlippedBytes(size int64, was, is uint32) iter.Seq[FlippedByte] {
	return func(yield func(FlippedByte) bool) {
		register := was ^ is
		if register == 0 {
			return
		}
		// Step back through the bytes, from the last one. At the changed byte, only the
		// byte itself differs.
		for at := size - 1; at >= 0; at-- {
			entry := topBytes[register>>24]
			register = (register^castagnoli[entry])<<8 | uint32(entry)
			if register <= 0xff && !yield(FlippedByte{at, byte(register)}) {
				return
			}
		}
	}
}

// topBytes maps the top byte of each entry of the CRC table to the index of the entry. No
// two entries have the same top byte.
var topBytes = func() (entries [256]byte) {
	for i, entry := range crc32.MakeTable(crc32.Castagnoli) {
		entries[entry>>24] = byte(i)
	}
	return entries
}()

// Undo returns a reader of the object that r reads, without the change.
func (f FlippedByte) Undo(r io.ReaderAt) io.ReaderAt { return undone{r, f} }

type undone struct {
	io.ReaderAt
	flipped FlippedByte
}

func (u undone) ReadAt(p []byte, offset int64) (int, error) {
	n, err := u.ReaderAt.ReadAt(p, offset)
	if at := u.flipped.Offset - offset; at >= 0 && at < int64(n) {
		p[at] ^= u.flipped.Mask
	}
	return n, err
}
