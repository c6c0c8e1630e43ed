// Package state is prospector's memory of what it owns in the lake: which
// objects it has published, with what rows, and what it was about to publish
// when it was last interrupted.
//
// The value, its file format and its storage are three things: this file and
// edit.go; file.go; and storage.go with the two backends, which differ in how they
// lock. Local is a file of one machine under the operating system's lock, Remote
// an object that several machines share under a lease. Of either, a state is
// replaced whole, only by who has seen it, and leaves a backup.
//
// It does not look at the lake (jobs/plan compares the two), does not decide when
// to write, and does not merge: of two runs that write, one is refused.
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
	// Serial grows by one with every write.
	Serial int64
	// Lineage is made with the first state and never changes: it tells a stale
	// state from that of another lake.
	Lineage string
	// Jobs are keyed by address: job.prospect_events.
	Jobs map[string]*Job
	// Erasing says that a prospect is being erased, or was until that was
	// interrupted. It does not say who.
	Erasing bool
	// Tombstones are those of the prospects that were erased, here or by another
	// state with a sink in common. They belong to no job, and stay when jobs go.
	Tombstones tombstone.Set
}

// New is the state of an empty lake.
func New() *State {
	return &State{Lineage: uuid.NewString(), Jobs: make(map[string]*Job)}
}

// Job is what one job owns.
type Job struct {
	// TableName is the directory of its objects below each sink's root. It stays
	// the same when the job moves to another address.
	TableName string `json:"table"`
	// SchemaFingerprint identifies the schema that the last complete apply
	// published.
	SchemaFingerprint string `json:"schema"`
	// Schemas are the schemas of the published files, by fingerprint.
	Schemas map[string]schemas.Table `json:"schemas,omitempty"`
	// Survey is what the last apply has seen beyond what the table expects.
	Survey *schemas.Survey `json:"survey,omitempty"`
	// Prospects is the list that the last apply has read, or nil.
	Prospects *ProspectList `json:"prospects,omitempty"`
	// Unavailable counts the prospects that the source did not return to the last
	// apply, or is nil.
	Unavailable *Unavailable `json:"unavailable,omitempty"`
	// Empty names the list of prospects that have published rows and returned no
	// event to the last apply that read them, or is nil.
	Empty *ProspectList `json:"empty,omitempty"`
	// PreventDestroy is the declared job's, so that it holds also once the
	// declaration is gone.
	PreventDestroy bool `json:"prevent_destroy,omitempty"`
	// Sinks are keyed by address: sink.local.lake.
	Sinks map[string]*Sink `json:"sinks"`
}

// ProspectList names a list of prospect ids that is kept beside the state. The
// ids themselves would make the state large.
type ProspectList struct {
	Count int64 `json:"count"`
	// Digest is 32 hexadecimal digits, equal wherever the lists are the same.
	Digest string `json:"digest"`
	Key    string `json:"key"` // of the object that holds it, in the state's store
}

// Unavailable counts prospects of one reading.
type Unavailable struct {
	NotFound  int64 `json:"not_found,omitempty"`
	Forbidden int64 `json:"forbidden,omitempty"`
}

// Sink is what a job owns in one place.
type Sink struct {
	// URI is the table's root there.
	URI string `json:"uri"`
	// Partitions are keyed by path: event_type=…/event_date=….
	Partitions map[string]Partition `json:"partitions"`
	// Quarantine is the object that holds the job's quarantined events, or nil.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	// Pending is what an apply has begun to publish, and not yet recorded
	// above. It is what lets the next run tell an interrupted apply from a
	// change made by somebody else.
	Pending *Pending `json:"pending,omitempty"`
	// Obsolete are objects, by key, that are in no partition: their rows stand in
	// the files that have taken their place, or an interrupted apply has left
	// them. They wait to be deleted.
	Obsolete map[string]Object `json:"obsolete,omitempty"`
}

