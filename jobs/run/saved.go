package run

import (
	"context"
	"slices"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/planfile"
)

// SavePlan writes a plan of this session, with its staged files, to a file that
// another session can apply, on any machine.
func (s *Session) SavePlan(p *plan.Plan, path string) error { return planfile.Write(p, path) }

// LoadPlan loads a saved plan to apply it. It returns an error if the plan is stale:
// its inputs have changed since it was made.
func (s *Session) LoadPlan(ctx context.Context, path string) (*plan.Plan, error) {
	makeDir := func() (string, error) { return s.workspace.makeStageDir("plan") }
	return planfile.Loader{Current: s.current(), MakeDir: makeDir, Limit: s.memory().Width()}.Load(ctx, path)
}

// current returns what planfile compares a plan with.
func (s *Session) current() planfile.Current {
	return planfile.Current{
		Config: s.options.Config, State: s.state, ListDigest: s.listDigest, OpenSink: s.sinks.open, URI: s.sinks.uri,
		ReadTombstones: func(ctx context.Context) error {
			_, err := s.readTombstones(ctx)
			return err
		},
	}
}

// listDigest reads a job's list of prospects, and returns its digest as in a plan.
func (s *Session) listDigest(ctx context.Context, job jobs.Job) (string, error) {
	ids, _, err := s.prospects().Load(ctx, *job.Prospects)
	if err != nil {
		return "", err
	}
	ids, _ = erase.Requested(job, ids, s.tombstones)
	slices.Sort(ids)
	return lists.ProspectsDigest(ids), nil
}
