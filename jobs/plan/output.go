package plan

import (
	"slices"

	"prospector/jobs/state"
	"prospector/schemas"
)

// Action is what happens to a partition.
type Action string

// The actions, as Terraform names them.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace" // rewritten at the user's request
	Delete  Action = "delete"
	NoOp    Action = "no-op"
)

// Change is what happens to one partition.
type Change struct {
	// Partition is its path: event_type=…/event_date=….
	Partition string `json:"partition"`
	Action    Action `json:"action"`
	Rows      Rows   `json:"rows"`
	// SourceSubset identifies the rows that the source returned, or is nil if
	// it returned all of them.
	SourceSubset *state.SourceSubset `json:"given,omitempty"`
	// Before and After are the sizes of the partition in bytes in the first
	// sink.
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes_after"`
	// Staged are the files that the partition will have, in order. Delete and NoOp
	// have none.
	Staged []*Staged `json:"staged,omitempty"`
	// Writes are the writes to the sinks, in the order of the job. In each
	// sink, deletions come last. A sink already has the staged files for which
	// it has no write.
	Writes []Write `json:"writes,omitempty"`
	// Step orders the changes: a change is made after all changes with a lower step.
	// A partition that rows leave comes after the partitions that they move to.
	Step int `json:"step,omitempty"`
}

// Rows count a partition's rows before and after a change, and the differences.
type Rows struct {
	Before    int64 `json:"before"`
	After     int64 `json:"after"`
	Added     int64 `json:"added"`
	Changed   int64 `json:"changed"`
	Unchanged int64 `json:"unchanged"`
	Removed   int64 `json:"removed"`
}

// Sinks returns the sinks that the change writes to, in the order of the job.
func (c Change) Sinks() (sinks []string) {
	for _, w := range c.Writes {
		sinks = append(sinks, w.Sink)
	}
	return slices.Compact(sinks)
}

// In reports whether the change affects a sink.
func (c Change) In(sink string) bool {
	return slices.ContainsFunc(c.Writes, func(w Write) bool { return w.Sink == sink })
}

// Staged is a file that will be published.
type Staged struct {
	Path string `json:"path"` // on this machine, or in a saved plan
	// SchemaFingerprint identifies the schema of a partition's file. It is "" for
	// any other file.
	SchemaFingerprint string         `json:"schema,omitempty"`
	Rows              int64          `json:"rows"`
	Content           schemas.Digest `json:"content"`
	Size              int64          `json:"size"`
	CRC32C            uint32         `json:"crc32c"`
	// Days is the range of the identity days of a partition's rows. It is nil for any
	// other file.
	Days *state.Days `json:"days,omitempty"`
}

// Write is a change of an object in one sink.
type Write struct {
	Sink   string `json:"sink"`   // its address
	Action Action `json:"action"` // Create, Update or Delete
	Key    string `json:"key"`
	// File is the index of the staged file that is written.
	File int `json:"file,omitempty"`
	// Generation is the generation of the object that is replaced or deleted, or "".
	Generation string `json:"generation,omitempty"`
}

// At is the location of an object: a sink and a key.
type At struct{ Sink, Key string }

// Writes returns the objects that the job's plan writes or deletes.
func (j *Job) Writes() map[At]bool {
	all := make(map[At]bool)
	add := func(writes []Write) {
		for _, w := range writes {
			all[At{w.Sink, w.Key}] = true
		}
	}
	for _, c := range j.Output.Changes {
		add(c.Writes)
	}
	if j.Output.Quarantine != nil {
		add(j.Output.Quarantine.Writes)
	}
	add(j.Output.Obsolete)
	add(j.Output.Foreign)
	return all
}

// Quarantine is a change of a job's quarantined events.
type Quarantine struct {
	Before int64   `json:"before"` // events
	After  int64   `json:"after"`
	Staged *Staged `json:"staged,omitempty"`
	Writes []Write `json:"writes,omitempty"`
}

// Action returns what happens to the quarantine.
func (q *Quarantine) Action() Action {
	switch {
	case q.After == 0:
		return Delete
	case q.Before == 0:
		return Create
	}
	return Update
}

// Rewrite is a change of a table's schema.
type Rewrite struct {
	SchemaFingerprint string `json:"schema"` // before the change
	// Before and After are the partition keys. If they differ, every file gets
	// a new key, and the old files are deleted once the new ones exist.
	Before []string `json:"partition_by_before"`
	After  []string `json:"partition_by_after"`
	// Columns are the changes of columns.
	Columns []schemas.Change `json:"columns,omitempty"`
	Files   int64            `json:"files"` // that are read
	Rows    int64            `json:"rows"`  // that are rewritten
}

// Repartitions reports whether the partition keys change.
func (r *Rewrite) Repartitions() bool { return !slices.Equal(r.Before, r.After) }

// Copy copies a damaged object to another key of its sink.
type Copy struct {
	Sink string `json:"sink"`
	Key  string `json:"key"`
	To   string `json:"to"`
	Sum  Sum    `json:"sum"` // of the bytes that are copied
}
