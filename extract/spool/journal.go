// Package spool keeps the raw pages of a run in a journal on the local disk, so
// that a run which was killed asks the source for nothing twice.
//
// Its duties: a page that was appended is there after the process was killed; a
// page that comes back is the one that was appended, in its place, or an error;
// pages of another configuration, of another format or of another day never come
// back at all; and it is private to one process and one user, for it holds
// personal data.
//
// Not its duties: to understand pages, to decide what is asked of the source,
// and to be the only copy of anything. A journal that is lost costs requests.
//
// # Durability
//
// A record is with the operating system before Append, Finish or Restart
// returns: a killed process loses nothing that was acknowledged. A power cut
// loses what was not synced. That happens when a segment is full, on Sync and
// Close, and in between every five seconds, by one of the appending calls. What is
// lost so is at the journal's end, and the next Open cuts the journal there.
package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"prospector/internal/nolink"
)

var (
	// ErrLocked: another process has the journal open.
	ErrLocked = errors.New("the journal is in use")
	// ErrCorrupt: a recovered page has been damaged since Open. Restart its
	// prospect and ask for it again.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrClosed: the journal was closed or removed before.
	ErrClosed = errors.New("the journal is closed")
)

// Page is one answer of the source, as it came.
type Page struct {
	Prospect string
	// Number counts the pages of one reading of the prospect, from 1. Page 1
	// begins a new reading, and what the journal had of the prospect is
	// forgotten.
	Number int
	// Cursor is the one that the page was asked with; from page 2 on it is the
	// Next of the page before. Next is "" when no page follows.
	Cursor, Next string
	// Events is how many events the caller counted on the page.
	Events int
	// Body is the answer's body, uncompressed, of at most MaxBody bytes. It need
	// not be valid JSON.
	Body []byte
}

// Progress is what the journal recovered of one prospect.
type Progress struct {
	Pages  int
	Events int
	// Next is the cursor to go on with. It is "" when all pages were read,
	// though the prospect may not have been finished, and when there are none.
	Next     string
	Finished bool
	// Outcome is what Finish was told.
	Outcome string
}

// Recovery says what Open found.
type Recovery struct {
	// Finished and Unfinished count prospects.
	Finished, Unfinished int
	Pages, Events        int
	// Bytes is the size of the pages on disk, compressed.
	Bytes int64
	// Lost is the number of bytes at the journal's end that were no whole
	// records, and were cut off.
	Lost int64
	// Discarded says why an older journal was not used, for people, or is "".
	Discarded string
}

// Journal is an open journal. Its methods may be called concurrently, those about
// one prospect by one goroutine at a time.
type Journal struct {
	dir      string
	files    *nolink.Dir // which is dir
	lock     *os.File
	header   header // of the next segment
	now      func() time.Time
	limit    int64 // of a segment, in bytes
	index    *index
	recovery Recovery

	mu     sync.Mutex
	out    *os.File // the segment that is written; nil before the first record
	size   int64    // of out
	synced time.Time
	failed error // the first failure of a write, or ErrClosed
}

const syncInterval = 5 * time.Second

// Open resumes the journal in dir, or begins one. What it has is kept if it was
// made with the same binding, which names everything that pages depend on, and
// if it began less than maxAge ago (or, as clocks may be wrong, before now by as
// much); otherwise it is deleted. A maxAge of 0 always begins anew.
//
// The directory is private, and neither it nor what is in it may be a symbolic
// link. The journal is locked for other processes until Close or Remove. Open gives
// ErrLocked when another has it, and never an error because of what the journal's
// files hold.
func Open(dir, binding string, maxAge time.Duration, now func() time.Time) (*Journal, error) {
	j, err := open(dir, binding, maxAge, now)
	if err != nil {
		return nil, fmt.Errorf("opening the page journal in %s: %w", dir, err)
	}
	return j, nil
}

func open(dir, binding string, maxAge time.Duration, now func() time.Time) (_ *Journal, err error) {
	if len(binding) > maxBinding {
		return nil, fmt.Errorf("its binding has %d bytes, and at most %d fit", len(binding), maxBinding)
	}
	files, err := nolink.MakePrivate(filepath.Dir(dir), filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			files.Close()
		}
	}()
	lock, err := files.TryLock("lock")
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, fmt.Errorf("%w by another process; wait until it has ended, or stop it", ErrLocked)
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()

	start := now()
	j := &Journal{
		dir: dir, files: files, lock: lock, now: now, limit: segmentSize, synced: start,
		header: header{number: 1, created: start, binding: binding},
	}
	if err := j.recover(maxAge); err != nil {
		return nil, err
	}
	return j, nil
}

// Recovered says what an earlier run, which did not come to its end, has left.
func (j *Journal) Recovered() Recovery { return j.recovery }

