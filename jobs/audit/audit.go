// Package audit re-reads every published file with the second reader and compares
// it with the state. It also lists the sinks, to find objects that are not in the
// state.
//
// It changes nothing. The command verify prints its findings.
package audit

import (
	"context"
	"maps"
	"slices"
	"sync"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
)

// Result is what an audit read and found.
type Result struct {
	Files, Rows, Bytes int64
	Findings           []Finding // by job, sink and URI
}

// Finding is a published object that differs from the state or is not in it.
type Finding struct {
	Job     string `json:"job"`
	Sink    string `json:"sink"`
	URI     string `json:"uri"`
	Problem string `json:"problem"`
}

// Audit holds what an audit needs.
type Audit struct {
	State *state.State
	// Jobs are the declared jobs. The state of a declared job may have been lost, so
	// the sinks of jobs that are not in the state are listed as well.
	Jobs []jobs.Job
	// Open opens the sink with an address, or returns its store if it is open.
	Open func(ctx context.Context, address string) (store.Store, error)
	// Dir is a directory for temporary files.
	Dir string
	// Memory is how many bytes of a damaged quarantine are in memory.
	Memory int64
	// Downloads is how many files are downloaded at a time, and Width how many are
	// read.
	Downloads, Width int
}

// Run reads all files. It calls progress after each of them.
func (a Audit) Run(ctx context.Context, progress func(done, of int)) (Result, error) {
	r := &running{Audit: a, stores: make(map[string]store.Store)}
	for _, address := range a.State.Addresses() {
		if err := r.collect(ctx, address, a.State.Jobs[address]); err != nil {
			return Result{}, err
		}
	}
	for _, job := range a.Jobs {
		if a.State.Jobs[job.Address] == nil {
			owned := &state.Job{TableName: job.TableName, Sinks: make(map[string]*state.Sink)}
			for _, sink := range job.Sinks {
				owned.Sink(sink.Address)
			}
			if err := r.collect(ctx, job.Address, owned); err != nil {
				return Result{}, err
			}
		}
	}
	progress(0, len(r.files))
	err := r.checkFiles(ctx, progress)
	slices.SortFunc(r.result.Findings, func(a, b Finding) int {
		return slices.Compare([]string{a.Job, a.Sink, a.URI}, []string{b.Job, b.Sink, b.URI})
	})
	return r.result, err
}

// running is an audit in progress.
type running struct {
	Audit
	stores map[string]store.Store // by sink address
	files  []published

	mu     sync.Mutex
	result Result

	// quarantine is held while a damaged quarantine is in memory.
	quarantine sync.Mutex
}

// published is a file of a partition, or a quarantine. A quarantine has no path,
// and its rows are events.
type published struct {
	job, sink string
	table     schemas.Table
	path      string
	state.File
	listed *plan.Seen // nil if the sink does not have it
}

// tableRows is the number of table rows in the file, which is 0 for a quarantine.
func (p published) tableRows() int64 {
	if p.path == "" {
		return 0
	}
	return p.Rows
}

func (r *running) add(job, sink, key, problem string) {
	r.result.Findings = append(r.result.Findings, Finding{job, sink, r.stores[sink].URI(key), problem})
}

// collect lists a job's files, and reports the objects that are not in the state.
func (r *running) collect(ctx context.Context, job string, owned *state.Job) error {
	for _, address := range slices.Sorted(maps.Keys(owned.Sinks)) {
		opened, err := r.Open(ctx, address)
		if err != nil {
			return err
		}
		r.stores[address] = opened
		listed, err := refresh.List(ctx, opened, owned.TableName)
		if err != nil {
			return err
		}
		seen := make(map[string]*plan.Seen, len(listed))
		for i := range listed {
			seen[listed[i].Key] = &listed[i]
		}
		known := r.collectKnown(job, address, owned, seen)
		if owned.Sinks[address].Pending != nil {
			problem := "An apply was interrupted. The next one completes it."
			if r.State.Erasing {
				problem = "An erase was interrupted. Erase the same prospect again."
			}
			r.add(job, address, plan.TablePrefix(owned.TableName), problem)
			continue
		}
		for _, o := range listed {
			if !known[o.Key] {
				r.add(job, address, o.Key, "This object is not in the state. Readers treat it as part of the table.")
			}
		}
	}
	return nil
}

// collectKnown lists the files that the state has in a sink, and returns the keys
// of all its objects there. seen are the objects that the sink has, by key.
func (r *running) collectKnown(job, address string, owned *state.Job, seen map[string]*plan.Seen) map[string]bool {
	of := owned.Sinks[address]
	known := make(map[string]bool)
	add := func(path, schema string, f state.File) {
		known[f.Key] = true
		r.files = append(r.files, published{job, address, owned.Schemas[schema], path, f, seen[f.Key]})
	}
	for _, path := range slices.Sorted(maps.Keys(of.Partitions)) {
		p := of.Partitions[path]
		for _, f := range p.Files {
			add(path, p.SchemaFingerprint, f)
		}
		if p.Incomplete {
			r.add(job, address, plan.TablePrefix(owned.TableName)+path, "Files of this partition were deleted or damaged. The next apply restores the rows that the source still returns.")
		}
	}
	if q := of.Quarantine; q != nil {
		add("", "", state.File{Rows: q.Events, Object: q.Object})
	}
	for key := range of.Obsolete {
		known[key] = true
		r.add(job, address, key, "An interrupted apply left this file. Its rows are also in other files. The next apply deletes it.")
	}
	return known
}
