package transform

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"

	"prospector/schemas"
)

// The API does not document an ID of events, so the ID is computed from values that do not
// change: the prospect, the type, and the time at which Knock recorded the event
// (createdAt, or eventTime if there is no createdAt). If the status, the text, the agent or
// even eventTime changes, the event keeps its ID. If the vendor adds IDs later, no ID in
// the lake changes.
//
// Different events with the same three values get different numbers: their rank by time
// and content. So their IDs do not depend on the order or the pages in which they arrive.

// key is the first 120 bits of SHA-256("PROSPECT\nTYPE\nMICROSECONDS").
type key [15]byte

func (s *identities) keyOf(prospect string, eventType []byte, recorded int64) key {
	s.text = append(append(s.text[:0], prospect...), '\n')
	s.text = append(append(s.text, eventType...), '\n')
	s.text = strconv.AppendInt(s.text, recorded, 10)
	h := sha256.Sum256(s.text)
	return key(h[:])
}

// numbered returns the key of the nth event, from 0, among those that share k.
func (k key) numbered(n int) key {
	if n == 0 {
		return k
	}
	h := sha256.Sum256(strconv.AppendInt(append(k[:], '\n'), int64(n), 10))
	return key(h[:])
}

// identities assigns IDs to the rows of one prospect. A row is added when it is read,
// and gets its ID when assign is called, because rows that share a key are ranked.
type identities struct {
	text  []byte // the text to hash
	base  int    // the batch row of rows[0]
	rows  []identified
	last  map[key]int32 // the last row with each key
	tied  []key         // keys that several rows share
	known map[content]struct{}
	// emitted counts the rows of earlier batches, for prospects with more events than
	// fit in one batch.
	emitted map[key]int
}

// identified is a row that may not have its ID yet.
type identified struct {
	key  key
	prev int32 // the previous row with the same key, or -1
	rank int32 // among the rows with the same key
	time int64
	content
}

// content distinguishes rows with the same key. Only such rows have a digest.
type content struct {
	of     key
	digest schemas.Digest
}

// begin starts a prospect. base is the batch row of its first row.
func (s *identities) begin(base int) {
	s.emitted = nil
	if len(s.known) > 0 {
		s.known = nil
	}
	s.restart(base)
}

// maxKeptKeys is the largest number of keys of a map that is reused for the next prospect.
const maxKeptKeys = 1 << 11

// restart continues with the same prospect in another batch.
func (s *identities) restart(base int) {
	s.base, s.rows, s.tied = base, s.rows[:0], s.tied[:0]
	if len(s.last) > maxKeptKeys { // clearing a map takes time in proportion to its capacity
		s.last = nil
	}
	clear(s.last)
}

// add adds the next row of the batch. It returns false, and adds nothing, if the
// prospect already has the same event, by the digest of its content.
func (s *identities) add(k key, time int64, digest func(batchRow int) schemas.Digest) bool {
	row := int32(len(s.rows))
	added := identified{key: k, prev: -1, time: time}
	prev, found := s.last[k]
	if found || s.emitted[k] > 0 {
		if found {
			added.prev = prev
			s.know(&s.rows[prev], digest(s.base+int(prev)))
		}
		added.content = content{k, digest(s.base + int(row))}
		if _, twice := s.known[added.content]; twice {
			return false
		}
		s.know(&added, added.digest)
		s.tied = append(s.tied, k)
	}
	if s.last == nil {
		s.last = make(map[key]int32)
	}
	s.last[k] = row
	s.rows = append(s.rows, added)
	return true
}

// know records the content of a row, so that add recognizes the same event.
func (s *identities) know(row *identified, digest schemas.Digest) {
	if s.known == nil {
		s.known = make(map[content]struct{})
	}
	row.content = content{row.key, digest}
	s.known[row.content] = struct{}{}
}

// assign passes the ID of each row to appendID, in order: base64url text of 20 bytes. It
// returns the number of rows that share their key with another one.
func (s *identities) assign(appendID func(id []byte)) (tied int) {
	slices.SortFunc(s.tied, func(a, b key) int { return slices.Compare(a[:], b[:]) })
	for _, k := range slices.Compact(s.tied) {
		tied += s.rankRows(k)
	}
	id := make([]byte, 0, 64)
	for i := range s.rows {
		k := s.rows[i].key.numbered(int(s.rows[i].rank))
		id = base64.RawURLEncoding.AppendEncode(id[:0], k[:])
		appendID(id)
	}
	return tied
}

// rankRows numbers the rows that share a key.
func (s *identities) rankRows(k key) int {
	var rows []int32
	last, found := s.last[k]
	if !found {
		return 0
	}
	for i := last; i >= 0; i = s.rows[i].prev {
		rows = append(rows, i)
	}
	slices.SortFunc(rows, func(a, b int32) int {
		x, y := &s.rows[a], &s.rows[b]
		return cmp.Or(cmp.Compare(x.time, y.time), cmp.Compare(x.digest.Hi, y.digest.Hi), cmp.Compare(x.digest.Lo, y.digest.Lo))
	})
	for rank, i := range rows {
		s.rows[i].rank = int32(s.emitted[k] + rank)
	}
	return len(rows)
}

// batchEmitted prepares for emitting the batch while the prospect continues. It
// remembers the content of the rows, so that none of them is added again.
func (s *identities) batchEmitted(digest func(batchRow int) schemas.Digest) {
	if s.emitted == nil {
		s.emitted = make(map[key]int)
	}
	for i := range s.rows {
		s.know(&s.rows[i], digest(s.base+i))
		s.emitted[s.rows[i].key]++
	}
	s.restart(0)
}
