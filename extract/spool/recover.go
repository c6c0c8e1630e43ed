package spool

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// recover indexes the segments in the journal's directory, up to the first byte that is
// not part of a complete record, and deletes the rest. New records never go to a segment
// of an earlier run.
func (j *Journal) recover(maxAge time.Duration) (err error) {
	numbers, err := segmentsIn(j.files)
	if err != nil {
		return err
	}
	j.index = newIndex()
	defer func() {
		if err != nil {
			j.index.close()
		}
	}()
	end := int64(-1) // of the last segment, if it must be truncated
	for len(numbers) > 0 && end < 0 {
		var kept bool
		if kept, end, err = j.recoverSegment(numbers[0], maxAge); err != nil {
			return err
		}
		if !kept {
			break
		}
		numbers = numbers[1:]
	}
	j.index.summarize(&j.recovery)

	// Remove the later segments before the truncation. Afterwards, nothing would show that
	// they do not continue this segment.
	for _, n := range numbers {
		if info, err := j.files.Lstat(segmentName(n)); err == nil && j.recovery.Discarded == "" {
			j.recovery.Lost += info.Size
		}
	}
	if err := removeSegments(j.files, numbers); err != nil || end < 0 {
		return err
	}
	last := j.index.segments[len(j.index.segments)-1]
	if err := last.Truncate(end); err != nil {
		return err
	}
	return last.Sync()
}

// recoverSegment reports whether it kept any part of the segment. If it did not keep all
// of it, end is where the rest begins; otherwise end is negative.
func (j *Journal) recoverSegment(number uint32, maxAge time.Duration) (kept bool, end int64, err error) {
	f, err := j.files.OpenFile(segmentName(number), os.O_RDWR, 0)
	if err != nil {
		return false, -1, err
	}
	defer func() {
		if !kept {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return false, -1, err
	}
	h, start, err := readHeader(f)
	switch {
	case errors.Is(err, errForeign):
		return false, -1, nil
	case errors.Is(err, errVersion):
		j.recovery.Discarded = "it was written by another version of prospector"
		return false, -1, nil
	case err != nil:
		return false, -1, err
	}
	if number == 1 {
		if j.recovery.Discarded = j.unusable(h, maxAge); j.recovery.Discarded != "" {
			return false, -1, nil
		}
		j.header.created = h.created
	}
	if number != j.header.number || !h.equal(j.header) {
		return false, -1, nil
	}

	good, err := scan(f, info.Size()-start, func(at int64, size int, r record) {
		j.index.add(place{segment: number - 1, at: uint32(start + at), size: uint32(size)}, r)
	})
	if err != nil {
		return false, -1, err
	}
	j.index.segments = append(j.index.segments, f)
	j.header.number++
	j.header.after = start + good
	if start+good == info.Size() {
		return true, -1, nil
	}
	j.recovery.Lost += info.Size() - start - good
	return true, start + good, nil
}

// unusable returns why the journal that begins with h cannot be used, or "".
func (j *Journal) unusable(h header, maxAge time.Duration) string {
	age := j.header.created.Sub(h.created)
	switch {
	case h.binding != j.header.binding:
		return "the configuration of its source has changed"
	case age.Abs() >= maxAge:
		return fmt.Sprintf("it is %s old, and pages are kept for %s", age.Round(time.Second), maxAge)
	}
	return ""
}

// index has the positions of the recovered pages. It needs about 100 bytes for a prospect
// and 16 for a page (measured by BenchmarkOpen).
type index struct {
	segments []*os.File // segment number 1 is the first

	mu        sync.RWMutex
	numbers   map[string]uint32 // index in entries, by prospect
	entries   []entry
	places    []place
	outcomes  []string
	outcomeOf map[string]uint32 // index in outcomes
}

// entry is one prospect. Its pages are a list through index.places.
type entry struct {
	next        string // of the last page
	pages       uint32
	events      uint32
	first, last uint32
	outcome     uint32
	state       state
}

type state uint8

const (
	unfinished state = iota
	finished
	// forgotten: the pages are not consecutive. Only a new page 1 changes this state.
	forgotten
)

// place is the position of a page's record. Segments are far smaller than 4 GiB.
type place struct {
	segment  uint32 // index in index.segments
	at, size uint32
	next     uint32 // index of the next page in index.places
}

func newIndex() *index {
	return &index{numbers: make(map[string]uint32), outcomeOf: make(map[string]uint32)}
}

// add adds a record. Records are added in the order in which they were appended.
func (x *index) add(at place, r record) {
	if r.kind == restartKind {
		delete(x.numbers, r.prospect)
		return
	}
	n, ok := x.numbers[r.prospect]
	if !ok {
		n = uint32(len(x.entries))
		x.entries = append(x.entries, entry{})
		x.numbers[r.prospect] = n
	}
	e := &x.entries[n]
	if r.kind == finishKind {
		if e.state != forgotten {
			e.state, e.outcome, e.next = finished, x.outcome(r.outcome), ""
		}
		return
	}
	p := r.page
	here := uint32(len(x.places))
	switch {
	case p.Number == 1:
		*e = entry{first: here}
	case e.state == unfinished && uint32(p.Number) == e.pages+1 && p.Cursor == e.next:
		x.places[e.last].next = here
	default:
		*e = entry{state: forgotten}
		return
	}
	x.places = append(x.places, at)
	e.last = here
	e.pages++
	e.events += uint32(p.Events)
	e.next = p.Next
}

func (x *index) outcome(text string) uint32 {
	n, ok := x.outcomeOf[text]
	if !ok {
		n = uint32(len(x.outcomes))
		x.outcomes = append(x.outcomes, text)
		x.outcomeOf[text] = n
	}
	return n
}

func (x *index) get(prospect string) (entry, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n, ok := x.numbers[prospect]
	if !ok || x.entries[n].state == forgotten {
		return entry{}, false
	}
	return x.entries[n], true
}

func (x *index) forget(prospect string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.numbers, prospect)
}

