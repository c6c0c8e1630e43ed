package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"prospector/internal/spill"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/schemas/records"
)

// missingRows collects the published rows that no new row of their partition
// replaces. Such a row stays, unless its event has moved to another partition or it
// leaves the table.
type missingRows struct {
	mu sync.Mutex
	// rows are keyed by ID and partition. The value is rowLeaves if the row leaves
	// the table, else empty.
	rows        *spill.Map
	count       int64
	filter      idFilter // of the IDs
	filterBytes int64
}

var rowLeaves = []byte{1}

func newMissingRows(ids *idMemory, memory Memory) *missingRows {
	return &missingRows{rows: ids.newLimitedMap(memory.missingIDs()), filterBytes: memory.filterBytes()}
}

// add adds rows of a partition.
func (m *missingRows) add(partition int, ids []id, leaves []bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.filter == nil {
		m.filter = newIDFilter(m.filterBytes)
	}
	for row, i := range ids {
		m.filter.add(i)
		var value []byte
		if leaves[row] {
			value = rowLeaves
		}
		if _, err := m.rows.Put(i.numberedKey(partition), value); err != nil {
			return err
		}
	}
	m.count += int64(len(ids))
	return nil
}

// moveFinder finds the published rows whose events are in another partition now,
// because their time or type has changed, and the rows that leave the table.
type moveFinder struct {
	table      schemas.Table
	partitions []*partitionDiff
	newRows    func(*partitionDiff) records.Rows
	ids        *idMemory
	memory     Memory
	dir        string
	missing    *missingRows
	// moves are the IDs of the moved rows, by partition and kind. links are the pairs
	// of partitions between which events have moved.
	moves idList
	links map[plan.Link]bool
}

// find looks for the missing rows in all partitions, after these were compared.
//
// After an interrupted apply, an event may be published in two partitions. The one
// that it was about to leave is marked unfinished. All partitions were compared in
// this case, so both rows are among the missing ones unless a new row replaces them.
func (f *moveFinder) find() (err error) {
	if f.missing.count == 0 {
		return nil
	}
	interrupted := wasInterrupted(f.partitions)
	places, moves := f.ids.newLimitedMap(f.memory.placeIDs()), f.ids.newLimitedMap(f.memory.placeIDs())
	defer closeMaps(&err, places, moves)
	if err := f.findPlaces(places, interrupted); err != nil {
		return err
	}
	return f.join(places, moves, interrupted)
}

