package sink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
)

// spillBytes is about how large a batch of a spill is: all runs of a partition are
// merged at once, each with a batch in memory.
const spillBytes = 256 << 10

// spill is an Arrow IPC file of runs: sorted rows of one partition, batch after
// batch. It is made when the first run comes, and first it is written, then read.
type spill struct {
	path   string
	schema *arrow.Schema

	mu     sync.Mutex
	file   *os.File
	out    *spillOutput
	writer *ipc.FileWriter
	count  int // batches
	reader *ipc.FileReader
	err    error
}

// add writes a run. Its rows are made batch by batch; runs that are written at
// once may be interleaved, so the batches are not one behind the other.
func (s *spill) add(rows Rows) (batches []int, err error) {
	for batch, err := range rows {
		var at int
		if err == nil {
			at, err = s.write(batch)
		}
		if err != nil {
			return nil, fmt.Errorf("spilling staged rows to %s: %w", s.path, err)
		}
		batches = append(batches, at)
	}
	return batches, nil
}

func (s *spill) write(batch arrow.Record) (at int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		if err := s.create(); err != nil {
			return 0, err
		}
	}
	if err := s.writer.Write(batch); err != nil {
		return 0, err
	}
	s.count++
	return s.count - 1, nil
}

func (s *spill) create() (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	s.out = &spillOutput{buf: bufio.NewWriterSize(s.file, 256<<10)}
	s.writer, err = ipc.NewFileWriter(s.out, ipc.WithSchema(s.schema))
	return err
}

// rows reads a run back. From the first call on nothing is added.
func (s *spill) rows(batches []int) Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, i := range batches {
			batch, err := s.read(i)
			if err != nil {
				err = fmt.Errorf("reading spilled rows back from %s: %w", s.path, err)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

func (s *spill) read(i int) (arrow.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil && s.err == nil {
		s.err = s.finish()
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.reader.RecordAt(i)
}

// finish makes the file readable.
func (s *spill) finish() (err error) {
	if err := errors.Join(s.writer.Close(), s.out.buf.Flush()); err != nil {
		return err
	}
	s.reader, err = ipc.NewFileReader(s.file)
	return err
}

// size is how many bytes were written.
func (s *spill) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return 0
	}
	return s.out.size
}

func (s *spill) remove() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return errors.Join(file.Close(), os.Remove(s.path))
}

// spillOutput joins the many small writes of the Arrow library.
type spillOutput struct {
	buf  *bufio.Writer
	size int64
}

func (o *spillOutput) Write(p []byte) (int, error) {
	n, err := o.buf.Write(p)
	o.size += int64(n)
	return n, err
}

// Seek tells where the library is, which is all that it asks.
func (o *spillOutput) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.ErrUnsupported
	}
	return o.size, nil
}
