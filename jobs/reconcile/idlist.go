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
	file  *os.File // holds the IDs instead, unless it is nil
	out   *bufio.Writer
}

// spillTo creates a file in dir for the IDs of the list, which must be empty.
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

// flush completes the list. No ID is added afterwards.
func (l *idList) flush() error {
	if l.file == nil {
		return nil
	}
	return l.out.Flush()
}

// slice returns count IDs, beginning at the index from.
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
