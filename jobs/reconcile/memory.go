package reconcile

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/semaphore"

	"prospector/internal/parallel"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Memory is a run's memory_limit in bytes. Its parts are:
//
//	2/5  rows. If the schema has changed, half of this is for rows of the former
//	     schema. Of the remainder, 7/8 is for new rows, 1/16 for missing rows and 1/16
//	     for quarantined events. The latter two are few, since the source returns most
//	     published events again.
//	1/20 rows recovered from damaged files
//	1/8  IDs of the partitions that are compared or merged at a time. After the
//	     comparison, this part is used to find out which missing rows have moved.
//	1/16 IDs of missing rows, and 1/128 for a filter of them
//	1/32 buffers of files that are being downloaded (see Downloads)
//	rest pages, batches, files that are being built (see Width), and memory that the
//	     garbage collector has not freed yet
type Memory int64

// NewRows is how much memory the new rows of a table may take.
func (m Memory) NewRows(schemaChanged bool) int64 {
	rows := m.currentRows(schemaChanged)
	return rows - rows/8
}

// KeptRows is how much memory the rows in Stages.Kept may take, and Quarantine how
// much the quarantined events may take.
func (m Memory) KeptRows(schemaChanged bool) int64   { return m.currentRows(schemaChanged) / 16 }
func (m Memory) Quarantine(schemaChanged bool) int64 { return m.currentRows(schemaChanged) / 16 }

// currentRows is the part for all rows except those of a former schema.
func (m Memory) currentRows(schemaChanged bool) int64 {
	if schemaChanged {
		return m.rows() / 2
	}
	return m.rows()
}

func (m Memory) rows() int64 { return int64(m) * 2 / 5 }

// formerRows is the part for rows of a former schema, and recoveredRows the part for
// rows from damaged files.
func (m Memory) formerRows() int64    { return m.rows() / 2 }
func (m Memory) recoveredRows() int64 { return m.rows() / 8 }

// partitionIDs and missingIDs are the parts for IDs, and filterBytes the part for the
// filter. placeIDs is the part for each of the two maps that find moved rows.
func (m Memory) partitionIDs() int64 { return int64(m) / 8 }
func (m Memory) missingIDs() int64   { return int64(m) / 16 }
func (m Memory) placeIDs() int64     { return int64(m) / 32 }
func (m Memory) filterBytes() int64  { return int64(m) / 128 }

// Width is how many partitions are processed at a time: one for each processor, if
// there is enough memory. Each builds a row group.
func (m Memory) Width() int {
	const each = 96 << 20
	return max(1, min(runtime.GOMAXPROCS(0), int(int64(m)/each)))
}

// Downloads is how many published files are downloaded at a time from each sink, if the
// sink allows as many: see store.Concurrency. A download waits for the network, and takes
// little memory, so there are more of them than partitions that are processed.
func (m Memory) Downloads() int {
	const each = 128 << 10 // buffers of the connection and of the copy
	return max(1, int(int64(m)/32/each))
}

// largeRow is the size in bytes from which a row is large. A partition with a large
// row is processed alone, because the row is in memory several times: as a row, a
// page and a compressed page.
const largeRow = 4 << 20

// hasLargeRows reports whether the partition may have a large row. For published files,
// only the average size of a row is known.
func (p *partitionDiff) hasLargeRows() bool {
	return max(p.staged.LargestRow, p.largest) >= largeRow ||
		slices.ContainsFunc(p.prior.Files, func(f state.File) bool { return f.Size >= largeRow && f.Size/max(1, f.Rows) >= largeRow/16 })
}

// eachPartition calls f for several partitions at a time: see Memory.Width. No other call
// runs while f processes a partition with large rows. Meanwhile the published files of
// the next partitions are opened, if f reads them.
func (r *reconciler) eachPartition(ctx context.Context, partitions []*partitionDiff, reads func(*partitionDiff) bool, f func(context.Context, *partitionDiff) error) error {
	defer r.openAhead(ctx, partitions, reads)()
	width := r.Memory.Width()
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

// openAhead starts to open the published files of the partitions that will be read, in
// their order. The caller calls done when it has read them.
func (r *reconciler) openAhead(ctx context.Context, partitions []*partitionDiff, reads func(*partitionDiff) bool) (done func()) {
	var paths []string
	for _, p := range partitions {
		if p.sink != "" && p.from == nil && reads(p) {
			paths = append(paths, p.path)
		}
	}
	before := r.Published
	var ahead *store.Ahead
	r.Published, ahead = r.Published.Ahead(ctx, paths)
	return func() {
		ahead.Close()
		r.Published = before
	}
}
