package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"prospector/jobs/state"
)

// Seen is an object as a sink lists it.
type Seen struct {
	Key        string
	Size       int64
	Generation string
}

// Sum is the checksum of an object that was read for it.
type Sum struct {
	Size   int64
	CRC32C uint32
}

// Drift is a difference between the state and a sink that prospector did not make.
type Drift struct {
	Sink string    `json:"sink"`
	Key  string    `json:"key"`
	Kind DriftKind `json:"kind"`
}

// DriftKind says how an object differs.
type DriftKind string

// The kinds of drift. Deleted and modified objects are repaired; a foreign one
// is only reported.
const (
	Deleted  DriftKind = "deleted"
	Modified DriftKind = "modified"
	Foreign  DriftKind = "foreign"
)

// Refreshed is what a sink really holds of what a job owns there.
type Refreshed struct {
	// Sink is the prior state without what has drifted, and with what an
	// interrupted apply had finished. It has no Pending.
	state.Sink
	// Damaged are modified objects, with their generations: they are replaced.
	Damaged map[string]string `json:"damaged,omitempty"`
	// Broken are the partitions of damaged objects, as the state had them.
	// They stay in the state until a change takes their place, lest the
	// object be taken for somebody else's.
	Broken map[string]state.Partition `json:"broken,omitempty"`
	// Foreign are objects below the table that the state does not know, with
	// their generations.
	Foreign map[string]string `json:"foreign,omitempty"`
	Drift   []Drift           `json:"drift,omitempty"`
	// Adopted counts what an interrupted apply had finished.
	Adopted int `json:"adopted,omitempty"`
}

// State is what the state says of the sink once it follows what was found.
func (r *Refreshed) State() *state.Sink {
	s := r.Sink
	s.Partitions = maps.Clone(r.Partitions)
	maps.Copy(s.Partitions, r.Broken)
	return &s
}

