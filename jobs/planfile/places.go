package planfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// checkReferences returns an error if the parts of a plan are inconsistent.
// Code that applies a plan relies on their consistency.
func checkReferences(p *plan.Plan) error {
	for i := range p.Jobs {
		if err := checkJob(&p.Jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkJob(j *plan.Job) error {
	for _, sink := range j.Sinks {
		if j.Found.Prior[sink] == nil {
			return fmt.Errorf("%s has no prior state of %s", j.Address, sink)
		}
	}
	writes := slices.Concat(j.Output.Foreign, j.Output.Obsolete)
	for _, c := range j.Output.Changes {
		lacksFile := func(w plan.Write) bool { return w.Action != plan.Delete && (w.File < 0 || w.File >= len(c.Staged)) }
		if slices.Contains(c.Staged, nil) || slices.ContainsFunc(c.Writes, lacksFile) {
			return fmt.Errorf("%s has no file for partition %s", j.Address, c.Partition)
		}
		writes = append(writes, c.Writes...)
	}
	if q := j.Output.Quarantine; q != nil {
		if q.After > 0 && q.Staged == nil {
			return fmt.Errorf("%s has no file for the quarantine", j.Address)
		}
		writes = append(writes, q.Writes...)
	}
	for _, w := range writes {
		if j.Found.Prior[w.Sink] == nil {
			return fmt.Errorf("%s writes to %s, which is not one of its sinks", j.Address, w.Sink)
		}
	}
	return nil
}

// CheckPlaces returns an error if a plan would change objects or use sinks that
// do not belong to its jobs. It needs only the configuration and the state.
func (c Current) CheckPlaces(p *plan.Plan) error {
	refuse := func(format string, args ...any) error {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan would change objects that its jobs do not own",
			Detail: fmt.Sprintf(format, args...) + ".\n\nNothing was published. The file may have been altered after it was saved. Create a new plan. If the error remains, this is a bug in prospector; please report it."}
	}
	if err := checkKeys(p); err != nil {
		return refuse("%s", err)
	}
	for _, j := range p.Jobs {
		tables, sinks := c.placesOf(p, j.Address)
		if !tables[j.TableName] {
			return refuse("%s does not have a table %q", j.Address, j.TableName)
		}
		for _, sink := range j.Sinks {
			if !sinks[sink] {
				return refuse("%s does not have the sink %s", j.Address, sink)
			}
		}
		if list := j.Source.Reading.List; list != nil && !digestText.MatchString(list.Digest) {
			return refuse("%s has a list of prospects with the digest %.40q", j.Address, list.Digest)
		}
	}
	return nil
}

var digestText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// placesOf returns the tables and sinks that a job declares, and those that the
// state has for the job, even under its former address.
func (c Current) placesOf(p *plan.Plan, address string) (tables, sinks map[string]bool) {
	tables, sinks = make(map[string]bool), make(map[string]bool)
	if declared, ok := c.Config.Job(address); ok {
		tables[declared.TableName] = true
		for _, sink := range declared.Sinks {
			sinks[sink.Address] = true
		}
	}
	if owned := c.owned(p, address); owned != nil {
		tables[owned.TableName] = true
		for sink := range owned.Sinks {
			sinks[sink] = true
		}
	}
	return tables, sinks
}

// owned returns the job of a plan in the state, or nil. The state may have the
// job under its former address until the plan is applied.
func (c Current) owned(p *plan.Plan, address string) *state.Job {
	for _, m := range slices.Backward(p.Moved) {
		if m.To == address && c.State.Jobs[m.From] != nil {
			address = m.From
		}
	}
	return c.State.Jobs[address]
}

// checkKeys returns an error if a plan would write or delete an object that
// does not belong to its job. The files of a partition belong in its directory.
// All other objects belong under the table's prefix or at the key of its
// quarantine.
func checkKeys(p *plan.Plan) error {
	for _, j := range p.Jobs {
		under := func(dir string) func(string) bool {
			return func(key string) bool { return strings.HasPrefix(key, dir) }
		}
		for _, c := range j.Output.Changes {
			keys := plan.Keys(j.TableName, c.Partition, c.Staged)
			for _, w := range c.Writes {
				if w.Action != plan.Delete && w.Key != keys[w.File] {
					return fmt.Errorf("%s would write %q, which is not a file of partition %s", j.Address, w.Key, c.Partition)
				}
			}
			if err := checkWrites(j, c.Writes, under(plan.TablePrefix(j.TableName)+c.Partition+"/")); err != nil {
				return err
			}
		}
		table := under(plan.TablePrefix(j.TableName))
		quarantine := func(key string) bool { return key == plan.QuarantineKey(j.TableName) }
		either := func(key string) bool { return table(key) || quarantine(key) }
		var quarantined []plan.Write
		if q := j.Output.Quarantine; q != nil {
			quarantined = q.Writes
		}
		err := errors.Join(checkWrites(j, quarantined, quarantine), checkWrites(j, j.Output.Obsolete, either), checkWrites(j, j.Output.Foreign, table))
		if err != nil {
			return err
		}
	}
	return nil
}

// checkWrites returns an error if a key is invalid or does not belong to the
// job.
func checkWrites(j plan.Job, writes []plan.Write, belongs func(key string) bool) error {
	for _, w := range writes {
		if err := store.CheckKey(w.Key); err != nil {
			return fmt.Errorf("%s: %w", j.Address, err)
		}
		if !belongs(w.Key) {
			return fmt.Errorf("%s would change %q, which is not part of its table %s", j.Address, w.Key, j.TableName)
		}
	}
	return nil
}
