package plan

import (
	"fmt"
	"time"

	"prospector/internal/bug"
)

// Reading describes how completely a job's source was read, and the cost.
type Reading struct {
	Coverage
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"` // of pages
	Seconds  float64 `json:"seconds"`
	// Rate is the source's limit in requests per second, or 0.
	Rate float64 `json:"rate,omitempty"`
	// Exceptions are the first incomplete prospects.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// List is the list of prospects, or nil if nothing was read.
	List *List `json:"list,omitempty"`
}

// Coverage counts prospects by how completely they were read.
type Coverage struct {
	Prospects int64 `json:"prospects"` // requested
	Complete  int64 `json:"complete"`
	Partial   int64 `json:"partial"` // some pages, then an error
	NotFound  int64 `json:"not_found"`
	Forbidden int64 `json:"forbidden"`
	Failed    int64 `json:"failed"` // no page
}

// Incomplete counts the prospects that were not read completely.
func (c Coverage) Incomplete() int64 { return c.Partial + c.NotFound + c.Forbidden + c.Failed }

// Exception is an incomplete prospect.
type Exception struct {
	Prospect string `json:"prospect"`
	Outcome  string `json:"outcome"` // partial, not_found, forbidden or failed
	Reason   string `json:"reason"`
}

// List is a list of prospects and its differences from the previous list.
type List struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// Added and Removed count the differences from the list of the last apply.
	// Known is false if there was no previous list.
	Known   bool  `json:"known"`
	Added   int64 `json:"added"`
	Removed int64 `json:"removed"`
	// AddedIDs and RemovedIDs are the first of the added and removed IDs.
	AddedIDs   []string `json:"added_ids,omitempty"`
	RemovedIDs []string `json:"removed_ids,omitempty"`
	// Staged is the list as a file, or nil if the list has not changed.
	Staged *Staged `json:"staged,omitempty"`
}

// maxNamedIDs is how many added and how many removed IDs a plan lists.
const maxNamedIDs = 20

// Compare sets the differences from the previous list. Both lists are sorted.
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

// Books count all events that were read, by outcome. They must add up.
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

// Check returns an error if the books do not add up. In that case, nothing may
// be published.
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
	// Waiting counts the Kept rows of prospects that have no events now. They
	// are deleted if a later read is empty as well.
	Waiting int64 `json:"waiting,omitempty"`
	Deleted int64 `json:"deleted"` // their prospects were read completely
}

// Waiting is the list of prospects that have published rows but no events in a
// complete read.
type Waiting struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// After is the time from which another empty read deletes the rows.
	After time.Time `json:"after"`
	// Staged is the list as a file, or nil if the state already has it or Count
	// is 0.
	Staged *Staged `json:"staged,omitempty"`
}
