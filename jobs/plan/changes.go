package plan

import (
	"cmp"
	"maps"
	"slices"

	"prospector/jobs/state"
	"prospector/schemas"
)

// Outcome is what staging has made of one partition.
type Outcome struct {
	Partition string
	Rows      Rows
	// Content is the digest of the rows that the partition will have, and Schema
	// the fingerprint of the table that its file is to be of.
	Content schemas.Digest
	Schema  string
	// Staged is the file with those rows, where any sink needs it.
	Staged *Staged
	// Replace says that the file is written anew even where its rows are there.
	Replace bool
	// Step is the Change's.
	Step int
}

// Link is two partitions of which rows leave one for the other.
type Link struct{ From, To string }

// Steps orders partitions so that each one that rows leave comes after those
// that they have come to: whenever an apply ends, no row is in none. Partitions
// without a link are of step 0. Where rows go round in a circle there is no such
// order, and some partition of it comes first.
func Steps(links map[Link]bool) map[string]int {
	steps := make(map[string]int)
	for range len(links) { // no path is longer
		changed := false
		for l := range links {
			if steps[l.From] <= steps[l.To] {
				steps[l.From] = steps[l.To] + 1
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	return steps
}

// Needs reports whether a sink lacks a partition, or has other rows in it, or a
// file of another table.
func Needs(sink *state.Sink, o Outcome) bool {
	have, ok := sink.Partitions[o.Partition]
	if o.Rows.After == 0 {
		return ok
	}
	return !ok || have.Content != o.Content || have.Schema != o.Schema
}

// Changes compares what staging has made of the partitions with what the sinks
// hold, as refreshed, and says what is to be written where. prior holds a Sink
// for every address in sinks.
func Changes(job string, sinks []string, prior map[string]*Refreshed, outcomes []Outcome) []Change {
	changes := make([]Change, 0, len(outcomes))
	for _, o := range outcomes {
		c := Change{Partition: o.Partition, Action: NoOp, Rows: o.Rows, Staged: o.Staged, Step: o.Step}
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
				w.Generation = cmp.Or(sink.Damaged[w.Key], sink.Obsolete[w.Key].Generation)
			}
			// Where the rows are gone, a damaged object must go too: readers
			// would still see it.
			leftover := o.Rows.After == 0 && w.Generation != ""
			if !leftover && !o.Replace && !Needs(&sink.Sink, o) {
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
		case published && o.Replace:
			c.Action = Replace
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

// Partitions are the paths that any of the sinks holds, in whatever condition,
// ascending.
func Partitions(prior map[string]*Refreshed) []string {
	all := make(map[string]struct{})
	for _, s := range prior {
		for path := range s.Partitions {
			all[path] = struct{}{}
		}
		for path := range s.Broken {
			all[path] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Destruction is what deletes every partition of those paths from the sinks.
func Destruction(table string, sinks []string, prior map[string]*Refreshed, paths []string) []Change {
	outcomes := make([]Outcome, len(paths))
	for i, path := range paths {
		rows := int64(0)
		for _, sink := range sinks {
			rows = max(rows, prior[sink].Partitions[path].Rows)
		}
		outcomes[i] = Outcome{Partition: path, Rows: Rows{Before: rows, Removed: rows}}
	}
	return Changes(table, sinks, prior, outcomes)
}

// Unrestored counts the rows of deleted and damaged files that no sink has any
// more, and that the partition does not have again after the plan.
func (j *Job) Unrestored() (rows int64) {
	lost := make(map[string]int64)
	for _, sink := range j.Sinks {
		for path, n := range j.Prior[sink].Lost {
			lost[path] = max(lost[path], n)
		}
	}
	for _, sink := range j.Sinks {
		for path := range j.Prior[sink].Partitions {
			delete(lost, path)
		}
	}
	for _, c := range j.Changes {
		if n, ok := lost[c.Partition]; ok {
			lost[c.Partition] = max(0, n-c.Rows.After)
		}
	}
	for _, n := range lost {
		rows += n
	}
	return rows
}

// DestroyQuarantine is what deletes the quarantine from the sinks, or nil.
func DestroyQuarantine(table string, sinks []string, prior map[string]*Refreshed) *Quarantine {
	q := &Quarantine{}
	for _, sink := range sinks {
		w := Write{Sink: sink, Action: Delete, Key: QuarantineKey(table)}
		if have := prior[sink].Quarantine; have != nil {
			w.Generation, q.Before = have.Object.Generation, max(q.Before, have.Events)
		} else if w.Generation = prior[sink].Damaged[w.Key]; w.Generation == "" {
			continue
		}
		q.Writes = append(q.Writes, w)
	}
	if len(q.Writes) == 0 {
		return nil
	}
	return q
}

// DeleteObsolete is what deletes the files that a rewrite has left, but for those
// whose place the job's changes take.
func (j *Job) DeleteObsolete() (writes []Write) {
	taken := j.Writes()
	for _, sink := range j.Sinks {
		for _, key := range slices.Sorted(maps.Keys(j.Prior[sink].Obsolete)) {
			if !taken[At{sink, key}] {
				writes = append(writes, Write{Sink: sink, Action: Delete, Key: key, Generation: j.Prior[sink].Obsolete[key].Generation})
			}
		}
	}
	return writes
}

// DeleteForeign is what deletes the foreign objects.
func DeleteForeign(sinks []string, prior map[string]*Refreshed) (writes []Write) {
	for _, sink := range sinks {
		for _, key := range slices.Sorted(maps.Keys(prior[sink].Foreign)) {
			writes = append(writes, Write{Sink: sink, Action: Delete, Key: key, Generation: prior[sink].Foreign[key]})
		}
	}
	return writes
}
