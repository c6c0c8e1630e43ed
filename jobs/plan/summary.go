package plan

// Summary counts a plan's changes.
type Summary struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Destroy int `json:"destroy"`
}

// Empty reports whether nothing changes.
func (s Summary) Empty() bool { return s == Summary{} }

// Summary counts the changed partitions and quarantines, and the deleted
// obsolete and foreign objects. A replaced partition counts as one destroyed
// and one added.
func (p *Plan) Summary() (s Summary) {
	for _, j := range p.Jobs {
		of := j.Summary()
		s.Add, s.Change, s.Destroy = s.Add+of.Add, s.Change+of.Change, s.Destroy+of.Destroy
	}
	return s
}

// Summary counts the changes of one job.
func (j *Job) Summary() (s Summary) {
	for _, c := range j.Output.Changes {
		s.Count(c.Action)
	}
	if j.Output.Quarantine != nil {
		s.Count(j.Output.Quarantine.Action())
	}
	s.Destroy += len(j.Output.Foreign) + len(j.Output.Obsolete)
	return s
}

// Count adds one change.
func (s *Summary) Count(a Action) {
	switch a {
	case Create:
		s.Add++
	case Update:
		s.Change++
	case Replace:
		s.Add++
		s.Destroy++
	case Delete:
		s.Destroy++
	}
}
