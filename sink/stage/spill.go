package stage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas/records"
)

// spillBytes is the approximate size of a batch in the spill. All runs of a
// partition are merged at the same time, with one batch of each in memory.
const spillBytes = 256 << 10

// spill is an Arrow IPC file of runs. A run has sorted rows of one partition in
// batches: the packed rows, and the time by which each is ordered first. The file
// is created with the first run. It is read only after the last run is written.
//
// A row larger than spillBytes has a batch of its own, which belongs to no run. The
// run has the row's key and the number of that batch, so that the row is in memory
// only while it is copied.
type spill struct {
	path   string
	layout *layout

	mu     sync.Mutex
	file   *os.File
	out    *spillOutput
	writer *ipc.FileWriter
	count  int // batches
	reader *ipc.FileReader
	err    error
}

var spillSchema = arrow.NewSchema([]arrow.Field{
	{Name: "micros", Type: arrow.PrimitiveTypes.Int64},
	{Name: "row", Type: arrow.BinaryTypes.Binary},     // or its key
	{Name: "apart", Type: arrow.PrimitiveTypes.Int32}, // the number, from 1, of the batch with the row; 0 if the row is here
}, nil)

// add writes a run of sorted rows, and returns the indexes of its batches. They are
// not consecutive if several runs are written at the same time.
func (s *spill) add(p *packed) (batches []int, err error) {
	b := rowBuffers.Get().(*rowBuffer)
	defer rowBuffers.Put(b)
	for left := p.rows; len(left) > 0; {
		b.micros, b.ends, b.rows, b.apart = b.micros[:0], append(b.ends[:0], 0), b.rows[:0], b.apart[:0]
		for len(b.rows) < spillBytes && len(b.micros) < len(left) {
			r := left[len(b.micros)]
			row, apart := p.row(r), 0
			if len(row) > spillBytes {
				if apart, err = s.writeApart(r.micros, row); err != nil {
					return nil, err
				}
				row = s.layout.key(row)
			}
			b.rows = append(b.rows, row...)
			b.micros, b.ends, b.apart = append(b.micros, r.micros), append(b.ends, int32(len(b.rows))), append(b.apart, int32(apart))
		}
		left = left[len(b.micros):]
		at, err := s.write(b.batch())
		if err != nil {
			return nil, err
		}
		batches = append(batches, at)
	}
	return batches, nil
}

// writeApart writes a batch of one row, and returns its number from 1.
func (s *spill) writeApart(micros int64, row []byte) (int, error) {
	alone := rowBuffer{[]int64{micros}, []int32{0, int32(len(row))}, row, []int32{0}}
	at, err := s.write(alone.batch())
	return at + 1, err
}

// rowBuffer is a batch of packed rows under construction.
type rowBuffer struct {
	micros []int64
	ends   []int32 // of rows, after a leading 0
	rows   []byte
	apart  []int32
}

// rowBuffers are reused, because the library does not keep a batch after writing it.
var rowBuffers = sync.Pool{New: func() any { return new(rowBuffer) }}

func (b *rowBuffer) batch() arrow.Record {
	column := func(i int, buffers ...[]byte) arrow.Array {
		in := []*memory.Buffer{nil} // nothing is NULL
		for _, b := range buffers {
			in = append(in, memory.NewBufferBytes(b))
		}
		return array.MakeFromData(array.NewData(spillSchema.Field(i).Type, len(b.micros), in, nil, 0, 0))
	}
	return array.NewRecord(spillSchema, []arrow.Array{
		column(0, arrow.Int64Traits.CastToBytes(b.micros)),
		column(1, arrow.Int32Traits.CastToBytes(b.ends), b.rows),
		column(2, arrow.Int32Traits.CastToBytes(b.apart)),
	}, int64(len(b.micros)))
}

func (s *spill) write(batch arrow.Record) (at int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("spilling staged rows to %s: %w", s.path, err)
		}
	}()
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
	s.writer, err = ipc.NewFileWriter(s.out, ipc.WithSchema(spillSchema))
	return err
}

// rows returns a function that returns the next row of a run, or the zero value at
// the end. No run may be added after its first call.
func (s *spill) rows(run []int) func() (stagedRow, error) {
	var times []int64
	var rows *array.Binary
	var apart []int32
	at := 0
	return func() (stagedRow, error) {
		for at == len(times) {
			if len(run) == 0 {
				return stagedRow{}, nil
			}
			batch, err := s.read(run[0])
			if err != nil {
				return stagedRow{}, err
			}
			run, at = run[1:], 0
			times, rows = batch.Column(0).(*array.Int64).Int64Values(), batch.Column(1).(*array.Binary)
			apart = batch.Column(2).(*array.Int32).Int32Values()
		}
		row := stagedRow{micros: times[at], row: rows.Value(at)}
		if number := int(apart[at]); number > 0 {
			row.read = func() ([]byte, error) { return s.readApart(number) }
		}
		at++
		return row, nil
	}
}

// readApart reads a row that has a batch of its own.
func (s *spill) readApart(number int) ([]byte, error) {
	batch, err := s.read(number - 1)
	if err != nil {
		return nil, err
	}
	return batch.Column(1).(*array.Binary).Value(0), nil
}

func (s *spill) read(i int) (batch arrow.Record, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading spilled rows back from %s: %w", s.path, err)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil && s.err == nil {
		s.err = s.finish()
	}
	if s.err != nil {
		return nil, s.err
	}
	err = records.CatchPanic(func() error {
		batch, err = s.reader.RecordAt(i)
		return err
	})
	return batch, err
}

// finish completes the file and opens it for reading.
func (s *spill) finish() (err error) {
	if err := errors.Join(s.writer.Close(), s.out.buf.Flush()); err != nil {
		return err
	}
	s.reader, err = ipc.NewFileReader(s.file)
	return err
}

// size returns the number of bytes that were written.
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

// Seek returns the position of the writer. The library does not call it for any other
// purpose.
func (o *spillOutput) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.ErrUnsupported
	}
	return o.size, nil
}
