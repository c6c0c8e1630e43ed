package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// Verified is what reading every published file again has found.
type Verified struct {
	Files, Rows, Bytes int64
	Findings           []Finding // by job, sink and key
}

// Finding is a published object that is not what the state says, or one that the
// state does not know.
type Finding struct {
	Job     string `json:"job"`
	Sink    string `json:"sink"`
	URI     string `json:"uri"`
	Problem string `json:"problem"`
}

// Verify reads every file that the state has, with the second reader, and tells
// what is not as it should be. progress is called now and then.
func (s *Session) Verify(ctx context.Context, progress func(done, of int)) (Verified, error) {
	v := &verifying{Session: s}
	for _, address := range s.state.Addresses() {
		if err := v.collect(ctx, address, s.state.Jobs[address]); err != nil {
			return Verified{}, err
		}
	}
	for _, job := range s.Config.Jobs { // whose state may have been lost
		if s.state.Jobs[job.Address] == nil {
			owned := &state.Job{TableName: job.TableName, Sinks: make(map[string]*state.Sink)}
			for _, sink := range job.Sinks {
				owned.Sink(sink.Address)
			}
			if err := v.collect(ctx, job.Address, owned); err != nil {
				return Verified{}, err
			}
		}
	}
	if _, err := s.makeStageDir(""); err != nil { // for copies of remote files
		return Verified{}, err
	}
	done := 0
	progress(0, len(v.files))
	err := parallel.Each(ctx, v.width(), v.files, func(ctx context.Context, f published) error {
		problem, err := v.judge(ctx, f)
		if err != nil {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.found.Files, v.found.Rows, v.found.Bytes = v.found.Files+1, v.found.Rows+f.tableRows(), v.found.Bytes+f.Size
		if problem != "" {
			v.add(f.job, f.sink, f.Key, problem)
		}
		done++
		progress(done, len(v.files))
		return nil
	})
	slices.SortFunc(v.found.Findings, compareFindings)
	return v.found, err
}

func compareFindings(a, b Finding) int {
	return slices.Compare([]string{a.Job, a.Sink, a.URI}, []string{b.Job, b.Sink, b.URI})
}

type verifying struct {
	*Session
	files []published

	mu    sync.Mutex
	found Verified
}

// published is a file of a partition, or of a quarantine, whose path is "" and
// whose rows are events.
type published struct {
	job, sink string
	table     schemas.Table
	path      string
	state.File
}

// tableRows are its rows in the table.
func (p published) tableRows() int64 {
	if p.path == "" {
		return 0
	}
	return p.Rows
}

func (v *verifying) add(job, sink, key, problem string) {
	v.found.Findings = append(v.found.Findings, Finding{job, sink, v.stores[sink].URI(key), problem})
}

// collect lists a job's files, and tells of objects that the state does not know.
func (v *verifying) collect(ctx context.Context, job string, owned *state.Job) error {
	for _, address := range slices.Sorted(maps.Keys(owned.Sinks)) {
		if err := v.openByAddress(ctx, address); err != nil {
			return err
		}
		of := owned.Sinks[address]
		known := make(map[string]bool)
		add := func(path, schema string, f state.File) {
			known[f.Key] = true
			v.files = append(v.files, published{job, address, owned.Schemas[schema], path, f})
		}
		for _, path := range slices.Sorted(maps.Keys(of.Partitions)) {
			p := of.Partitions[path]
			for _, f := range p.Files {
				add(path, p.SchemaFingerprint, f)
			}
			if p.Incomplete {
				v.add(job, address, plan.TablePrefix(owned.TableName)+path, "Files of this partition were deleted or damaged. The next apply repairs it, as far as the source has their rows.")
			}
		}
		if q := of.Quarantine; q != nil {
			add("", "", state.File{Rows: q.Events, Object: q.Object})
		}
		for key := range of.Obsolete {
			known[key] = true
			v.add(job, address, key, "An apply that was interrupted has left it: its rows stand in other files, too. The next apply deletes it.")
		}
		if of.Pending != nil {
			problem := "An apply was interrupted: the next one completes what it has begun."
			if v.state.Erasing {
				problem = eraseInterrupted + ": erase the same prospect again."
			}
			v.add(job, address, plan.TablePrefix(owned.TableName), problem)
			continue
		}
		seen, err := refresh.List(ctx, v.stores[address], owned.TableName)
		if err != nil {
			return err
		}
		for _, o := range seen {
			if !known[o.Key] {
				v.add(job, address, o.Key, "The state does not know this object, and readers take it for part of the table.")
			}
		}
	}
	return nil
}

// judge reads a file, and says what is wrong with it, or "".
func (v *verifying) judge(ctx context.Context, f published) (problem string, err error) {
	from := v.stores[f.sink]
	object, err := from.Stat(ctx, f.Key)
	switch {
	case errors.Is(err, store.ErrNotExist) && f.path == "":
		return fmt.Sprintf("It is gone, with %s.", jobs.Count(f.Rows, "quarantined event")), nil
	case errors.Is(err, store.ErrNotExist):
		return "It is gone.", nil
	case err != nil:
		return "", err
	case object.Size != f.Size || object.CRC32C != f.CRC32C:
		problem = fmt.Sprintf("It was changed: it has %d bytes with the CRC32C %08x, and the state says %d with %08x.",
			object.Size, object.CRC32C, f.Size, f.CRC32C)
		if f.path == "" {
			left := int64(0)
			err = salvage(ctx, from, f.Key, func(quarantined) { left++ })
			problem += fmt.Sprintf(" %d of its %s can still be read.", min(left, f.Rows), jobs.Count(f.Rows, "event"))
		}
		return problem, err
	case f.path == "": // the quarantine, which is no Parquet
		return "", nil
	case len(f.table.Columns) == 0:
		return "It is as it was written, but of other columns than this prospector knows, so that its rows were not read.", nil
	}
	partition, err := sink.ParsePartition(f.table, f.path)
	if err != nil {
		return "Its partition is not one of the table that is declared now: " + err.Error() + ".", nil
	}
	r, err := store.OpenFile(ctx, from, f.Stored(), v.stageDir())
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", from.URI(f.Key), err)
	}
	defer r.Close()
	err = verify.Published(ctx, r, f.Size, f.table, partition, f.Rows, f.Content)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "The second reader finds: " + err.Error(), nil
	}
	return "", nil
}
