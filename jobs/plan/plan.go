// Package plan says what a run would change in the lake, and why: from what a
// job declares, what the state remembers, what is staged and what the sinks were
// seen to hold. It is pure: it reads and writes nothing.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/schemas"
)

// Plan is what a run would change.
type Plan struct {
	Jobs []Job
}

// Job is the part of a plan that concerns one job.
type Job struct {
	Address string
	// Changes are ascending by partition; partitions that stay as they are
	// have one too, with the action NoOp.
	Changes []Change
	// Quarantine is nil when the quarantine stays as it is.
	Quarantine *Quarantine
	Drift      []Drift
	Coverage   Coverage
	Books      Books
	Warnings   jobs.Diagnostics
}

// Action is what happens to a partition.
type Action string

// The actions, as Terraform names them.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	NoOp   Action = "no-op"
)

// Change is what happens to one partition.
type Change struct {
	// Partition is its path: event_type=…/event_date=….
	Partition string
	Action    Action
	Rows      Rows
	// Before and After are its size in bytes in the first sink.
	Before, After int64
	// Staged is the file to publish; nil for Delete and NoOp.
	Staged *Staged
	// Writes are the sinks concerned, in the order of the job.
	Writes []Write
}

// Rows count what happens to a partition's rows.
type Rows struct {
	Before, After             int64
	Added, Changed, Unchanged int64
	Removed                   int64
}

// Staged is a file that waits to be published.
type Staged struct {
	Path    string // on this machine
	Rows    int64
	Content schemas.Digest
	Size    int64
	CRC32C  uint32
}

// Write is what happens to a partition in one sink.
type Write struct {
	Sink   string // its address
	Action Action // Create, Update or Delete
	Key    string
	// Generation is that of the object to be replaced or deleted, "" for none.
	Generation string
}

// Quarantine is a change of a job's quarantined events.
type Quarantine struct {
	Before, After int64 // events
	Staged        *Staged
	Writes        []Write
}

// Coverage says how far the prospects were read.
type Coverage struct {
	Prospects int64 // asked for
	Complete  int64
	Partial   int64 // some pages, then an error
	NotFound  int64
	Forbidden int64
	Failed    int64 // no page
}

// Books say what became of every event that was read. They must balance.
type Books struct {
	Events                    int64
	Added, Changed, Unchanged int64
	Duplicates, Quarantined   int64
}

// Check gives an error when the books do not balance; then nothing may be
// published.
func (b Books) Check() error {
	if sum := b.Added + b.Changed + b.Unchanged + b.Duplicates + b.Quarantined; sum != b.Events {
		return fmt.Errorf("the books do not balance: %d events were read, but %d added + %d changed + %d unchanged + %d duplicates + %d quarantined = %d; nothing was published, and this is a bug of prospector",
			b.Events, b.Added, b.Changed, b.Unchanged, b.Duplicates, b.Quarantined, sum)
	}
	return nil
}

// Summary counts a plan's changes.
type Summary struct{ Add, Change, Destroy int }

// Empty reports whether there is nothing to do.
func (s Summary) Empty() bool { return s == Summary{} }

// Summary counts the partitions that are created, updated and deleted. A changed
// quarantine counts as one more.
func (p *Plan) Summary() (s Summary) {
	for _, j := range p.Jobs {
		for _, c := range j.Changes {
			switch c.Action {
			case Create:
				s.Add++
			case Update:
				s.Change++
			case Delete:
				s.Destroy++
			}
		}
		if q := j.Quarantine; q != nil {
			switch {
			case q.After == 0:
				s.Destroy++
			case q.Before == 0:
				s.Add++
			default:
				s.Change++
			}
		}
	}
	return s
}

// Outcome is what staging has made of one partition.
type Outcome struct {
	Partition string
	Rows      Rows
	// Content is the digest of the rows that the partition will have.
	Content schemas.Digest
	// Staged is the file with those rows, where any sink needs it.
	Staged *Staged
}

// Needs reports whether a sink lacks a partition, or has other rows in it.
func Needs(sink *state.Sink, partition string, after int64, content schemas.Digest) bool {
	have, ok := sink.Partitions[partition]
	if after == 0 {
		return ok
	}
	return !ok || have.Content != content
}

// Changes compares what staging has made of the partitions with what the sinks
// hold, as refreshed, and says what is to be written where. prior holds a Sink
// for every address in sinks.
func Changes(job string, sinks []string, prior map[string]*Refreshed, outcomes []Outcome) []Change {
	changes := make([]Change, 0, len(outcomes))
	for _, o := range outcomes {
		c := Change{Partition: o.Partition, Action: NoOp, Rows: o.Rows, Staged: o.Staged}
		published := false
		for i, address := range sinks {
			sink := prior[address]
			have, ok := sink.Partitions[o.Partition]
			published = published || ok
			if i == 0 && ok {
				c.Before, c.After = have.Object.Size, have.Object.Size
			}
			w := Write{Sink: address, Action: Update, Key: have.Object.Key, Generation: have.Object.Generation}
			if !ok {
				w.Action, w.Key = Create, Key(job, o.Partition)
				w.Generation = sink.Damaged[w.Key]
			}
			// Where the rows are gone, a damaged object must go too: readers
			// would still see it.
			leftover := o.Rows.After == 0 && w.Generation != ""
			if !leftover && !Needs(&sink.Sink, o.Partition, o.Rows.After, o.Content) {
				continue
			}
			if o.Rows.After == 0 {
				w.Action = Delete
			}
			if i == 0 {
				c.After = size(o.Staged)
			}
			c.Writes = append(c.Writes, w)
		}
		switch {
		case len(c.Writes) == 0:
			c.Staged = nil
		case o.Rows.After == 0:
			c.Action = Delete
		case published:
			c.Action = Update
		default:
			c.Action = Create
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Partition, b.Partition) })
	return changes
}

func size(s *Staged) int64 {
	if s == nil {
		return 0
	}
	return s.Size
}

// Key is the key of a partition's object: the job's name, the partition, and the
// part's number.
func Key(job, partition string) string { return job + "/" + partition + "/part-00000.parquet" }

// TablePrefix is what the keys of a job's objects begin with.
func TablePrefix(job string) string { return job + "/" }

// QuarantineKey is the key of a job's quarantined events. It is outside of the
// table's prefix, where a stray file would break readers.
func QuarantineKey(job string) string { return ".prospector/quarantine/" + job + ".jsonl" }

// Partitions are the paths that any of the sinks holds, ascending.
func Partitions(prior map[string]*Refreshed) []string {
	all := make(map[string]struct{})
	for _, s := range prior {
		for path := range s.Partitions {
			all[path] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