// Suspects are the seen objects that size and generation do not prove to be what
// the state says: they must be read for their checksums.
func Suspects(sink *state.Sink, seen []Seen) (keys []string) {
	known := objects(sink)
	for _, s := range seen {
		if k, ok := known[s.Key]; ok && (k.published == nil || k.published.Generation != s.Generation || k.published.Size != s.Size) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// known is what the state tells of one key.
type known struct {
	published, pending *state.Object
}

func objects(sink *state.Sink) map[string]known {
	all := make(map[string]known)
	add := func(o *state.Object, pending bool) {
		k := all[o.Key]
		if pending {
			k.pending = o
		} else {
			k.published = o
		}
		all[o.Key] = k
	}
	for _, p := range sink.Partitions {
		add(&p.Object, false)
	}
	if q := sink.Quarantine; q != nil {
		add(&q.Object, false)
	}
	for _, o := range sink.Obsolete {
		add(&o, false)
	}
	if sink.Pending != nil {
		for _, p := range sink.Pending.Partitions {
			add(&p.Object, true)
		}
		if q := sink.Pending.Quarantine; q != nil {
			add(&q.Object, true)
		}
	}
	return all
}

// Refresh compares a sink's state with what the sink was seen to hold, under the
// table's prefix and at the quarantine's key. sums has the checksum of every
// suspect that could be read.
func Refresh(address, job string, prior *state.Sink, seen []Seen, sums map[string]Sum) *Refreshed {
	r := &Refreshed{
		Sink:    state.Sink{URI: prior.URI, Partitions: make(map[string]state.Partition)},
		Damaged: make(map[string]string),
		Broken:  make(map[string]state.Partition),
		Foreign: make(map[string]string),
	}
	at := make(map[string]Seen, len(seen))
	for _, s := range seen {
		at[s.Key] = s
	}
	// match tells whether the object seen at o's key is o, and brings its
	// generation up to date: a copy of the same bytes is the same object.
	match := func(o *state.Object) bool {
		s, ok := at[o.Key]
		if !ok {
			return false
		}
		if o.Generation != s.Generation || o.Size != s.Size {
			sum, ok := sums[o.Key]
			if !ok || sum != (Sum{o.Size, o.CRC32C}) {
				return false
			}
		}
		o.Generation = s.Generation
		return true
	}
	drifted := func(key string) (damaged bool) {
		kind := Deleted
		s, damaged := at[key]
		if damaged {
			kind = Modified
			r.Damaged[key] = s.Generation
		}
		r.Drift = append(r.Drift, Drift{address, key, kind})
		return damaged
	}

	var pending state.Pending
	if prior.Pending != nil {
		pending = *prior.Pending
	}
	for path, p := range prior.Partitions {
		if match(&p.Object) {
			r.Partitions[path] = p
			continue
		}
		next, ok := pending.Partitions[path]
		updated := ok && next.Rows > 0 && match(&next.Object)
		deleted := ok && next.Rows == 0 && !has(at, p.Object.Key)
		if updated || deleted {
			r.adopt(path, next)
		} else if drifted(p.Object.Key) {
			r.Broken[path] = p
		}
	}
	for path, next := range pending.Partitions {
		if _, published := prior.Partitions[path]; published {
			continue
		}
		if next.Rows > 0 && match(&next.Object) {
			r.adopt(path, next)
		} else if has(at, next.Object.Key) && drifted(next.Object.Key) && next.Rows > 0 {
			r.Broken[path] = next
		}
	}
	keep := func(q *state.Quarantine) bool {
		if q == nil || q.Events == 0 {
			return false
		}
		kept := *q
		if !match(&kept.Object) {
			return false
		}
		r.Quarantine = &kept
		return true
	}
	switch key, q, next := QuarantineKey(job), prior.Quarantine, pending.Quarantine; {
	case keep(q):
	case keep(next):
		r.Adopted++
	case has(at, key):
		drifted(key) // also one that the state does not know: the key is ours
	case q != nil && next != nil && next.Events == 0:
		r.Adopted++
	case q != nil:
		drifted(key)
	}

	for key, o := range prior.Obsolete {
		if !has(at, key) {
			continue
		}
		if !match(&o) {
			drifted(key)
			o.Generation = at[key].Generation
		}
		if r.Obsolete == nil {
			r.Obsolete = make(map[string]state.Object)
		}
		r.Obsolete[key] = o
	}

	owned := objects(prior)
	for _, s := range seen {
		if _, ok := owned[s.Key]; !ok && strings.HasPrefix(s.Key, TablePrefix(job)) {
			r.Foreign[s.Key] = s.Generation
			r.Drift = append(r.Drift, Drift{address, s.Key, Foreign})
		}
	}
	slices.SortFunc(r.Drift, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Kind, b.Kind)) })
	return r
}

// Outdated are the objects that are not what they were when the job was planned,
// as far as the plan depends on them: those that prospector owns, and foreign
// ones that stand where it would write or delete.
func (j *Job) Outdated(now map[string]*Refreshed) (changed []Drift) {
	writes := j.Writes()
	for _, sink := range j.Sinks {
		before, after := j.Prior[sink].generations(), now[sink].generations()
		differ := func(key string, before, after holding) {
			if before == after || (before.foreign || after.foreign) && !writes[At{sink, key}] {
				return
			}
			kind := Modified
			if after.generation == "" {
				kind = Deleted
			}
			changed = append(changed, Drift{sink, key, kind})
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

// holding is what a sink was found to have at a key.
type holding struct {
	generation string
	foreign    bool
}

func (r *Refreshed) generations() map[string]holding {
	all := make(map[string]holding)
	if r == nil {
		return all
	}
	for _, p := range r.Partitions {
		all[p.Object.Key] = holding{generation: p.Object.Generation}
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

// adopt takes over what an interrupted apply had finished; a partition without
// rows is one that it had deleted.
func (r *Refreshed) adopt(path string, p state.Partition) {
	if p.Rows > 0 {
		r.Partitions[path] = p
	}
	r.Adopted++
}

func has(at map[string]Seen, key string) bool { _, ok := at[key]; return ok }

// InTheWay are the foreign objects at keys that the changes would create. They
// are neither ours nor worthless for sure, so they are not overwritten.
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
