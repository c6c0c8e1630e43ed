package sink

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
)

// Stage collects the rows of a table as they come, and gives them back by
// partition, in order. What does not fit in its memory is sorted and spilled to
// disk, so that any number of rows takes the same room.
//
// Add may be called concurrently; Partitions and Rows, also concurrently, once
// no more is added.
type Stage struct {
	table schemas.Table
	dir   string
	limit int64

	mu     sync.Mutex
	byDay  map[rowDay]*partition
	byPath map[string]*partition
	mem    []arrow.Record
	keys   []sortKeys // parallel to mem
	size   int64      // bytes of mem
	spills []*spill
	facts  Facts
}

// Facts tell of all rows that a stage was given.
type Facts struct {
	Rows int64
	// Nulls counts the rows without a value, by column of the files.
	Nulls map[string]int64
	// Newest is the latest event_time; zero when no row has one.
	Newest time.Time
}

// rowDay is what decides a row's partition.
type rowDay struct {
	eventType string
	day       int32
}

// partition is what the stage knows of one.
type partition struct {
	Staged
	refs []rowRef // its rows in mem
}

// Staged is what one partition gets.
type Staged struct {
	Partition Partition
	Rows      int64
	Content   schemas.Digest
}

// NewStage makes an empty Stage that holds about limit bytes in memory, and
// spills into dir, which need not exist yet.
func NewStage(table schemas.Table, dir string, limit int64) *Stage {
	return &Stage{
		table: table, dir: dir, limit: limit,
		byDay: make(map[rowDay]*partition), byPath: make(map[string]*partition),
		facts: Facts{Nulls: make(map[string]int64)},
	}
}

// Add takes over a batch of rows, in any order, with the columns of
// Table.RowColumns.
func (s *Stage) Add(batch arrow.Record) error {
	contents := schemas.RowDigests(s.table.Columns, batch)
	columns := s.table.RowColumns()
	column := func(name string) arrow.Array {
		return batch.Column(slices.IndexFunc(columns, func(c schemas.Column) bool { return c.Name == name }))
	}
	types, days := column("event_type").(*array.String), column("event_date").(*array.Date32)
	keys := keysOf(s.table, batch)

	s.mu.Lock()
	defer s.mu.Unlock()
	at := int32(len(s.mem))
	s.mem, s.keys = append(s.mem, batch), append(s.keys, keys)
	for row := range int(batch.NumRows()) {
		p := s.partition(types.Value(row), int32(days.Value(row)))
		p.Rows++
		p.Content = p.Content.Add(contents[row])
		p.refs = append(p.refs, rowRef{at, int32(row)})
	}
	s.note(batch, keys.time)
	s.size += batchSize(batch)
	if s.size < s.limit {
		return nil
	}
	// The other workers wait meanwhile, which is what keeps memory bounded.
	return s.spill()
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

// Facts are those of the rows so far. It is called when no batch is being added.
func (s *Stage) Facts() Facts { return s.facts }

func (s *Stage) partition(eventType string, day int32) *partition {
	if p, ok := s.byDay[rowDay{eventType, day}]; ok {
		return p
	}
	eventType = strings.Clone(eventType) // it points into a batch
	of := PartitionOf(s.table, eventType, day)
	p, ok := s.byPath[of.Path]
	if !ok {
		p = &partition{Staged: Staged{Partition: of}}
		s.byPath[of.Path] = p
	}
	s.byDay[rowDay{eventType, day}] = p
	return p
}

func batchSize(batch arrow.Record) (size int64) {
	for _, c := range batch.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				size += int64(b.Cap())
			}
		}
		size += int64(c.Len()) // its share of refs
	}
	return size
}

// Partitions are all that have rows, ascending by path.
func (s *Stage) Partitions() []Staged {
	all := make([]Staged, 0, len(s.byPath))
	for _, p := range s.byPath {
		all = append(all, p.Staged)
	}
	slices.SortFunc(all, func(a, b Staged) int { return cmp.Compare(a.Partition.Path, b.Partition.Path) })
	return all
}

// Rows are those of one partition, with the columns of the table's files. There
// are none when the stage has no such partition.
func (s *Stage) Rows(path string) Rows {
	p := s.byPath[path]
	if p == nil {
		return func(func(arrow.Record, error) bool) {}
	}
	var streams []Rows
	for _, spill := range s.spills {
		if chunks := spill.chunks[p]; len(chunks) > 0 {
			streams = append(streams, spill.rows(chunks))
		}
	}
	if len(p.refs) > 0 || len(streams) == 0 {
		streams = append(streams, s.inMemory(p))
	}
	return Merge(s.table, streams...)
}

func (s *Stage) inMemory(p *partition) Rows {
	return func(yield func(arrow.Record, error) bool) {
		refs := slices.Clone(p.refs)
		slices.SortFunc(refs, func(a, b rowRef) int {
			return compareRows(&s.keys[a.batch], int(a.row), &s.keys[b.batch], int(b.row))
		})
		for len(refs) > 0 {
			rows := 0
			for size := 0; rows < min(len(refs), chunkRows) && size < chunkBytes; rows++ {
				size += s.keys[refs[rows].batch].size(int(refs[rows].row))
			}
			if !yield(gather(s.table.Columns, s.mem, refs[:rows]), nil) {
				return
			}
			refs = refs[rows:]
		}
	}
}

// spill empties the memory into a file.
func (s *Stage) spill() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making room for staged rows: %w", err)
	}
	out, err := createSpill(filepath.Join(s.dir, fmt.Sprintf("spill-%05d.arrow", len(s.spills))), s.table)
	if err != nil {
		return err
	}
	for _, p := range s.byPath {
		if len(p.refs) == 0 {
			continue
		}
		for batch, err := range s.inMemory(p) {
			if err == nil {
				err = out.write(p, batch)
			}
			if err != nil {
				return errors.Join(err, out.abort())
			}
		}
		p.refs = nil
	}
	done, err := out.finish()
	if err != nil {
		return err
	}
	s.spills = append(s.spills, done)
	s.mem, s.keys, s.size = nil, nil, 0
	return nil
}

// Spilled is how many bytes were written to disk.
func (s *Stage) Spilled() (bytes int64) {
	for _, spill := range s.spills {
		bytes += spill.size
	}
	return bytes
}

// Close removes the spilled files.
func (s *Stage) Close() error {
	var errs []error
	for _, spill := range s.spills {
		errs = append(errs, spill.remove())
	}
	s.spills, s.mem, s.keys = nil, nil, nil
	return errors.Join(errs...)
}
