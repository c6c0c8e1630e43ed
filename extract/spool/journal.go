// Package spool keeps the raw pages of a run in a journal on the local disk, so that no
// page is requested twice if the run is killed.
//
// Its duties: an appended page survives the end of the process. A recovered page has the
// content and the position that it had when it was appended; otherwise there is an error.
// Pages of another configuration or format, and pages that are too old, are never
// recovered. The journal is private to one process and one user, because it holds
// personal data.
//
// Not its duties: interpreting pages, and deciding what to request. The journal never has
// the only copy of anything, so losing it only costs requests.
//
// # Durability
//
// Append, Finish and Restart return after the record is written to the operating system,
// so a killed process loses no acknowledged record. A power cut loses the records that are
// not synced. The journal syncs when a segment is full, on Sync and Close, and every five
// seconds in one of the appending calls. Lost records are at the end of the journal, and
// the next Open truncates the journal there.
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
	// ErrLocked: another process has opened the journal.
	ErrLocked = errors.New("the journal is in use")
	// ErrCorrupt: a recovered page was damaged after Open. Call Restart for its
	// prospect, and request its pages again.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrClosed: the journal is closed or removed.
	ErrClosed = errors.New("the journal is closed")
)

// Page is one page of a prospect's events, as the source returned it.
type Page struct {
	Prospect string
	// Number counts the pages of the prospect, from 1. Page 1 begins a new reading, and
	// replaces everything that the journal has about the prospect.
	Number int
	// Cursor is the cursor of the request. For page 2 and later, it is the Next of the
	// previous page. Next is "" if there is no next page.
	Cursor, Next string
	// Events is the number of events on the page.
	Events int
	// Body is the uncompressed body of the response, with at most MaxBody bytes. It
	// need not be valid JSON.
	Body []byte
}

// Progress is what Open recovered about one prospect.
type Progress struct {
	Pages  int
	Events int
	// Next is the cursor of the next page. It is "" if all pages were read, even if the
	// prospect is not finished, and if there are no pages.
	Next     string
	Finished bool
	// Outcome is the argument of Finish.
	Outcome string
}

// Recovery is what Open recovered.
type Recovery struct {
	// Finished and Unfinished count prospects.
	Finished, Unfinished int
	Pages, Events        int
	// Bytes is the size of the pages on disk, compressed.
	Bytes int64
	// Lost is the number of bytes at the end of the journal that were not complete
	// records, and were removed.
	Lost int64
	// Discarded says, in words for the user, why an existing journal was not used. It
	// may be "".
	Discarded string
}

// Journal is an open journal. Its methods may be called concurrently, except that only one
// goroutine at a time may use a prospect.
type Journal struct {
	dir      string
	files    *nolink.Dir // dir, opened
	lock     *os.File
	header   header // of the next segment
	now      func() time.Time
	limit    int64 // of a segment, in bytes
	index    *index
	recovery Recovery

	mu     sync.Mutex
	out    *os.File // the current segment; nil before the first record
	size   int64    // of out
	synced time.Time
	failed error // the first error of a write, or ErrClosed
}

const syncInterval = 5 * time.Second

// Open resumes the journal in dir, or begins a new one. It keeps the records if they have
// the same binding, which identifies everything that pages depend on, and if the journal
// began less than maxAge before or after now (clocks may be wrong). Otherwise it deletes
// them. With a maxAge of 0, it always begins a new journal.
//
// The directory is private, and neither the directory nor its files may be symbolic
// links. The journal is locked for other processes until Close or Remove. Open returns
// ErrLocked if another process has the journal. The content of the files never causes
// an error.
func Open(dir, binding string, maxAge time.Duration, now func() time.Time) (*Journal, error) {
	j, err := open(dir, binding, maxAge, now)
	if err != nil {
		return nil, fmt.Errorf("opening the page journal in %s: %w", dir, err)
	}
	return j, nil
}

func open(dir, binding string, maxAge time.Duration, now func() time.Time) (_ *Journal, err error) {
	if len(binding) > maxBinding {
		return nil, fmt.Errorf("its binding has %d bytes, and the limit is %d", len(binding), maxBinding)
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
		return nil, fmt.Errorf("%w by another process; wait until that process ends, or stop it", ErrLocked)
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

// Recovered returns what Open recovered from an interrupted run.
func (j *Journal) Recovered() Recovery { return j.recovery }

// Append appends a page. It does not retain the body.
func (j *Journal) Append(p Page) error {
	switch {
	case p.Number < 1:
		return fmt.Errorf("appending a page to the journal: its number is %d, and the first page has number 1", p.Number)
	case p.Events < 0 || p.Events > MaxBody:
		return fmt.Errorf("appending page %d of prospect %q to the journal: it cannot have %d events", p.Number, p.Prospect, p.Events)
	case len(p.Body) > MaxBody:
		return fmt.Errorf("appending page %d of prospect %q to the journal: it has %d bytes, and the limit is %d", p.Number, p.Prospect, len(p.Body), MaxBody)
	}
	return j.append(record{kind: pageKind, prospect: p.Prospect, page: p})
}

// Finish records that the prospect needs no further requests. outcome is the caller's reason,
// such as "complete".
func (j *Journal) Finish(prospect, outcome string) error {
	return j.append(record{kind: finishKind, prospect: prospect, outcome: outcome})
}

// Restart discards everything that the journal has about the prospect, so that later pages
// do not continue it.
func (j *Journal) Restart(prospect string) error {
	if err := j.append(record{kind: restartKind, prospect: prospect}); err != nil {
		return err
	}
	j.index.forget(prospect)
	return nil
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the size of the largest buffer that is reused.
const maxBuffer = 4 << 20

func release(buffer *[]byte) {
	if cap(*buffer) <= maxBuffer {
		buffers.Put(buffer)
	}
}

func (j *Journal) append(r record) error {
	if r.prospect == "" {
		return errors.New("appending to the journal: the prospect has no ID")
	}
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	frame, err := appendRecord((*buffer)[:0], r)
	if err != nil {
		return fmt.Errorf("appending to the journal for prospect %q: %w", r.prospect, err)
	}
	*buffer = frame
	if err := j.write(frame); err != nil {
		return fmt.Errorf("appending to the journal in %s: %w", j.dir, err)
	}
	return nil
}

// write writes a frame in one call. After an error, the segment may end in an incomplete
// record, and records after it could not be recovered. So all later writes fail, too.
func (j *Journal) write(frame []byte) error {
	due, err := j.writeFrame(frame)
	if err != nil || due == nil {
		return err
	}
	// Sync without the lock, so that other goroutines can continue to write. If the
	// segment is closed meanwhile, it is already synced.
	if err := due.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.fail(err)
	}
	return nil
}

// writeFrame writes a frame, and returns the segment if it is time to sync it.
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

// fail remembers the first error.
func (j *Journal) fail(err error) error {
	if j.failed == nil {
		j.failed = fmt.Errorf("%w; earlier pages are safe: free some space or repair the disk, and run again", err)
	}
	return j.failed
}

// Sync ensures that all appended records survive a power cut.
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

// Close syncs the journal, so that another run can resume it. A second call does nothing,
// and neither does a call after Remove.
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

// Remove deletes the journal durably and closes it, when the run is complete and no longer
// needs its pages. The directory and the empty lock file remain, because a process that
// waits for the lock must find the same file.
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
