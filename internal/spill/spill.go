// Package spill sorts keys and values in bounded memory. It writes entries that
// do not fit to disk as sorted runs, and merges the runs when the entries are
// read.
package spill

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Entry is a key and its value.
type Entry struct {
	Key   string
	Value []byte
}

// Map keeps the first value of each key. A Map is not safe for concurrent use.
type Map struct {
	dir   string
	limit int64
	size  int64             // of the entries in memory, in bytes
	value map[string][]byte // the newest entries
	runs  []string          // paths, the oldest first
	made  int               // the number of runs that were written
}

const (
	// overhead is the memory in bytes that an entry takes in addition to its
	// key and value.
	overhead = 96
	// maxRuns is the maximum number of runs that are merged at a time. Each has
	// a buffer in memory.
	maxRuns   = 64
	runBuffer = 32 << 10
)

// NewMap returns an empty Map that keeps about limit bytes of entries in
// memory. It creates the directory when it first spills.
func NewMap(dir string, limit int64) *Map {
	return &Map{dir: dir, limit: limit, value: make(map[string][]byte)}
}

// Put adds the value, unless the key already has one. It reports whether the
// entries in memory do not have the key: isNew may also be true for a key that
// was spilled. The Map owns the value afterwards.
func (m *Map) Put(key string, value []byte) (isNew bool, err error) {
	if _, known := m.value[key]; known {
		return false, nil
	}
	m.value[key] = value
	if m.size += int64(len(key) + len(value) + overhead); m.size > m.limit {
		return true, m.spill()
	}
	return true, nil
}

// Spilled reports whether any entry is on disk.
func (m *Map) Spilled() bool { return len(m.runs) > 0 }

// All returns the entries in ascending order of keys. It ends at the first
// error. Put must not be called during the iteration.
func (m *Map) All() iter.Seq2[Entry, error] { return m.merge(m.runs, true) }

// Close deletes the runs. Afterwards the Map is empty.
func (m *Map) Close() error {
	var errs []error
	for _, path := range m.runs {
		errs = append(errs, os.Remove(path))
	}
	m.runs, m.value, m.size = nil, make(map[string][]byte), 0
	return errors.Join(errs...)
}

// spill writes the entries in memory to a run. If there are maxRuns runs, it
// merges them into one.
func (m *Map) spill() error {
	path, err := m.write(m.merge(nil, true))
	if err != nil {
		return err
	}
	m.runs, m.value, m.size = append(m.runs, path), make(map[string][]byte), 0
	if len(m.runs) < maxRuns {
		return nil
	}
	if path, err = m.write(m.merge(m.runs, false)); err != nil {
		return err
	}
	merged := m.runs
	m.runs = []string{path}
	for _, path := range merged {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// write writes entries to a new run.
func (m *Map) write(entries iter.Seq2[Entry, error]) (path string, err error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(m.dir, fmt.Sprintf("%05d.run", m.made))
	m.made++
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	out := bufio.NewWriterSize(f, runBuffer)
	var length [binary.MaxVarintLen64]byte
	for e, err := range entries {
		if err != nil {
			return "", err
		}
		out.Write(binary.AppendUvarint(length[:0], uint64(len(e.Key))))
		out.WriteString(e.Key)
		out.Write(binary.AppendUvarint(length[:0], uint64(len(e.Value))))
		out.Write(e.Value)
	}
	return path, out.Flush() // Flush returns the first error of the writer
}

// merge merges runs and, if memory is set, the entries in memory. It reads one
// value of the runs at a time.
func (m *Map) merge(runs []string, memory bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var h cursors
		defer func() {
			for _, c := range h {
				c.source.close()
			}
		}()
		if err := m.open(&h, runs, memory); err != nil {
			yield(Entry{}, err)
			return
		}
		for last, first := "", true; len(h) > 0; {
			c := h[0]
			if first || c.key != last {
				last, first = c.key, false
				value, err := c.source.value()
				if !yield(Entry{c.key, value}, err) || err != nil {
					return
				}
			}
			if err := h.advance(); err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}

// open opens the sources of a merge.
func (m *Map) open(h *cursors, runs []string, memory bool) error {
	for _, path := range runs {
		r, err := openRun(path)
		if err != nil {
			return err
		}
		*h = append(*h, &cursor{source: r, age: len(*h)})
	}
	if memory {
		*h = append(*h, &cursor{source: &inMemory{values: m.value, keys: slices.Sorted(maps.Keys(m.value))}, age: len(*h)})
	}
	for i := len(*h) - 1; i >= 0; i-- {
		c := (*h)[i]
		key, ok, err := c.source.next()
		if err != nil {
			return err
		}
		if c.key = key; !ok {
			c.source.close()
			*h = slices.Delete(*h, i, i+1)
		}
	}
	heap.Init(h)
	return nil
}

// source returns entries in order.
type source interface {
	// next returns the key of the next entry, and false at the end.
	next() (key string, ok bool, err error)
	// value returns the value of that key. It is called at most once.
	value() ([]byte, error)
	close()
}

type inMemory struct {
	values  map[string][]byte
	keys    []string // the remaining keys
	current string
}

func (s *inMemory) next() (key string, ok bool, err error) {
	if len(s.keys) == 0 {
		return "", false, nil
	}
	key, s.keys = s.keys[0], s.keys[1:]
	s.current = key
	return key, true, nil
}

func (s *inMemory) value() ([]byte, error) { return s.values[s.current], nil }
func (s *inMemory) close()                 {}

// run reads a run.
type run struct {
	file   *os.File
	in     *bufio.Reader
	unread int // bytes of the current value
}

func openRun(path string) (*run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &run{file: f, in: bufio.NewReaderSize(f, runBuffer)}, nil
}

func (r *run) next() (key string, ok bool, err error) {
	if _, err = r.in.Discard(r.unread); err != nil {
		return "", false, r.damaged(err)
	}
	n, err := binary.ReadUvarint(r.in)
	if err == io.EOF {
		return "", false, nil
	}
	if err == nil {
		b := make([]byte, n)
		if _, err = io.ReadFull(r.in, b); err == nil {
			n, err = binary.ReadUvarint(r.in)
		}
		key = string(b)
	}
	if err != nil {
		return "", false, r.damaged(err)
	}
	r.unread = int(n)
	return key, true, nil
}

func (r *run) value() ([]byte, error) {
	b := make([]byte, r.unread)
	r.unread = 0
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, r.damaged(err)
	}
	return b, nil
}

func (r *run) damaged(err error) error {
	return fmt.Errorf("reading the spilled entries %s: %w", r.file.Name(), err)
}

func (r *run) close() { r.file.Close() }

// cursor is the next entry of a source. Among equal keys, the oldest source
// comes first.
type cursor struct {
	source source
	age    int
	key    string
}

type cursors []*cursor

// advance moves the first cursor to its next entry, or removes it at the end.
func (h *cursors) advance() error {
	c := (*h)[0]
	key, ok, err := c.source.next()
	switch {
	case err != nil:
		return err
	case ok:
		c.key = key
		heap.Fix(h, 0)
	default:
		c.source.close()
		heap.Pop(h)
	}
	return nil
}

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].key, h[j].key), cmp.Compare(h[i].age, h[j].age)) < 0
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(c any)   { *h = append(*h, c.(*cursor)) }
func (h *cursors) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}
