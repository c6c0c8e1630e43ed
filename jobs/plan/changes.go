package plan

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"prospector/jobs/state"
	"prospector/schemas"
)

// Outcome is the result of staging for one partition.
type Outcome struct {
	Partition string
	Rows      Rows
	// Content is the digest of the rows that the partition will have.
	// SchemaFingerprint identifies the schema of its files.
	Content           schemas.Digest
	SchemaFingerprint string
	// SourceSubset is the value for the state.
	SourceSubset *state.SourceSubset
	// Staged are the files with those rows, in order, or nil if no sink needs
	// them.
	Staged []*Staged
	// Replace rewrites the files even if the sinks already have the rows.
	Replace bool
	// Step is the step of the Change.
	Step int
}

// Changes compares the outcomes of partitions with the content of the sinks,
// and returns the writes that each sink needs. prior has a value for every
// sink.
func Changes(tableName string, sinks []string, prior map[string]*Refreshed, outcomes []Outcome) []Change {
	changes := make([]Change, 0, len(outcomes))
	for _, o := range outcomes {
		c := Change{Partition: o.Partition, Action: NoOp, Rows: o.Rows, SourceSubset: o.SourceSubset, Staged: o.Staged, Step: o.Step}
		published := false
		for i, address := range sinks {
			have := prior[address].Intact(o.Partition)
			published = published || len(have.Files) > 0
			writes := prior[address].writes(tableName, address, o)
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

// Needs reports whether a sink must change to have the outcome: it lacks the
// partition, or its partition has other rows or another schema.
func Needs(sink *state.Sink, o Outcome) bool {
	have, ok := sink.Partitions[o.Partition]
	if o.Rows.After == 0 {
		return ok
	}
	return !ok || have.Content != o.Content || have.SchemaFingerprint != o.SchemaFingerprint
}

// writes returns the writes after which the sink has the outcome.
func (r *Refreshed) writes(tableName, address string, o Outcome) (writes []Write) {
	if _, complete := r.Partitions[o.Partition]; complete && !o.Replace && !Needs(&r.Sink, o) {
		return nil
	}
	intact := r.Intact(o.Partition)
	keys := Keys(tableName, o.Partition, o.Staged)
	for i, key := range keys {
		have, ok := intact.File(key)
		if ok && !o.Replace && have.Rows == o.Staged[i].Rows && have.Content == o.Staged[i].Content && intact.SchemaFingerprint == o.SchemaFingerprint {
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
	for _, f := range intact.Files {
		remove(f.Key, f.Generation)
	}
	// Damaged objects are deleted too, because readers would still see them.
	for _, key := range slices.Sorted(maps.Keys(r.Damaged)) {
		if path.Dir(key) == tableName+"/"+o.Partition {
			remove(key, r.Damaged[key])
		}
	}
	return writes
}

// size returns the size of all files in bytes.
func size(files []*Staged) (bytes int64) {
	for _, s := range files {
		bytes += s.Size
	}
	return bytes
}

// Link records that rows move from one partition to another.
type Link struct{ From, To string }

// Steps returns the step of each partition. A partition that rows leave has a
// higher step than the partitions that they move to, so that every row is in
// some partition whenever an apply ends. Partitions without a link have step 0.
// If rows move in a cycle, no such order exists, and some partition of the
// cycle comes first: the same one for the same links.
func Steps(links map[Link]bool) map[string]int {
	steps := make(map[string]int)
	ordered := slices.SortedFunc(maps.Keys(links), func(a, b Link) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	for range ordered { // no path is longer
		changed := false
		for _, l := range ordered {
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

// Partitions returns the paths of the partitions in any of the sinks, intact or
// not, in ascending order.
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
