package run

import (
	"context"
	"log/slog"

	"prospector/extract"
	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/read"
	"prospector/jobs/tombstone"
)

// sources opens the sources of jobs.
type sources struct {
	kinds       extract.Kinds
	lists       read.Lists
	userAgent   string
	logger      *slog.Logger
	tombstones  tombstone.Set
	concurrency int // see Options.Concurrency
}

// sources returns the opener of sources for this session.
func (s *Session) sources() sources {
	return sources{
		kinds: s.options.Sources, lists: s.prospects(), userAgent: s.options.UserAgent,
		logger: s.options.Logger, tombstones: s.tombstones, concurrency: s.options.Concurrency,
	}
}

// prospects returns the reader of lists of prospects.
func (s *Session) prospects() read.Lists {
	return read.Lists{Stdin: s.options.Stdin, TempDir: func() (string, error) { return s.workspace.makeStageDir("") }}
}

// source is the open source of a job, with the prospects to read from it.
type source struct {
	extract.Source
	prospects []string
	// erased are the erased prospects in the list. They are in prospects only if the
	// job exports erased prospects.
	erased      []string
	repeated    int // repeated IDs in the list
	concurrency int // how many prospects are read at once
}

// open reads the list of prospects and opens the source. It makes no requests.
func (s sources) open(ctx context.Context, job jobs.Job) (_ *source, err error) {
	out := &source{concurrency: job.Source.Concurrency}
	if s.concurrency > 0 {
		out.concurrency = min(out.concurrency, s.concurrency)
	}
	if job.Prospects != nil {
		if out.prospects, out.repeated, err = s.lists.Load(ctx, *job.Prospects); err != nil {
			return nil, err
		}
	}
	if out.Source, err = read.Open(ctx, s.kinds, job.Source, s.userAgent, s.logger); err != nil {
		return nil, err
	}
	if lister, ok := out.Source.(extract.Lister); ok && job.Prospects == nil {
		out.prospects = lister.Prospects()
	}
	out.prospects, out.erased = erase.Requested(job, out.prospects, s.tombstones)
	return out, nil
}
