package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"prospector/internal/nolink"
)

// A segment is a file with a header, followed by records:
//
//	magic   "prospool"
//	version uint32, little-endian
//	number  uint32, little-endian: 1, 2, … in the order of writing
//	after   int64, little-endian: the size of the previous segment, 0 for the first
//	created int64, little-endian: when the journal began, in Unix nanoseconds
//	binding uint32 length, little-endian, and text
//	crc     uint32, little-endian: CRC32C of all of the above
//
// All segments of a journal have the same created and binding. So segments of two journals
// never mix, even if an older journal was deleted only in part. Each header has the size of
// the previous segment, so that a truncated segment is detected.
type header struct {
	number  uint32
	after   int64
	created time.Time
	binding string
}

const (
	magic   = "prospool"
	version = 1

	maxBinding = 4096
	fixedSize  = len(magic) + 4 + 4 + 8 + 8 + 4

	// segmentSize is the largest size of a segment. A record that does not fit begins
	// the next one.
	segmentSize = 256 << 20
)

var (
	// errForeign: the bytes are not a complete header.
	errForeign = errors.New("no header")
	// errVersion: the header has another version of the format.
	errVersion = errors.New("another version")
)

// equal reports whether both are headers of the same segment.
func (h header) equal(other header) bool {
	return h.number == other.number && h.after == other.after && h.binding == other.binding && h.created.Equal(other.created)
}

func (h header) encode() []byte {
	b := append([]byte(nil), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.after))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created.UnixNano()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.binding)))
	b = append(b, h.binding...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHeader returns errForeign, errVersion, or the error of r.
func readHeader(r io.Reader) (h header, size int64, err error) {
	fixed := make([]byte, fixedSize)
	if err := readFull(r, fixed); err != nil {
		return h, 0, err
	}
	if string(fixed[:len(magic)]) != magic {
		return h, 0, errForeign
	}
	f := fixed[len(magic):]
	if binary.LittleEndian.Uint32(f) != version {
		return h, 0, errVersion
	}
	h.number = binary.LittleEndian.Uint32(f[4:])
	h.after = int64(binary.LittleEndian.Uint64(f[8:]))
	h.created = time.Unix(0, int64(binary.LittleEndian.Uint64(f[16:])))
	length := binary.LittleEndian.Uint32(f[24:])
	if length > maxBinding {
		return h, 0, errForeign
	}
	rest := make([]byte, length+4)
	if err := readFull(r, rest); err != nil {
		return h, 0, err
	}
	h.binding = string(rest[:length])
	crc := crc32.Update(crc32.Checksum(fixed, castagnoli), castagnoli, rest[:length])
	if crc != binary.LittleEndian.Uint32(rest[length:]) {
		return h, 0, errForeign
	}
	return h, int64(len(fixed) + len(rest)), nil
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errForeign
	}
	return err
}

// scan calls do for every record of r, up to the first bytes that are not a complete
// record, and returns the total length of these records. r has left bytes, and scan never
// allocates more than that, whatever the length of a record says.
func scan(r io.Reader, left int64, do func(at int64, size int, rec record)) (good int64, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	var frame []byte
	for left-good > frameSize {
		head, err := in.Peek(4)
		if err != nil {
			return good, ended(err)
		}
		size := int64(binary.LittleEndian.Uint32(head)) + frameSize
		if size > left-good || size > int64(maxPayload+frameSize) {
			return good, nil
		}
		frame = slices.Grow(frame[:0], int(size))[:size]
		if _, err := io.ReadFull(in, frame); err != nil {
			return good, ended(err)
		}
		rec, err := parseRecord(frame)
		if err != nil {
			return good, nil
		}
		do(good, int(size), rec)
		good += size
	}
	return good, nil
}

// ended ignores the error of a file that has become shorter.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// segmentPath returns the path of a segment, for messages.
func segmentPath(dir string, number uint32) string {
	return filepath.Join(dir, segmentName(number))
}

func segmentName(number uint32) string { return fmt.Sprintf("%08d.segment", number) }

var segmentPattern = regexp.MustCompile(`^([0-9]{8,10})\.segment$`)

// segmentsIn returns the numbers of the segments in dir in ascending order.
func segmentsIn(dir *nolink.Dir) ([]uint32, error) {
	entries, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, e := range entries {
		if m := segmentPattern.FindStringSubmatch(e.Name()); m != nil {
			if n, err := strconv.ParseUint(m[1], 10, 32); err == nil && n < math.MaxUint32 {
				numbers = append(numbers, uint32(n))
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// removeSegments deletes segments durably.
func removeSegments(dir *nolink.Dir, numbers []uint32) error {
	if len(numbers) == 0 {
		return nil
	}
	for _, n := range numbers {
		if err := dir.Remove(segmentName(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return dir.Sync()
}
