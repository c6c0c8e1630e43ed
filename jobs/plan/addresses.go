package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/state"
)

// Relocated is a state under the addresses that the configuration declares.
type Relocated struct {
	// State is a copy of the state with the new addresses of moved jobs and
	// renamed sinks, and without removed jobs.
	State     *state.State
	Moved     []Move   // jobs
	Forgotten []string // addresses of removed jobs whose files remain
	// Renamed are the sinks of a job that have a new name but the same
	// location, by the address of the job.
	Renamed map[string][]Move
}

// Relocate applies the moved and removed blocks of the configuration to a copy
// of the state, and finds renamed sinks.
func Relocate(s *state.State, config *jobs.Configuration) (Relocated, error) {
	r := Relocated{State: s.Clone()}
	for _, m := range config.Moved {
		if r.State.Jobs[m.From] == nil {
			continue // an earlier run has moved it
		}
		if r.State.Jobs[m.To] != nil {
			return r, m.Diagnose("from", "Both addresses of a move are in the state",
				fmt.Sprintf("%s cannot become %s, because %[2]s already has published files. Remove the moved block. Then either declare %[1]s again, or remove it from the state with a removed block.", m.From, m.To))
		}
		if err := checkTableName(r.State.Jobs[m.From], m, config); err != nil {
			return r, err
		}
		if err := r.State.Move(m.From, m.To); err != nil {
			return r, m.Diagnose("from", "Impossible move", err.Error()+".")
		}
		r.Moved = append(r.Moved, Move{From: m.From, To: m.To})
	}
	for _, address := range r.State.Addresses() {
		if slices.ContainsFunc(config.Removed, func(r jobs.Removed) bool { return !r.Destroy && r.Covers(address) }) {
			delete(r.State.Jobs, address)
			r.Forgotten = append(r.Forgotten, address)
		}
	}
	r.Renamed = renameSinks(r.State, config)
	return r, nil
}

// checkTableName returns an error if a moved job has another table name.
// prospector does not move files, because readers find a table by its location.
func checkTableName(owned *state.Job, m jobs.Moved, config *jobs.Configuration) error {
	job, ok := config.Job(m.To)
	if !ok || owned.TableName == job.TableName {
		return nil
	}
	return job.Diagnose("table", "The table of a moved job has another name",
		fmt.Sprintf("%s has published the table %q, but %s would publish %q. prospector does not move files, because readers find a table by its location. To keep the table where it is, add this to %s:\n\n    table = %q",
			m.From, owned.TableName, m.To, job.TableName, m.To, owned.TableName))
}

// renameSinks renames sinks in the state. A sink of a job was renamed if its
// address is no longer declared or has another location now, and another sink
// of the job is at its former location. Two sinks may also have swapped their
// names.
func renameSinks(prior *state.State, config *jobs.Configuration) map[string][]Move {
	renamed := make(map[string][]Move)
	for _, job := range config.Jobs {
		owned := prior.Jobs[job.Address]
		if owned == nil {
			continue
		}
		at := make(map[string]string) // the location of the table in each declared sink
		for _, sink := range config.Sinks {
			at[sink.Address] = sink.URI(job.TableName)
		}
		var moves []Move
		for _, from := range slices.Sorted(maps.Keys(owned.Sinks)) {
			uri := owned.Sinks[from].URI
			i := slices.IndexFunc(job.Sinks, func(sink jobs.Sink) bool { return at[sink.Address] == uri })
			if i >= 0 && at[from] != uri {
				moves = append(moves, Move{From: from, To: job.Sinks[i].Address})
			}
		}
		sinks := maps.Clone(owned.Sinks)
		for _, m := range moves {
			delete(sinks, m.From)
		}
		for _, m := range moves {
			if sinks[m.To] != nil { // the state would lose the files of that sink elsewhere
				moves = nil
				break
			}
			sinks[m.To] = owned.Sinks[m.From]
		}
		if len(moves) > 0 {
			owned.Sinks = sinks
			renamed[job.Address] = moves
		}
	}
	return renamed
}

