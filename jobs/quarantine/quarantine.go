// Package quarantine keeps the events of a job that cannot become rows. They are
// one object next to the table: JSON lines, each with an event and the reason.
//
// A run rewrites the object. It then has the events of the prospects that the run
// read, and the published events of all others. Events that do not fit in memory are
// spilled to disk. The package does not read the source or publish the object.
package quarantine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"prospector/internal/spill"
	"prospector/internal/terminal"
	"prospector/jobs/plan"
)

// MaxSize is how many bytes a quarantine may have. If it were larger, the source would
// have changed so much that the run must not publish anything.
const MaxSize = 256 << 20

// Limits of what is counted separately and of what a message lists.
const (
	maxTypes   = 1000
	maxReasons = 20
	maxListed  = 10 // reasons
)

// Quarantine collects the quarantined events of one job in one run. Add, CountBefore
// and Replace may be called concurrently. Finish and then Change are called once,
// afterwards.
type Quarantine struct {
	mu sync.Mutex
	// events has the events of this run, by digest. It has an event once, even if the
	// event was read twice, or from another page than last time.
	events *spill.Map
	// published has the lines of earlier runs, by number.
	published *spill.Map
	// prospects has the prospects with published lines.
	prospects map[string]progress
	// policies identifies the policies of the table, and protect applies them. Both
	// are zero if events are kept unchanged.
	policies string
	protect  func(event []byte) ([]byte, bool)
	counts   map[string]plan.Quarantining
	// size is how many bytes the lines of events have, at most: events that were added
	// twice may count twice. It is measured exactly when it exceeds checkAt.
	size, checkAt int64
	maxSize       int64
	reason        string // of the last event
	result        result // set by Change
}

// progress says whether this run has read a page of a prospect, and whether it
// replaces the prospect's published lines.
type progress struct{ read, replaced bool }

// New returns a quarantine without published events. It keeps about limit bytes of
// events in memory, and the others below dir. It also keeps the IDs of prospects with
// published events in memory.
func New(dir string, limit int64) *Quarantine {
	return &Quarantine{
		events:    spill.NewMap(filepath.Join(dir, "events"), limit/2),
		published: spill.NewMap(filepath.Join(dir, "published"), limit/4),
		result:    result{sorted: spill.NewMap(filepath.Join(dir, "sorted"), limit/4)},
		prospects: make(map[string]progress), counts: make(map[string]plan.Quarantining), checkAt: MaxSize, maxSize: MaxSize,
	}
}

// Close removes the files on disk.
func (q *Quarantine) Close() error {
	return errors.Join(q.events.Close(), q.published.Close(), q.result.sorted.Close())
}

// Protect applies the policies of a table to all events, including published ones.
// policies identifies them; protect returns false for an event that it cannot
// protect.
func (q *Quarantine) Protect(policies string, protect func(event []byte) ([]byte, bool)) {
	q.policies, q.protect = policies, protect
}

// Add adds an event of this run, to which the policies of the table were applied.
func (q *Quarantine) Add(event Event) error {
	e := newEntry(event, q.policies)
	name := eventType(event.Raw)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count(name, func(c *plan.Quarantining) {
		c.Quarantined++
		if _, known := c.Reasons[e.Reason]; known || len(c.Reasons) < maxReasons {
			c.Reasons[e.Reason]++
		}
	})
	return q.put(e, name)
}

// CountBefore makes Counts include the published events of a prospect. It is called if
// at least one page of the prospect was read.
func (q *Quarantine) CountBefore(prospect string) {
	q.note(prospect, func(p *progress) { p.read = true })
}

// Replace drops the published events of a prospect that was read completely.
func (q *Quarantine) Replace(prospect string) {
	q.note(prospect, func(p *progress) { p.replaced = true })
}

func (q *Quarantine) note(prospect string, change func(*progress)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p, published := q.prospects[prospect]; published {
		change(&p)
		q.prospects[prospect] = p
	}
}

