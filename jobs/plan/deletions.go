package plan

import (
	"maps"
	"slices"
)

// Destruction returns the changes that delete partitions from the sinks.
func Destruction(tableName string, sinks []string, prior map[string]*Refreshed, paths []string) []Change {
	outcomes := make([]Outcome, len(paths))
	for i, path := range paths {
		rows := int64(0)
		for _, sink := range sinks {
			rows = max(rows, prior[sink].Intact(path).Rows)
		}
		outcomes[i] = Outcome{Partition: path, Rows: Rows{Before: rows, Removed: rows}}
	}
	return Changes(tableName, sinks, prior, outcomes)
}

// DestroyQuarantine returns the change that deletes the quarantine from the sinks, or
// nil if no sink has it.
func DestroyQuarantine(tableName string, sinks []string, prior map[string]*Refreshed) *Quarantine {
	q := &Quarantine{}
	for _, sink := range sinks {
		w := Write{Sink: sink, Action: Delete, Key: QuarantineKey(tableName)}
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

// DeleteObsolete returns the writes that delete obsolete files, except for
// files that the job's changes replace.
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

// DeleteForeign returns the writes that delete the foreign objects.
func DeleteForeign(sinks []string, prior map[string]*Refreshed) (writes []Write) {
	for _, sink := range sinks {
		for _, key := range slices.Sorted(maps.Keys(prior[sink].Foreign)) {
			writes = append(writes, Write{Sink: sink, Action: Delete, Key: key, Generation: prior[sink].Foreign[key]})
		}
	}
	return writes
}
