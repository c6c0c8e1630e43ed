package lists

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// A failing API can look like a prospect without events. So the published rows of a
// prospect that returns no events are not deleted at once: two applied reads, at least
// secondReadAfter apart, must find it empty. If the list with the time of the first
// read is lost or damaged, the next empty read counts as the first.

// secondReadAfter is the least time between the two empty reads.
const secondReadAfter = 20 * time.Hour

// maxWaiting limits the length of the list. Other prospects are added when there is
// room.
const maxWaiting = 100_000

// Waiting holds the prospects that have published rows but returned no events, with
// the time of the first empty read.
type Waiting struct {
	// began and ended are the times of this read, which may take hours. The time
	// between two reads of a prospect is at least the time from the end of the first
	// read to the beginning of the second.
	began, ended time.Time

	mu     sync.Mutex // guards the fields below
	since  map[string]time.Time
	listed map[string]bool // prospects in the list that this run has tried to read
	// published are the prospects in the list for which RowLeaves was called. kept
	// counts the rows that stay.
	published map[string]bool
	kept      int64
}

// emptyProspect is a line of the list.
type emptyProspect struct {
	Prospect string    `json:"prospect_id"`
	Since    time.Time `json:"empty_since"`
}

// NewWaiting returns an empty list for a read that begins now.
func NewWaiting(now time.Time) *Waiting {
	return &Waiting{
		began: now, ended: now,
		since: make(map[string]time.Time), listed: make(map[string]bool), published: make(map[string]bool),
	}
}

// Visited records that the run has tried to read a prospect, and how many events it
// returned. A prospect that returned events is removed from the list.
func (w *Waiting) Visited(prospect string, events int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.since[prospect]; !waits {
		return
	}
	if w.listed[prospect] = true; events > 0 {
		delete(w.since, prospect)
	}
}

// ReadEnded records when the run has read all prospects.
func (w *Waiting) ReadEnded(now time.Time) { w.ended = now }

// RowLeaves reports whether a published row of an empty prospect leaves the table,
// and adds the prospect to the list. emptyNow says that this run found the prospect
// empty. If an earlier run did, at an unknown time, the row stays.
func (w *Waiting) RowLeaves(prospect string, emptyNow bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, listed := w.since[prospect]
	if !listed && len(w.since) < maxWaiting {
		since, listed = w.ended.UTC().Round(0), true
		w.listed[prospect] = true
		w.since[prospect] = since
	}
	if listed {
		w.published[prospect] = true
	}
	if listed && emptyNow && w.isDue(since) {
		return true
	}
	w.kept++
	return false
}

func (w *Waiting) isDue(since time.Time) bool { return w.began.Sub(since) >= secondReadAfter }

// Finish removes the prospects that no longer have published rows, and those that
// the job no longer reads. It is called after RowLeaves was called for every row.
// complete reports whether a prospect was read completely, and whether this run found
// it empty. deletes says that the plan deletes the rows that are due.
func (w *Waiting) Finish(complete func(prospect string) (read, emptyNow bool), deletes bool) {
	maps.DeleteFunc(w.since, func(prospect string, since time.Time) bool {
		read, emptyNow := complete(prospect)
		return !w.listed[prospect] || read && (!w.published[prospect] || deletes && emptyNow && w.isDue(since))
	})
}

// Kept counts the published rows that stay for now, and their prospects. Another empty
// read later than after deletes all of them.
func (w *Waiting) Kept() (rows, prospects int64, after time.Time) {
	for prospect := range w.published {
		since, ok := w.since[prospect]
		if !ok {
			continue // deleted
		}
		prospects++
		if due := since.Add(secondReadAfter); due.After(after) {
			after = due
		}
	}
	return w.kept, prospects, after
}

// Stage writes the list to path, unless it equals the list before, which the state
// names. It returns nil if the list is empty and there was none before.
func (w *Waiting) Stage(before *state.ProspectList, path string) (*plan.Waiting, error) {
	out := &plan.Waiting{Count: int64(len(w.since))}
	_, _, out.After = w.Kept()
	if out.Count == 0 {
		if before == nil {
			return nil, nil
		}
		return out, nil
	}
	var text bytes.Buffer
	for _, prospect := range slices.Sorted(maps.Keys(w.since)) {
		line, err := json.Marshal(emptyProspect{prospect, w.since[prospect]})
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	if out.Digest = textDigest(text.Bytes()); before != nil && before.Digest == out.Digest {
		return out, nil
	}
	var err error
	out.Staged, err = stage(text.Bytes(), out.Count, path)
	return out, err
}

// ReadWaiting reads the list that the state names, for a read that begins now. If it
// returns an error, the list is empty.
func (l Lists) ReadWaiting(ctx context.Context, named state.ProspectList, now time.Time) (*Waiting, error) {
	w := NewWaiting(now)
	since, err := l.waitingSince(ctx, named)
	if err == nil {
		w.since = since
	}
	return w, err
}

// maxLine is the most bytes in a line of the list. IDs are far shorter.
const maxLine = 4 << 10

func (l Lists) waitingSince(ctx context.Context, named state.ProspectList) (map[string]time.Time, error) {
	text, err := store.Fetch(ctx, l.files, named.Key, maxWaiting*maxLine)
	if err != nil {
		return nil, err
	}
	if textDigest(text) != named.Digest {
		return nil, fmt.Errorf("%s is damaged: %w", l.files.URI(named.Key), store.ErrCorrupt)
	}
	since := make(map[string]time.Time)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var e emptyProspect
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", l.files.URI(named.Key), err)
		}
		since[e.Prospect] = e.Since
	}
	return since, nil
}

// Remove removes a prospect, and reports whether it was in the list.
func (w *Waiting) Remove(prospect string) bool {
	_, had := w.since[prospect]
	delete(w.since, prospect)
	return had
}
