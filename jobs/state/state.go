// Package state records what prospector owns in the lake: the objects that it
// has published, their rows, and the changes of an apply that is in progress or
// was interrupted.
//
// The value, its changes, its file format and its storage are separate:
//
//   - State and the types below it are the value. transition.go has the changes
//     that an apply makes, and describes the apply protocol. edit.go has the
//     changes that a user makes.
//   - Encode and Decode implement the file format.
//   - Local and Remote are the backends. Local keeps the state in a file and
//     uses a lock of the operating system. Remote keeps it in an object that
//     several machines share, and uses a lock with a lease. Both replace the
//     state atomically, refuse to overwrite a state that the run has not read,
//     and keep a backup.
//
// The package does not access the sinks: package plan compares them with the
// state. It does not merge states: if two runs write, one of the writes fails.
package state

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"prospector/jobs/tombstone"
	"prospector/schemas"
	"prospector/sink/store"
)

// State is what prospector owns.
type State struct {
	// Serial increases by one with every write.
	Serial int64
	// Lineage identifies the lake and never changes. It distinguishes an old
	// state of this lake from the state of another lake.
	Lineage string
	// Jobs are keyed by address: job.prospect_events.
	Jobs map[string]*Job
	// Erasing is true from the start of an erase until it completes. It does
	// not identify the prospect.
	Erasing bool
	// Tombstones mark the prospects that were erased from this lake, or from
	// another lake that shares a sink. They do not belong to a job, and remain
	// when jobs are removed.
	Tombstones tombstone.Set
}

// New returns the state of an empty lake.
func New() *State {
	return &State{Lineage: uuid.NewString(), Jobs: make(map[string]*Job)}
}

// Job is what one job owns.
type Job struct {
	// TableName is the directory of the job's objects below each sink's root. It
	// does not change when the job moves to another address.
	TableName string `json:"table"`
	// SchemaFingerprint identifies the schema that the last complete apply
	// published.
	SchemaFingerprint string `json:"schema"`
	// Schemas are the schemas of the published and pending files, by
	// fingerprint.
	Schemas map[string]schemas.Table `json:"schemas,omitempty"`
	// Survey describes the data that the last apply read and the schema does
	// not cover.
	Survey *schemas.Survey `json:"survey,omitempty"`
	// Prospects refers to the list of prospects that the last apply read, or is
	// nil.
	Prospects *ProspectList `json:"prospects,omitempty"`
	// Unavailable counts the prospects that the source did not return to the last
	// apply, or is nil.
	Unavailable *Unavailable `json:"unavailable,omitempty"`
	// Empty refers to the list of prospects that have published rows but had no
	// events when an apply last read them, or is nil.
	Empty *ProspectList `json:"empty,omitempty"`
	// PreventDestroy is the last declared value of prevent_destroy. It protects
	// the table even after the job is removed from the configuration.
	PreventDestroy bool `json:"prevent_destroy,omitempty"`
	// Sinks are keyed by address: sink.local.lake.
	Sinks map[string]*Sink `json:"sinks"`
}

// ProspectList refers to a list of prospect IDs. The list is a separate object
// next to the state, because the IDs would make the state large.
type ProspectList struct {
	Count int64 `json:"count"`
	// Digest has 32 hexadecimal digits. Equal lists have equal digests.
	Digest string `json:"digest"`
	Key    string `json:"key"` // of the list's object, in the state's store
}

// Unavailable counts the prospects that a source refused to return.
type Unavailable struct {
	NotFound  int64 `json:"not_found,omitempty"`
	Forbidden int64 `json:"forbidden,omitempty"`
}

// Sink is what a job owns in one sink.
type Sink struct {
	// URI is the root of the table.
	URI string `json:"uri"`
	// Partitions are keyed by path: event_type=…/event_date=….
	Partitions map[string]Partition `json:"partitions"`
	// Quarantine is the object that holds the job's quarantined events, or nil.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	// Pending is what an apply has begun to publish and has not yet recorded in
	// Partitions and Quarantine. With it, the next run can distinguish the work of
	// an interrupted apply from a change made by another program.
	Pending *Pending `json:"pending,omitempty"`
	// Obsolete are the objects, by key, that no partition needs and that are
	// not deleted yet. Their rows are in other files, or an interrupted apply
	// left them.
	Obsolete map[string]Object `json:"obsolete,omitempty"`
}

// Partition is one partition of a table. A pending partition without rows is
// about to be deleted, and its files have only keys.
type Partition struct {
	// SchemaFingerprint identifies the schema of its files.
	SchemaFingerprint string `json:"schema,omitempty"`
	Rows              int64  `json:"rows"` // of all files
	// Content is the digest of the rows, independent of their order. It is the
	// sum of the files' digests.
	Content schemas.Digest `json:"content"`
	// Files are in row order: all rows of a file precede those of the next
	// file.
	Files []File `json:"files"`
	// Incomplete is true if other files of the partition were deleted or
	// damaged outside of prospector and no apply has restored them yet.
	Incomplete bool `json:"incomplete,omitempty"`
	// Days is the range of the rows' records.IdentityDays, or nil if it is
	// unknown. An event that appears in another partition on a day outside of
	// this range did not move from this partition, so this partition does not
	// have to be read.
	Days *Days `json:"days,omitempty"`
	// SourceSubset identifies the rows that the source returned to the last
	// apply, or is nil if it returned all rows. It returns fewer if a prospect
	// cannot be read, or if it no longer has an event. While it returns the
	// same subset, nothing has changed, and the partition does not have to be
	// read.
	SourceSubset *SourceSubset `json:"given,omitempty"`
}

