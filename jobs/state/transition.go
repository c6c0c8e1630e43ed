package state

import (
	"maps"

	"prospector/schemas"
)

// The apply protocol
//
// An apply changes objects in sinks, and the state that describes them. No store
// changes two objects at once, so the state is saved before and after each group
// of object changes. For each job, an apply does this:
//
//  1. Refresh makes the state match the sinks, and StagePending adds every change
//     that is about to happen. The state is saved.
//  2. The new files of each partition are written. Once they all exist, Publish
//     makes them the partition and its former files obsolete. The obsolete files
//     are then deleted, and DropObsolete removes each from the state.
//  3. If the job's table is rewritten, DropSuperseded makes the partitions of the
//     former table obsolete. The state is saved.
//  4. The files of partitions without rows are deleted, and DropPartition removes
//     each such partition from the state.
//  5. Finalize drops what is no longer needed. The state is saved.
//
// In the state, a partition of a sink is one of:
//
//   - published: it is in Partitions, and its files are in the sink.
//   - pending creation: it is in Pending alone. Some of its files may be in the sink.
//   - pending update: it is in both. The sink has the published files until all
//     pending ones exist. A file that both name may be either.
//   - pending deletion: it is in both, and in Pending it has no rows. Some of its
//     files may be gone.
//   - absent: it is in neither.
//
// Files that no partition needs are in Obsolete until they are deleted.
//
// A run that is killed loses only the transitions since the last save. The saved
// state names every object that the run may have written or deleted, with its
// checksum. So the next refresh finds out for each partition whether the change has
// happened, and does not report the objects of an interrupted apply as drift. No row
// is ever missing: former files are deleted after all new ones exist and, if rows
// move between partitions, the plan orders the changes so that they are in the new
// partition first.
//
// The transitions change values in memory and do no I/O. Their callers serialize
// access to a job.

// Change is what an apply does to one partition in one sink.
type Change struct {
	Partition string // its path
	// Next is the partition afterwards. If it has no rows, the partition is
	// deleted, and its files have only keys.
	Next Partition
	// Obsolete are the objects that the change deletes, with the generations that
	// the plan has seen.
	Obsolete []Object
}

// Deletes reports whether the change deletes the partition.
func (c Change) Deletes() bool { return c.Next.Rows == 0 }

// Lists name the lists of prospects that an apply has stored next to the state.
// A nil list leaves what the state names, and the zero list removes it.
type Lists struct {
	Prospects, Empty *ProspectList
}

// BeginTable records the table whose files the apply is about to write. During a
// rewrite the job's schema remains that of the former table until DropSuperseded.
func (j *Job) BeginTable(fingerprint string, table schemas.Table, rewrite bool) {
	if !rewrite {
		j.SchemaFingerprint = fingerprint
	}
	if j.Schemas == nil {
		j.Schemas = make(map[string]schemas.Table)
	}
	j.Schemas[fingerprint] = table
}

// Refresh makes the job match what its sinks were found to hold, by address.
// Renamed are the former addresses of sinks that have a new one. Afterwards the
// state reports no drift that this refresh has found.
func (j *Job) Refresh(found map[string]*Sink, renamed ...string) {
	for _, address := range renamed {
		delete(j.Sinks, address)
	}
	maps.Copy(j.Sinks, found)
}

// NameLists makes the job name lists that are already stored.
func (j *Job) NameLists(l Lists) {
	name := func(list **ProspectList, next *ProspectList) {
		switch {
		case next == nil:
		case *next == ProspectList{}:
			*list = nil
		default:
			*list = next
		}
	}
	name(&j.Prospects, l.Prospects)
	name(&j.Empty, l.Empty)
}

// StagePending records a change that the apply is about to make. It replaces what
// an interrupted apply has left pending for the partition.
func (s *Sink) StagePending(c Change) {
	p := s.pending()
	if p.Partitions == nil {
		p.Partitions = make(map[string]Partition)
	}
	p.Partitions[c.Partition] = c.Next
}

// KeepPartition records that the apply leaves a partition as it is: nothing is
// pending for it, and given are the rows that the source has returned of it, or
// nil for all. A partition that the sink does not have stays absent.
func (s *Sink) KeepPartition(path string, given *SourceSubset) {
	if s.Pending != nil {
		delete(s.Pending.Partitions, path)
	}
	if p, ok := s.Partitions[path]; ok {
		p.SourceSubset = given
		s.Partitions[path] = p
	}
}

