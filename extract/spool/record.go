package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"
)

// A record is framed by its length and its checksum:
//
//	length  uint32, little-endian: bytes of the payload
//	crc     uint32, little-endian: CRC32C of length and payload
//	payload kind, then the fields of that kind
//
// The checksum covers the length, so that zeros, which a power cut can leave at the end
// of a file, are not a record. A field is a uvarint, or a text with its length as a
// uvarint. The body of a page is the rest of the payload, as an s2 block.
const frameSize = 8

// MaxBody is the size in bytes of the largest body that a page can have.
const MaxBody = 64 << 20

// maxFields limits the size of a record without the body.
const maxFields = 1 << 20

var maxPayload = maxFields + s2.MaxEncodedLen(MaxBody)

type kind byte

const (
	pageKind    kind = 1
	finishKind  kind = 2
	restartKind kind = 3
)

// record is one record in memory, with the fields of all kinds.
type record struct {
	kind     kind
	prospect string
	page     Page   // for pageKind, without the Body
	block    []byte // for pageKind: the compressed body
	outcome  string // for finishKind
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// errDamaged: the bytes are not a record.
	errDamaged = errors.New("the record is incomplete")
)

// appendRecord appends the framed record to b, with the page's body compressed.
func appendRecord(b []byte, r record) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, frameSize)...)
	b = append(b, byte(r.kind))
	b = appendText(b, r.prospect)
	switch r.kind {
	case pageKind:
		b = binary.AppendUvarint(b, uint64(r.page.Number))
		b = binary.AppendUvarint(b, uint64(r.page.Events))
		b = appendText(b, r.page.Cursor)
		b = appendText(b, r.page.Next)
	case finishKind:
		b = appendText(b, r.outcome)
	}
	if size := len(b) - start; size > maxFields {
		return nil, fmt.Errorf("its texts have %d bytes, and the limit is %d", size, maxFields)
	}
	if r.kind == pageKind {
		most := s2.MaxEncodedLen(len(r.page.Body))
		b = slices.Grow(b, most)
		block := s2.Encode(b[len(b):len(b)+most], r.page.Body)
		b = b[:len(b)+len(block)]
	}
	frame := b[start:]
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameSize))
	binary.LittleEndian.PutUint32(frame[4:], checksum(frame))
	return b, nil
}

// checksum returns the checksum that a frame should have.
func checksum(frame []byte) uint32 {
	crc := crc32.Update(0, castagnoli, frame[:4])
	return crc32.Update(crc, castagnoli, frame[frameSize:])
}

// parseRecord parses a complete frame. The block of the record shares its memory.
func parseRecord(frame []byte) (record, error) {
	if len(frame) <= frameSize || binary.LittleEndian.Uint32(frame) != uint32(len(frame)-frameSize) ||
		binary.LittleEndian.Uint32(frame[4:]) != checksum(frame) {
		return record{}, errDamaged
	}
	r := record{kind: kind(frame[frameSize])}
	f := fields{rest: frame[frameSize+1:]}
	r.prospect = f.text()
	switch r.kind {
	case pageKind:
		r.page = Page{Prospect: r.prospect, Number: f.number(), Events: f.number(), Cursor: f.text(), Next: f.text()}
		r.block, f.rest = f.rest, nil
		if r.page.Number == 0 {
			f.bad = true
		}
	case finishKind:
		r.outcome = f.text()
	case restartKind:
	default:
		f.bad = true
	}
	if f.bad || len(f.rest) > 0 || r.prospect == "" {
		return record{}, errDamaged
	}
	return r, nil
}

// body decompresses the body of a page into new memory.
func (r record) body() ([]byte, error) {
	if n, err := s2.DecodedLen(r.block); err != nil || n > MaxBody {
		return nil, errDamaged
	}
	b, err := s2.Decode(nil, r.block)
	if err != nil {
		return nil, errDamaged
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// fields reads one field after another, and records whether one is missing.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) number() int {
	v := f.uvarint()
	if v > math.MaxInt32 {
		f.bad = true
		return 0
	}
	return int(v)
}

func (f *fields) text() string {
	n := f.uvarint()
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}
