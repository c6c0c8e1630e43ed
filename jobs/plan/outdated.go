package plan

import (
	"cmp"
	"maps"
	"slices"
)

// Outdated returns the objects that have changed since the job was planned. It
// considers only objects that the plan depends on: those that prospector owns,
// and foreign objects at keys that the plan writes or deletes.
func (j *Job) Outdated(now map[string]*Refreshed) (changed []Drift) {
	writes := j.Writes()
	for _, sink := range j.Sinks {
		before, after := j.Found.Prior[sink].generations(), now[sink].generations()
		differ := func(key string, before, after holding) {
			if before == after || (before.foreign || after.foreign) && !writes[At{sink, key}] {
				return
			}
			kind := Modified
			if after.generation == "" {
				kind = Deleted
			}
			changed = append(changed, Drift{Sink: sink, Key: key, Kind: kind})
		}
		for key, b := range before {
			differ(key, b, after[key])
		}
		for key, a := range after {
			if _, both := before[key]; !both {
				differ(key, holding{}, a)
			}
		}
	}
	slices.SortFunc(changed, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Sink, b.Sink), cmp.Compare(a.Key, b.Key)) })
	return changed
}

// holding is the object that a sink has at a key.
type holding struct {
	generation string
	foreign    bool
}

// generations returns the objects of the sink, by key.
func (r *Refreshed) generations() map[string]holding {
	all := make(map[string]holding)
	if r == nil {
		return all
	}
	for _, p := range slices.Concat(slices.Collect(maps.Values(r.Partitions)), slices.Collect(maps.Values(r.Broken))) {
		for _, f := range p.Files {
			all[f.Key] = holding{generation: f.Generation}
		}
	}
	if q := r.Quarantine; q != nil {
		all[q.Object.Key] = holding{generation: q.Object.Generation}
	}
	for key, o := range r.Obsolete {
		all[key] = holding{generation: o.Generation}
	}
	for key, generation := range r.Damaged {
		all[key] = holding{generation: generation}
	}
	for key, generation := range r.Foreign {
		all[key] = holding{generation, true}
	}
	return all
}

// InTheWay returns the foreign objects at keys that the changes would create.
// They are never overwritten, because another program may need them.
func InTheWay(changes []Change, drift []Drift) (keys []Drift) {
	foreign := make(map[[2]string]Drift)
	for _, d := range drift {
		if d.Kind == Foreign {
			foreign[[2]string{d.Sink, d.Key}] = d
		}
	}
	for _, c := range changes {
		for _, w := range c.Writes {
			if d, ok := foreign[[2]string{w.Sink, w.Key}]; ok && w.Action == Create {
				keys = append(keys, d)
			}
		}
	}
	return keys
}
