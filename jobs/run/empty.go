package run

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// An API that fails can look like a prospect without events. So the published rows
// of a prospect that returns no event at all are not deleted at once: two applied
// reads must find it empty, secondReadAfter apart. The time of the first is kept
// next to the state, in a list like that of the prospects. When the list is lost or
// damaged, the next empty read counts as the first.

// secondReadAfter is how long after the first empty read a second one deletes rows.
const secondReadAfter = 20 * time.Hour

// maxWaiting bounds the list. Further prospects wait until there is room.
const maxWaiting = 100_000

// emptyList holds the prospects that have published rows and returned no event,
// with the time of the first such read.
type emptyList struct {
	mu sync.Mutex
	// began and ended are the times of this read. Reading takes hours, so the time
	// between two reads of a prospect is at least that from the end of the first to
	// the beginning of the second.
	began, ended time.Time
	since        map[string]time.Time
	listed       map[string]bool // the prospects of the list that this run has tried to read
	// published are the prospects of the list that have published rows without a
	// new one, as far as leaves has seen them. waits counts those rows that stay.
	published map[string]bool
	waits     int64
}

// emptyProspect is a line of the list.
type emptyProspect struct {
	Prospect string    `json:"prospect_id"`
	Since    time.Time `json:"empty_since"`
}

func newEmptyList(now time.Time) *emptyList {
	return &emptyList{
		began: now, ended: now,
		since: make(map[string]time.Time), listed: make(map[string]bool), published: make(map[string]bool),
	}
}

// read notes what a prospect returned. One that returned events leaves the list.
func (l *emptyList) read(prospect string, events int64) {
	if _, waits := l.since[prospect]; !waits {
		return
	}
	if l.listed[prospect] = true; events > 0 {
		delete(l.since, prospect)
	}
}

// leaves reports whether a published row of an empty prospect leaves the lake. It
// puts the prospect into the list. A prospect that an earlier run has read does not
// lose rows, as the time of that read is not known.
func (l *emptyList) leaves(prospect string, e emptiness) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since, listed := l.since[prospect]
	if !listed && len(l.since) < maxWaiting {
		since, listed = l.ended.UTC().Round(0), true
		l.listed[prospect] = true
		l.since[prospect] = since
	}
	if listed {
		l.published[prospect] = true
	}
	if listed && e == readAsEmpty && l.due(since) {
		return true
	}
	l.waits++
	return false
}

func (l *emptyList) due(since time.Time) bool { return l.began.Sub(since) >= secondReadAfter }

// finish removes the prospects that have no published rows any more, once every
// row was seen, and those that the job no longer reads. deletes reports that the
// plan deletes the rows that are due.
func (l *emptyList) finish(whole map[string]emptiness, deletes bool) {
	maps.DeleteFunc(l.since, func(prospect string, since time.Time) bool {
		e, read := whole[prospect]
		return !l.listed[prospect] || read && (!l.published[prospect] || deletes && e == readAsEmpty && l.due(since))
	})
}

// waiting counts the prospects whose rows stay for now, and gives the time after
// which another empty read deletes all of them.
func (l *emptyList) waiting() (prospects int64, after time.Time) {
	for prospect := range l.published {
		since, ok := l.since[prospect]
		if !ok {
			continue // deleted
		}
		prospects++
		if due := since.Add(secondReadAfter); due.After(after) {
			after = due
		}
	}
	return prospects, after
}

// stage writes the list to path, unless the state has the same one. It gives nil
// when there is none, and was none.
func (l *emptyList) stage(path string, before *state.ProspectList) (*plan.Waiting, error) {
	out := &plan.Waiting{Count: int64(len(l.since))}
	_, out.After = l.waiting()
	if out.Count == 0 {
		if before == nil {
			return nil, nil
		}
		return out, nil
	}
	var text bytes.Buffer
	for _, prospect := range slices.Sorted(maps.Keys(l.since)) {
		line, err := json.Marshal(emptyProspect{prospect, l.since[prospect]})
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	if out.Digest = textDigest(text.Bytes()); before != nil && before.Digest == out.Digest {
		return out, nil
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("staging the list of empty prospects: %w", err)
	}
	out.Staged = &plan.Staged{Path: path, Rows: out.Count, Size: int64(text.Len()), CRC32C: store.Checksum(text.Bytes())}
	return out, nil
}

func textDigest(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:16])
}

// emptyProspects reads the list that the last apply has left, if the job deletes
// missing rows.
func (w *planning) emptyProspects(ctx context.Context, job jobs.Job, into *plan.Job) *emptyList {
	list := newEmptyList(w.Now())
	owned := w.prior.Jobs[job.Address]
	if !job.DeleteMissing || owned == nil || owned.Empty == nil {
		return list
	}
	since, err := w.readEmptyList(ctx, *owned.Empty)
	if err != nil {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "The list of empty prospects cannot be read",
			Detail: fmt.Sprintf("So the time that their published rows wait starts again: %s. The next apply replaces the list.", err)})
		return list
	}
	list.since = since
	return list
}

func (s *Session) readEmptyList(ctx context.Context, of state.ProspectList) (map[string]time.Time, error) {
	beside, _ := s.Backend.Beside()
	r, err := beside.Open(ctx, of.Key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	const longest = 4 << 10 // of a line; an ID is much shorter
	text, err := io.ReadAll(io.LimitReader(r, maxWaiting*longest))
	if err != nil {
		return nil, err
	}
	if textDigest(text) != of.Digest {
		return nil, fmt.Errorf("%s is damaged: %w", beside.URI(of.Key), store.ErrCorrupt)
	}
	since := make(map[string]time.Time)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var e emptyProspect
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", beside.URI(of.Key), err)
		}
		since[e.Prospect] = e.Since
	}
	return since, nil
}

// emptyWithout stages the list without a prospect that is being erased, or gives
// nil when the list does not name it. A list that cannot be read is dropped.
func (w *planning) emptyWithout(ctx context.Context, owned *state.Job, path string) (*plan.Waiting, error) {
	if owned.Empty == nil {
		return nil, nil
	}
	since, err := w.readEmptyList(ctx, *owned.Empty)
	if _, named := since[w.options.Prospect]; err == nil && !named {
		return nil, nil
	}
	list := newEmptyList(w.Now())
	maps.Copy(list.since, since)
	delete(list.since, w.options.Prospect)
	return list.stage(path, owned.Empty)
}

// empty plans what becomes of the prospects that returned no event.
func (w *planning) empty(job jobs.Job, into *plan.Job, list *emptyList, whole map[string]emptiness, path string) (err error) {
	list.finish(whole, w.options.target(job.Address).whole)
	var before *state.ProspectList
	if owned := w.prior.Jobs[job.Address]; owned != nil {
		before = owned.Empty
	}
	if into.Source.Waiting, err = list.stage(path, before); err != nil || list.waits == 0 {
		return err
	}
	into.Source.Missing.Waiting = list.waits
	prospects, after := list.waiting()
	into.Problems.Warnings = append(into.Problems.Warnings, plan.WarnWaiting(job.Address, prospects, list.waits, after))
	return nil
}
