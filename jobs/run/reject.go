package run

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/sink"
	"prospector/sink/verify"
)

// rejection is the error of a staged file in which the second reader does not find
// what was written.
type rejection struct {
	file  sink.File
	kept  string // where the file is now, "" if it was not kept
	cause error
}

func (r *rejection) Error() string {
	return "the second reader rejects the staged file, so it was not published: " + r.cause.Error()
}

func (r *rejection) Unwrap() error { return r.cause }

// reject keeps a file that the second reader rejects for the user, and gives the
// error. An error that says nothing about the file is returned unchanged.
func (s *Session) reject(file sink.File, cause error) error {
	var mismatch *verify.Mismatch
	if !errors.As(cause, &mismatch) && !errors.Is(cause, verify.ErrUnreadable) {
		return cause
	}
	r := &rejection{file: file, cause: cause}
	s.rejecting.Lock()
	defer s.rejecting.Unlock()
	if s.rejected == 0 { // those of former runs
		if err := s.data.RemoveAll(rejects); err != nil {
			return errors.Join(r, err)
		}
	}
	if s.rejected++; s.rejected > maxListed {
		return r
	}
	if err := s.keepRejected(r); err != nil {
		return errors.Join(r, fmt.Errorf("keeping the rejected file: %w", err))
	}
	return r
}

// keepRejected moves a file out of the staging directory. Its path there names the
// job and the number of the partition, and so does its new name.
func (s *Session) keepRejected(r *rejection) error {
	rel, err := filepath.Rel(s.DataDir, r.file.Path)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	from, err := s.data.Open(path.Dir(rel))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := s.data.Make(rejects, true)
	if err != nil {
		return err
	}
	defer to.Close()
	name := strings.ReplaceAll(strings.TrimPrefix(rel, path.Join(stages, s.info.ID)+"/"), "/", "-")
	if err := from.Rename(path.Base(rel), to, name); err != nil {
		return err
	}
	r.kept = filepath.Join(s.DataDir, rejects, name)
	return nil
}

// diagnose reports a rejected file of a partition, and what follows from it.
func (r *rejection) diagnose(job, partition, consequence string) jobs.Diagnostic {
	kept := r.kept
	if kept == "" {
		kept = fmt.Sprintf("not kept, as the first %d are", maxListed)
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
		Detail: fmt.Sprintf(`A second reader, which shares no code with the writer, reads every file before it is published. In this one it does not find what was written:

%s

  file: %s
  size: %d bytes, CRC32C %08x, %d rows
  writer: %s

%s

This is a bug in prospector, or the memory or the disk of this machine is damaged. Report it with the text above. Do not send the file: it holds events.`,
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

// withhold takes the partitions out of the plan whose files were rejected, and
// those that events have left for one of them or come from it: they change
// together, so that no event is lost or doubled. They stay as they are.
func (b *builder) withhold(drafts []*draft, links map[plan.Link]bool) {
	withheld := make(map[string]bool)
	for _, d := range drafts {
		if d.rejection != nil {
			withheld[d.path] = true
			b.rejected = append(b.rejected, plan.Rejected{Partition: d.path, Problem: d.rejection.diagnose(b.job.Address, d.path,
				"The partition stays as it is. The other partitions are not affected, and the next run tries this one again.")})
		}
	}
	if len(withheld) == 0 {
		return
	}
	for added := true; added; {
		added = false
		for l := range links {
			if withheld[l.From] != withheld[l.To] {
				withheld[l.From], withheld[l.To], added = true, true, true
			}
		}
	}
	for _, d := range drafts {
		if d.withheld = withheld[d.path]; d.withheld && d.rejection == nil {
			b.rejected = append(b.rejected, plan.Rejected{Partition: d.path, Problem: jobs.Diagnostic{
				Severity: jobs.Error, Address: partitionAddress(b.job.Address, d.path), Summary: "A partition depends on a rejected file",
				Detail: "Events have moved between this partition and one whose file the second reader rejects. Both stay as they are, so that no event is lost or doubled.",
			}})
		}
	}
}
