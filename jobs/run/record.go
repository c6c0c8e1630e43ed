package run

import (
	"context"
	"errors"

	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// Record appends the run to the ledger. p is nil if the run ended before it had a
// plan. ended is the error that ended the run, or nil.
func (s *Session) Record(ctx context.Context, operation string, p *plan.Plan, ended error) error {
	r := ledger.Record{
		ID: s.info.ID, Operation: operation, Who: s.info.Who, Version: jobs.Version,
		Started: s.info.Created, Ended: s.options.Now().UTC(),
		Lineage: s.state.Lineage, SerialBefore: s.serial, SerialAfter: s.state.Serial,
	}
	switch {
	case errors.Is(ended, context.Canceled) && !errors.Is(ended, state.ErrLockLost):
		r.Outcome, r.Error = ledger.Interrupted, "Interrupted"
	case ended != nil:
		r.Outcome, r.Error = ledger.Failed, jobs.Diagnose(ended, "The command failed")[0].Summary
	case p.Empty():
		r.Outcome = ledger.NoChanges
	default:
		r.Outcome = ledger.Applied
	}
	if p != nil {
		for i := range p.Jobs {
			of := recordOf(&p.Jobs[i])
			if ended != nil { // count only the changes that were made
				of.Summary = ledger.Summary(s.published[of.Address])
			}
			r.Jobs = append(r.Jobs, of)
		}
	}
	ctx, cancel := state.WithoutInterrupt(ctx)
	defer cancel()
	stateStore, prefix := s.options.Backend.Store()
	return ledger.Append(ctx, stateStore, prefix, r)
}

func recordOf(j *plan.Job) ledger.JobRecord {
	r := ledger.JobRecord{
		Address: j.Address, Summary: ledger.Summary(j.Summary()), Books: ledger.Books(j.Source.Books),
		Coverage: ledger.Coverage(j.Source.Reading.Coverage),
		Requests: j.Source.Reading.Requests, Bytes: j.Source.Reading.Bytes, Seconds: j.Source.Reading.Seconds,
		ExceptionsOmitted: j.Source.Reading.Incomplete() - int64(len(j.Source.Reading.Exceptions)),
	}
	for _, e := range j.Source.Reading.Exceptions {
		r.Exceptions = append(r.Exceptions, ledger.Prospect{ID: e.Prospect, Outcome: e.Outcome})
	}
	return r
}