// SourceSubset identifies a subset of a partition's rows, which may be empty.
type SourceSubset struct {
	Rows    int64          `json:"rows"`
	Content schemas.Digest `json:"content"`
}

// File is one of a partition's files.
type File struct {
	Rows    int64          `json:"rows"`
	Content schemas.Digest `json:"content"` // of its rows
	Object
}

// Size returns the size of all files in bytes.
func (p Partition) Size() (bytes int64) {
	for _, f := range p.Files {
		bytes += f.Size
	}
	return bytes
}

// File returns the file with the key.
func (p Partition) File(key string) (File, bool) {
	i := slices.IndexFunc(p.Files, func(f File) bool { return f.Key == key })
	if i < 0 {
		return File{}, false
	}
	return p.Files[i], true
}

// Only returns the partition reduced to the files for which keep returns true.
// Its Days still include the other files.
func (p Partition) Only(keep func(File) bool) Partition {
	files := p.Files
	p.Rows, p.Content, p.Files = 0, schemas.Digest{}, nil
	for _, f := range files {
		if keep(f) {
			p.Rows, p.Content, p.Files = p.Rows+f.Rows, p.Content.Add(f.Content), append(p.Files, f)
		}
	}
	if len(p.Files) < len(files) {
		p.SourceSubset = nil
	}
	return p
}

// Days is a range of days since 1970-01-01, both inclusive.
type Days struct {
	First int32 `json:"first"`
	Last  int32 `json:"last"`
}

// Object describes a published object as it was written.
type Object struct {
	Key        string `json:"key"` // relative to the sink's root
	Size       int64  `json:"size"`
	CRC32C     uint32 `json:"crc32c"`
	Generation string `json:"generation,omitempty"`
}

// Stored returns the object in the form that its store returns.
func (o Object) Stored() store.Object {
	return store.Object{Entry: store.Entry{Key: o.Key, Size: o.Size, Generation: o.Generation}, CRC32C: o.CRC32C}
}

// Same reports whether two objects have the same key, size and checksum.
func (o Object) Same(other Object) bool {
	return o.Key == other.Key && o.Size == other.Size && o.CRC32C == other.CRC32C
}

// Quarantine is the published object of quarantined events.
type Quarantine struct {
	Events int64 `json:"events"`
	// Content is a digest of the events. It does not depend on the pages that
	// contain them.
	Content schemas.Digest `json:"content"`
	Object  Object         `json:"object"`
}

// Pending are the changes that an apply has started and not completed.
type Pending struct {
	Partitions map[string]Partition `json:"partitions,omitempty"`
	Quarantine *Quarantine          `json:"quarantine,omitempty"`
}

// Job returns the job with the address. It adds the job if there is none.
func (s *State) Job(address string) *Job {
	j := s.Jobs[address]
	if j == nil {
		j = &Job{Sinks: make(map[string]*Sink)}
		s.Jobs[address] = j
	}
	return j
}

// Sink returns the sink with the address. It adds the sink if there is none.
func (j *Job) Sink(address string) *Sink {
	s := j.Sinks[address]
	if s == nil {
		s = &Sink{Partitions: make(map[string]Partition)}
		j.Sinks[address] = s
	}
	return s
}

// Accepted returns the schema that the user has accepted for a job: the one in
// the schema lock or, if the lock does not have the job, the published schema.
// It returns false if there is neither.
func (s *State) Accepted(address string, lock schemas.Lock) (schemas.Table, bool) {
	if t, ok := lock[address]; ok {
		return t, true
	}
	if j := s.Jobs[address]; j != nil {
		t, ok := j.Schemas[j.SchemaFingerprint]
		return t, ok
	}
	return schemas.Table{}, false
}

// Clone returns a deep copy.
func (s *State) Clone() *State {
	out := &State{Serial: s.Serial, Lineage: s.Lineage, Erasing: s.Erasing, Tombstones: s.Tombstones, Jobs: make(map[string]*Job, len(s.Jobs))}
	for address, j := range s.Jobs {
		job := &Job{
			TableName: j.TableName, SchemaFingerprint: j.SchemaFingerprint, Schemas: maps.Clone(j.Schemas), Survey: j.Survey, // never changed in place
			PreventDestroy: j.PreventDestroy, Sinks: make(map[string]*Sink, len(j.Sinks)),
		}
		if j.Prospects != nil {
			list := *j.Prospects
			job.Prospects = &list
		}
		if j.Empty != nil {
			list := *j.Empty
			job.Empty = &list
		}
		if j.Unavailable != nil {
			counts := *j.Unavailable
			job.Unavailable = &counts
		}
		for address, s := range j.Sinks {
			sink := *s
			sink.Partitions = clonePartitions(s.Partitions)
			sink.Quarantine = s.Quarantine.clone()
			sink.Obsolete = maps.Clone(s.Obsolete)
			if s.Pending != nil {
				sink.Pending = &Pending{clonePartitions(s.Pending.Partitions), s.Pending.Quarantine.clone()}
			}
			job.Sinks[address] = &sink
		}
		out.Jobs[address] = job
	}
	return out
}

func clonePartitions(partitions map[string]Partition) map[string]Partition {
	out := maps.Clone(partitions)
	for path, p := range out {
		p.Files = slices.Clone(p.Files)
		out[path] = p
	}
	return out
}

func (q *Quarantine) clone() *Quarantine {
	if q == nil {
		return nil
	}
	out := *q
	return &out
}

// Addresses returns the addresses of the jobs, in ascending order.
func (s *State) Addresses() []string { return slices.Sorted(maps.Keys(s.Jobs)) }
