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
	// Unfinished are changes of partitions that an interrupted apply meant to
	// make, and has not. Rows that were to leave such a partition may be in
	// another one already.
	Unfinished map[string]state.Partition `json:"unfinished,omitempty"`
	// Lost counts the rows of partitions whose objects are deleted or damaged.
	Lost map[string]int64 `json:"lost,omitempty"`
	// Foreign are objects below the table that the state does not know, with
	// their generations.
	Foreign map[string]string `json:"foreign,omitempty"`
	Drift   []Drift           `json:"drift,omitempty"`
	// Adopted counts what an interrupted apply had finished.
	Adopted int `json:"adopted,omitempty"`
}

// State is what the state says of the sink once it follows what was found. What
// an interrupted apply has not finished stays pending until a plan looks at it.
func (r *Refreshed) State() *state.Sink {
	s := r.Sink
	s.Partitions = maps.Clone(r.Partitions)
	maps.Copy(s.Partitions, r.Broken)
	s.Obsolete = maps.Clone(r.Obsolete)
	if len(r.Unfinished) > 0 {
		s.Pending = &state.Pending{Partitions: maps.Clone(r.Unfinished)}
	}
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
func Refresh(address, table string, prior *state.Sink, seen []Seen, sums map[string]Sum) *Refreshed {
	r := &refreshing{
		Refreshed: &Refreshed{
			Sink:       state.Sink{URI: prior.URI, Partitions: make(map[string]state.Partition)},
			Damaged:    make(map[string]string),
			Broken:     make(map[string]state.Partition),
			Unfinished: make(map[string]state.Partition),
			Lost:       make(map[string]int64),
			Foreign:    make(map[string]string),
		},
		address: address, table: table, prior: prior, at: make(map[string]Seen, len(seen)), sums: sums,
	}
	for _, s := range seen {
		r.at[s.Key] = s
	}
	if prior.Pending != nil {
		r.pending = *prior.Pending
	}
	r.partitions()
	r.quarantine()
	r.obsolete()
	r.foreign()
	slices.SortFunc(r.Drift, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Kind, b.Kind)) })
	return r.Refreshed
}

// refreshing is one Refresh.
type refreshing struct {
	*Refreshed
	address, table string
	prior          *state.Sink
	pending        state.Pending
	at             map[string]Seen // by key
	sums           map[string]Sum
}

func (r *refreshing) has(key string) bool { _, ok := r.at[key]; return ok }

// match tells whether the object seen at o's key is o, and brings its generation
// up to date: a copy of the same bytes is the same object.
func (r *refreshing) match(o *state.Object) bool {
	s, ok := r.at[o.Key]
	if !ok {
		return false
	}
	if o.Generation != s.Generation || o.Size != s.Size {
		sum, ok := r.sums[o.Key]
		if !ok || sum != (Sum{o.Size, o.CRC32C}) {
			return false
		}
	}
	o.Generation = s.Generation
	return true
}

// drifted notes that the object at a key of ours is not what it was, and reports
// whether there is one.
func (r *refreshing) drifted(key string) (damaged bool) {
	kind := Deleted
	s, damaged := r.at[key]
	if damaged {
		kind = Modified
		r.Damaged[key] = s.Generation
	}
	r.Drift = append(r.Drift, Drift{r.address, key, kind})
	return damaged
}

// adopt takes over what an interrupted apply had finished; a partition without
// rows is one that it had deleted.
func (r *refreshing) adopt(path string, p state.Partition) {
	if p.Rows > 0 {
		r.Partitions[path] = p
	}
	r.Adopted++
}

func (r *refreshing) partitions() {
	for path, p := range r.prior.Partitions {
		next, ok := r.pending.Partitions[path]
		if r.match(&p.Object) {
			r.Partitions[path] = p
			if ok && !next.Object.Same(p.Object) {
				r.Unfinished[path] = next
			}
			continue
		}
		updated := ok && next.Rows > 0 && r.match(&next.Object)
		deleted := ok && next.Rows == 0 && !r.has(p.Object.Key)
		if updated || deleted {
			r.adopt(path, next)
			continue
		}
		r.Lost[path] = p.Rows
		if r.drifted(p.Object.Key) {
			r.Broken[path] = p
		}
	}
	for path, next := range r.pending.Partitions {
		if _, published := r.prior.Partitions[path]; published {
			continue
		}
		if next.Rows > 0 && r.match(&next.Object) {
			r.adopt(path, next)
		} else if r.has(next.Object.Key) && r.drifted(next.Object.Key) && next.Rows > 0 {
			r.Broken[path] = next
		}
	}
}

func (r *refreshing) quarantine() {
	keep := func(q *state.Quarantine) bool {
		if q == nil || q.Events == 0 {
			return false
		}
		kept := *q
		if !r.match(&kept.Object) {
			return false
		}
		r.Quarantine = &kept
		return true
	}
	switch key, q, next := QuarantineKey(r.table), r.prior.Quarantine, r.pending.Quarantine; {
	case keep(q):
	case keep(next):
		r.Adopted++
	case r.has(key):
		r.drifted(key) // also one that the state does not know: the key is ours
	case q != nil && next != nil && next.Events == 0:
		r.Adopted++
	case q != nil:
		r.drifted(key)
	}
}

func (r *refreshing) obsolete() {
	for key, o := range r.prior.Obsolete {
		if !r.has(key) {
			continue
		}
		if !r.match(&o) {
			r.drifted(key)
			o.Generation = r.at[key].Generation
		}
		if r.Obsolete == nil {
			r.Obsolete = make(map[string]state.Object)
		}
		r.Obsolete[key] = o
	}
}

func (r *refreshing) foreign() {
	owned := objects(r.prior)
	for key, s := range r.at {
		if _, ok := owned[key]; !ok && strings.HasPrefix(key, TablePrefix(r.table)) {
			r.Foreign[key] = s.Generation
			r.Drift = append(r.Drift, Drift{r.address, key, Foreign})
		}
	}
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
