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
//     makes them the files of the partition, and marks its former files
//     obsolete. The obsolete files are then deleted, and DropObsolete removes
//     each from the state.
//  3. If the job's table is rewritten, DropSuperseded marks the files of the
//     former table obsolete. The state is saved.
//  4. The files of partitions without rows are deleted, and DropPartition removes
//     each such partition from the state.
//  5. Finalize removes entries that are no longer needed. The state is saved.
//
// In the state, a partition of a sink is one of:
//
//   - published: it is in Partitions, and its files are in the sink.
//   - pending creation: it is in Pending alone. Some of its files may be in the sink.
//   - pending update: it is in both. The sink has the published files until all
//     pending ones exist. At a key that is in both, the sink may have either
//     file.
//   - pending deletion: it is in both, and in Pending it has no rows. Some of its
//     files may be gone.
//   - absent: it is in neither.
//
// Files that no partition needs are in Obsolete until they are deleted.
//
// A run that is killed loses only the transitions since the last save. The
// saved state names every object that the run may have written or deleted, with
// its checksum. So the next refresh can determine for each partition whether
// the change was made, and does not report the objects of an interrupted apply
// as drift. No row is ever missing: former files are deleted only after all new
// ones exist. If rows move between partitions, the apply writes the new
// partition before it changes the former one.
//
// In steps 2 and 4, no sink waits for another one, so an interrupted apply may
// have changed a partition in some sinks only. The next run then reads the
// partition from one of these sinks, so that new rows are not lost if the
// source does not return them again.
//
// The transitions change values in memory and do no I/O. Their callers serialize
// access to a job.

// Change is what an apply does to one partition in one sink.
type Change struct {
	Partition string // its path
	// Next is the partition after the change. If it has no rows, the change
	// deletes the partition, and its files have only keys.
	Next Partition
	// Obsolete are the objects that the change deletes, with the generations
	// that the plan recorded.
	Obsolete []Object
}

// Deletes reports whether the change deletes the partition.
func (c Change) Deletes() bool { return c.Next.Rows == 0 }

// Lists are the lists of prospects that an apply has stored next to the state.
// A nil list leaves the state's list unchanged, and the zero list removes it.
type Lists struct {
	Prospects, Empty *ProspectList
}

// BeginTable records the table whose files the apply is about to write. During
// a rewrite, the job keeps the schema of the former table until DropSuperseded.
func (j *Job) BeginTable(fingerprint string, table schemas.Table, rewrite bool) {
	if !rewrite {
		j.SchemaFingerprint = fingerprint
	}
	if j.Schemas == nil {
		j.Schemas = make(map[string]schemas.Table)
	}
	j.Schemas[fingerprint] = table
}

// Refresh replaces sinks of the job, by address, with what a refresh found in
// them. The former addresses of sinks that have a new address are in renamed.
// Later runs do not report the drift of this refresh again.
func (j *Job) Refresh(found map[string]*Sink, renamed ...string) {
	for _, address := range renamed {
		delete(j.Sinks, address)
	}
	maps.Copy(j.Sinks, found)
}

// SetLists makes the job refer to lists that are already stored.
func (j *Job) SetLists(l Lists) {
	set := func(list **ProspectList, next *ProspectList) {
		switch {
		case next == nil:
		case *next == ProspectList{}:
			*list = nil
		default:
			*list = next
		}
	}
	set(&j.Prospects, l.Prospects)
	set(&j.Empty, l.Empty)
}

// StagePending records a change that the apply is about to make. It replaces a
// change of the partition that an interrupted apply left pending.
func (s *Sink) StagePending(c Change) {
	p := s.pending()
	if p.Partitions == nil {
		p.Partitions = make(map[string]Partition)
	}
	p.Partitions[c.Partition] = c.Next
}

// KeepPartition records that the apply leaves a partition unchanged: nothing is
// pending for it. The subset is the rows that the source returned, or nil if it
// returned all rows. A partition that the sink does not have stays absent.
func (s *Sink) KeepPartition(path string, subset *SourceSubset) {
	if s.Pending != nil {
		delete(s.Pending.Partitions, path)
	}
	if p, ok := s.Partitions[path]; ok {
		p.SourceSubset = subset
		s.Partitions[path] = p
	}
}

// StagePendingQuarantine records the quarantine that the apply is about to
// write. A quarantine without events will be deleted.
func (s *Sink) StagePendingQuarantine(q *Quarantine) { s.pending().Quarantine = q }

func (s *Sink) pending() *Pending {
	if s.Pending == nil {
		s.Pending = &Pending{}
	}
	return s.Pending
}

// Publish records that every file of c.Next is in the sink. Afterwards the
// partition consists of those files, nothing is pending for it, and the objects
// that the change deletes are obsolete. The change must not delete the
// partition.
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

// markObsolete records that an object of a partition is no longer needed. If
// the object is the partition's published file, markObsolete also records its
// size and checksum. Otherwise the object is damaged.
func (s *Sink) markObsolete(partition string, o Object) {
	if f, ok := s.Partitions[partition].File(o.Key); ok && f.Generation == o.Generation {
		o = f.Object
	}
	if s.Obsolete == nil {
		s.Obsolete = make(map[string]Object)
	}
	s.Obsolete[o.Key] = o
}

// DropObsolete records that the obsolete object with the key was deleted. If
// there is none, it does nothing.
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

// PublishQuarantine records that the sink has the quarantine, or no quarantine
// if q is nil. Afterwards no quarantine is pending.
func (s *Sink) PublishQuarantine(q *Quarantine) {
	s.Quarantine = q
	if s.Pending != nil {
		s.Pending.Quarantine = nil
	}
}

// DropSuperseded records that files with the schema of that fingerprint contain
// every row of the table. That schema becomes the job's schema. The deletions,
// by sink address, are the changes that delete the former table's partitions.
// These partitions become absent, and their objects obsolete.
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

// Finalize records that every change of a job in those sinks is complete. It
// removes their empty Pending and Obsolete, and the schemas that no file has.
// If the table was destroyed there, it removes the sinks. It removes a job that
// has no sinks left, and clears its lists.
func (s *State) Finalize(address string, sinks []string, destroyed bool) {
	j := s.Job(address)
	j.DropEmpty(sinks)
	j.dropUnusedSchemas()
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

// DropEmpty removes an empty Pending and an empty Obsolete from those sinks.
// Other sinks may have changes that another run has to complete.
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

// dropUnusedSchemas removes the schemas that no published or pending file has.
func (j *Job) dropUnusedSchemas() {
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
