package quarantine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"slices"

	"prospector/internal/spill"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// result is the new quarantine.
type result struct {
	sorted  *spill.Map // lines in their order in the file
	count   int64
	content schemas.Digest
}

// Change returns the change that gives every sink the new quarantine, or nil if all of
// them have it already. It stages the new object at path.
func (q *Quarantine) Change(tableName string, sinks []string, prior map[string]*plan.Refreshed, path string) (*plan.Quarantine, error) {
	if err := q.sort(); err != nil {
		return nil, err
	}
	change := &plan.Quarantine{After: q.result.count}
	for _, address := range sinks {
		w, needed := q.write(tableName, address, prior[address])
		if !needed {
			continue
		}
		if have := prior[address].Quarantine; have != nil {
			change.Before = max(change.Before, have.Events)
		}
		change.Writes = append(change.Writes, w)
	}
	if len(change.Writes) == 0 {
		return nil, nil
	}
	if q.result.count > 0 {
		staged, err := q.stage(path)
		if err != nil {
			return nil, fmt.Errorf("staging the quarantine: %w", err)
		}
		staged.Rows, staged.Content = change.After, q.result.content
		change.Staged = staged
	}
	return change, nil
}

// sort adds the published events of all prospects that were not replaced, and then
// sorts all events.
func (q *Quarantine) sort() error {
	for e, err := range q.publishedEntries() {
		if err == nil && !q.prospects[e.Prospect].replaced {
			err = q.put(q.obey(e), "")
		}
		if err != nil {
			return err
		}
	}
	q.size = 0
	for e, err := range q.events.All() {
		if err != nil {
			return err
		}
		r := parseRecord(e.Value)
		q.size += int64(len(r.line))
		q.result.count++
		q.result.content = q.result.content.Add(keyDigest(e.Key))
		if _, err := q.result.sorted.Put(sortKey(r.prospect, r.line, e.Key), r.line); err != nil {
			return err
		}
	}
	return errors.Join(q.checkSize(), q.published.Close(), q.events.Close())
}

// write returns the write that gives a sink the new quarantine, unless the sink has it
// already.
func (q *Quarantine) write(tableName, address string, found *plan.Refreshed) (w plan.Write, needed bool) {
	have, none := found.Quarantine, q.result.count == 0
	w = plan.Write{Sink: address, Action: plan.Update, Key: plan.QuarantineKey(tableName)}
	damaged := found.Damaged[w.Key]
	switch {
	case have == nil && none && damaged != "":
		w.Action, w.Generation = plan.Delete, damaged
	case have == nil && none, have != nil && have.Content == q.result.content:
		return w, false
	case have == nil:
		w.Action, w.Generation = plan.Create, damaged
	case none:
		w.Action, w.Generation = plan.Delete, have.Object.Generation
	default:
		w.Generation = have.Object.Generation
	}
	return w, true
}

// stage writes the file. The order of its lines does not depend on the run.
func (q *Quarantine) stage(path string) (_ *plan.Staged, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	out := bufio.NewWriter(io.MultiWriter(f, sum))
	size := int64(0)
	for line, err := range q.sortedLines() {
		if err != nil {
			return nil, err
		}
		out.Write(line)
		size += int64(len(line))
	}
	if err := out.Flush(); err != nil { // the first error of the writer
		return nil, err
	}
	return &plan.Staged{Path: path, Size: size, CRC32C: sum.Sum32()}, nil
}

// sortedLines returns the lines by prospect and text.
func (q *Quarantine) sortedLines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var at string
		var lines [][]byte // of the same place
		flush := func() bool {
			slices.SortFunc(lines, bytes.Compare)
			for _, line := range lines {
				if !yield(line, nil) {
					return false
				}
			}
			lines = lines[:0]
			return true
		}
		for e, err := range q.result.sorted.All() {
			if err != nil {
				yield(nil, err)
				return
			}
			if place(e.Key) != at && !flush() {
				return
			}
			at, lines = place(e.Key), append(lines, e.Value)
		}
		flush()
	}
}
