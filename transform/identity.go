package transform

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"

	"prospector/schemas"
)

// The API documents no id of an event, so one is made from what cannot change:
// the prospect, the type, and the moment at which Knock recorded the event
// (createdAt; where there is none, eventTime). Status, text, agent and even
// eventTime may change, and the event keeps its id; were the vendor to add ids
// tomorrow, no id of the lake would change.
//
// Different events that agree in all three are told apart by a number: their
// rank by time and content, so that it does not matter in which order or on
// which pages they come.

// key is the first 120 bits of SHA-256("PROSPECT\nTYPE\nMICROSECONDS").
type key [15]byte

func (s *identities) keyOf(prospect string, eventType []byte, recorded int64) key {
	s.text = append(append(s.text[:0], prospect...), '\n')
	s.text = append(append(s.text, eventType...), '\n')
	s.text = strconv.AppendInt(s.text, recorded, 10)
	h := sha256.Sum256(s.text)
	return key(h[:])
}

// numbered is the key of the nth of the events that share k, the first being 0.
func (k key) numbered(n int) key {
	if n == 0 {
		return k
	}
	h := sha256.Sum256(strconv.AppendInt(append(k[:], '\n'), int64(n), 10))
	return key(h[:])
}

// identities gives ids to the rows of one prospect. A row is added when it is
// read and gets its id when settle is called, because rows that share a key are
// ranked among each other.
type identities struct {
	text  []byte // that is hashed
	base  int    // the batch row of rows[0]
	rows  []identified
	last  map[key]int32 // the last row with each key
	tied  []key         // keys that several rows share
	known map[content]struct{}
	// left counts rows that are in an earlier batch already: of prospects with
	// more events than fit in one.
	left map[key]int
}

// identified is a row in the making.
type identified struct {
	key  key
	prev int32 // the row before it that has the same key, or -1
	rank int32 // among those
	time int64
	content
}

// content tells rows with the same key apart. Only those are digested.
type content struct {
	of     key
	digest schemas.Digest
}

// begin starts a prospect whose first row will be that row of the batch.
func (s *identities) begin(base int) {
	s.left = nil
	if len(s.known) > 0 {
		s.known = nil
	}
	s.restart(base)
}

// maxKeptKeys is how many keys a map may have to be used for the next prospect.
const maxKeptKeys = 1 << 11

// restart goes on with the same prospect in another batch.
func (s *identities) restart(base int) {
	s.base, s.rows, s.tied = base, s.rows[:0], s.tied[:0]
	if len(s.last) > maxKeptKeys { // to clear a map takes the time of its capacity
		s.last = nil
	}
	clear(s.last)
}

// add notes the next row of the batch. It reports false when the same event,
// by the digest of its content, is there already; then the row is not noted.
func (s *identities) add(k key, time int64, digest func(batchRow int) schemas.Digest) bool {
	row := int32(len(s.rows))
	added := identified{key: k, prev: -1, time: time}
	prev, found := s.last[k]
	if found || s.left[k] > 0 {
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

func (s *identities) know(row *identified, digest schemas.Digest) {
	if s.known == nil {
		s.known = make(map[content]struct{})
	}
	row.content = content{row.key, digest}
	s.known[row.content] = struct{}{}
}

// settle hands out the id of every row added since the last time, in order:
// base64url text of 20 bytes. It counts those that share their key.
func (s *identities) settle(assign func(id []byte)) (tied int) {
	slices.SortFunc(s.tied, func(a, b key) int { return slices.Compare(a[:], b[:]) })
	for _, k := range slices.Compact(s.tied) {
		tied += s.rankRows(k)
	}
	id := make([]byte, 0, 64)
	for i := range s.rows {
		k := s.rows[i].key.numbered(int(s.rows[i].rank))
		id = base64.RawURLEncoding.AppendEncode(id[:0], k[:])
		assign(id)
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
		s.rows[i].rank = int32(s.left[k] + rank)
	}
	return len(rows)
}

// leave prepares for the batch to go while the prospect goes on: what its rows
// hold is remembered, so that none of them comes again.
func (s *identities) leave(digest func(batchRow int) schemas.Digest) {
	if s.left == nil {
		s.left = make(map[key]int)
	}
	for i := range s.rows {
		s.know(&s.rows[i], digest(s.base+i))
		s.left[s.rows[i].key]++
	}
	s.restart(0)
}
