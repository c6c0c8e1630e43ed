package plan

import (
	"cmp"
	"slices"
	"strings"

	"prospector/jobs/state"
)

// NeedChecksum returns the keys of the objects that must be read, because their
// size and generation do not prove that they match the state.
func NeedChecksum(sink *state.Sink, seen []Seen) (keys []string) {
	known := objects(sink)
	for _, s := range seen {
		if k, ok := known[s.Key]; ok && (k.published == nil || k.published.Generation != s.Generation || k.published.Size != s.Size) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// known are the objects that the state has for one key.
type known struct {
	published, pending *state.Object
}

// objects returns the objects of a sink's state, by key.
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

// Refresh compares the state of a sink with its objects: those under the
// table's prefix, and the quarantine. sums has the checksums of those objects
// that NeedChecksum returned and that could be read.
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

// refreshing is the work in progress of a Refresh.
type refreshing struct {
	*Refreshed
	address, table string
	prior          *state.Sink
	pending        state.Pending
	at             map[string]Seen // by key
	sums           map[string]Sum
}

// exists reports whether the sink has an object with the key.
func (r *refreshing) exists(key string) bool { _, ok := r.at[key]; return ok }

// match reports whether the sink has the object o at its key, and updates the
// generation of o. An object with the same bytes and another generation
// matches.
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

// addDrift records that the object of a known key was deleted or modified. It reports
// whether the object still exists.
func (r *refreshing) addDrift(key string) (damaged bool) {
	kind := Deleted
	s, damaged := r.at[key]
	if damaged {
		kind = Modified
		r.Damaged[key] = s.Generation
	}
	r.Drift = append(r.Drift, Drift{Sink: r.address, Key: key, Kind: kind})
	return damaged
}

// adopt records a change that an interrupted apply had completed. A partition
// without rows was deleted.
func (r *refreshing) adopt(path string, p state.Partition) {
	if p.Rows > 0 {
		r.Partitions[path] = p
	}
	r.Adopted++
}

// quarantine compares the quarantine. Its key belongs to prospector, so an
// unknown object there counts as modified.
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
	case r.exists(key):
		r.addDrift(key)
		if q == nil || q.Events == 0 {
			q = next
		}
		if q != nil && q.Events > 0 {
			r.BrokenQuarantine = q
		}
	case q != nil && next != nil && next.Events == 0:
		r.Adopted++
	case q != nil:
		r.addDrift(key)
		r.BrokenQuarantine = q
	}
}

// obsolete keeps the obsolete files, except for those that an interrupted apply
// has made current again.
func (r *refreshing) obsolete() {
	current := make(map[string]bool)
	for _, p := range r.Partitions {
		for _, f := range p.Files {
			current[f.Key] = true
		}
	}
	for key, o := range r.prior.Obsolete {
		if _, added := r.Obsolete[key]; !added && !current[key] && r.exists(key) {
			r.addObsolete(o)
		}
	}
}

// foreign records the objects in the table that are not in the state.
func (r *refreshing) foreign() {
	owned := objects(r.prior)
	for key, s := range r.at {
		if _, ok := owned[key]; !ok && strings.HasPrefix(key, TablePrefix(r.table)) {
			r.Foreign[key] = s.Generation
			r.Drift = append(r.Drift, Drift{Sink: r.address, Key: key, Kind: Foreign})
		}
	}
}