func (x *index) summarize(r *Recovery) {
	for _, n := range x.numbers {
		e := x.entries[n]
		switch e.state {
		case finished:
			r.Finished++
		case unfinished:
			r.Unfinished++
		}
		r.Pages += int(e.pages)
		r.Events += int(e.events)
		for at, left := e.first, e.pages; left > 0; at, left = x.places[at].next, left-1 {
			r.Bytes += int64(x.places[at].size)
		}
	}
}

func (x *index) close() {
	for _, f := range x.segments {
		f.Close()
	}
}

// Progress returns what Open recovered about the prospect, if anything. Appending does not
// change the result, but Restart removes it.
func (j *Journal) Progress(prospect string) (p Progress, ok bool) {
	e, ok := j.index.get(prospect)
	if !ok {
		return Progress{}, false
	}
	p = Progress{Pages: int(e.pages), Events: int(e.events), Next: e.next, Finished: e.state == finished}
	if p.Finished {
		p.Outcome = j.index.outcomes[e.outcome]
	}
	return p, true
}

// Pages yields the recovered pages of the prospect, in order. The caller owns the body of
// a page. The first error ends the sequence. After ErrCorrupt, call Restart and request the
// pages again.
//
// If admit is not nil, Pages calls it with the number of bytes that it will read or
// decompress next, at least once for each page. An error of admit ends the sequence.
func (j *Journal) Pages(prospect string, admit func(bytes int) error) iter.Seq2[Page, error] {
	if admit == nil {
		admit = func(int) error { return nil }
	}
	return func(yield func(Page, error) bool) {
		e, _ := j.index.get(prospect)
		for at, left := e.first, e.pages; left > 0; left-- {
			p := j.index.places[at]
			page, err := j.page(prospect, p, admit)
			if err != nil {
				yield(Page{}, fmt.Errorf("reading %s at byte %d: %w", segmentPath(j.dir, p.segment+1), p.at, err))
				return
			}
			if !yield(page, nil) {
				return
			}
			at = p.next
		}
	}
}

func (j *Journal) page(prospect string, at place, admit func(bytes int) error) (Page, error) {
	if err := admit(int(at.size)); err != nil {
		return Page{}, err
	}
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	if cap(*buffer) < int(at.size) {
		*buffer = make([]byte, at.size)
	}
	frame := (*buffer)[:at.size]
	if _, err := j.index.segments[at.segment].ReadAt(frame, int64(at.at)); errors.Is(err, io.EOF) {
		return Page{}, ErrCorrupt
	} else if errors.Is(err, os.ErrClosed) {
		return Page{}, ErrClosed
	} else if err != nil {
		return Page{}, err
	}
	r, err := parseRecord(frame)
	if err != nil || r.kind != pageKind || r.prospect != prospect {
		return Page{}, ErrCorrupt
	}
	if n, err := s2.DecodedLen(r.block); err == nil {
		if err := admit(n); err != nil {
			return Page{}, err
		}
	}
	if r.page.Body, err = r.body(); err != nil {
		return Page{}, ErrCorrupt
	}
	return r.page, nil
}
