// Package stage collects the rows of a table in any order and returns them by
// partition, sorted. Memory is bounded: rows that do not fit are spilled to a
// temporary file and merged when they are read.
package stage

import (
	"cmp"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
)

// Stage collects the rows of a table in any order, and returns them by partition,
// sorted. Rows that exceed its memory limit are sorted and spilled to disk, the
// largest partitions first.
//
// Add may be called concurrently. After the last Add, Partitions and Rows may be
// called concurrently.
type Stage struct {
	table   schemas.Table
	limit   int64
	room    atomic.Int64  // the part of limit that rows may take, in bytes
	size    atomic.Int64  // bytes of the rows in memory
	taken   atomic.Int64  // bytes of the rows that are being spilled
	relieve chan struct{} // has a slot for each goroutine that may spill at the same time
	spill   *spill
	layout  layout
	// The indexes in Table.RowColumns of the columns that determine a row's partition.
	// typeAt is -1 if the table has no type.
	typeAt, dayAt int

	mu     sync.Mutex
	byDay  map[rowDay]*partition
	byPath map[string]*partition
	facts  Facts
}

// Facts describe all rows of a stage.
type Facts struct {
	Rows int64
	// Nulls counts the NULLs of each column of the files.
	Nulls map[string]int64
	// Newest is the latest time, or zero if no row has a time.
	Newest time.Time
}

// rowDay has the values that determine the partition of a row.
type rowDay struct {
	kind string // the value of the type column
	day  int32
}

// partition has the rows of one partition.
type partition struct {
	mu sync.Mutex
	Staged
	packed packed
	sorted bool    // packed is sorted
	runs   [][]int // the batches of each run in the spill
}

// partitionBytes estimates the memory of a partition without its rows.
const partitionBytes = 512

// Staged describes the rows of one partition.
type Staged struct {
	Partition sink.Partition
	Rows      int64
	Content   schemas.Digest
	// LargestRow estimates the size of the largest row, in bytes.
	LargestRow int64
}

// New returns an empty Stage that holds about limit bytes in memory. It spills to
// a file in dir, and creates dir when it needs it.
func New(table schemas.Table, dir string, limit int64) *Stage {
	s := &Stage{
		table: table, layout: layout{table.Columns, orderOf(table)}, limit: limit,
		relieve: make(chan struct{}, runtime.GOMAXPROCS(0)),
		spill:   &spill{path: filepath.Join(dir, "spill.arrow")},
		byDay:   make(map[rowDay]*partition), byPath: make(map[string]*partition),
		facts: Facts{Nulls: make(map[string]int64)},
	}
	s.spill.layout = &s.layout
	columns, roles := table.RowColumns(), table.Roles()
	s.typeAt, s.dayAt = schemas.IndexOf(columns, roles.Type), schemas.IndexOf(columns, roles.Day)
	s.room.Store(limit)
	return s
}

// Add copies the rows of a batch. The batch has the columns of Table.RowColumns,
// and its rows can be in any order.
func (s *Stage) Add(batch arrow.Record) error {
	contents := records.Digests(s.table.Columns, batch)
	columns := records.ColumnsOf(s.table.Columns, batch)
	grown := int64(0)
	for row, p := range s.partitions(batch) {
		p.mu.Lock()
		p.Rows++
		p.Content = p.Content.Add(contents[row])
		before := p.packed.size
		size := p.packed.add(s.layout.order.micros(columns, row), columns, row)
		p.LargestRow = max(p.LargestRow, int64(size))
		grown += p.packed.size - before
		p.mu.Unlock()
	}
	if s.size.Add(grown) < s.room.Load() {
		return nil
	}
	// The goroutine that exceeds the limit makes room, so that memory is bounded.
	// Other goroutines continue in the meantime.
	s.relieve <- struct{}{}
	defer func() { <-s.relieve }()
	return s.makeRoom()
}

// partitions returns the partition of each row, and adds the batch to the facts.
func (s *Stage) partitions(batch arrow.Record) []*partition {
	days := batch.Column(s.dayAt).(*array.Date32)
	kind := func(int) string { return "" }
	if s.typeAt >= 0 {
		kind = batch.Column(s.typeAt).(*array.String).Value
	}
	of := make([]*partition, batch.NumRows())
	s.mu.Lock()
	defer s.mu.Unlock()
	for row := range of {
		of[row] = s.partition(kind(row), int32(days.Value(row)))
	}
	s.note(batch, batch.Column(s.layout.order.time).(*array.Timestamp))
	return of
}

