package reconcile

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// idList is a list of IDs, in memory or in a file. Its zero value is an empty list in
// memory.
type idList struct {
	count int64
	ids   []id
	file  *os.File // that has the IDs instead, or nil
	out   *bufio.Writer
}

// spillTo makes a file in dir for the IDs of an empty list.
func (l *idList) spillTo(dir string) (err error) {
	l.file, err = os.OpenFile(filepath.Join(dir, "moves"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("spilling the IDs of moved events: %w", err)
	}
	l.out = bufio.NewWriter(l.file)
	return nil
}

func (l *idList) add(i id) (err error) {
	l.count++
	if l.file == nil {
		l.ids = append(l.ids, i)
		return nil
	}
	_, err = l.out.Write(i.appendKey(l.out.AvailableBuffer()))
	return err
}

// flush completes the list. Nothing is added afterwards.
func (l *idList) flush() error {
	if l.file == nil {
		return nil
	}
	return l.out.Flush()
}

// slice returns the IDs from an index on.
func (l *idList) slice(from, count int64) idSource {
	return idSource{count, func(yield func(id, error) bool) {
		if l.file == nil {
			for _, i := range l.ids[from : from+count] {
				if !yield(i, nil) {
					return
				}
			}
			return
		}
		in := bufio.NewReader(io.NewSectionReader(l.file, from*idLen, count*idLen))
		for range count {
			var b [idLen]byte
			if _, err := io.ReadFull(in, b[:]); err != nil {
				yield(id{}, fmt.Errorf("reading the spilled IDs of moved events: %w", err))
				return
			}
			if !yield(parseID(string(b[:])), nil) {
				return
			}
		}
	}}
}

// close removes the file.
func (l *idList) close() error {
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	if err := file.Close(); err != nil {
		return err
	}
	return os.Remove(file.Name())
}

// idFilter reports for most IDs that are not in a set that they are not: a Bloom
// filter.
type idFilter []uint64

// newIDFilter makes an empty filter. With two bytes for each ID, one in 70 of the
// other IDs passes.
func newIDFilter(bytes int64) idFilter { return make(idFilter, max(1, bytes/8)) }

// bits are two bits for an ID, which is a hash already.
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
