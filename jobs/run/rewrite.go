package run

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/transform"
)

// A table that is to be partitioned otherwise is written anew: its published
// rows are read into a stage of the new table, and from there on they are what
// published rows always are, those that new rows replace or are added to. The
// new files are all published before any old one is deleted, so that an apply
// that is killed in between has lost nothing; the state calls the table the old
// one until then.

// former stages the published rows of a table that is declared otherwise now, or
// gives nil when it is not.
func (w *planning) former(ctx context.Context, job jobs.Job, into *plan.Job, dir string) (*sink.Stage, error) {
	owned := w.prior.Jobs[job.Address]
	paths := plan.Partitions(into.Prior)
	if owned == nil || owned.Schema == into.Schema || len(paths) == 0 {
		return nil, nil
	}
	table, ok := formerTable(owned.Schema, paths)
	switch {
	case !ok:
		return nil, job.Diagnose("table", "The table has other columns than it had",
			fmt.Sprintf("The published table has other columns than this prospector exports, and its files cannot be rewritten yet. Let the job write a table of another name, or start anew:\n\n    prospector destroy -target=%s", job.Address))
	case !w.options.target(job.Address).whole:
		return nil, job.Diagnose("partition_by", "A table is rewritten as a whole",
			fmt.Sprintf("The partition keys of %s have changed, which concerns all of its files. Plan without -target, or with -target=%[1]s.", job.Address))
	case job.PreventDestroy:
		return nil, job.Diagnose("prevent_destroy", "The table must not be destroyed",
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its partition keys have changed, so that all of its files would be written anew and the old ones deleted. Either disable lifecycle.prevent_destroy, or go back to partition_by = %s.",
				job.Address, keyList(table)))
	}
	stage := sink.NewStage(job.Table, dir, w.MemoryLimit/2) // that of new rows has the other half
	w.stages = append(w.stages, stage)
	into.Rewrite = &plan.Rewrite{Schema: owned.Schema, Before: keysOf(table), After: keysOf(job.Table)}
	// An interrupted apply may have left a row in two partitions, in one of
	// which it was to be taken away: those come last, and only bring what no
	// other has.
	ordered, cut := unfinishedLast(into, paths)
	seen := make(transform.IDs)
	for _, path := range ordered {
		partition, err := sink.ParsePartition(table, path)
		if err != nil {
			continue // what an interrupted rewrite has made: all of it is made again
		}
		from, published, ok := publishedIn(into.Sinks, into.Prior, path)
		if !ok {
			continue
		}
		err = readPublished(ctx, w.stores[from], published.Object, table, w.stageDir(), func(rows sink.Rows) error {
			if cut {
				ids, err := transform.CollectIDs(table, rows)
				if err != nil {
					return err
				}
				rows = transform.Without(table, rows, maps.Clone(seen))
				maps.Copy(seen, ids)
			}
			for batch, err := range sink.Reshape(rows, table, partition, job.Table) {
				if err == nil {
					err = stage.Add(batch)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	into.Rewrite.Rows = stage.Facts().Rows
	into.Warnings = append(into.Warnings, jobs.Diagnostic{
		Severity: jobs.Warning, Address: job.Address, Summary: "The table is written anew",
		Detail: fmt.Sprintf("It is partitioned by %s, and is to be by %s. Its %d rows are kept. While the plan is applied, readers find files of both kinds; afterwards, tell them: prospector sql prints the new DDL.",
			keyList(table), keyList(job.Table), into.Rewrite.Rows),
	})
	return stage, nil
}

// unfinishedLast puts those paths last that an interrupted apply has left
// unfinished where they are read, and reports whether there are any.
func unfinishedLast(p *plan.Job, paths []string) (ordered []string, any bool) {
	var last []string
	for _, path := range paths {
		unfinished := false
		if from, _, ok := publishedIn(p.Sinks, p.Prior, path); ok {
			_, unfinished = p.Prior[from].Unfinished[path]
		}
		if unfinished {
			last = append(last, path)
		} else {
			ordered = append(ordered, path)
		}
	}
	return append(ordered, last...), len(last) > 0
}

// formerTable is the table with that fingerprint, as the paths of its partitions
// tell its keys. It is false when its columns are others than today's.
func formerTable(fingerprint string, paths []string) (schemas.Table, bool) {
	tried := make(map[string]bool)
	for _, path := range paths {
		var keys []string
		for segment := range strings.SplitSeq(path, "/") {
			key, _, _ := strings.Cut(segment, "=")
			keys = append(keys, key)
		}
		of := strings.Join(keys, "/")
		if tried[of] {
			continue
		}
		tried[of] = true
		table, err := schemas.KnockEvents().PartitionedBy(keys...)
		if err == nil && table.Fingerprint() == fingerprint {
			return table, true
		}
	}
	return schemas.Table{}, false
}

func keysOf(t schemas.Table) (keys []string) {
	for _, c := range t.PartitionBy {
		keys = append(keys, c.Name)
	}
	return keys
}

// keyList is how the configuration writes them.
func keyList(t schemas.Table) string {
	return `["` + strings.Join(keysOf(t), `", "`) + `"]`
}

// retire takes the partitions of the former table out of the state's table, once
// their rows are in the new one: their objects only wait to be deleted.
func (a *applying) retire() {
	a.owned.Schema = a.plan.Schema
	for _, c := range a.plan.Changes {
		if c.Action != plan.Delete {
			continue
		}
		for _, w := range c.Writes {
			s := a.owned.Sink(w.Sink)
			object := s.Partitions[c.Partition].Object
			if object.Key == "" { // it was damaged
				object = state.Object{Key: w.Key, Generation: w.Generation}
			}
			if s.Obsolete == nil {
				s.Obsolete = make(map[string]state.Object)
			}
			s.Obsolete[w.Key] = object
			delete(s.Partitions, c.Partition)
			delete(s.Pending.Partitions, c.Partition)
		}
	}
}