// note adds a batch to the facts.
func (s *Stage) note(batch arrow.Record, times *array.Timestamp) {
	s.facts.Rows += batch.NumRows()
	for i, c := range s.table.Columns {
		s.facts.Nulls[c.Name] += int64(batch.Column(i).NullN())
	}
	newest := int64(math.MinInt64)
	for i := range times.Len() {
		if times.IsValid(i) {
			newest = max(newest, int64(times.Value(i)))
		}
	}
	if t := time.UnixMicro(newest).UTC(); newest != math.MinInt64 && (s.facts.Newest.IsZero() || t.After(s.facts.Newest)) {
		s.facts.Newest = t
	}
}

// Full reports whether the next rows are likely to be spilled.
func (s *Stage) Full() bool { return s.size.Load() >= s.room.Load()*7/8 }

// Facts returns the facts about the rows so far. It must not run during an Add.
func (s *Stage) Facts() Facts { return s.facts }

func (s *Stage) partition(kind string, day int32) *partition {
	if p, ok := s.byDay[rowDay{kind, day}]; ok {
		return p
	}
	kind = strings.Clone(kind) // it points into a batch
	of := sink.PartitionOf(s.table, kind, day)
	p, ok := s.byPath[of.Path]
	if !ok {
		p = &partition{Staged: Staged{Partition: of}}
		s.byPath[of.Path] = p
		// Rows always have half of the limit. With less, spilled runs would be tiny.
		s.room.Store(max(s.limit/2, s.limit-int64(len(s.byPath))*partitionBytes))
	}
	s.byDay[rowDay{kind, day}] = p
	return p
}

// Partitions returns the partitions that have rows, ascending by path.
func (s *Stage) Partitions() []Staged {
	all := make([]Staged, 0, len(s.byPath))
	for _, p := range s.byPath {
		all = append(all, p.Staged)
	}
	slices.SortFunc(all, func(a, b Staged) int { return cmp.Compare(a.Partition.Path, b.Partition.Path) })
	return all
}

// Rows returns the rows of a partition, with the columns of the table's files. The
// stream is empty if the stage does not have the partition.
func (s *Stage) Rows(path string) records.Rows {
	p := s.byPath[path]
	if p == nil {
		return func(func(arrow.Record, error) bool) {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sorted {
		p.packed.sort(&s.layout)
		p.sorted = true
	}
	return merge(s.table, p.packed.extent(p.Rows), func() (streams []stream) {
		for _, run := range p.runs {
			streams = append(streams, &packedStream{layout: &s.layout, fetch: s.spill.rows(run)})
		}
		return append(streams, &packedStream{layout: &s.layout, fetch: p.packed.each()})
	})
}

// makeRoom spills the largest partitions until an eighth of the room is free. The
// other partitions keep growing, so that their runs are long and few.
func (s *Stage) makeRoom() error {
	room := s.room.Load()
	over := s.size.Load() - s.taken.Load() - room
	if over < 0 {
		return nil // another goroutine made room
	}
	for _, p := range s.largest(over + room/8) {
		p.mu.Lock()
		taken := p.packed
		p.packed = packed{}
		s.taken.Add(taken.size)
		p.mu.Unlock()
		if len(taken.rows) == 0 {
			continue // another goroutine spilled it first
		}
		taken.sort(&s.layout)
		run, err := s.spill.add(&taken)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.runs = append(p.runs, run)
		p.mu.Unlock()
		s.size.Add(-taken.size)
		s.taken.Add(-taken.size)
	}
	return nil
}

// largest returns the largest partitions, as many as are needed to free that many bytes.
func (s *Stage) largest(bytes int64) (largest []*partition) {
	type sized struct {
		*partition
		size int64
	}
	s.mu.Lock()
	all := make([]sized, 0, len(s.byPath))
	for _, p := range s.byPath {
		p.mu.Lock()
		all = append(all, sized{p, p.packed.size})
		p.mu.Unlock()
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b sized) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.Partition.Path, b.Partition.Path))
	})
	for _, p := range all {
		if bytes <= 0 {
			break
		}
		largest = append(largest, p.partition)
		bytes -= p.size
	}
	return largest
}

// Spilled returns the number of bytes that were written to disk.
func (s *Stage) Spilled() (bytes int64) { return s.spill.size() }

// Close releases the rows, and removes the spill file.
func (s *Stage) Close() error {
	s.byDay, s.byPath = nil, nil
	return s.spill.remove()
}
