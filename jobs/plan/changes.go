package plan

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

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

// Needs reports whether a sink lacks a partition, or has other rows in it, or
// files of another table.
func Needs(sink *state.Sink, o Outcome) bool {
	have, ok := sink.Partitions[o.Partition]
	if o.Rows.After == 0 {
		return ok
	}
	return !ok || have.Content != o.Content || have.SchemaFingerprint != o.SchemaFingerprint
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

// Keys are the keys of a partition's objects: the job's name, the partition, and
// the part's number.
//
// The only file of a partition is replaced at once, whole. Several cannot be, and
// rows may go from one to another; so the names of several say what is in them,
// and new ones stand beside the old ones until all of them are there. A partition
// always has all of its rows in files, and what is left over of an apply that was
// killed is told from what counts: see Refresh.
func Keys(job, partition string, files []*Staged) []string {
	keys := make([]string, len(files))
	for i, f := range files {
		content := schemas.HashValuesOf(f.SchemaFingerprint).String(f.Content.String())
		keys[i] = fmt.Sprintf("%s/%s/part-%05d-%s.parquet", job, partition, i, content)
	}
	if len(files) == 1 {
		keys[0] = Key(job, partition)
	}
	return keys
}

// Key is the key of the only object of a partition.
func Key(job, partition string) string { return job + "/" + partition + "/part-00000.parquet" }

// Sinks are those that the change concerns, in the order of the job.
func (c Change) Sinks() (sinks []string) {
	for _, w := range c.Writes {
		sinks = append(sinks, w.Sink)
	}
	return slices.Compact(sinks)
}

// TablePrefix is what the keys of a job's objects begin with.
func TablePrefix(job string) string { return job + "/" }

// QuarantineKey is the key of a job's quarantined events. It is outside of the
// table's prefix, where a stray file would break readers.
func QuarantineKey(job string) string { return quarantinePrefix + job + ".jsonl" }

const quarantinePrefix = ".prospector/quarantine/"

// IsQuarantine reports whether a key is that of a quarantine.
func IsQuarantine(key string) bool { return strings.HasPrefix(key, quarantinePrefix) }

// DamagedKey is the key under which a damaged object of a table is kept. It names
// the object's checksum, so that every kind of damage has its own copy.
func DamagedKey(key string, crc uint32) string {
	return fmt.Sprintf(".prospector/damaged/%s-%08x.parquet", strings.TrimSuffix(key, ".parquet"), crc)
}

// Damaged are the damaged objects of the table that the job's changes replace or
// delete, in the order of the changes.
func (j *Job) Damaged() (all []At) {
	for _, c := range j.Output.Changes {
		for _, w := range c.Writes {
			if w.Generation != "" && j.Found.Prior[w.Sink].Damaged[w.Key] == w.Generation {
				all = append(all, At{w.Sink, w.Key})
			}
		}
	}
	return all
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

// Destruction is what deletes every partition of those paths from the sinks.
func Destruction(table string, sinks []string, prior map[string]*Refreshed, paths []string) []Change {
	outcomes := make([]Outcome, len(paths))
	for i, path := range paths {
		rows := int64(0)
		for _, sink := range sinks {
			rows = max(rows, prior[sink].Intact(path).Rows)
		}
		outcomes[i] = Outcome{Partition: path, Rows: Rows{Before: rows, Removed: rows}}
	}
	return Changes(table, sinks, prior, outcomes)
}

// Unrestored counts the rows of deleted and damaged files that no sink has any
// more, and that the partition does not have again after the plan.
func (j *Job) Unrestored() (rows int64) {
	lost, before := make(map[string]int64), make(map[string]int64)
	for _, sink := range j.Sinks {
		for path, n := range j.Found.Prior[sink].Lost {
			lost[path] = max(lost[path], n)
			before[path] = max(before[path], n+j.Found.Prior[sink].Intact(path).Rows)
		}
	}
	for _, sink := range j.Sinks {
		for path := range j.Found.Prior[sink].Partitions {
			delete(lost, path)
		}
	}
	for _, c := range j.Output.Changes {
		if n, ok := lost[c.Partition]; ok {
			lost[c.Partition] = min(n, max(0, before[c.Partition]-c.Rows.After))
		}
	}
	for _, n := range lost {
		rows += n
	}
	return rows
}

// UnrestoredEvents counts the quarantined events of deleted and damaged objects
// that no sink has any more, and that the quarantine does not have again after
// the plan.
func (j *Job) UnrestoredEvents() (events int64) {
	for _, sink := range j.Sinks {
		found := j.Found.Prior[sink]
		if found.Quarantine != nil || j.Output.Quarantine == nil && found.Damaged[QuarantineKey(j.TableName)] != "" {
			return 0 // it is there, or not replaced yet
		}
		if q := found.BrokenQuarantine; q != nil {
			events = max(events, q.Events)
		}
	}
	if j.Output.Quarantine != nil {
		events -= j.Output.Quarantine.After
	}
	return max(0, events)
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

// DeleteObsolete is what deletes the files that are in no partition any more, but
// for those whose place the job's changes take.
func (j *Job) DeleteObsolete() (writes []Write) {
	taken := j.Writes()
	for _, sink := range j.Sinks {
		for _, key := range slices.Sorted(maps.Keys(j.Found.Prior[sink].Obsolete)) {
			if !taken[At{sink, key}] {
				writes = append(writes, Write{Sink: sink, Action: Delete, Key: key, Generation: j.Found.Prior[sink].Obsolete[key].Generation})
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