// StagePendingQuarantine records the quarantine that the apply is about to write.
// One without events is about to be deleted.
func (s *Sink) StagePendingQuarantine(q *Quarantine) { s.pending().Quarantine = q }

func (s *Sink) pending() *Pending {
	if s.Pending == nil {
		s.Pending = &Pending{}
	}
	return s.Pending
}

// Publish records that every file of c.Next is in the sink. Afterwards those files
// are the partition, nothing is pending for it, and the objects that the change
// deletes are obsolete. The change must not delete the partition.
func (s *Sink) Publish(c Change) {
	for _, o := range c.Obsolete {
		s.markObsolete(c.Partition, o)
	}
	for _, f := range c.Next.Files {
		delete(s.Obsolete, f.Key)
	}
	s.Partitions[c.Partition] = c.Next
	s.dropPending(c.Partition)
}

// markObsolete records that an object of a partition is no longer needed. If the
// object is the partition's file, its size and checksum are known too. Otherwise
// it is damaged.
func (s *Sink) markObsolete(partition string, o Object) {
	if f, ok := s.Partitions[partition].File(o.Key); ok && f.Generation == o.Generation {
		o = f.Object
	}
	if s.Obsolete == nil {
		s.Obsolete = make(map[string]Object)
	}
	s.Obsolete[o.Key] = o
}

// DropObsolete records that the sink has no object at the key. If none was
// obsolete, it does nothing.
func (s *Sink) DropObsolete(key string) { delete(s.Obsolete, key) }

// DropPartition records that every file of a partition is deleted. Afterwards the
// partition is absent.
func (s *Sink) DropPartition(path string) {
	delete(s.Partitions, path)
	s.dropPending(path)
}

func (s *Sink) dropPending(path string) {
	if s.Pending != nil {
		delete(s.Pending.Partitions, path)
	}
}

// PublishQuarantine records that the sink has the quarantine, or has none if q is
// nil. Afterwards no quarantine is pending.
func (s *Sink) PublishQuarantine(q *Quarantine) {
	s.Quarantine = q
	if s.Pending != nil {
		s.Pending.Quarantine = nil
	}
}

// DropSuperseded records that every row of a table is in files of the schema with
// that fingerprint. Afterwards it is the job's schema. The deletions, by sink
// address, are the partitions of the former table: they are absent, and their
// objects obsolete.
func (j *Job) DropSuperseded(fingerprint string, deletions map[string][]Change) {
	j.SchemaFingerprint = fingerprint
	for address, changes := range deletions {
		s := j.Sink(address)
		for _, c := range changes {
			for _, o := range c.Obsolete {
				s.markObsolete(c.Partition, o)
			}
			s.DropPartition(c.Partition)
		}
	}
}

// Finalize records that every change of a job is made in those sinks. Afterwards
// nothing that is empty is left in them, and the job has only the schemas that its
// files have. If the table was destroyed there, the job has none of the sinks. A
// job without sinks is removed, and names no lists.
func (s *State) Finalize(address string, sinks []string, destroyed bool) {
	j := s.Job(address)
	j.DropEmpty(sinks)
	j.forgetSchemas()
	if destroyed {
		for _, sink := range sinks {
			delete(j.Sinks, sink)
		}
	}
	if len(j.Sinks) == 0 {
		delete(s.Jobs, address)
		j.Prospects, j.Empty = nil, nil
	}
}

// DropEmpty removes an empty Pending and an empty Obsolete from those sinks. The
// others may have changes that wait for another run.
func (j *Job) DropEmpty(sinks []string) {
	for _, address := range sinks {
		s := j.Sink(address)
		if p := s.Pending; p != nil && len(p.Partitions) == 0 && p.Quarantine == nil {
			s.Pending = nil
		}
		if len(s.Obsolete) == 0 {
			s.Obsolete = nil
		}
	}
}

// forgetSchemas drops the tables that no published or pending file has.
func (j *Job) forgetSchemas() {
	used := map[string]bool{j.SchemaFingerprint: true}
	for _, sink := range j.Sinks {
		for _, p := range sink.Partitions {
			used[p.SchemaFingerprint] = true
		}
		if sink.Pending != nil {
			for _, p := range sink.Pending.Partitions {
				used[p.SchemaFingerprint] = true
			}
		}
	}
	maps.DeleteFunc(j.Schemas, func(fingerprint string, _ schemas.Table) bool { return !used[fingerprint] })
}
