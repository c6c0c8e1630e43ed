package reconcile

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/semaphore"

	"prospector/internal/spill"
	"prospector/schemas"
	"prospector/schemas/records"
)

// idBytes is the approximate memory that an ID takes in a set.
const idBytes = 48

// idMemory limits the memory that sets of IDs take. A set that does not fit is sorted
// on disk. Such sets are joined by merging them.
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

// reserve waits until that many bytes of memory are free, and reserves them until
// release is called. If there can never be as many, fits is false, and all memory is
// reserved for two maps from newMap.
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

// newMap returns a map that may take half of the memory.
func (m *idMemory) newMap() *spill.Map { return m.newLimitedMap(m.limit / 2) }

func (m *idMemory) newLimitedMap(limit int64) *spill.Map {
	return spill.NewMap(filepath.Join(m.dir, fmt.Sprint(m.made.Add(1))), limit)
}

// without returns the rows whose IDs are in none of the sources. The caller releases
// the memory when it has read the rows.
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

// withoutSet is without for IDs that fit in memory.
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

// findRows returns the numbers, in the stream, of the rows whose IDs are in any of
// the sources.
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

// withoutNumbered drops the rows with these numbers in the stream.
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

// bitmap is a set of small non-negative numbers. It takes a bit for each number up to
// the largest.
type bitmap []uint64

func (b *bitmap) set(n int) {
	if missing := n/64 + 1 - len(*b); missing > 0 {
		*b = append(*b, make([]uint64, missing)...)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitmap) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }
