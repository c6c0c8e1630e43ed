package reconcile

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/semaphore"

	"prospector/internal/parallel"
	"prospector/jobs/state"
)

// Memory is a run's memory_limit in bytes. Its parts are:
//
//	2/5  rows. If the schema has changed, half of them are rows of the former schema.
//	     Of the others, 7/8 are new rows, 1/16 published rows that stay next to new
//	     ones, and 1/16 quarantined events. Rows that stay and quarantined events are
//	     few: the source returns most published events again.
//	1/20 rows recovered from damaged files
//	1/8  IDs of the partitions that are compared or merged at a time
//	1/16 IDs of the published rows that no new row replaces, and 1/128 a filter of
//	     them. Once all partitions are compared, the eighth above serves to find out
//	     which of these rows have moved.
//	rest pages, batches, files that are being built (see Width), and memory that the
//	     garbage collector has not freed yet
type Memory int64

// NewRows is how much memory the new rows of a table may take.
func (m Memory) NewRows(schemaChanged bool) int64 {
	rows := m.currentRows(schemaChanged)
	return rows - rows/8
}

// KeptRows is how much memory the published rows that stay next to new rows may
// take, and Quarantine how much the quarantined events may take.
func (m Memory) KeptRows(schemaChanged bool) int64   { return m.currentRows(schemaChanged) / 16 }
func (m Memory) Quarantine(schemaChanged bool) int64 { return m.currentRows(schemaChanged) / 16 }

// currentRows is the part of all rows except for those of a former schema.
func (m Memory) currentRows(schemaChanged bool) int64 {
	if schemaChanged {
		return m.rows() / 2
	}
	return m.rows()
}

func (m Memory) rows() int64 { return int64(m) * 2 / 5 }

// formerRows is the part of the rows of a former schema, and recoveredRows the part
// of the rows from damaged files.
func (m Memory) formerRows() int64    { return m.rows() / 2 }
func (m Memory) recoveredRows() int64 { return m.rows() / 8 }

// partitionIDs and missingIDs are the parts of the IDs, and filterBytes that of the
// filter. placeIDs is the part of each of the two maps that find moved rows.
func (m Memory) partitionIDs() int64 { return int64(m) / 8 }
func (m Memory) missingIDs() int64   { return int64(m) / 16 }
func (m Memory) placeIDs() int64     { return int64(m) / 32 }
func (m Memory) filterBytes() int64  { return int64(m) / 128 }

// Width is how many partitions are worked on at a time: one for each processor, as
// far as the memory allows. Each builds a row group.
func (m Memory) Width() int {
	const each = 96 << 20
	return max(1, min(runtime.GOMAXPROCS(0), int(int64(m)/each)))
}

// largeRow is the size in bytes of a row that makes its partition be worked on alone:
// such a row is in memory several times, as a row, a page and a compressed page.
const largeRow = 4 << 20

// hasLargeRows reports whether the partition has a row of largeRow or more. Of
// published files, only the average size of a row is known.
func (p *partitionDiff) hasLargeRows() bool {
	return max(p.staged.LargestRow, p.largest) >= largeRow ||
		slices.ContainsFunc(p.prior.Files, func(f state.File) bool { return f.Size >= largeRow && f.Size/max(1, f.Rows) >= largeRow/16 })
}

// eachPartition calls f for several partitions at a time. A partition with large
// rows is the only one while f works on it.
func eachPartition(ctx context.Context, width int, partitions []*partitionDiff, f func(context.Context, *partitionDiff) error) error {
	room := semaphore.NewWeighted(int64(width))
	return parallel.Each(ctx, width, partitions, func(ctx context.Context, p *partitionDiff) error {
		takes := int64(1)
		if p.hasLargeRows() {
			takes = int64(width)
		}
		if err := room.Acquire(ctx, takes); err != nil {
			return context.Cause(ctx)
		}
		defer room.Release(takes)
		return f(ctx, p)
	})
}