// Partition is one published partition. A pending one without rows is to be
// deleted, and its files have but their keys.
type Partition struct {
	// SchemaFingerprint identifies the schema of its files.
	SchemaFingerprint string `json:"schema,omitempty"`
	Rows              int64  `json:"rows"` // of all files
	// Content is the digest of its rows, equal wherever they are the same. It is
	// the sum of its files' digests.
	Content schemas.Digest `json:"content"`
	// Files have the rows, in the order of the files.
	Files []File `json:"files"`
	// Incomplete says that somebody else has deleted or damaged others of its
	// files, and that no apply has made it whole since.
	Incomplete bool `json:"incomplete,omitempty"`
	// Days is the range of its rows' records.IdentityDays; nil when it is not
	// known. An event that is new elsewhere, on a day that is not among them,
	// has not left this partition, so it need not be read for that.
	Days *Days `json:"days,omitempty"`
	// SourceSubset describes the rows that the source returned to the last apply.
	// It is nil when the source returned all of them. Otherwise a prospect could not
	// be read, or the source no longer has an event. While the source returns the
	// same subset, nothing changes, and the partition need not be read.
	SourceSubset *SourceSubset `json:"given,omitempty"`
}

// SourceSubset identifies some rows of a partition, perhaps none.
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

// Size is how many bytes its files have.
func (p Partition) Size() (bytes int64) {
	for _, f := range p.Files {
		bytes += f.Size
	}
	return bytes
}

// File finds the file with that key.
func (p Partition) File(key string) (File, bool) {
	i := slices.IndexFunc(p.Files, func(f File) bool { return f.Key == key })
	if i < 0 {
		return File{}, false
	}
	return p.Files[i], true
}

// Only is the partition with those of its files that keep wants, and no more rows
// than they have. Its days may be too many.
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

// Object is one published object as it was when it was written.
type Object struct {
	Key        string `json:"key"` // relative to the sink's root
	Size       int64  `json:"size"`
	CRC32C     uint32 `json:"crc32c"`
	Generation string `json:"generation,omitempty"`
}

// Stored describes the object as its store does.
func (o Object) Stored() store.Object {
	return store.Object{Entry: store.Entry{Key: o.Key, Size: o.Size, Generation: o.Generation}, CRC32C: o.CRC32C}
}

// Same reports whether two objects have the same bytes, as far as size and
// checksum tell.
func (o Object) Same(other Object) bool {
	return o.Key == other.Key && o.Size == other.Size && o.CRC32C == other.CRC32C
}

// Quarantine is the published object of quarantined events.
type Quarantine struct {
	Events int64 `json:"events"`
	// Content is a digest of the events, without where they stood.
	Content schemas.Digest `json:"content"`
	Object  Object         `json:"object"`
}

// Pending are intended changes.
type Pending struct {
	Partitions map[string]Partition `json:"partitions,omitempty"`
	Quarantine *Quarantine          `json:"quarantine,omitempty"`
}

// Job gives a job's part of the state, making it if there is none.
func (s *State) Job(address string) *Job {
	j := s.Jobs[address]
	if j == nil {
		j = &Job{Sinks: make(map[string]*Sink)}
		s.Jobs[address] = j
	}
	return j
}

// Sink gives a sink's part of a job, making it if there is none.
func (j *Job) Sink(address string) *Sink {
	s := j.Sinks[address]
	if s == nil {
		s = &Sink{Partitions: make(map[string]Partition)}
		j.Sinks[address] = s
	}
	return s
}

// Accepted is the table of a job that its user has accepted: what the lock says
// or, where that does not know the job, what is published. It is false when there
// is neither.
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

// Clone is a deep copy.
func (s *State) Clone() *State {
	out := &State{Serial: s.Serial, Lineage: s.Lineage, Erasing: s.Erasing, Tombstones: s.Tombstones, Jobs: make(map[string]*Job, len(s.Jobs))}
	for address, j := range s.Jobs {
		job := &Job{
			TableName: j.TableName, SchemaFingerprint: j.SchemaFingerprint, Schemas: maps.Clone(j.Schemas), Survey: j.Survey, // which nobody changes
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

// Addresses are the state's jobs, ascending.
func (s *State) Addresses() []string { return slices.Sorted(maps.Keys(s.Jobs)) }