// put adds an event with a type, unless the quarantine has the event already.
func (q *Quarantine) put(e entry, name string) error {
	line, err := e.line()
	if err != nil {
		return err
	}
	added, err := q.events.Put(digestKey(e.digest()), record{name, e.Prospect, line}.bytes())
	if err != nil {
		return fmt.Errorf("keeping a quarantined event: %w", err)
	}
	if !added {
		return nil
	}
	q.reason = e.Reason
	if q.size += int64(len(line)); q.size <= q.checkAt {
		return nil
	}
	if err := q.measure(); err != nil {
		return err
	}
	return q.checkSize()
}

// measure counts the bytes of all events exactly, each event once. It reads all of
// them, so it runs again only after many more events.
func (q *Quarantine) measure() error {
	if !q.events.Spilled() {
		return nil
	}
	q.size = 0
	for e, err := range q.events.All() {
		if err != nil {
			return err
		}
		q.size += int64(len(parseRecord(e.Value).line))
	}
	q.checkAt = max(q.maxSize, q.size+q.maxSize/8)
	return nil
}

func (q *Quarantine) checkSize() error {
	if q.size > q.maxSize {
		return fmt.Errorf("more than %d MiB of events cannot become rows, the last one because it is %s; the source has probably changed; nothing was published", q.maxSize>>20, q.reason)
	}
	return nil
}

// obey applies the policies of the table to a published event. It withholds an event
// to which other policies were applied, since it cannot be converted.
func (q *Quarantine) obey(e entry) entry {
	if q.policies == "" || e.Policies == q.policies {
		return e
	}
	event, ok := e.Event, false
	size := len(e.Event) + len(e.Raw) + e.Withheld
	if e.Policies == "" && e.Event != nil {
		event, ok = q.protect(e.Event)
	}
	e.Event, e.Raw, e.Withheld, e.Policies = event, nil, 0, q.policies
	if !ok {
		e.Event, e.Withheld = nil, size
	}
	return e
}

// Finish completes the Counts after all prospects were read.
func (q *Quarantine) Finish() error {
	for e, err := range q.publishedEntries() {
		if err != nil {
			return err
		}
		if q.prospects[e.Prospect].read {
			q.count(eventType(e.text()), func(c *plan.Quarantining) { c.Before++ })
		}
	}
	q.size = 0
	for e, err := range q.events.All() {
		if err != nil {
			return err
		}
		r := parseRecord(e.Value)
		q.count(r.eventType, func(c *plan.Quarantining) { c.Distinct++ })
		q.size += int64(len(r.line))
	}
	return q.checkSize()
}

// publishedEntries returns the published events, in their order in the file.
func (q *Quarantine) publishedEntries() iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for published, err := range q.published.All() {
			var e entry
			if err == nil {
				err = json.Unmarshal(published.Value, &e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Counts returns counts by event type of the events of this run, and of the published
// events of the prospects that it has read at least one page of. "" stands for unknown
// types.
func (q *Quarantine) Counts() map[string]plan.Quarantining { return q.counts }

func (q *Quarantine) count(name string, change func(*plan.Quarantining)) {
	if _, known := q.counts[name]; !known && len(q.counts) >= maxTypes {
		name = ""
	}
	c := q.counts[name]
	if c.Reasons == nil {
		c.Reasons = make(map[string]int64)
	}
	change(&c)
	q.counts[name] = c
}

// Reasons lists why events of this run cannot become rows, the most frequent first.
func (q *Quarantine) Reasons() string {
	counts := make(map[string]int64)
	for _, c := range q.counts {
		for reason, n := range c.Reasons {
			counts[reason] += n
		}
	}
	var lines []string
	for _, reason := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		lines = append(lines, terminal.Line(fmt.Sprintf("  %d: %s", counts[reason], reason)))
	}
	if more := len(lines) - maxListed; more > 0 {
		lines = append(lines[:maxListed], fmt.Sprintf("  … and %d more reasons", more))
	}
	return strings.Join(lines, "\n")
}
