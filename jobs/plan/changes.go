package plan

import (
	"cmp"
	"maps"
	"path"
	"slices"

	"prospector/jobs/state"
	"prospector/schemas"
)

// Outcome is what staging has made of one partition.
type Outcome struct {
	Partition string
	Rows      Rows
	// Content is the digest of the rows that the partition will have.
	// SchemaFingerprint identifies the schema of its files.
	Content           schemas.Digest
	SchemaFingerprint string
	// SourceSubset is the value that the state gets.
	SourceSubset *state.SourceSubset
	// Staged are the files with those rows, in their order, where any sink needs
	// them.
	Staged []*Staged
	// Replace says that the files are written anew even where its rows are there.
	Replace bool
	// Step is the Change's.
	Step int
}

// Changes compares what staging has made of the partitions with what the sinks
// hold, as refreshed, and says what is to be written where. prior holds a Sink
// for every address in sinks.
func Changes(job string, sinks []string, prior map[string]*Refreshed, outcomes []Outcome) []Change {
	changes := make([]Change, 0, len(outcomes))
	for _, o := range outcomes {
		c := Change{Partition: o.Partition, Action: NoOp, Rows: o.Rows, SourceSubset: o.SourceSubset, Staged: o.Staged, Step: o.Step}
		published := false
		for i, address := range sinks {
			have := prior[address].Intact(o.Partition)
			published = published || len(have.Files) > 0
			writes := prior[address].writes(job, address, o)
			if i == 0 {
				c.Before, c.After = have.Size(), have.Size()
				if len(writes) > 0 {
					c.After = size(o.Staged)
				}
			}
			c.Writes = append(c.Writes, writes...)
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

// Needs reports whether a sink lacks a partition, or has other rows in it, or
// files of another table.
func Needs(sink *state.Sink, o Outcome) bool {
	have, ok := sink.Partitions[o.Partition]
	if o.Rows.After == 0 {
		return ok
	}
	return !ok || have.Content != o.Content || have.SchemaFingerprint != o.SchemaFingerprint
}

// writes are what is to be done in the sink so that it has the outcome.
func (r *Refreshed) writes(job, address string, o Outcome) (writes []Write) {
	if _, whole := r.Partitions[o.Partition]; whole && !o.Replace && !Needs(&r.Sink, o) {
		return nil
	}
	sound := r.Intact(o.Partition)
	keys := Keys(job, o.Partition, o.Staged)
	for i, key := range keys {
		have, ok := sound.File(key)
		if ok && !o.Replace && have.Rows == o.Staged[i].Rows && have.Content == o.Staged[i].Content && sound.SchemaFingerprint == o.SchemaFingerprint {
			continue
		}
		w := Write{Sink: address, Action: Update, Key: key, File: i, Generation: have.Generation}
		if !ok {
			w.Action, w.Generation = Create, cmp.Or(r.Damaged[key], r.Obsolete[key].Generation)
		}
		writes = append(writes, w)
	}
	remove := func(key, generation string) {
		if !slices.Contains(keys, key) {
			writes = append(writes, Write{Sink: address, Action: Delete, Key: key, Generation: generation})
		}
	}
	for _, f := range sound.Files {
		remove(f.Key, f.Generation)
	}
	// Damaged objects go too: readers would still see them.
	for _, key := range slices.Sorted(maps.Keys(r.Damaged)) {
		if path.Dir(key) == job+"/"+o.Partition {
			remove(key, r.Damaged[key])
		}
	}
	return writes
}

func size(files []*Staged) (bytes int64) {
	for _, s := range files {
		bytes += s.Size
	}
	return bytes
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
