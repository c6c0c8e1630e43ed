package plan

import (
	"slices"

	"prospector/jobs/state"
)

// This file turns a plan into the state transitions that package state
// describes.

// StagePending updates the state of a job to match the sinks, and adds every
// change of the plan as pending. The lists must already be stored.
func (j *Job) StagePending(owned *state.Job, lists state.Lists) {
	if j.SchemaFingerprint != "" { // the job is declared, and not only destroyed
		owned.TableName = j.TableName
	}
	if j.SchemaFingerprint != "" && len(j.Output.Changes) > 0 {
		owned.PreventDestroy = j.PreventDestroy
		owned.BeginTable(j.SchemaFingerprint, *j.Schema, j.Output.Rewrite != nil)
	}
	if j.Source.Survey != nil {
		owned.Survey = j.Source.Survey
	}
	if c := j.Source.Reading.Coverage; c.Prospects > 0 {
		owned.Unavailable = nil
		if c.NotFound+c.Forbidden > 0 {
			owned.Unavailable = &state.Unavailable{NotFound: c.NotFound, Forbidden: c.Forbidden}
		}
	}
	owned.SetLists(lists)

	found := make(map[string]*state.Sink, len(j.Sinks))
	for _, address := range j.Sinks {
		found[address] = j.Found.Prior[address].State()
	}
	var renamed []string
	for _, m := range j.Found.Renamed {
		renamed = append(renamed, m.From)
	}
	owned.Refresh(found, renamed...)
	for _, c := range j.Output.Changes {
		changed := c.Sinks()
		for _, address := range j.Sinks {
			if slices.Contains(changed, address) {
				owned.Sink(address).StagePending(j.StateChange(c, address))
			} else {
				owned.Sink(address).KeepPartition(c.Partition, c.SourceSubset)
			}
		}
	}
	if q := j.Output.Quarantine; q != nil {
		for _, w := range q.Writes {
			owned.Sink(w.Sink).StagePendingQuarantine(q.State(state.Object{Key: w.Key}))
		}
	}
	owned.DropEmpty(j.Sinks)
}

// StateChange returns the part of a change that affects one sink. The objects
// of the files to write have no generations yet.
func (j *Job) StateChange(c Change, sink string) state.Change {
	out := state.Change{Partition: c.Partition}
	written := make(map[string]bool)
	for _, w := range c.Writes {
		switch {
		case w.Sink != sink:
		case w.Action == Delete:
			out.Obsolete = append(out.Obsolete, state.Object{Key: w.Key, Generation: w.Generation})
		default:
			written[w.Key] = true
		}
	}
	if len(c.Staged) == 0 {
		for _, o := range out.Obsolete {
			out.Next.Files = append(out.Next.Files, state.File{Object: state.Object{Key: o.Key}})
		}
		return out
	}
	intact := j.Found.Prior[sink].Intact(c.Partition)
	next := state.Partition{SchemaFingerprint: c.Staged[0].SchemaFingerprint, SourceSubset: c.SourceSubset}
	for i, key := range Keys(j.TableName, c.Partition, c.Staged) {
		s := c.Staged[i]
		f, _ := intact.File(key)
		if written[key] {
			f = state.File{Rows: s.Rows, Content: s.Content, Object: state.Object{Key: key, Size: s.Size, CRC32C: s.CRC32C}}
		}
		next.Rows, next.Content, next.Files = next.Rows+f.Rows, next.Content.Add(f.Content), append(next.Files, f)
		if next.Days == nil {
			next.Days = s.Days
		} else if s.Days != nil {
			next.Days = &state.Days{First: min(next.Days.First, s.Days.First), Last: max(next.Days.Last, s.Days.Last)}
		}
	}
	out.Next = next
	return out
}

// DropSuperseded marks the files of the former table obsolete, after a rewrite
// has published every row in the declared table.
func (j *Job) DropSuperseded(owned *state.Job) {
	deletions := make(map[string][]state.Change)
	for _, c := range j.Output.Changes {
		if c.Action != Delete {
			continue
		}
		for _, sink := range c.Sinks() {
			deletions[sink] = append(deletions[sink], j.StateChange(c, sink))
		}
	}
	owned.DropSuperseded(j.SchemaFingerprint, deletions)
}

// State returns the state's description of the quarantine after it is published
// as the object. A quarantine without events is a deletion.
func (q *Quarantine) State(object state.Object) *state.Quarantine {
	if q.Staged == nil {
		return &state.Quarantine{Object: object}
	}
	object.Size, object.CRC32C = q.Staged.Size, q.Staged.CRC32C
	return &state.Quarantine{Events: q.Staged.Rows, Content: q.Staged.Content, Object: object}
}