// Append adds a page. It does not keep the body.
func (j *Journal) Append(p Page) error {
	switch {
	case p.Number < 1:
		return fmt.Errorf("appending a page to the journal: it has number %d, and the first is 1", p.Number)
	case p.Events < 0 || p.Events > MaxBody:
		return fmt.Errorf("appending page %d of prospect %q to the journal: it cannot have %d events", p.Number, p.Prospect, p.Events)
	case len(p.Body) > MaxBody:
		return fmt.Errorf("appending page %d of prospect %q to the journal: it has %d bytes, and at most %d fit", p.Number, p.Prospect, len(p.Body), MaxBody)
	}
	return j.append(record{kind: pageKind, prospect: p.Prospect, page: p})
}

// Finish says that nothing more is to be asked of the source about the prospect,
// and why, in the caller's words ("complete", "not_found").
func (j *Journal) Finish(prospect, outcome string) error {
	return j.append(record{kind: finishKind, prospect: prospect, outcome: outcome})
}

// Restart forgets what the journal has of the prospect, so that what is appended
// afterwards is never taken for its continuation.
func (j *Journal) Restart(prospect string) error {
	if err := j.append(record{kind: restartKind, prospect: prospect}); err != nil {
		return err
	}
	j.index.forget(prospect)
	return nil
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the size of the largest buffer that is used again.
const maxBuffer = 4 << 20

func release(buffer *[]byte) {
	if cap(*buffer) <= maxBuffer {
		buffers.Put(buffer)
	}
}

func (j *Journal) append(r record) error {
	if r.prospect == "" {
		return errors.New("appending to the journal: the prospect has no id")
	}
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	frame, err := appendRecord((*buffer)[:0], r)
	if err != nil {
		return fmt.Errorf("appending to the journal about prospect %q: %w", r.prospect, err)
	}
	*buffer = frame
	if err := j.write(frame); err != nil {
		return fmt.Errorf("appending to the journal in %s: %w", j.dir, err)
	}
	return nil
}

// write hands a frame to the operating system in one piece. After a failure the
// segment may end in half a record, behind which nothing would be found again,
// so that every later write fails too.
func (j *Journal) write(frame []byte) error {
	due, err := j.writeFrame(frame)
	if err != nil || due == nil {
		return err
	}
	// The others go on writing. The segment may be closed meanwhile, but not
	// before it was synced.
	if err := due.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.fail(err)
	}
	return nil
}

// writeFrame also gives the segment if it is time to sync it.
func (j *Journal) writeFrame(frame []byte) (due *os.File, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	if j.out == nil || j.size+int64(len(frame)) > j.limit {
		if err := j.roll(); err != nil {
			return nil, j.fail(err)
		}
	}
	n, err := j.out.Write(frame)
	j.size += int64(n)
	if err != nil {
		return nil, j.fail(err)
	}
	if now := j.now(); now.Sub(j.synced) >= syncInterval {
		j.synced = now
		return j.out, nil
	}
	return nil, nil
}

// roll ends the segment and begins the next one.
func (j *Journal) roll() error {
	if j.out != nil {
		j.header.after = j.size
	}
	if err := j.closeSegment(); err != nil {
		return err
	}
	out, err := j.files.Create(segmentName(j.header.number))
	if err != nil {
		return err
	}
	j.out = out
	n, err := out.Write(j.header.encode())
	if err != nil {
		return err
	}
	j.size = int64(n)
	j.header.number++
	return j.files.Sync()
}

func (j *Journal) closeSegment() error {
	if j.out == nil {
		return nil
	}
	err := j.out.Sync()
	if e := j.out.Close(); err == nil {
		err = e
	}
	j.out = nil
	return err
}

// fail remembers the first failure.
func (j *Journal) fail(err error) error {
	if j.failed == nil {
		j.failed = fmt.Errorf("%w; the pages before are safe: make room or repair the disk, and run again", err)
	}
	return j.failed
}

// Sync makes everything that was appended survive a power cut.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.failed
	if err == nil && j.out != nil {
		j.synced = j.now()
		if err = j.out.Sync(); err != nil {
			err = j.fail(err)
		}
	}
	if err != nil {
		return fmt.Errorf("syncing the journal in %s: %w", j.dir, err)
	}
	return nil
}

// Close syncs the journal and leaves it to be resumed. The second call, and one
// after Remove, does nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.failed, ErrClosed) {
		return nil
	}
	err := j.release()
	if err != nil {
		return fmt.Errorf("closing the journal in %s: %w", j.dir, err)
	}
	return nil
}

// Remove deletes the journal durably and closes it: the run is complete, and its
// pages are needed no more. The directory stays, with the empty file that is
// locked: whoever waits for the lock must find the same file.
func (j *Journal) Remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.failed, ErrClosed) {
		return fmt.Errorf("removing the journal in %s: %w", j.dir, ErrClosed)
	}
	numbers, err := segmentsIn(j.files)
	if err == nil {
		err = removeSegments(j.files, numbers)
	}
	if e := j.release(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("removing the journal in %s: %w", j.dir, err)
	}
	return nil
}

func (j *Journal) release() error {
	j.failed = ErrClosed
	err := j.closeSegment()
	j.index.close()
	for _, f := range []io.Closer{j.lock, j.files} {
		if e := f.Close(); err == nil {
			err = e
		}
	}
	return err
}
