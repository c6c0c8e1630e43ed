package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// PlanOptions say what a plan is for, and what it is kept to.
type PlanOptions struct {
	Mode plan.Mode // "" is plan.Normal
	// Targets keep the plan to those jobs and partitions; none means all.
	Targets []jobs.Address
	// Replace are jobs and partitions whose files are written anew.
	Replace []jobs.Address
	// Accept are the guards that do not refuse the plan.
	Accept []plan.Guard
	// Prospect is whom plan.Erase is about.
	Prospect string
}

// selection is what addresses select of one job.
type selection struct {
	whole      bool
	partitions map[string]bool
}

func (s selection) any() bool { return s.whole || len(s.partitions) > 0 }

func (s selection) has(partition string) bool { return s.whole || s.partitions[partition] }

func selected(job string, addresses []jobs.Address) selection {
	s := selection{partitions: make(map[string]bool)}
	of, err := jobs.ParseAddress(job)
	if err != nil {
		return s // no command line can name it
	}
	for _, a := range addresses {
		switch {
		case !a.IsPartition():
			s.whole = s.whole || a.Contains(of)
		case a.Job() == of:
			s.partitions[a.Partition] = true
		}
	}
	return s
}

// target is what the plan is kept to of one job.
func (o PlanOptions) target(job string) selection {
	if len(o.Targets) == 0 {
		return selection{whole: true}
	}
	return selected(job, o.Targets)
}

// Plan stages every job and says what would change.
func (s *Session) Plan(ctx context.Context, o PlanOptions) (_ *plan.Plan, err error) {
	defer func() { err = withCause(ctx, err) }()
	if o.Mode == "" {
		o.Mode = plan.Normal
	}
	p := &plan.Plan{
		Mode: o.Mode, Lineage: s.state.Lineage, Serial: s.state.Serial, Config: s.Config.Digest(),
		Created: s.Now().UTC(), Targets: texts(o.Targets), Replace: texts(o.Replace), Accepted: o.Accept, Jobs: []plan.Job{},
	}
	if o.Mode != plan.Erase {
		p.Warnings = erase.WarnInterrupted(s.state)
	}
	warnings, err := s.readTombstones(ctx)
	if err != nil {
		return nil, err
	}
	p.Warnings = append(p.Warnings, warnings...)
	relocated, err := plan.Relocate(s.state, s.Config)
	if err != nil {
		return nil, err
	}
	prior := relocated.State
	p.Moved, p.Forgotten = relocated.Moved, relocated.Forgotten
	if err := plan.CheckAddresses(prior, s.Config, slices.Concat(o.Targets, o.Replace)); err != nil {
		return nil, err
	}
	w := &planning{Session: s, options: o, prior: prior, results: make(map[string]jobs.Result)}
	if o.Mode == plan.Erase {
		p.Prospect = o.Prospect
		return p, w.planErase(ctx, p)
	}
	if err := plan.CheckRivals(prior, s.Config, s.uri); err != nil {
		return nil, err
	}
	var orphans []plan.Orphan
	if o.Mode != plan.RefreshOnly {
		orphans, err = plan.Orphans(prior, s.Config, func(job string) bool { return o.target(job).any() })
	}
	if err != nil {
		return nil, err
	}
	for _, job := range s.Config.Jobs {
		if !o.target(job.Address).any() {
			continue
		}
		planned, err := w.job(ctx, job)
		if err != nil {
			return nil, err
		}
		planned.Found.Renamed = relocated.Renamed[job.Address]
		p.Jobs = append(p.Jobs, planned)
	}
	for _, orphan := range orphans {
		planned, err := w.destroy(ctx, orphan.Job, orphan.Reason)
		if err != nil {
			return nil, err
		}
		p.Jobs = append(p.Jobs, planned)
	}
	if len(o.Targets) > 0 {
		p.Warnings = append(p.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Summary: "Resource targeting is in effect",
			Detail: "The plan is kept to what -target names, so it may leave the lake in a state that the source never had. Use it to recover from mistakes, and plan without it afterwards."})
	}
	p.Checks = plan.Checks(s.Config.Checks, w.results)
	s.keepJournals = false
	return p, nil
}

