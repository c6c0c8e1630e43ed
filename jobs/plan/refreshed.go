package plan

import (
	"maps"

	"prospector/jobs/state"
)

// Seen is an object in the listing of a sink.
type Seen struct {
	Key        string
	Size       int64
	Generation string
}

// Sum is the checksum of an object that was read.
type Sum struct {
	Size   int64
	CRC32C uint32
}

// Refreshed is the actual content of a job's table in a sink, compared with the
// state.
type Refreshed struct {
	// Sink is the prior state without drifted objects, and with the changes
	// that an interrupted apply had completed. It has no Pending.
	state.Sink
	// Damaged are the generations of modified objects, by key. These objects
	// are replaced.
	Damaged map[string]string `json:"damaged,omitempty"`
	// Broken are partitions with deleted or damaged files, each with the files
	// that still exist. They remain in the state until a change replaces them.
	// Otherwise a damaged file would look like a foreign object.
	Broken map[string]state.Partition `json:"broken,omitempty"`
	// Unfinished are the partitions that an interrupted apply did not complete.
	// Rows that move from such a partition may already be in another partition.
	Unfinished map[string]state.Partition `json:"unfinished,omitempty"`
	// Lost counts the rows of files that are deleted or damaged, by partition.
	Lost map[string]int64 `json:"lost,omitempty"`
	// BrokenQuarantine is the state's description of a deleted or damaged
	// quarantine. A damaged quarantine remains in the state until it is
	// replaced.
	BrokenQuarantine *state.Quarantine `json:"broken_quarantine,omitempty"`
	// Foreign are the generations of objects in the table that are not in the
	// state, by key.
	Foreign map[string]string `json:"foreign,omitempty"`
	Drift   []Drift           `json:"drift,omitempty"`
	// Adopted counts the changes that an interrupted apply had completed.
	Adopted int `json:"adopted,omitempty"`
}

// Intact returns a partition reduced to the files that were neither deleted nor
// damaged. They may be all of its files, or none.
func (r *Refreshed) Intact(path string) state.Partition {
	if p, ok := r.Partitions[path]; ok {
		return p
	}
	return r.Broken[path].Only(func(f state.File) bool { return r.Damaged[f.Key] == "" })
}

// State returns the state of the sink, updated to match the sink. Changes that
// an interrupted apply did not complete remain pending until a plan covers
// them.
func (r *Refreshed) State() *state.Sink {
	s := r.Sink
	s.Partitions = maps.Clone(r.Partitions)
	for path, p := range r.Broken {
		p.Incomplete = true
		s.Partitions[path] = p
	}
	if q := r.BrokenQuarantine; q != nil && r.Damaged[q.Object.Key] != "" {
		s.Quarantine = q
	}
	s.Obsolete = maps.Clone(r.Obsolete)
	if len(r.Unfinished) > 0 {
		s.Pending = &state.Pending{Partitions: maps.Clone(r.Unfinished)}
	}
	return &s
}

// Drift is a difference between the state and a sink that prospector did not cause.
type Drift struct {
	Sink string    `json:"sink"`
	Key  string    `json:"key"`
	Kind DriftKind `json:"kind"`
	// Held counts the rows or quarantined events of the object according to the
	// state. Recovered counts those that can still be read from it. The caller
	// of Refresh sets both.
	Held      int64 `json:"held,omitempty"`
	Recovered int64 `json:"recovered,omitempty"`
	// Proven is true if the recovered rows are known to be those that were
	// written.
	Proven bool `json:"proven,omitempty"`
	// KeptAs is the key to which apply copies a damaged object.
	KeptAs string `json:"kept_as,omitempty"`
}

// DriftKind is how an object differs from the state.
type DriftKind string

// The kinds of drift. Deleted and modified objects are repaired. Foreign objects are
// only reported.
const (
	Deleted  DriftKind = "deleted"
	Modified DriftKind = "modified"
	Foreign  DriftKind = "foreign"
)
