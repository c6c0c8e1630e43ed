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
	// Held counts the rows, or quarantined events, that the state says the object
	// had, and Recovered those that could still be read from it. Refresh leaves
	// both to its caller.
	Held      int64 `json:"held,omitempty"`
	Recovered int64 `json:"recovered,omitempty"`
	// Proven says that the recovered rows are those that were written.
	Proven bool `json:"proven,omitempty"`
	// KeptAs is the key of the copy that apply makes of a damaged object.
	KeptAs string `json:"kept_as,omitempty"`
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
	// Broken are the partitions of which files are deleted or damaged, with those
	// that are still there. They stay in the state until a change takes their
	// place, lest a damaged one be taken for somebody else's.
	Broken map[string]state.Partition `json:"broken,omitempty"`
	// Unfinished are changes of partitions that an interrupted apply meant to
	// make, and has not. Rows that were to leave such a partition may be in
	// another one already.
	Unfinished map[string]state.Partition `json:"unfinished,omitempty"`
	// Lost counts the rows of files that are deleted or damaged, by partition.
	Lost map[string]int64 `json:"lost,omitempty"`
	// BrokenQuarantine is what the state says of a quarantine that is deleted or
	// damaged. A damaged one stays in the state until it is replaced.
	BrokenQuarantine *state.Quarantine `json:"broken_quarantine,omitempty"`
	// Foreign are objects below the table that the state does not know, with
	// their generations.
	Foreign map[string]string `json:"foreign,omitempty"`
	Drift   []Drift           `json:"drift,omitempty"`
	// Adopted counts what an interrupted apply had finished.
	Adopted int `json:"adopted,omitempty"`
}

// Intact returns the part of a partition that is unchanged in the sink: all of it,
// or the files that were neither deleted nor damaged, which may be none.
func (r *Refreshed) Intact(path string) state.Partition {
	if p, whole := r.Partitions[path]; whole {
		return p
	}
	return r.Broken[path].Only(func(f state.File) bool { return r.Damaged[f.Key] == "" })
}

// State is what the state says of the sink once it follows what was found. What
// an interrupted apply has not finished stays pending until a plan looks at it.
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

