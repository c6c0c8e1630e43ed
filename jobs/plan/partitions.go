package plan

import (
	"maps"
	"slices"

	"prospector/jobs/state"
)

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