func texts(addresses []jobs.Address) (all []string) {
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// planning is one plan being made.
type planning struct {
	*Session
	options PlanOptions
	prior   *state.State // with the moves made
	results map[string]jobs.Result
}

func (w *planning) job(ctx context.Context, job jobs.Job) (plan.Job, error) {
	switch w.options.Mode {
	case plan.Destroy:
		return w.destroy(ctx, job, "")
	case plan.RefreshOnly:
		out := plan.Job{Address: job.Address, TableName: job.TableName, SchemaFingerprint: job.Schema.Fingerprint(), Sinks: addresses(job.Sinks)}
		if err := w.refresh(ctx, &out, job.Sinks); err != nil {
			return out, err
		}
		out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri)...)
		return out, nil
	}
	return w.stage(ctx, job)
}

func addresses(sinks []jobs.Sink) []string {
	all := make([]string, len(sinks))
	for i, s := range sinks {
		all[i] = s.Address
	}
	return all
}

// destroy plans the deletion of what a job owns in its sinks. why is "" when the
// user asked for it.
func (w *planning) destroy(ctx context.Context, job jobs.Job, why string) (plan.Job, error) {
	out := plan.Job{Address: job.Address, TableName: job.TableName, Destroy: true, DestroyReason: why, Sinks: addresses(job.Sinks)}
	if err := w.refresh(ctx, &out, job.Sinks); err != nil {
		return out, err
	}
	if len(out.Found.AbandonedURIs) > 0 {
		return out, job.Diagnose("sinks", "The table is at another place",
			fmt.Sprintf("%s has published at %s, and its sinks or the name of its table are others now, so that these files cannot be deleted. Undo the change; or keep the files, and let the state forget them:\n\n    prospector state rm %[1]s",
				job.Address, strings.Join(out.Found.AbandonedURIs, " and ")))
	}
	target := w.options.target(job.Address)
	out.Destroy = target.whole
	paths := slices.DeleteFunc(plan.Partitions(out.Found.Prior), func(path string) bool { return !target.has(path) })
	out.Output.Changes = plan.Destruction(job.TableName, out.Sinks, out.Found.Prior, paths)
	if target.whole {
		out.Output.Quarantine = plan.DestroyQuarantine(job.TableName, out.Sinks, out.Found.Prior)
		out.Output.Obsolete = out.DeleteObsolete()
	}
	if job.PreventDestroy && !out.Summary().Empty() {
		remedy := "Either disable lifecycle.prevent_destroy, or keep the plan to other jobs with -target."
		if job.Origin.Filename == "" { // there is no block to disable it in
			remedy = fmt.Sprintf("Either declare it again, or say what is to become of it:\n\n    removed {\n      from = %s\n      lifecycle { destroy = true } # false forgets the job, and its files stay\n    }", job.Address)
		}
		if why == "" {
			why = "this plan is to destroy it"
		}
		return out, job.Diagnose("prevent_destroy", "The table must not be destroyed",
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its files in %s would be deleted, since %s. %s",
				job.Address, strings.Join(out.Sinks, " and "), why, remedy))
	}
	out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri)...)
	return out, nil
}

// refresh compares the state with the sinks of a planned job.
func (w *planning) refresh(ctx context.Context, into *plan.Job, sinks []jobs.Sink) error {
	return refresh.Into(ctx, w.open, w.prior, w.options.Mode, into, sinks)
}

// uri is the URI of an object in an open sink.
func (s *Session) uri(sink, key string) string { return s.stores[sink].URI(key) }

// openByAddress opens a sink of the configuration, or returns its store if it is
// open.
func (s *Session) openByAddress(ctx context.Context, address string) (store.Store, error) {
	if opened, ok := s.stores[address]; ok {
		return opened, nil
	}
	i := slices.IndexFunc(s.Config.Sinks, func(sink jobs.Sink) bool { return sink.Address == address })
	if i < 0 {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The sink of published files is not declared", Address: address,
			Detail: fmt.Sprintf("The state has files in %s, and the configuration does not say where that is. Declare it again; or let the state forget what is there:\n\n    prospector state rm %[1]s", address)}
	}
	return s.open(ctx, s.Config.Sinks[i])
}

// open gives the store of a sink, opening it the first time.
func (s *Session) open(ctx context.Context, sink jobs.Sink) (store.Store, error) {
	if opened, ok := s.stores[sink.Address]; ok {
		return opened, nil
	}
	opened, err := s.OpenSink(ctx, sink)
	if err != nil {
		return nil, refresh.Unusable(sink, "Sink cannot be opened", err)
	}
	s.stores[sink.Address] = opened
	return opened, nil
}
