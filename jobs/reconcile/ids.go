package reconcile

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/semaphore"

	"prospector/internal/spill"
	"prospector/schemas"
	"prospector/schemas/records"
)

// id stands for an event_id. This 128-bit hash takes less memory than the text.
type id schemas.Digest

// idLen is the length of an ID in the key of a spill.Map.
const idLen = 16

// key returns the key of the ID. Keys have the order of their IDs.
func (i id) key() string { return string(i.appendKey(nil)) }

func (i id) appendKey(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, i.Hi), i.Lo)
}

func parseID(key string) id {
	b := []byte(key[:idLen])
	return id{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

// numberedKey returns the key of an ID with a number, such as that of a row or of a
// partition. The keys of one ID have the order of their numbers.
func (i id) numberedKey(number int) string {
	return string(binary.BigEndian.AppendUint64(i.appendKey(make([]byte, 0, idLen+8)), uint64(number)))
}

func keyNumber(key string) int { return int(binary.BigEndian.Uint64([]byte(key[idLen:]))) }

// rowIDs returns the ID of each row of a batch.
func rowIDs(table schemas.Table, batch arrow.Record) []id {
	at := schemas.IndexOf(table.Columns, table.Roles().ID)
	h := schemas.HashValuesOf(table.Columns[at].Name)
	column := batch.Column(at).(*array.String)
	ids := make([]id, column.Len())
	for i := range ids {
		ids[i] = id(h.String(column.Value(i)))
	}
	return ids
}

// idSource is a sequence of IDs.
type idSource struct {
	count int64 // at most
	all   iter.Seq2[id, error]
}

// idsOf returns the IDs of rows.
func idsOf(table schemas.Table, rows records.Rows, count int64) idSource {
	return idSource{count, func(yield func(id, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(id{}, err)
				return
			}
			for _, i := range rowIDs(table, batch) {
				if !yield(i, nil) {
					return
				}
			}
		}
	}}
}

// idSet is a set of IDs in bounded memory.
type idSet struct {
	ids   *spill.Map
	count int64 // at least as many as there are
}

func (s *idSet) add(i id) error {
	isNew, err := s.ids.Put(i.key(), nil)
	if isNew {
		s.count++
	}
	return err
}

func (s *idSet) source() idSource {
	return idSource{s.count, func(yield func(id, error) bool) {
		for e, err := range s.ids.All() {
			if err != nil {
				yield(id{}, err)
				return
			}
			if !yield(parseID(e.Key), nil) {
				return
			}
		}
	}}
}

// idBytes is about how much memory an ID takes in a set.
const idBytes = 48

// idMemory limits the memory that sets of IDs take. A set that does not fit goes to
// disk, sorted. Such sets are joined by merging them.
type idMemory struct {
	limit int64
	room  *semaphore.Weighted
	dir   string
	made  atomic.Int64 // maps
}

func newIDMemory(limit int64, dir string) *idMemory {
	limit = max(1, limit)
	return &idMemory{limit: limit, room: semaphore.NewWeighted(limit), dir: dir}
}

// reserve waits until so many bytes of memory are free, and reserves them until
// release is called. If they never fit, it reserves all memory for two maps.
func (m *idMemory) reserve(ctx context.Context, bytes int64) (fits bool, release func(), err error) {
	fits = bytes <= m.limit
	if !fits {
		bytes = m.limit
	}
	if err := m.room.Acquire(ctx, bytes); err != nil {
		return false, nil, context.Cause(ctx)
	}
	return fits, func() { m.room.Release(bytes) }, nil
}

// newMap returns one of the two maps that have all memory.
func (m *idMemory) newMap() *spill.Map { return m.newLimitedMap(m.limit / 2) }

func (m *idMemory) newLimitedMap(limit int64) *spill.Map {
	return spill.NewMap(filepath.Join(m.dir, fmt.Sprint(m.made.Add(1))), limit)
}

// without leaves out the rows whose IDs are in any of the sources. The caller
// releases the memory when it has read the rows.
func (m *idMemory) without(ctx context.Context, table schemas.Table, rows records.Rows, sources ...idSource) (rest records.Rows, release func(), err error) {
	count := int64(0)
	for _, s := range sources {
		count += s.count
	}
	if count == 0 {
		return rows, func() {}, nil
	}
	fits, release, err := m.reserve(ctx, count*idBytes)
	if err != nil {
		return nil, nil, err
	}
	if fits {
		if rest, err = withoutSet(table, rows, sources); err != nil {
			release()
			return nil, nil, err
		}
		return rest, release, nil
	}
	defer release()
	found, err := m.findRows(table, rows, sources)
	return withoutNumbered(rows, found), func() {}, err
}

// withoutSet leaves out the rows whose IDs are in any of the sources, with a set in
// memory.
func withoutSet(table schemas.Table, rows records.Rows, sources []idSource) (records.Rows, error) {
	set := make(map[id]struct{})
	for _, s := range sources {
		for i, err := range s.all {
			if err != nil {
				return nil, err
			}
			set[i] = struct{}{}
		}
	}
	return dropRows(rows, func(batch arrow.Record) func(row int) bool {
		ids := rowIDs(table, batch)
		return func(row int) bool { _, found := set[ids[row]]; return found }
	}), nil
}

// findRows finds the rows whose IDs are in any of the sources, by their numbers in
// the stream.
func (m *idMemory) findRows(table schemas.Table, rows records.Rows, sources []idSource) (found bitmap, err error) {
	wanted, numbered := m.newMap(), m.newMap()
	defer closeMaps(&err, wanted, numbered)
	for _, s := range sources {
		for i, err := range s.all {
			if err == nil {
				_, err = wanted.Put(i.key(), nil)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	next := 0
	for i, err := range idsOf(table, rows, 0).all {
		if err == nil {
			_, err = numbered.Put(i.numberedKey(next), nil)
		}
		if err != nil {
			return nil, err
		}
		next++
	}
	err = joinByID(wanted.All(), numbered.All(), func(wanted, numbered []spill.Entry) error {
		if len(wanted) > 0 {
			for _, row := range numbered {
				found.set(keyNumber(row.Key))
			}
		}
		return nil
	})
	return found, err
}

// withoutNumbered leaves out the rows with these numbers in the stream.
func withoutNumbered(rows records.Rows, numbers bitmap) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		next := 0
		dropRows(rows, func(batch arrow.Record) func(row int) bool {
			first := next
			next += int(batch.NumRows())
			return func(row int) bool { return numbers.has(first + row) }
		})(yield)
	}
}

// bitmap is a set of numbers from 0. It takes a bit for each number up to the
// largest.
type bitmap []uint64

func (b *bitmap) set(n int) {
	if missing := n/64 + 1 - len(*b); missing > 0 {
		*b = append(*b, make([]uint64, missing)...)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitmap) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

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

// take returns the entries of an ID, if it is that of the head.
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
