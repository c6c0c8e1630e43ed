package reconcile

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/sink"
	"prospector/sink/verify"
)

// Rejection is the error for a staged file that the second reader rejects: the file
// does not have what was written.
type Rejection struct {
	file  sink.File
	kept  string // path of the file now, "" if it was not kept
	cause error
}

func (r *Rejection) Error() string {
	return "the second reader rejected the staged file, so it was not published: " + r.cause.Error()
}

func (r *Rejection) Unwrap() error { return r.cause }

// RejectedFiles keeps the files that the second reader rejects, so that the user can
// examine them. The first rejection of a run removes the files of earlier runs.
type RejectedFiles struct {
	data    *nolink.Dir
	dataDir string // path of data
	staged  string // the directory of staged files, relative to data
	name    string // the directory of rejected files, relative to data

	mu    sync.Mutex
	count int
}

// NewRejectedFiles returns an empty RejectedFiles. Files are moved from the directory
// staged to the directory name, both relative to data, whose path is dataDir.
func NewRejectedFiles(data *nolink.Dir, dataDir, staged, name string) *RejectedFiles {
	return &RejectedFiles{data: data, dataDir: dataDir, staged: staged, name: name}
}

// maxKept is how many rejected files of a run are kept.
const maxKept = 10

// reject keeps a file and returns a Rejection. It returns causes other than the
// content of the file unchanged.
func (r *RejectedFiles) reject(file sink.File, cause error) error {
	var mismatch *verify.Mismatch
	if !errors.As(cause, &mismatch) && !errors.Is(cause, verify.ErrUnreadable) {
		return cause
	}
	rejection := &Rejection{file: file, cause: cause}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 { // remove the files of earlier runs
		if err := r.data.RemoveAll(r.name); err != nil {
			return errors.Join(rejection, err)
		}
	}
	if r.count++; r.count > maxKept {
		return rejection
	}
	var err error
	if rejection.kept, err = r.keep(file); err != nil {
		return errors.Join(rejection, fmt.Errorf("keeping the rejected file: %w", err))
	}
	return rejection
}

// keep moves a file out of the directory of staged files, and returns its new path.
// The new name is the old path below that directory, which names the job and the
// number of the partition.
func (r *RejectedFiles) keep(file sink.File) (string, error) {
	rel, err := filepath.Rel(r.dataDir, file.Path)
	if err != nil {
		return "", err
	}
	rel = filepath.ToSlash(rel)
	from, err := r.data.Open(path.Dir(rel))
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := r.data.Make(r.name, true)
	if err != nil {
		return "", err
	}
	defer to.Close()
	name := strings.ReplaceAll(strings.TrimPrefix(rel, r.staged+"/"), "/", "-")
	if err := from.Rename(path.Base(rel), to, name); err != nil {
		return "", err
	}
	return filepath.Join(r.dataDir, r.name, name), nil
}

// Diagnose returns a diagnostic about a rejected file of a partition and its
// consequence.
func (r *Rejection) Diagnose(job, partition, consequence string) jobs.Diagnostic {
	kept := r.kept
	if kept == "" {
		kept = fmt.Sprintf("not kept (only the first %d rejected files are)", maxKept)
	}
	var findings []string
	var mismatch *verify.Mismatch
	if errors.As(r.cause, &mismatch) {
		for _, f := range mismatch.Findings {
			findings = append(findings, "  "+f.String())
		}
	} else {
		findings = []string{"  " + r.cause.Error()}
	}
	return jobs.Diagnostic{
		Severity: jobs.Error, Address: partitionAddress(job, partition), Summary: "The second reader rejects a staged file",
		Detail: fmt.Sprintf(`A second reader, which shares no code with the writer, re-reads every file before it is published. This file does not have what was written:

%s

  file: %s
  size: %d bytes, CRC32C %08x, %d rows
  writer: %s

%s

This is a bug in prospector, or this machine has faulty memory or a faulty disk. Please report it with the text above. Do not send the file: it contains events.`,
			strings.Join(findings, "\n"), kept, r.file.Size, r.file.CRC32C, r.file.Summary.Rows, jobs.CreatedBy(), consequence),
	}
}

func partitionAddress(job, partition string) string {
	a, err := jobs.ParseAddress(job)
	if err != nil {
		return job
	}
	return a.WithPartition(partition).String()
}

// withhold removes the partitions with a rejected file from the outcomes, and with
// them all linked partitions: these must change together, so that no event is lost or
// duplicated.
func (r *reconciler) withhold(partitions []*partitionDiff) {
	withheld := make(map[string]bool)
	for _, p := range partitions {
		if p.rejection != nil {
			withheld[p.path] = true
			r.result.Rejected = append(r.result.Rejected, plan.Rejected{Partition: p.path, Problem: p.rejection.Diagnose(r.Table.Job, p.path,
				"The partition does not change. Other partitions are not affected. The next run tries this partition again.")})
		}
	}
	for added := len(withheld) > 0; added; {
		added = false
		for l := range r.moved.links {
			if withheld[l.From] != withheld[l.To] {
				withheld[l.From], withheld[l.To], added = true, true, true
			}
		}
	}
	for _, p := range partitions {
		if p.withheld = withheld[p.path]; p.withheld && p.rejection == nil {
			r.result.Rejected = append(r.result.Rejected, plan.Rejected{Partition: p.path, Problem: jobs.Diagnostic{
				Severity: jobs.Error, Address: partitionAddress(r.Table.Job, p.path), Summary: "A partition depends on a rejected file",
				Detail: "Events have moved between this partition and one with a file that the second reader rejects. Neither changes, so that no event is lost or duplicated.",
			}})
		}
	}
	r.result.Outcomes = slices.DeleteFunc(r.result.Outcomes, func(o plan.Outcome) bool { return withheld[o.Partition] })
}