// CheckAddresses returns an error if an address refers to a job that is neither
// declared nor in the state. Otherwise a misspelled address would be ignored.
func CheckAddresses(prior *state.State, config *jobs.Configuration, named []jobs.Address) error {
	known := make(map[string]bool)
	for _, j := range config.Jobs {
		known[j.Address] = true
	}
	for _, address := range prior.Addresses() {
		known[address] = true
	}
	for _, a := range named {
		found := false
		for address := range known {
			of, err := jobs.ParseAddress(address)
			found = found || err == nil && a.Job().Contains(of)
		}
		if !found {
			return jobs.Diagnostic{Severity: jobs.Error, Summary: "No such job", Address: a.Job().String(),
				Detail: fmt.Sprintf("%s is neither declared nor in the state. The jobs are %s.", a.Job(), strings.Join(slices.Sorted(maps.Keys(known)), ", "))}
		}
	}
	return nil
}

// Orphan is a job, or a part of a job, that is in the state but no longer in
// the configuration: a removed job, or the sinks that a job no longer has.
type Orphan struct {
	jobs.Job // with these sinks only
	Reason   string
}

// Orphans returns what a plan must delete because it is no longer in the
// configuration. The function selected limits the result to some jobs.
func Orphans(prior *state.State, config *jobs.Configuration, selected func(job string) bool) (orphans []Orphan, err error) {
	for _, address := range prior.Addresses() {
		if !selected(address) {
			continue
		}
		owned := prior.Jobs[address]
		o := Orphan{Job: jobs.Job{Block: jobs.Block{Address: address}, TableName: owned.TableName}, Reason: "it is no longer declared"}
		o.PreventDestroy = owned.PreventDestroy && !slices.ContainsFunc(config.Removed, func(r jobs.Removed) bool { return r.Covers(address) })
		var kept []jobs.Sink
		if declared, ok := config.Job(address); ok {
			o.Block, o.PreventDestroy, o.Reason = declared.Block, declared.PreventDestroy, "it is no longer among the job's sinks"
			kept = declared.Sinks
		}
		for _, name := range slices.Sorted(maps.Keys(owned.Sinks)) {
			if slices.ContainsFunc(kept, func(s jobs.Sink) bool { return s.Address == name }) {
				continue
			}
			sink, err := DeclaredSink(config, o.Block, name, owned)
			if err != nil {
				return nil, err
			}
			o.Sinks = append(o.Sinks, sink)
		}
		if len(o.Sinks) > 0 || len(kept) == 0 {
			orphans = append(orphans, o)
		}
	}
	return orphans, nil
}

// DeclaredSink returns a sink with files of a job. It returns an error if the
// sink is no longer declared, because it cannot be opened then.
func DeclaredSink(config *jobs.Configuration, job jobs.Block, name string, owned *state.Job) (jobs.Sink, error) {
	sink, ok := config.Sink(name)
	if ok {
		return sink, nil
	}
	return sink, job.Diagnose("sinks", "The sink of published files is not declared",
		fmt.Sprintf("%s has files at %s that must be deleted, but %s is no longer declared. To delete the files, declare it again. To keep them, remove it from the state:\n\n    prospector state rm %[3]s",
			job.Address, owned.Sinks[name].URI, name))
}

// CheckRivals returns an error if the state has another table at the location
// of a job's table. Usually the job or its sink was renamed without a moved
// block. The function uri returns the location of a table in a sink.
func CheckRivals(prior *state.State, config *jobs.Configuration, uri func(sink, table string) string) error {
	for _, job := range config.Jobs {
		for _, sink := range job.Sinks {
			at := uri(sink.Address, job.TableName)
			for _, address := range prior.Addresses() {
				for _, of := range slices.Sorted(maps.Keys(prior.Jobs[address].Sinks)) {
					owned := prior.Jobs[address].Sinks[of]
					if owned.URI != at || address == job.Address && of == sink.Address || owned.Vacant() {
						continue
					}
					return rival(job, sink, at, address, of)
				}
			}
		}
	}
	return nil
}

func rival(job jobs.Job, sink jobs.Sink, uri, address, of string) error {
	remedy := fmt.Sprintf("If %s is the new address of that job, add this block:\n\n    moved {\n      from = %s\n      to   = %[1]s\n    }\n\nOtherwise, choose another table name or another sink.", job.Address, address)
	if address == job.Address {
		remedy = fmt.Sprintf("Undo the renaming. Or remove the old name from the state, and then move or delete the files:\n\n    prospector state rm %s", of)
	}
	return job.Diagnose("sinks", "Another table is already there",
		fmt.Sprintf("%s in %s would be at %s, but the state has the table of %s in %s there. %s", job.Address, sink.Address, uri, address, of, remedy))
}
