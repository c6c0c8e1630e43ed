package plan

import (
	"cmp"
	"slices"
	"strings"

	"prospector/jobs/state"
)

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
