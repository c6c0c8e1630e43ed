package quarantine

import (
	"encoding/binary"
	"strings"

	"prospector/schemas"
)

// record is an event on its way to the file.
type record struct {
	eventType string // of an event of this run
	prospect  string
	line      []byte
}

func (r record) bytes() []byte {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(r.eventType)+len(r.prospect)+len(r.line))
	for _, text := range []string{r.eventType, r.prospect} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return append(b, r.line...)
}

// parseRecord is the inverse of bytes.
func parseRecord(b []byte) (r record) {
	for _, text := range []*string{&r.eventType, &r.prospect} {
		n, size := binary.Uvarint(b)
		b = b[size:]
		*text, b = string(b[:n]), b[n:]
	}
	r.line = b
	return r
}

const digestSize = 16

func digestKey(d schemas.Digest) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, digestSize), d.Hi)
	return string(binary.BigEndian.AppendUint64(b, d.Lo))
}

func keyDigest(key string) schemas.Digest {
	return schemas.Digest{Hi: binary.BigEndian.Uint64([]byte(key[:8])), Lo: binary.BigEndian.Uint64([]byte(key[8:]))}
}

const numberSize = 8

// numberKey orders the lines of several objects.
func numberKey(object, line int) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, numberSize), uint32(object))
	return string(binary.BigEndian.AppendUint32(b, uint32(line)))
}

// sortedText is how many bytes of a line are in its sortKey. Longer lines of a
// prospect that begin alike have the same place.
const sortedText = 4 << 10

// sortKey orders lines by prospect and then by text. It ends with the digest, which
// makes it unique. No line is a prefix of another line, so the digest does not affect
// the order.
func sortKey(prospect string, line []byte, digest string) string {
	prospect = strings.ReplaceAll(prospect, "\x00", "\x00\xff") + "\x00\x01" // a prospect sorts before a longer one
	return prospect + string(line[:min(len(line), sortedText)]) + digest
}

// place returns a sortKey without the digest.
func place(sortKey string) string { return sortKey[:len(sortKey)-digestSize] }
