// Package audit re-reads every published file with the second reader and compares
// it with the state. It also lists the sinks, to find objects that are not in the
// state.
//
// It changes nothing. The command verify prints its findings.
package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/quarantine"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/sink/verify"
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
	// Limit is how many files are read at a time.
	Limit int
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
	done := 0
	progress(0, len(r.files))
	err := parallel.Each(ctx, a.Limit, r.files, func(ctx context.Context, f published) error {
		problem, err := r.check(ctx, f)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Files, r.result.Rows, r.result.Bytes = r.result.Files+1, r.result.Rows+f.tableRows(), r.result.Bytes+f.Size
		if problem != "" {
			r.add(f.job, f.sink, f.Key, problem)
		}
		done++
		progress(done, len(r.files))
		return nil
	})
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
}

// published is a file of a partition, or a quarantine. A quarantine has no path,
// and its rows are events.
type published struct {
	job, sink string
	table     schemas.Table
	path      string
	state.File
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
		of := owned.Sinks[address]
		known := r.collectKnown(job, address, owned)
		if of.Pending != nil {
			problem := "An apply was interrupted. The next one completes it."
			if r.State.Erasing {
				problem = "An erase was interrupted. Erase the same prospect again."
			}
			r.add(job, address, plan.TablePrefix(owned.TableName), problem)
			continue
		}
		seen, err := refresh.List(ctx, opened, owned.TableName)
		if err != nil {
			return err
		}
		for _, o := range seen {
			if !known[o.Key] {
				r.add(job, address, o.Key, "This object is not in the state. Readers treat it as part of the table.")
			}
		}
	}
	return nil
}

// collectKnown lists the files that the state has in a sink, and returns the keys
// of all its objects there.
func (r *running) collectKnown(job, address string, owned *state.Job) map[string]bool {
	of := owned.Sinks[address]
	known := make(map[string]bool)
	add := func(path, schema string, f state.File) {
		known[f.Key] = true
		r.files = append(r.files, published{job, address, owned.Schemas[schema], path, f})
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

// check reads a file and returns the problem that it finds, or "".
func (r *running) check(ctx context.Context, f published) (problem string, err error) {
	from := r.stores[f.sink]
	object, err := from.Stat(ctx, f.Key)
	switch {
	case errors.Is(err, store.ErrNotExist) && f.path == "":
		return fmt.Sprintf("It was deleted. It had %s.", jobs.Count(f.Rows, "quarantined event")), nil
	case errors.Is(err, store.ErrNotExist):
		return "It was deleted.", nil
	case err != nil:
		return "", err
	case object.Size != f.Size || object.CRC32C != f.CRC32C:
		problem = fmt.Sprintf("It was changed: it has %d bytes with CRC32C %08x, but the state has %d bytes with %08x.",
			object.Size, object.CRC32C, f.Size, f.CRC32C)
		if f.path == "" {
			var left int64
			left, err = r.countReadable(ctx, from, f.Key)
			problem += fmt.Sprintf(" %d of its %s can still be read.", min(left, f.Rows), jobs.Count(f.Rows, "event"))
		}
		return problem, err
	case f.path == "": // a quarantine, which is not Parquet
		return "", nil
	}
	return r.checkRows(ctx, from, f)
}

// countReadable counts the events of a damaged quarantine that can be read.
func (r *running) countReadable(ctx context.Context, from store.Store, key string) (int64, error) {
	dir, err := os.MkdirTemp(r.Dir, "quarantine-")
	if err != nil {
		return 0, err
	}
	return quarantine.CountReadable(ctx, from, key, dir, r.Memory)
}

// checkRows reads the rows of an object whose size and checksum match the state.
func (r *running) checkRows(ctx context.Context, from store.Store, f published) (problem string, err error) {
	if len(f.table.Columns) == 0 {
		return "It is unchanged, but its rows were not read: the state does not have its schema.", nil
	}
	partition, err := sink.ParsePartition(f.table, f.path)
	if err != nil {
		return "Its partition does not match the schema of the table: " + err.Error() + ".", nil
	}
	file, err := store.OpenFile(ctx, from, f.Stored(), r.Dir)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", from.URI(f.Key), err)
	}
	defer file.Close()
	err = verify.Published(ctx, file, f.Size, f.table, partition, f.Rows, f.Content)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "The second reader finds: " + err.Error(), nil
	}
	return "", nil
}
