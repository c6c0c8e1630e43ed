package plan

import (
	"maps"

	"prospector/jobs/state"
)

// Seen is an object as a sink lists it.
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

// Refreshed is what a job really has in a sink.
type Refreshed struct {
	// Sink is the prior state without objects that have drifted, and with what an
	// interrupted apply had finished. It has no Pending.
	state.Sink
	// Damaged are modified objects, with their generations. They are replaced.
	Damaged map[string]string `json:"damaged,omitempty"`
	// Broken are partitions with deleted or damaged files, each with the files that
	// still exist. They stay in the state until a change replaces them. Otherwise a
	// damaged file would look like one that prospector does not own.
	Broken map[string]state.Partition `json:"broken,omitempty"`
	// Unfinished are the partitions that an interrupted apply did not finish. Rows
	// that were to leave such a partition may be in another partition already.
	Unfinished map[string]state.Partition `json:"unfinished,omitempty"`
	// Lost counts the rows of files that are deleted or damaged, by partition.
	Lost map[string]int64 `json:"lost,omitempty"`
	// BrokenQuarantine is what the state says of a quarantine that is deleted or
	// damaged. A damaged one stays in the state until it is replaced.
	BrokenQuarantine *state.Quarantine `json:"broken_quarantine,omitempty"`
	// Foreign are objects in the table that are not in the state, with their
	// generations.
	Foreign map[string]string `json:"foreign,omitempty"`
	Drift   []Drift           `json:"drift,omitempty"`
	// Adopted counts what an interrupted apply had finished.
	Adopted int `json:"adopted,omitempty"`
}

// Intact returns the part of a partition that is unchanged in the sink: all of it,
// or the files that were neither deleted nor damaged, which may be none.
func (r *Refreshed) Intact(path string) state.Partition {
	if p, ok := r.Partitions[path]; ok {
		return p
	}
	return r.Broken[path].Only(func(f state.File) bool { return r.Damaged[f.Key] == "" })
}

// State returns the state of the sink, updated to match what was found. What an
// interrupted apply did not finish stays pending until a plan covers it.
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
	// Held counts the rows or quarantined events that the object has in the state.
	// Recovered counts those that can still be read from it. The caller of Refresh
	// sets both.
	Held      int64 `json:"held,omitempty"`
	Recovered int64 `json:"recovered,omitempty"`
	// Proven reports that the recovered rows are those that were written.
	Proven bool `json:"proven,omitempty"`
	// KeptAs is the key to which apply copies a damaged object.
	KeptAs string `json:"kept_as,omitempty"`
}

// DriftKind is how an object differs.
type DriftKind string

// The kinds of drift. Deleted and modified objects are repaired. Foreign objects are
// only reported.
const (
	Deleted  DriftKind = "deleted"
	Modified DriftKind = "modified"
	Foreign  DriftKind = "foreign"
)
