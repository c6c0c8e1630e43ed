package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"prospector/extract"
	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/jobs/erase"
)

// source is the open source of a job, with the prospects to read from it.
type source struct {
	extract.Source
	prospects []string
	erased    []string // those of the list that were erased; prospects has them only if the job exports them
	twice     int      // repeated entries of the list
	binding   string   // what pages depend on: those of another binding are not mixed in
}

// openSource reads the list of prospects and opens the source. It requests nothing.
func (s *Session) openSource(ctx context.Context, job jobs.Job) (_ *source, err error) {
	out := new(source)
	if job.Prospects != nil {
		if out.prospects, out.twice, err = s.loadProspects(*job.Prospects); err != nil {
			return nil, err
		}
	}
	kind := s.Sources.Find(job.Source.Kind)
	if kind == nil {
		return nil, fmt.Errorf("there is no kind of source %q", job.Source.Kind)
	}
	out.Source, err = kind.Open(ctx, job.Source.Settings, extract.Requests{
		PageSize: job.Source.PageSize, RequestsPerSecond: job.Source.RequestsPerSecond,
		Timeout: job.Source.Timeout, MaxAttempts: job.Source.MaxAttempts,
		UserAgent: s.UserAgent, Logger: s.Logger,
	})
	if p, ok := errors.AsType[*attribute.Problem](err); ok {
		return nil, job.Source.Diagnose(p.Attribute, p.Summary, p.Detail)
	}
	if err != nil {
		return nil, err
	}
	if lister, ok := out.Source.(extract.Lister); ok && job.Prospects == nil {
		out.prospects = lister.Prospects()
	}
	out.prospects, out.erased = erase.Requested(job, out.prospects, s.tombstones)
	out.binding = binding(job.Address, out.Source)
	return out, nil
}

// binding identifies everything that a page of a job depends on besides the
// prospect and the cursor. It is a digest because it is on disk, and a source may
// depend on a secret.
func binding(address string, from extract.Source) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %s", address, from.Binding())
	return hex.EncodeToString(h.Sum(nil)[:16])
}
