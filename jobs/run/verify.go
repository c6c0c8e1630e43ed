package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"prospector/jobs/plan"
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
			owned := &state.Job{Table: job.Name, Sinks: make(map[string]*state.Sink)}
			for _, sink := range job.Sinks {
				owned.Sink(sink.Address)
			}
			if err := v.collect(ctx, job.Address, owned); err != nil {
				return Verified{}, err
			}
		}
	}
	if err := os.MkdirAll(s.stageDir(), 0o700); err != nil { // for copies of remote files
		return Verified{}, fmt.Errorf("making the staging directory: %w", err)
	}
	done := 0
	progress(0, len(v.files))
	err := parallel(ctx, v.files, func(ctx context.Context, f published) error {
		problem, err := v.judge(ctx, f)
		if err != nil {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.found.Files, v.found.Rows, v.found.Bytes = v.found.Files+1, v.found.Rows+f.rows, v.found.Bytes+f.object.Size
		if problem != "" {
			v.add(f.job, f.sink, f.object.Key, problem)
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

// published is a file of a partition, or of a quarantine, whose path is "".
type published struct {
	job, sink string
	table     schemas.Table
	path      string
	rows      int64
	content   schemas.Digest
	object    state.Object
}

func (v *verifying) add(job, sink, key, problem string) {
	v.found.Findings = append(v.found.Findings, Finding{job, sink, v.stores[sink].URI(key), problem})
}

// collect lists a job's files, and tells of objects that the state does not know.
func (v *verifying) collect(ctx context.Context, job string, owned *state.Job) error {
	table := v.tableOf(job, owned)
	for _, address := range slices.Sorted(maps.Keys(owned.Sinks)) {
		if err := v.openByAddress(ctx, address); err != nil {
			return err
		}
		of := owned.Sinks[address]
		known := make(map[string]bool)
		add := func(path string, rows int64, content schemas.Digest, object state.Object) {
			known[object.Key] = true
			v.files = append(v.files, published{job, address, table, path, rows, content, object})
		}
		for _, path := range slices.Sorted(maps.Keys(of.Partitions)) {
			p := of.Partitions[path]
			add(path, p.Rows, p.Content, p.Object)
		}
		if q := of.Quarantine; q != nil {
			add("", 0, schemas.Digest{}, q.Object)
		}
		for key := range of.Obsolete {
			known[key] = true
			v.add(job, address, key, "A rewrite that was interrupted has left it: its rows stand in other files, too. The next apply deletes it.")
		}
		if of.Pending != nil {
			v.add(job, address, plan.TablePrefix(owned.Table), "An apply was interrupted: the next one completes what it has begun.")
			continue
		}
		seen, err := list(ctx, v.stores[address], owned.Table)
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

// tableOf is the table of a job's files: that of its last apply.
func (v *verifying) tableOf(job string, owned *state.Job) schemas.Table {
	if declared, ok := v.declared(job); ok && declared.Table.Fingerprint() == owned.Schema {
		return declared.Table
	}
	var paths []string
	for _, of := range owned.Sinks {
		paths = slices.AppendSeq(paths, maps.Keys(of.Partitions))
	}
	table, _ := formerTable(owned.Schema, paths)
	return table
}

// judge reads a file, and says what is wrong with it, or "".
func (v *verifying) judge(ctx context.Context, f published) (problem string, err error) {
	from := v.stores[f.sink]
	object, err := from.Stat(ctx, f.object.Key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return "It is gone.", nil
	case err != nil:
		return "", err
	case object.Size != f.object.Size || object.CRC32C != f.object.CRC32C:
		return fmt.Sprintf("It was changed: it has %d bytes with the CRC32C %08x, and the state says %d with %08x.",
			object.Size, object.CRC32C, f.object.Size, f.object.CRC32C), nil
	case f.path == "": // the quarantine, which is no Parquet
		return "", nil
	case len(f.table.Columns) == 0:
		return "It is as it was written, but of other columns than this prospector knows, so that its rows were not read.", nil
	}
	partition, err := sink.ParsePartition(f.table, f.path)
	if err != nil {
		return "Its partition is not one of the table that is declared now: " + err.Error() + ".", nil
	}
	r, err := openPublished(ctx, from, f.object, v.stageDir())
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", from.URI(f.object.Key), err)
	}
	defer r.Close()
	err = verify.Published(ctx, r, f.object.Size, f.table, partition, f.rows, f.content)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "The second reader finds: " + err.Error(), nil
	}
	return "", nil
}
