package sink

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"prospector/schemas"
)

// spill is an Arrow IPC file of sorted rows, partition after partition.
type spill struct {
	chunks map[*partition][]int // its batches, by number, in order
	size   int64

	mu     sync.Mutex // one read at a time
	file   *os.File
	reader *ipc.FileReader
}

func (s *spill) rows(chunks []int) Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, i := range chunks {
			s.mu.Lock()
			batch, err := s.reader.RecordAt(i)
			s.mu.Unlock()
			if err != nil {
				err = fmt.Errorf("reading spilled rows back from %s: %w", s.file.Name(), err)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

func (s *spill) remove() error {
	return errors.Join(s.reader.Close(), s.file.Close(), os.Remove(s.file.Name()))
}

type spillWriter struct {
	spill
	writer *ipc.FileWriter
	count  int
}

func createSpill(path string, table schemas.Table) (*spillWriter, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spilling staged rows: %w", err)
	}
	w := &spillWriter{spill: spill{chunks: make(map[*partition][]int), file: file}}
	if w.writer, err = ipc.NewFileWriter(file, ipc.WithSchema(schemas.Arrow(table.Columns))); err != nil {
		return nil, errors.Join(fmt.Errorf("spilling staged rows to %s: %w", path, err), w.abort())
	}
	return w, nil
}

func (w *spillWriter) write(p *partition, batch arrow.Record) error {
	if err := w.writer.Write(batch); err != nil {
		return fmt.Errorf("spilling staged rows to %s: %w", w.file.Name(), err)
	}
	w.chunks[p] = append(w.chunks[p], w.count)
	w.count++
	return nil
}

// finish makes the file readable.
func (w *spillWriter) finish() (*spill, error) {
	err := w.writer.Close()
	if err == nil {
		var info os.FileInfo
		if info, err = w.file.Stat(); err == nil {
			w.size = info.Size()
			w.reader, err = ipc.NewFileReader(w.file)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spilling staged rows to %s: %w", w.file.Name(), err), w.abort())
	}
	return &spill{chunks: w.chunks, size: w.size, file: w.file, reader: w.reader}, nil
}

func (w *spillWriter) abort() error {
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}
