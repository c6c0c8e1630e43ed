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

// LoadPlan reads a saved plan to apply it. It refuses a plan if what it was made from
// has changed.
func (s *Session) LoadPlan(ctx context.Context, path string) (*plan.Plan, error) {
	makeDir := func() (string, error) { return s.workspace.makeStageDir("plan") }
	return planfile.Loader{Current: s.current(), MakeDir: makeDir, Limit: s.memory().Width()}.Load(ctx, path)
}

// current returns what a plan is checked against.
func (s *Session) current() planfile.Current {
	return planfile.Current{
		Config: s.options.Config, State: s.state, ListDigest: s.listDigest, OpenSink: s.sinks.open, URI: s.sinks.uri,
		ReadTombstones: func(ctx context.Context) error {
			_, err := s.readTombstones(ctx)
			return err
		},
	}
}

// listDigest reads the list of a job's prospects and returns the digest that a plan
// has for it.
func (s *Session) listDigest(job jobs.Job) (string, error) {
	ids, _, err := s.sources().loadProspects(*job.Prospects)
	if err != nil {
		return "", err
	}
	ids, _ = erase.Requested(job, ids, s.tombstones)
	slices.Sort(ids)
	return lists.ProspectsDigest(ids), nil
}
