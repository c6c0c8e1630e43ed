package plan

import (
	"fmt"
	"time"

	"prospector/internal/bug"
)

// Reading is how a job's source was read, and what it cost.
type Reading struct {
	Coverage
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"` // of pages
	Seconds  float64 `json:"seconds"`
	// Rate is the source's limit in requests per second, or 0.
	Rate float64 `json:"rate,omitempty"`
	// Exceptions are the first incomplete prospects.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// List is the list of prospects, or nil when nothing was read.
	List *List `json:"list,omitempty"`
}

// Coverage counts prospects by how far they were read.
type Coverage struct {
	Prospects int64 `json:"prospects"` // requested
	Complete  int64 `json:"complete"`
	Partial   int64 `json:"partial"` // some pages, then an error
	NotFound  int64 `json:"not_found"`
	Forbidden int64 `json:"forbidden"`
	Failed    int64 `json:"failed"` // no page
}

// Incomplete counts the prospects that were not read to the end.
func (c Coverage) Incomplete() int64 { return c.Partial + c.NotFound + c.Forbidden + c.Failed }

// Exception is an incomplete prospect.
type Exception struct {
	Prospect string `json:"prospect"`
	Outcome  string `json:"outcome"` // partial, not_found, forbidden or failed
	Reason   string `json:"reason"`
}

// List is a list of prospects, and how it differs from the previous one.
type List struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// Added and Removed count the differences from the list of the last apply.
	// Known is false when there was none.
	Known   bool  `json:"known"`
	Added   int64 `json:"added"`
	Removed int64 `json:"removed"`
	// AddedIDs and RemovedIDs are the first of them.
	AddedIDs   []string `json:"added_ids,omitempty"`
	RemovedIDs []string `json:"removed_ids,omitempty"`
	// Staged is the list as a file, or nil when it is the previous one.
	Staged *Staged `json:"staged,omitempty"`
}

// maxNamedIDs is how many IDs of a changed list a plan names.
const maxNamedIDs = 20

// Compare sets how the list differs from the previous one. Both are sorted.
func (l *List) Compare(before, after []string) {
	l.Known = true
	differ := func(count *int64, named *[]string, id string) {
		if *count++; *count <= maxNamedIDs {
			*named = append(*named, id)
		}
	}
	for len(before)+len(after) > 0 {
		switch {
		case len(before) == 0 || len(after) > 0 && after[0] < before[0]:
			differ(&l.Added, &l.AddedIDs, after[0])
			after = after[1:]
		case len(after) == 0 || before[0] < after[0]:
			differ(&l.Removed, &l.RemovedIDs, before[0])
			before = before[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
}

// Books count what became of every event that was read. They must add up.
type Books struct {
	Events      int64 `json:"events"`
	Added       int64 `json:"added"`
	Changed     int64 `json:"changed"`
	Unchanged   int64 `json:"unchanged"`
	Duplicates  int64 `json:"duplicates"`
	Quarantined int64 `json:"quarantined"`
	// Rejected are the events of partitions that cannot be published.
	Rejected int64 `json:"rejected,omitempty"`
}

// Check returns an error when the books do not add up. Then nothing may be published.
func (b Books) Check() error {
	if sum := b.Added + b.Changed + b.Unchanged + b.Duplicates + b.Quarantined + b.Rejected; sum != b.Events {
		return fmt.Errorf("the row counts do not add up: %d events were read, but %d added + %d changed + %d unchanged + %d duplicates + %d quarantined + %d rejected = %d; nothing was published: %w",
			b.Events, b.Added, b.Changed, b.Unchanged, b.Duplicates, b.Quarantined, b.Rejected, sum, bug.ErrInternal)
	}
	return nil
}

// Missing counts the published rows that the source did not return.
type Missing struct {
	Kept int64 `json:"kept"`
	// Waiting are the Kept rows of prospects that returned no event at all. They are
	// deleted once a later read is empty, too.
	Waiting int64 `json:"waiting,omitempty"`
	Deleted int64 `json:"deleted"` // their prospects were read completely
}

// Waiting is the list of prospects that have published rows, and returned no event to
// a complete read.
type Waiting struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// After is the earliest time at which another empty read deletes rows.
	After time.Time `json:"after"`
	// Staged is the list as a file, or nil when the state has it or Count is 0.
	Staged *Staged `json:"staged,omitempty"`
}