// findPlaces puts the IDs of new rows that may be missing in another partition into
// a map, keyed by ID and partition.
func (f *moveFinder) findPlaces(places *spill.Map, interrupted bool) error {
	for _, p := range f.partitions {
		if p.diff.added == 0 && !interrupted {
			continue
		}
		for i, err := range idsOf(f.table, f.newRows(p), p.staged.Rows).all {
			if err == nil && f.missing.filter.mayHave(i) {
				_, err = places.Put(i.numberedKey(p.number), nil)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// join finds the moves of missing rows to places.
func (f *moveFinder) join(places, moves *spill.Map, interrupted bool) error {
	f.links = make(map[plan.Link]bool)
	err := joinByID(places.All(), f.missing.rows.All(), func(now, missing []spill.Entry) error {
		if len(missing) == 0 {
			return nil
		}
		to := -1
		if len(now) > 0 {
			to = keyNumber(now[len(now)-1].Key)
		} else if interrupted && len(missing) > 1 {
			to = f.placeDuplicate(missing)
		}
		return f.move(moves, to, missing)
	})
	if err != nil {
		return err
	}
	return f.listMoves(moves)
}

// placeDuplicate returns the partition that keeps an event that several partitions
// have and the source did not return. It prefers a partition whose apply finished to
// one that the event was about to leave.
func (f *moveFinder) placeDuplicate(missing []spill.Entry) int {
	for _, m := range missing {
		if number := keyNumber(m.Key); !f.partitions[number].unfinished {
			return number
		}
	}
	return keyNumber(missing[0].Key)
}

// The kinds of moves, in their order in a partitionMoves.
const (
	movedOut  = iota // the row is in another partition now
	movedAway        // the row leaves the table
	movedIn          // a row of another partition is in this one now
	moveKinds
)

// move adds the moves of an event's missing rows to moves, which is keyed by
// partition, kind and ID. The event is now in the partition to, or in none if to is
// negative.
func (f *moveFinder) move(moves *spill.Map, to int, missing []spill.Entry) (err error) {
	put := func(partition, kind int, i id) {
		if err == nil {
			_, err = moves.Put(moveKey(partition, kind, i), nil)
		}
	}
	for _, m := range missing {
		from, i := keyNumber(m.Key), parseID(m.Key)
		switch {
		case to >= 0 && to != from:
			put(from, movedOut, i)
			put(to, movedIn, i)
			f.links[plan.Link{From: f.partitions[from].path, To: f.partitions[to].path}] = true
		case len(m.Value) > 0:
			put(from, movedAway, i)
		}
	}
	return err
}

// moveKey returns the key of a move. The keys of one partition and kind are
// consecutive.
func moveKey(partition, kind int, i id) string {
	group := uint64(partition*moveKinds + kind)
	return string(i.appendKey(binary.BigEndian.AppendUint64(make([]byte, 0, 8+idLen), group)))
}

func parseMove(key string) (partition, kind int, i id) {
	group := int(binary.BigEndian.Uint64([]byte(key[:8])))
	return group / moveKinds, group % moveKinds, parseID(key[8:])
}

// partitionMoves are the moves of one partition. They are consecutive in the list of
// all moves.
type partitionMoves struct {
	first         int64
	out, away, in int64 // how many there are
}

// listMoves lists all moves by partition and kind.
func (f *moveFinder) listMoves(moves *spill.Map) (err error) {
	if moves.Spilled() {
		if err := f.moves.spillTo(f.dir); err != nil {
			return err
		}
	}
	for e, err := range moves.All() {
		if err != nil {
			return err
		}
		partition, kind, i := parseMove(e.Key)
		of := &f.partitions[partition].moves
		if of.out+of.away+of.in == 0 {
			of.first = f.moves.count
		}
		switch kind {
		case movedOut:
			of.out++
		case movedAway:
			of.away++
		case movedIn:
			of.in++
		}
		if err := f.moves.add(i); err != nil {
			return err
		}
	}
	return f.moves.flush()
}

// leavingIDs returns the IDs of the rows that leave a partition.
func (f *moveFinder) leavingIDs(p *partitionDiff) idSource {
	return f.moves.slice(p.moves.first, p.moves.out+p.deleted)
}

// movedIDs returns the IDs of the rows that have moved to a partition or from it.
func (f *moveFinder) movedIDs(p *partitionDiff) []idSource {
	m := p.moves
	return []idSource{f.moves.slice(m.first, m.out), f.moves.slice(m.first+m.out+m.away, m.in)}
}

// close removes the files on disk.
func (f *moveFinder) close() error { return errors.Join(f.missing.rows.Close(), f.moves.close()) }

// addLinkedTargets adds the partitions that events have moved to or from to the
// targets. Linked partitions change together or not at all, so that no event is
// duplicated or lost.
func (r *reconciler) addLinkedTargets() {
	if r.targets.All {
		return
	}
	var added []string
	for changed := true; changed; {
		changed = false
		for l := range r.moved.links {
			if from, to := r.targets.Has(l.From), r.targets.Has(l.To); from != to {
				missing := l.From
				if from {
					missing = l.To
				}
				r.targets.Partitions[missing] = true
				added = append(added, missing)
				changed = true
			}
		}
	}
	if len(added) > 0 {
		slices.Sort(added)
		r.result.Warnings = append(r.result.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: r.Table.Job,
			Summary: fmt.Sprintf("%d partitions were added to the targets", len(added)),
			Detail:  "Events have moved between these partitions and the targets, because their time or type has changed:\n\n  " + strings.Join(added, "\n  ")})
	}
}