// NeedChecksum returns the keys of the objects that must be read, since their size
// and generation do not prove that they are what the state says.
func NeedChecksum(sink *state.Sink, seen []Seen) (keys []string) {
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
		for i := range p.Files {
			add(&p.Files[i].Object, false)
		}
	}
	if q := sink.Quarantine; q != nil {
		add(&q.Object, false)
	}
	for _, o := range sink.Obsolete {
		add(&o, false)
	}
	if sink.Pending != nil {
		for _, p := range sink.Pending.Partitions {
			for i := range p.Files {
				add(&p.Files[i].Object, true)
			}
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
	r.Drift = append(r.Drift, Drift{Sink: r.address, Key: key, Kind: kind})
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
	paths := maps.Clone(r.prior.Partitions)
	if paths == nil {
		paths = make(map[string]state.Partition)
	}
	maps.Copy(paths, r.pending.Partitions)
	for path := range paths {
		p, published := r.prior.Partitions[path]
		next, pending := r.pending.Partitions[path]
		switch {
		case !published:
			r.created(path, next)
		case !pending || alike(p, next):
			r.published(path, p, next)
		case whole(next.Only(func(f state.File) bool { return inBoth(f, next, p) }), next) || next.Rows == 0:
			r.shrunk(path, p, next)
		default:
			r.updated(path, p, next)
		}
	}
}

// published looks at a partition of which nothing was pending, or the same rows.
func (r *refreshing) published(path string, p, twin state.Partition) {
	if now := r.sound(p, twin); whole(now, p) {
		r.Partitions[path] = now
	} else {
		r.broken(path, p, twin)
	}
}

// updated looks at a partition whose files others were to replace. The new ones
// are written first and the old ones deleted last. So it is the new one once all
// of its files are there, and until then the old one; the other files are what
// is left over.
func (r *refreshing) updated(path string, p, next state.Partition) {
	now, then := r.sound(p, next), r.sound(next, p)
	switch {
	case whole(then, next):
		r.adopt(path, then)
		r.leftover(p, next)
		return
	case whole(now, p):
		r.Partitions[path] = now
	default:
		r.broken(path, p, next)
	}
	r.leftover(next, p)
	if len(now.Files) > 0 {
		r.Unfinished[path] = next
	}
}

// shrunk looks at a partition of which files, or all, were only to go. Whether that
// was begun cannot be told, and what is in them may be on its way elsewhere: so
// those that are there still count, until they are all gone.
func (r *refreshing) shrunk(path string, p, next state.Partition) {
	there := p.Only(func(f state.File) bool { return r.has(f.Key) || inBoth(f, p, next) })
	now := r.sound(there, next)
	switch {
	case len(now.Files) == len(there.Files) && now.Rows == next.Rows:
		r.adopt(path, r.sound(next, p))
		return
	case whole(now, there):
		r.Partitions[path] = now
	default:
		r.broken(path, there, next)
	}
	if len(now.Files) > 0 {
		r.Unfinished[path] = next
	}
}

// created looks at a partition that was to be new.
func (r *refreshing) created(path string, next state.Partition) {
	var then state.Partition // of a deletion, nothing
	if next.Rows > 0 {
		if then = r.sound(next, then); whole(then, next) {
			r.adopt(path, then)
			return
		}
	}
	strange := next.Only(func(f state.File) bool {
		_, obsolete := r.prior.Obsolete[f.Key]
		_, sound := then.File(f.Key)
		return r.has(f.Key) && !sound && !obsolete
	})
	for _, f := range strange.Files {
		r.drifted(f.Key)
	}
	if len(strange.Files) > 0 && next.Rows > 0 {
		r.Broken[path] = strange
	}
	r.leftover(then, strange)
}

// broken notes what somebody else has deleted or damaged of a partition.
func (r *refreshing) broken(path string, p, twin state.Partition) {
	now := r.sound(p, twin)
	left := p
	left.Files = nil
	for _, f := range p.Files {
		if sound, ok := now.File(f.Key); ok {
			left.Files = append(left.Files, sound)
			continue
		}
		r.Lost[path] += f.Rows
		if r.drifted(f.Key) {
			left.Files = append(left.Files, f)
		}
	}
	if left = left.Only(func(state.File) bool { return true }); len(left.Files) > 0 {
		r.Broken[path] = left
	}
}

// leftover notes those files of a partition that are in neither the other one
// nor any that counts.
func (r *refreshing) leftover(p, other state.Partition) {
	for _, f := range p.Files {
		if _, counts := other.File(f.Key); counts || !r.has(f.Key) {
			continue
		}
		// One that was left over before may not have been written anew yet.
		if _, before := r.prior.Obsolete[f.Key]; !before || r.match(&f.Object) {
			r.wait(f.Object)
		}
	}
}

// wait notes that an object that is there waits to be deleted.
func (r *refreshing) wait(o state.Object) {
	if !r.match(&o) {
		r.drifted(o.Key)
		o.Generation = r.at[o.Key].Generation
	}
	if r.Obsolete == nil {
		r.Obsolete = make(map[string]state.Object)
	}
	r.Obsolete[o.Key] = o
}

// sound is the partition with those files that are as they were, their generations
// brought up to date. One that the twin has too, with the same rows, may have been
// written anew.
func (r *refreshing) sound(p, twin state.Partition) state.Partition {
	out := p
	out.Files = nil
	for _, f := range p.Files {
		ok := r.match(&f.Object)
		if !ok && inBoth(f, p, twin) {
			f, _ = twin.File(f.Key)
			ok = r.match(&f.Object)
		}
		if ok {
			out.Files = append(out.Files, f)
		}
	}
	return out.Only(func(state.File) bool { return true })
}

// inBoth reports whether the other partition has the file too, with the same rows.
func inBoth(f state.File, of, other state.Partition) bool {
	g, ok := other.File(f.Key)
	return ok && f.Rows == g.Rows && f.Content == g.Content && of.SchemaFingerprint == other.SchemaFingerprint
}

// whole reports whether a partition has all files of the other.
func whole(part, p state.Partition) bool {
	return len(part.Files) == len(p.Files) && !p.Incomplete
}

// alike reports whether two partitions have the same rows in the same files.
func alike(a, b state.Partition) bool {
	return a.SchemaFingerprint == b.SchemaFingerprint && a.Incomplete == b.Incomplete && slices.EqualFunc(a.Files, b.Files, func(f, g state.File) bool {
		return f.Key == g.Key && f.Rows == g.Rows && f.Content == g.Content
	})
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
		if q == nil || q.Events == 0 {
			q = next
		}
		if q != nil && q.Events > 0 {
			r.BrokenQuarantine = q
		}
	case q != nil && next != nil && next.Events == 0:
		r.Adopted++
	case q != nil:
		r.drifted(key)
		r.BrokenQuarantine = q
	}
}

func (r *refreshing) obsolete() {
	counts := make(map[string]bool) // an interrupted apply has made it part of the table again
	for _, p := range r.Partitions {
		for _, f := range p.Files {
			counts[f.Key] = true
		}
	}
	for key, o := range r.prior.Obsolete {
		if _, told := r.Obsolete[key]; !told && !counts[key] && r.has(key) {
			r.wait(o)
		}
	}
}

func (r *refreshing) foreign() {
	owned := objects(r.prior)
	for key, s := range r.at {
		if _, ok := owned[key]; !ok && strings.HasPrefix(key, TablePrefix(r.table)) {
			r.Foreign[key] = s.Generation
			r.Drift = append(r.Drift, Drift{Sink: r.address, Key: key, Kind: Foreign})
		}
	}
}

// Outdated are the objects that are not what they were when the job was planned,
// as far as the plan depends on them: those that prospector owns, and foreign
// ones that stand where it would write or delete.
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
