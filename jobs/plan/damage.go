package plan

// Damaged returns the damaged objects of the table that the job's changes replace or
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

// Unrestored counts the rows of deleted and damaged files that no sink has any
// longer and the plan does not restore.
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
// that no sink has any longer and the plan does not restore.
func (j *Job) UnrestoredEvents() (events int64) {
	for _, sink := range j.Sinks {
		found := j.Found.Prior[sink]
		if found.Quarantine != nil || j.Output.Quarantine == nil && found.Damaged[QuarantineKey(j.TableName)] != "" {
			return 0 // it is intact, or not replaced yet
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
