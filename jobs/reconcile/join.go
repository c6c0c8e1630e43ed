package reconcile

import (
	"iter"
	"strings"

	"prospector/internal/spill"
)

// joinByID calls join for every ID that is in a or b, with all entries of that ID.
// Keys begin with an ID, and are ascending.
func joinByID(a, b iter.Seq2[spill.Entry, error], join func(a, b []spill.Entry) error) error {
	as, bs := newEntryGroups(a), newEntryGroups(b)
	defer as.stop()
	defer bs.stop()
	for {
		switch i, more := lesser(as, bs); {
		case as.err != nil:
			return as.err
		case bs.err != nil:
			return bs.err
		case !more:
			return nil
		default:
			entriesA, entriesB := as.take(i), bs.take(i)
			if as.err != nil || bs.err != nil {
				continue
			}
			if err := join(entriesA, entriesB); err != nil {
				return err
			}
		}
	}
}

// entryGroups reads the entries of one ID after another.
type entryGroups struct {
	next func() (spill.Entry, error, bool)
	stop func()
	head spill.Entry
	more bool // there is a head
	err  error
}

func newEntryGroups(entries iter.Seq2[spill.Entry, error]) *entryGroups {
	g := new(entryGroups)
	g.next, g.stop = iter.Pull2(entries)
	g.advance()
	return g
}

func (g *entryGroups) advance() {
	g.head, g.err, g.more = g.next()
	g.more = g.more && g.err == nil
}

// take returns the entries whose ID is key, beginning with the head. There are none
// if the head has another ID.
func (g *entryGroups) take(key string) (entries []spill.Entry) {
	for g.more && strings.HasPrefix(g.head.Key, key) {
		entries = append(entries, g.head)
		g.advance()
	}
	return entries
}

// lesser returns the key of the lesser ID of two heads, or false at the end.
func lesser(a, b *entryGroups) (key string, more bool) {
	switch {
	case a.more && b.more:
		return min(a.head.Key[:idLen], b.head.Key[:idLen]), true
	case a.more:
		return a.head.Key[:idLen], true
	case b.more:
		return b.head.Key[:idLen], true
	}
	return "", false
}

// closeMaps removes maps, and adds their error to err.
func closeMaps(err *error, maps ...*spill.Map) {
	for _, m := range maps {
		if closed := m.Close(); *err == nil {
			*err = closed
		}
	}
}

// idFilter is a Bloom filter: it recognizes most IDs that are not in a set.
type idFilter []uint64

// newIDFilter returns an empty filter. With two bytes for each ID in the set, about
// one in 70 of the other IDs passes.
func newIDFilter(bytes int64) idFilter { return make(idFilter, max(1, bytes/8)) }

// bits returns the two bits of an ID, which is already a hash.
func (f idFilter) bits(i id) [2]uint64 {
	n := uint64(len(f)) * 64
	return [2]uint64{i.Hi % n, i.Lo % n}
}

func (f idFilter) add(i id) {
	for _, bit := range f.bits(i) {
		f[bit/64] |= 1 << (bit % 64)
	}
}

func (f idFilter) mayHave(i id) bool {
	for _, bit := range f.bits(i) {
		if f[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}
