package plan

import (
	"maps"
	"slices"

	"prospector/jobs/state"
)

// partitions compares the published and the pending partitions.
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
		case !pending || sameFiles(p, next):
			r.published(path, p, next)
		case hasAll(next.Only(func(f state.File) bool { return inBoth(f, next, p) }), next) || next.Rows == 0:
			r.shrunk(path, p, next)
		default:
			r.updated(path, p, next)
		}
	}
}

// published compares a partition without a pending change, or with a pending
// change that has the same rows.
func (r *refreshing) published(path string, p, twin state.Partition) {
	if now := r.intact(p, twin); hasAll(now, p) {
		r.Partitions[path] = now
	} else {
		r.broken(path, p, twin)
	}
}

// updated compares a partition with pending files that replace the published
// ones. Apply writes new files first and deletes old files last. So the old
// partition is current until all new files exist. Then the new partition is
// current. Files that belong only to the other one are obsolete.
func (r *refreshing) updated(path string, p, next state.Partition) {
	now, then := r.intact(p, next), r.intact(next, p)
	switch {
	case hasAll(then, next):
		r.adopt(path, then)
		r.addObsoleteFiles(p, next)
		return
	case hasAll(now, p):
		r.Partitions[path] = now
	default:
		r.broken(path, p, next)
	}
	r.addObsoleteFiles(next, p)
	if len(now.Files) > 0 {
		r.Unfinished[path] = next
	}
}

// shrunk compares a partition with a pending change that only deletes files. It
// is unknown whether the apply has started to delete, and the rows may move to
// another partition. So the files that exist are current until all of them are
// deleted.
func (r *refreshing) shrunk(path string, p, next state.Partition) {
	there := p.Only(func(f state.File) bool { return r.exists(f.Key) || inBoth(f, p, next) })
	now := r.intact(there, next)
	switch {
	case len(now.Files) == len(there.Files) && now.Rows == next.Rows:
		r.adopt(path, r.intact(next, p))
		return
	case hasAll(now, there):
		r.Partitions[path] = now
	default:
		r.broken(path, there, next)
	}
	if len(now.Files) > 0 {
		r.Unfinished[path] = next
	}
}

// created compares a pending partition that was not published before.
func (r *refreshing) created(path string, next state.Partition) {
	var then state.Partition // empty for a deletion
	if next.Rows > 0 {
		if then = r.intact(next, then); hasAll(then, next) {
			r.adopt(path, then)
			return
		}
	}
	unexpected := next.Only(func(f state.File) bool {
		_, obsolete := r.prior.Obsolete[f.Key]
		_, intact := then.File(f.Key)
		return r.exists(f.Key) && !intact && !obsolete
	})
	for _, f := range unexpected.Files {
		r.addDrift(f.Key)
	}
	if len(unexpected.Files) > 0 && next.Rows > 0 {
		r.Broken[path] = unexpected
	}
	r.addObsoleteFiles(then, unexpected)
}

// broken records the files of a partition that were deleted or damaged.
func (r *refreshing) broken(path string, p, twin state.Partition) {
	now := r.intact(p, twin)
	left := p
	left.Files = nil
	for _, f := range p.Files {
		if intact, ok := now.File(f.Key); ok {
			left.Files = append(left.Files, intact)
			continue
		}
		r.Lost[path] += f.Rows
		if r.addDrift(f.Key) {
			left.Files = append(left.Files, f)
		}
	}
	if left = left.Only(func(state.File) bool { return true }); len(left.Files) > 0 {
		r.Broken[path] = left
	}
}

// addObsoleteFiles records the existing files of a partition that are not files
// of the current partition.
func (r *refreshing) addObsoleteFiles(p, current state.Partition) {
	for _, f := range p.Files {
		if _, keep := current.File(f.Key); keep || !r.exists(f.Key) {
			continue
		}
		// At the key of a formerly obsolete file, the new file may not be
		// written yet.
		if _, before := r.prior.Obsolete[f.Key]; !before || r.match(&f.Object) {
			r.addObsolete(f.Object)
		}
	}
}

// addObsolete records that an object must be deleted.
func (r *refreshing) addObsolete(o state.Object) {
	if !r.match(&o) {
		r.addDrift(o.Key)
		o.Generation = r.at[o.Key].Generation
	}
	if r.Obsolete == nil {
		r.Obsolete = make(map[string]state.Object)
	}
	r.Obsolete[o.Key] = o
}

// intact returns the partition reduced to its unchanged files, with updated
// generations. If the twin has a file with the same key and rows, that file
// also counts as unchanged.
func (r *refreshing) intact(p, twin state.Partition) state.Partition {
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

// inBoth reports whether another partition has the same file with the same rows.
func inBoth(f state.File, of, other state.Partition) bool {
	g, ok := other.File(f.Key)
	return ok && f.Rows == g.Rows && f.Content == g.Content && of.SchemaFingerprint == other.SchemaFingerprint
}

// hasAll reports whether part has all files of the partition.
func hasAll(part, p state.Partition) bool {
	return len(part.Files) == len(p.Files) && !p.Incomplete
}

// sameFiles reports whether two partitions have the same rows in the same files.
func sameFiles(a, b state.Partition) bool {
	return a.SchemaFingerprint == b.SchemaFingerprint && a.Incomplete == b.Incomplete && slices.EqualFunc(a.Files, b.Files, func(f, g state.File) bool {
		return f.Key == g.Key && f.Rows == g.Rows && f.Content == g.Content
	})
}
