package planfile

import (
	"context"
	"fmt"
	"slices"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
)

// Current has the current values that a saved plan is compared with.
type Current struct {
	Config *jobs.Configuration
	// State is the current state. If it is new, it gets the lineage of the
	// plan.
	State *state.State
	// ReadTombstones reads the tombstones of erased prospects. It is called
	// before ListDigest.
	ReadTombstones func(context.Context) error
	// ListDigest returns the digest of a job's list of prospects. It is not called for
	// standard input, which can be read only once.
	ListDigest func(context.Context, jobs.Job) (string, error)
	OpenSink   refresh.OpenSink
	URI        refresh.URI
}

// stale returns the error for a stale plan.
func stale(format string, args ...any) error {
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "Saved plan is stale",
		Detail: "The plan can no longer be applied: " + fmt.Sprintf(format, args...) + "\n\nNothing was published. Create a new plan."}
}

// check returns an error if anything that the plan is based on has changed.
func (c Current) check(ctx context.Context, p *plan.Plan) error {
	if err := c.checkState(p); err != nil {
		return err
	}
	if err := c.checkConfiguration(p); err != nil {
		return err
	}
	relocated, err := plan.Relocate(c.State, c.Config)
	if err != nil {
		return err
	}
	if err := c.ReadTombstones(ctx); err != nil {
		return err
	}
	for _, j := range p.Jobs {
		if err := c.checkProspects(ctx, j); err != nil {
			return err
		}
		if err := c.checkSinks(ctx, relocated.State, j); err != nil {
			return err
		}
	}
	return nil
}

func (c Current) checkState(p *plan.Plan) error {
	switch {
	case p.Serial == 0 && c.State.Serial == 0:
		c.State.Lineage = p.Lineage
		return nil
	case p.Serial == 0:
		return stale("it was created before there was a state, and now there is one. The plan was already applied, or another run finished first.")
	case c.State.Serial == 0:
		return stale("the state that it is based on no longer exists. Check that the directory and the backend are correct.")
	case p.Lineage != c.State.Lineage:
		return stale("the state has another lineage, so it is the state of another lake. The lineage is %s in the plan and %s in the state.", p.Lineage, c.State.Lineage)
	case p.Serial != c.State.Serial:
		return stale("the state has changed. It has serial %d, but the plan is based on serial %d. The plan was already applied, or another run finished first.", c.State.Serial, p.Serial)
	}
	return nil
}

// checkConfiguration compares the configuration with that of the plan. A
// changed schema has its own message, because it matters most.
func (c Current) checkConfiguration(p *plan.Plan) error {
	for _, j := range p.Jobs {
		declared, ok := c.Config.Job(j.Address)
		if locked, ok := c.Config.Lock[j.Address]; ok && j.Schema != nil && len(schemas.Replaces(schemas.Diff(locked, *j.Schema))) > 0 {
			return stale("its schema of %s is no longer the one in %s.", j.Address, schemas.LockFile)
		}
		if ok && j.SchemaFingerprint != "" && j.SchemaFingerprint != declared.Schema.Fingerprint() {
			return stale("the schema of %s has changed. The files in the plan have other columns or partition keys.", j.Address)
		}
	}
	if p.Config != c.Config.Digest() {
		return stale("the configuration or the value of a variable has changed.")
	}
	return nil
}

func (c Current) checkProspects(ctx context.Context, j plan.Job) error {
	declared, ok := c.Config.Job(j.Address)
	if !ok || j.Source.Reading.List == nil || declared.Prospects == nil || declared.Prospects.File == "-" {
		return nil
	}
	digest, err := c.ListDigest(ctx, declared)
	if err != nil {
		return err
	}
	if digest != j.Source.Reading.List.Digest {
		return stale("the list of prospects %s has changed since %s was read.", declared.Prospects.File, j.Address)
	}
	return nil
}

// checkSinks compares the sinks with the refresh of the plan. It updates the
// URIs of the sinks in the plan, because another machine may have another path
// for the same location.
func (c Current) checkSinks(ctx context.Context, prior *state.State, j plan.Job) error {
	var sinks []jobs.Sink
	for _, sink := range c.Config.Sinks {
		if slices.Contains(j.Sinks, sink.Address) {
			sinks = append(sinks, sink)
		}
	}
	found, _, err := refresh.Job(ctx, c.OpenSink, prior, j.Address, j.TableName, sinks)
	if err != nil {
		return err
	}
	if changed := j.Outdated(found); len(changed) > 0 {
		return stale("objects in the sinks have changed since it was created:\n\n%s", refresh.DriftList(changed, c.URI))
	}
	for _, sink := range j.Sinks {
		j.Found.Prior[sink].URI = found[sink].URI
	}
	return nil
}
